"""The delay groups: in order, complete, and as small as their arrays can be."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim._layout.wiring import Compiled, compiled_form

SIZES = {"in": 3, "a": 4, "b": 2}


@st.composite
def networks(draw: st.DrawFn) -> es.Network:
    """Some projections: dense or sparse, with multapses; delays that are often the same."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    network = es.Network()
    network.add_input("in", SIZES["in"])
    network.add_population(
        "a", SIZES["a"], es.LIF(tau_mem=draw(st.sampled_from([1.0, [1, 2] * 2])))
    )
    network.add_population("b", SIZES["b"], es.LIF(tau_mem=2.0))
    for _ in range(draw(st.integers(0, 4))):
        pre, post = draw(st.sampled_from(sorted(SIZES))), draw(st.sampled_from("ab"))
        shape = SIZES[pre], SIZES[post]
        if draw(st.booleans()):
            weights = rng.normal(size=shape)
            own = rng.choice([0.5, 1.0, 1.5], size=shape)
        else:
            n = draw(st.integers(0, 12))
            at = rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)
            weights = scipy.sparse.coo_array((rng.normal(size=n), at), shape=shape)
            own = scipy.sparse.coo_array((rng.choice([0.5, 1.0, 1.5], n), at), shape=shape)
        network.connect(pre, post, weights=weights, delays=own if draw(st.booleans()) else 1.0)
    return network


def listed(network: es.Network, compiled: Compiled) -> list[tuple[float, ...]]:
    """All synapses, sorted as the wiring promises: (source, delay, projection, kind, place)."""
    layout, rows = compiled.layout, []
    for number, (key, p) in enumerate(network.projections.items()):
        weights = scipy.sparse.csr_array(np.ones(p.weights.shape) if dense(p) else p.weights)
        delays = np.broadcast_to(p.delay_values, p.values.shape)
        pre = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
        for place, (source, post) in enumerate(zip(pre, weights.indices, strict=True)):
            target = layout.neuron_start[key[1]] + post
            first = layout.first_source[key[0]] + source, delays[place], number
            rows.append((*first, layout.neurons.kind[target], place, target, p.values[place]))
    return sorted(rows)


def dense(projection: es.Projection) -> bool:
    return isinstance(projection.weights, np.ndarray)


@given(networks())
def test_groups_are_in_order_and_hold_every_synapse_once(network: es.Network) -> None:
    compiled = compiled_form(network)
    wiring, found, heads = compiled.wiring, [], []
    for source in range(wiring.first_group.size - 1):
        for g in range(wiring.first_group[source], wiring.first_group[source + 1]):
            assert wiring.start[g] < wiring.stop[g]
            number = int(compiled.group_projection[g])
            key = list(network.projections)[number]
            heads.append((source, wiring.delay[g], number, wiring.kind[g]))
            assert wiring.receptor[g] == network.projections[key].receptor
            for s in range(wiring.start[g], wiring.stop[g]):
                part, order = compiled.synapses[key], compiled.orders[key]
                place = s - part.start if order is None else order[s - part.start]
                found.append((*heads[-1], place, wiring.target[s], wiring.weight[s]))
    assert found == listed(network, compiled)
    assert heads == sorted(set(heads))


def test_a_synapse_with_a_delay_of_its_own_takes_less_than_forty_bytes() -> None:
    network = es.Network()
    network.add_input("in", 50)
    network.add_population("a", 200, es.LIF())
    for pre, n_pre in (("in", 50), ("a", 200)):
        synapses = es.fixed_indegree(
            n_pre, 200, 20, weights=1.0, delays=lambda rng, size: rng.random(size), seed=1
        )
        network.connect(pre, "a", synapses)
    compiled = compiled_form(network)
    arrays = *compiled.wiring[1:], *compiled.orders.values(), compiled.group_projection
    shared = compiled.wiring.start.nbytes  # start and stop are one array
    assert np.shares_memory(compiled.wiring.start[1:], compiled.wiring.stop[:-1])
    assert sum(array.nbytes for array in arrays) - shared <= 38 * 8000


def test_other_weights_share_all_but_the_weights() -> None:
    network = es.Network()
    network.add_population("a", 3, es.LIF())
    key = network.connect("a", "a", weights=np.ones((3, 3)), delays=np.ones((3, 3)))
    other = network.replace(weights={key: np.full((3, 3), 2.0)})
    first, second = compiled_form(network).wiring, compiled_form(other).wiring
    assert second.weight.tolist() == [2.0] * 9
    assert all(a is b for a, b in zip(first[:-1], second[:-1], strict=True))
