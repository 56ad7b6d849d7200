"""
Testing your own simulator against exact spikes
===============================================

Exact spike times are a reference.  Here we write a small simulator with a time step, and measure
how wrong it is.  Put your own in its place.
"""

import matplotlib.pyplot as plt
import numpy as np

import eventsim as es

# %%
# A recurrent network of 30 neurons, and its exact spikes.  The input spikes lie on all the grids
# that we shall try, so their times cost no accuracy.

rng = np.random.default_rng(3)
n, delay, t_stop = 30, 1.0, 30.0
tau_mem, tau_syn, refractory = 20.0, 5.0, 2.0
w_in = rng.uniform(0.0, 0.6, (5, n))
w_rec = rng.normal(0.0, 0.01, (n, n))
arrivals = np.sort(0.5 * rng.integers(0, 40, 25))
sources = rng.integers(0, 5, 25)

net = es.Network()
net.add_input("in", 5)
net.add_population("all", n, es.LIF(tau_mem=tau_mem, tau_syn=tau_syn, refractory=refractory))
net.connect("in", "all", weights=w_in)
net.connect("all", "all", weights=w_rec, delays=delay)
exact = es.simulate(net, {"in": es.Spikes(arrivals, sources)}, t_stop).spikes["all"]
print(len(exact.times), "exact spikes")

# %%
# The simulator with a time step: the Euler method, in fifteen lines.


def euler(step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the times and the neurons of the spikes."""
    n_steps, lag = round(t_stop / step), round(delay / step)
    kicks = np.zeros((n_steps + lag + 1, n))
    np.add.at(kicks, np.rint(arrivals / step).astype(int), w_in[sources])
    current, potential, free = np.zeros(n), np.zeros(n), np.zeros(n)
    times, neurons = [], []
    for k in range(n_steps):
        current += kicks[k]
        potential += step * (current - potential / tau_mem)
        current -= step * current / tau_syn
        potential[free > k * step] = 0.0
        fired = np.flatnonzero(potential > 1.0)
        potential[fired], free[fired] = 0.0, (k + 1) * step + refractory
        kicks[k + 1 + lag] += w_rec[fired].sum(axis=0)
        times += [(k + 1) * step] * fired.size
        neurons += fired.tolist()
    return np.array(times), np.array(neurons, dtype=int)


# %%
# We compare the first spike of every neuron, and count all spikes.


def first(times: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    """Return the first spike of each neuron; infinite where there is none."""
    found = np.full(n, np.inf)
    np.minimum.at(found, neurons, times)
    return found


steps = 2.0 ** -np.arange(1, 9)
truth = first(exact.times, exact.indices)
errors = []
for step in steps:
    times, neurons = euler(step)
    found = first(times, neurons)
    both = np.isfinite(truth) & np.isfinite(found)
    errors.append(np.abs(found - truth)[both].mean())
    print(f"step {step:.5f} ms: {len(times):3d} spikes, mean error {errors[-1]:.5f} ms")

# %%
# The error falls in proportion to the step.  That is what the Euler method promises: if yours does
# not do that, it has a bug.  An error that stops falling is one, too.

fig, axes = plt.subplots(layout="constrained")
axes.loglog(steps, errors, "o-", label="Euler method")
axes.loglog(steps, errors[-1] * steps / steps[-1], "--", color="gray", label="order 1")
axes.set(xlabel="step (ms)", ylabel="mean error of first spikes (ms)")
axes.legend()
plt.show()

# %%
# Where only *times* are known, not how they came about, the potential decides: at each spike the
# exact potential of that neuron, given all earlier spikes, has to be the threshold.
# `CausalityGraph.from_spikes` takes the spikes of another simulator, and gives their gradients.
