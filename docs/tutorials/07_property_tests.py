"""
Property tests of causality
===========================

An example shows that one network is right.  A *property* holds for every network.  The library
hypothesis draws networks, and looks for one that breaks the property.  If it finds one, it makes it
as small as it can.

The same tests fit your own simulator: put it in the place of ``run``.
"""

import matplotlib.pyplot as plt
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import eventsim as es

N_IN, N, DELAY, T_STOP = 3, 4, 0.5, 8.0


def run(weights: np.ndarray, times: list[float]) -> es.Result:
    """Simulate inputs that lead to a recurrent population; input k fires k-th, again and again."""
    net = es.Network()
    net.add_input("in", N_IN)
    net.add_population("all", N, es.LIF(tau_mem=2.0, tau_syn=1.0, refractory=0.5))
    net.connect("in", "all", weights=weights[:N_IN], delays=DELAY)
    net.connect("all", "all", weights=weights[N_IN:], delays=DELAY)
    indices = np.arange(len(times)) % N_IN
    return es.simulate(net, {"in": es.Spikes(times, indices)}, T_STOP)


# %%
# What hypothesis draws: weights, and times of input spikes.

matrices = st.lists(st.floats(-2.0, 2.0), min_size=(N_IN + N) * N, max_size=(N_IN + N) * N).map(
    lambda values: np.reshape(values, (N_IN + N, N))
)
trains = st.lists(st.floats(0.0, 4.0), min_size=1, max_size=8).map(sorted)
few = settings(max_examples=20, deadline=None, derandomize=True, database=None)

# %%
# **An effect comes after its cause,** by the delay at least.


@few
@given(matrices, trains)
def effects_follow_causes(weights: np.ndarray, times: list[float]) -> None:
    """Every synaptic edge of the graph takes the delay."""
    dag = run(weights, times).causality().to_networkx()
    for cause, effect, edge in dag.edges(data=True):
        if edge["synapses"]:
            assert dag.nodes[effect]["time"] >= dag.nodes[cause]["time"] + DELAY


effects_follow_causes()

# %%
# **The future does not change the past.**  One more input spike, later than the others, leaves all
# spikes before its arrival as they are: to the last bit.


@few
@given(matrices, trains, st.floats(0.0, 2.0))
def the_future_leaves_the_past_alone(weights: np.ndarray, times: list[float], later: float) -> None:
    """Compare two runs until the additional spike arrives."""
    new = times[-1] + later
    old_run, new_run = run(weights, times), run(weights, [*times, new])
    old, more = old_run.spikes["all"], new_run.spikes["all"]
    assert np.array_equal(old.times[old.times < new + DELAY], more.times[more.times < new + DELAY])


the_future_leaves_the_past_alone()

# %%
# One such network, in a picture.  The additional spike arrives at the dashed line: left of it, the
# two runs agree.

weights = np.random.default_rng(2).uniform(0.0, 2.0, (N_IN + N, N))
times = [0.0, 0.5, 1.0]
fig, axes = plt.subplots(figsize=(6.4, 2.5), layout="constrained")
for more, marker, label in (([], "o", "without"), ([3.0], "x", "with the additional spike")):
    spikes = run(weights, times + more).spikes["all"]
    axes.plot(spikes.times, spikes.indices, marker, fillstyle="none", label=label)
axes.axvline(3.0 + DELAY, color="gray", linestyle="--")
axes.set(xlabel="time", ylabel="neuron", yticks=range(N))
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %%
# **Only ancestors matter.**  An input that does not lead to a spike in the graph can be left out,
# and the spike stays where it is.


@few
@given(matrices, trains)
def what_arrives_too_late_does_not_count(weights: np.ndarray, times: list[float]) -> None:
    """Leave out the last input spike; the first spike stays if it is no descendant."""
    result = run(weights, times)
    first = np.min(result.first_spikes("all"))
    if np.isfinite(first) and times[-1] + DELAY > first:
        assert np.min(run(weights, times[:-1]).first_spikes("all")) == first


what_arrives_too_late_does_not_count()

# %%
# All of them held, for 20 networks each.  ``max_examples=10_000`` makes a long search of it.
