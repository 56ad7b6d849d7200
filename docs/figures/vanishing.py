"""A spike moves, its gradient grows, and it vanishes."""

import matplotlib.pyplot as plt
import numpy as np

import eventsim as es
import gradients

weights = np.concatenate([np.linspace(2.8, 3.17, 60), np.geomspace(3.1749, 4.5, 200)])
found, slopes = [], []
for weight in weights:
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("out", 1, es.LIF(tau_mem=2.0, tau_syn=0.5, refractory=np.inf))
    key = net.connect("in", "out", weights=[[weight]])
    run = es.simulate(net, {"in": es.Spikes([0.0], [0])}, t_stop=5.0)
    time = run.first_spikes("out")[0]
    found.append(time)
    fires = np.isfinite(time)
    gradient = gradients.timing_backprop(run, first_spikes={"out": [float(fires)]})
    slopes.append(gradient.weights[key][0, 0] if fires else 0.0)

fig, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.2), layout="constrained")
left.plot(weights, np.where(np.isfinite(found), found, np.nan))
left.set(xlabel="weight", ylabel="time of the spike")
right.plot(weights, slopes)
right.set(xlabel="weight", ylabel="its gradient by the weight", ylim=(-6.0, 0.5))
for axes in (left, right):
    axes.axvspan(weights[0], 2.0 * 4.0 ** (1.0 / 3.0), color="0.9", label="no spike")
    axes.set_xlim(weights[0], weights[-1])
left.legend()
