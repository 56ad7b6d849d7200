"""
Your first exact network
========================

We build a small network, simulate it, and ask when a spike moves if a weight changes.
Nothing in it has a time step.
"""

import matplotlib.pyplot as plt
import numpy as np

import eventsim as es
import gradients

# %%
# A network has inputs, populations of neurons, and projections between them.  Times are in any
# unit, as long as it is the same everywhere.  Here it is the millisecond.

rng = np.random.default_rng(1)
neuron = es.LIF(tau_mem=20.0, tau_syn=5.0, threshold=1.0, refractory=2.0)
net = es.Network()
net.add_input("in", 3)
net.add_population("hidden", 10, neuron)
net.add_population("out", 1, neuron)
w_in = net.connect("in", "hidden", weights=rng.uniform(0.2, 0.5, (3, 10)), delays=1.0)
w_out = net.connect("hidden", "out", weights=rng.uniform(0.02, 0.06, (10, 1)), delays=1.5)

# %%
# A stimulus says which input spikes when.  `simulate` goes from event to event until ``t_stop``.

stimulus = {"in": es.Spikes(times=[2.0, 5.0, 9.0, 20.0, 22.0], indices=[0, 1, 2, 0, 1])}
result = es.simulate(net, stimulus, t_stop=50.0)
print(result.spikes["out"].times)

# %%
# These times are right to rounding error.  One bit before the first of them, the potential is the
# threshold.  At that time itself it has been reset.

first = result.first_spikes("out")[0]
just_before = np.nextafter(first, 0.0)
print(f"first spike of the output: {first:.12f} ms")
print(f"potential just before:     {result.potential('out', at=just_before)[0]:.12f}")

# %%
# The potential is known at any time.  We draw it, with the spikes of the hidden neurons below.

times = np.linspace(0.0, 50.0, 1001)
potential = [result.potential("out", at=time)[0] for time in times]
hidden = result.spikes["hidden"]
fig, (above, below) = plt.subplots(2, sharex=True, layout="constrained")
above.plot(times, potential)
above.axhline(1.0, color="gray", linestyle="--", label="threshold")
above.set_ylabel("potential of the output")
above.legend(loc="center right")
below.plot(hidden.times, hidden.indices, "|", markersize=8)
below.set(xlabel="time (ms)", ylabel="hidden neuron")
plt.show()

# %%
# How does the first spike of the output move if a weight changes?  We name the derivative of our
# quantity by the first spike, here 1.  We get its derivative by every parameter.

gradient = gradients.timing_backprop(result, first_spikes={"out": [1.0]})
print("ms per unit of weight:", gradient.weights[w_out].ravel().round(2))
print("ms per ms of delay:   ", np.round(gradient.delays[w_out], 6))

# %%
# The first numbers are negative: a larger weight makes the spike earlier.  A longer delay makes it
# later by as much: all arrivals of this projection come later.
#
# Is that right?  We change the weights a little, and run the network again.

step = 1e-8
weights = net.parameters()["weights"]
nudged = net.replace({"weights": {**weights, w_out: weights[w_out] + step}})
moved = es.simulate(nudged, stimulus, t_stop=50.0).first_spikes("out")[0]
print(f"gradient:   {gradient.weights[w_out].sum():.3f}")
print(f"difference: {(moved - first) / step:.3f}")
