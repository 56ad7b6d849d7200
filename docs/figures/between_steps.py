"""A crossing that is over between two steps of a grid."""

import matplotlib.pyplot as plt
import numpy as np

import eventsim as es

net = es.Network()
net.add_input("in", 2)
net.add_population("out", 1, es.LIF(tau_mem=2.0, tau_syn=0.5))
net.add_population("free", 1, es.LIF(tau_mem=2.0, tau_syn=0.5, threshold=np.inf))
for name in ("out", "free"):
    net.connect("in", name, weights=[[3.31], [-4.0]])
run = es.simulate(net, {"in": es.Spikes([0.1, 1.1], [0, 1])}, t_stop=3.0)
spike = run.first_spikes("out")[0]

times = np.linspace(0.0, 2.4, 481)
grid = np.arange(0.0, 2.41, 0.6)
fig, axes = plt.subplots(figsize=(6.0, 3.5), layout="constrained")
for at, style, label in ((times, "-", "potential"), (grid, "o", "what a grid sees")):
    axes.plot(at, [run.potential("free", at=time)[0] for time in at], style, label=label)
assert np.isfinite(spike)
assert max(run.potential("free", at=time)[0] for time in grid) < 1.0
axes.axhline(1.0, color="gray", linestyle="--", label="threshold")
axes.axvline(spike, color="C3", linestyle=":", label=f"exact spike, {spike:.4f}")
axes.set(xlabel="time", ylabel="potential of a neuron that does not fire")
axes.legend(loc="center right")
