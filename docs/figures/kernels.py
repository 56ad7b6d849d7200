"""The effect of one spike on the potential, for several ratios of the time constants."""

import matplotlib.pyplot as plt
import numpy as np

import eventsim as es

times = np.linspace(0.0, 6.0, 241)
cases = [(2.0, 0.5), (1.0, 1.0), (np.inf, 0.5), (1.0, np.inf), (np.inf, np.inf)]

fig, axes = plt.subplots(figsize=(6.0, 3.5), layout="constrained")
for tau_mem, tau_syn in cases:
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("out", 1, es.LIF(tau_mem=tau_mem, tau_syn=tau_syn, threshold=np.inf))
    net.connect("in", "out", weights=[[1.0]])
    run = es.simulate(net, {"in": es.Spikes([0.0], [0])}, t_stop=6.0)
    h = [run.potential("out", at=time)[0] for time in times]
    axes.plot(times, h, label=rf"$\tau_m$ = {tau_mem:g}, $\tau_s$ = {tau_syn:g}")
axes.set(xlabel="time since the arrival", ylabel="h", ylim=(0.0, 2.0))
axes.legend()
