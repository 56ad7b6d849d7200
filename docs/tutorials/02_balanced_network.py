"""
A balanced network
==================

4000 neurons excite and inhibit each other.  This is the network CUBA: benchmark 2 of Brette et al.
(2007), after Vogels & Abbott (2005).  We run it for five seconds, and compare with NEST.
"""

import matplotlib.pyplot as plt
import numpy as np

import eventsim as es

# %%
# Excitation and inhibition have time constants of their own.  So the neurons have two *receptors*.
# Potentials are in mV, times in ms.  The neurons leak to -49 mV, above their threshold: each would
# fire by itself, and inhibition holds it back.

neuron = es.LIF(
    tau_mem=20.0,
    tau_syn={"exc": 5.0, "inh": 10.0},
    threshold=-50.0,
    refractory=5.0,
    rest=-49.0,
    reset=-60.0,
)
sizes = {"E": 3200, "I": 800}
synapse = {"E": ("exc", 1.62 / 20.0), "I": ("inh", -9.0 / 20.0)}  # mV / ms

net = es.Network()
for name, n in sizes.items():
    net.add_population(name, n, neuron)
for number, (pre, (receptor, weight)) in enumerate(synapse.items()):
    for post in sizes:
        rule = es.fixed_probability(
            sizes[pre], sizes[post], 0.02, weights=weight, delays=0.1, seed=[number, sizes[post]]
        )
        net.connect(pre, post, rule, receptor=receptor)
print(net)

# %%
# Every neuron begins with another potential.  After that, nothing is random.

rng = np.random.default_rng(0)
initial = {name: es.State(potential=rng.uniform(-60.0, -50.0, n)) for name, n in sizes.items()}
result = es.simulate(net, {}, t_stop=5000.0, initial=initial)

# %%
# The network fires irregularly, although nothing in it is noisy.

fig, axes = plt.subplots(layout="constrained")
for name, offset, color in (("E", 0, "C0"), ("I", 160, "C3")):
    spikes = result.spikes[name]
    shown = spikes.indices < sizes[name] // 20
    axes.plot(spikes.times[shown], spikes.indices[shown] + offset, ".", color=color, label=name)
axes.set(xlabel="time (ms)", ylabel="neuron (every twentieth)", xlim=(0.0, 1000.0))
fig.legend(loc="outside right upper")
plt.show()

# %%
# How irregular?  We take the coefficient of variation (CV) of each neuron's intervals.  It is 0 for
# a clock, and 1 for a Poisson process.


def variation(spikes: es.RecordedSpikes, n: int) -> float:
    """Return the mean CV of the neurons with at least five spikes."""
    trains = [spikes.times[spikes.indices == neuron] for neuron in range(n)]
    intervals = [np.diff(train) for train in trains if train.size >= 5]
    return float(np.mean([each.std() / each.mean() for each in intervals]))


for name, n in sizes.items():
    rate = result.spike_counts(name).mean() / 5.0
    print(f"{name}: {rate:.1f} Hz, CV {variation(result.spikes[name], n):.2f}")

# %%
# The scenario ``cuba`` has other random synapses of the same kind.  It finds 6.3 and 5.7 Hz, and
# CVs of 0.69 and 0.70.  Given those very synapses, NEST's ``iaf_psc_exp_ps`` finds the same spikes:
# all 124 000 of them, to 1e-9 ms.  NEST is not needed here.  With ``make peers`` you can repeat the
# comparison::
#
#     eventsim run cuba --beside nest nest-grid brian2
