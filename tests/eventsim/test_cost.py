"""Operation counts are those of an obvious, slow count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim.cost import _fan_out


def dense_weights(projection: es.Projection) -> np.ndarray:
    """Number of synapses with a weight other than 0 between each source and each target."""
    weights, counts = projection.weights, np.zeros(projection.weights.shape, dtype=int)
    if isinstance(weights, es.Convolution):
        indptr, target, parameter = weights.synapses()
        rows = np.repeat(np.arange(weights.shape[0]), np.diff(indptr))
        np.add.at(counts, (rows, target), weights.kernel.reshape(-1)[parameter] != 0.0)
    elif isinstance(weights, np.ndarray):
        counts += weights != 0.0
    else:
        rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
        np.add.at(counts, (rows, weights.indices), weights.data != 0.0)
    return counts


def slow_count(batch: es.BatchResult, population: str, k: int) -> int:
    """Accumulates of a population in sample k, spike by spike and target by target."""
    n = 0
    for projection in batch.network.projections.values():
        if projection.post != population:
            continue
        counts, source = dense_weights(projection), projection.pre
        is_input = source in batch.network.inputs
        if is_input and source not in batch.stimulus.trains:
            continue
        spikes = batch.stimulus.trains[source] if is_input else batch.spikes[source]
        for time, index, sample in zip(spikes.times, spikes.indices, spikes.samples, strict=True):
            if sample == k and time <= batch.ends[k]:
                n += sum(int(count) for count in counts[index])
    return n


def network(seed: int) -> es.Network:
    """All forms of synapses, a silent input and one that draws, recurrence and zeros."""
    rng, net = np.random.default_rng(seed), es.Network()
    for name, n in (("in", 4), ("silent", 2)):
        net.add_input(name, n)
    net.add_poisson("noise", 3, rate=1.0, seed=seed % 1000)
    for name, n in (("hidden", 4), ("out", 2)):
        net.add_population(name, n, es.LIF(tau_mem=2.0, tau_syn=1.0, refractory=0.2))

    def weights(*shape: int) -> np.ndarray:
        return np.where(rng.random(shape) < 0.4, 0.0, rng.uniform(0.3, 2.0, shape))

    kernel = weights(4, 1, 2, 2)
    net.connect("in", "hidden", weights=es.Convolution(kernel, (2, 2)), delays=0.2)
    net.connect("noise", "hidden", weights=weights(3, 4))
    net.connect("hidden", "out", weights=scipy.sparse.csr_array(weights(4, 2)), delays=0.1)
    rows, columns, data = [0, 0, 1], [1, 1, 0], [0.5, 0.0, -0.5]
    multapses = scipy.sparse.coo_array((data, (rows, columns)), shape=(2, 2))
    net.connect("out", "out", weights=multapses, delays=0.3)
    net.connect("silent", "out", weights=weights(2, 2))
    return net


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 3), early=st.booleans())
def test_accumulates_are_spikes_times_their_targets(seed: int, n: int, early: bool) -> None:
    rng, net = np.random.default_rng(seed), network(seed)
    latencies = rng.uniform(0.0, 4.0, (n, 4))
    latencies[rng.random(latencies.shape) < 0.3] = np.inf
    stimulus = {"in": es.SpikeBatch.from_latencies(latencies)}
    batch = es.simulate(net, stimulus, 3.0, until_fired="out" if early else None)
    found = es.operations(batch)
    for name, size in net.populations.items():
        expected = [slow_count(batch, name, k) for k in range(n)]
        assert found.effective_acs[name].tolist() == expected
        silent = [
            sum(i not in batch[k].spikes[name].indices for i in range(size)) / size
            for k in range(n)
        ]
        assert found.activation_sparsity[name].tolist() == pytest.approx(silent)
    for k in range(n):
        alone = es.operations(batch[k])
        assert [int(each[0]) for each in alone.effective_acs.values()] == [
            int(each[k]) for each in found.effective_acs.values()
        ]


@pytest.mark.parametrize("engine", ["scheduler", "windows", "layered"])
def test_every_engine_counts_the_same(engine: str) -> None:
    net = es.Network()
    net.add_input("in", 3)
    net.add_population("out", 2, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.connect("in", "out", weights=[[3.0, 0.0], [2.0, 3.0], [0.0, 0.0]], delays=0.1)
    stimulus = {"in": es.SpikeBatch.from_latencies([[0.1, 0.4, 9.0], [np.inf, 0.2, 0.3]])}
    found = es.operations(es.simulate(net, stimulus, 3.0, engine=engine))
    assert found.effective_acs["out"].tolist() == [3, 2]
    assert found.dense == {"out": 6}
    assert found.connection_sparsity == 0.5


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_the_fan_out_of_a_convolution_is_that_of_its_synapses(stride: int, padding: int) -> None:
    rng = np.random.default_rng(10 * stride + padding)
    kernel = np.where(rng.random((3, 2, 3, 4)) < 0.5, 0.0, 1.0)
    weights = es.Convolution(kernel, (7, 6), stride, padding)
    projection = es.Projection("in", "out", weights, 0.0)
    np.testing.assert_array_equal(_fan_out(projection), dense_weights(projection).sum(axis=1))


def test_the_footprint_is_all_arrays_and_states() -> None:
    net = es.Network()
    net.add_input("in", 3)
    net.add_population("out", 2, es.LIF(tau_syn={"exc": 1.0, "inh": 2.0}))
    net.connect("in", "out", weights=np.ones((3, 2)), delays=0.5)
    parameters = sum(values.nbytes for values in net.neurons["out"].arrays(2).values())
    expected = 8 * 6 + 8 + parameters + 2 * 8 * (2 + 2)
    assert es.operations(es.simulate(net, {}, 1.0)).footprint == expected


def test_the_summary_has_the_names_of_neurobench_and_means_over_samples() -> None:
    net = es.Network()
    net.add_input("in", 2)
    net.add_population("out", 3, es.LIF(tau_mem=1.0, tau_syn=1.0))
    net.connect("in", "out", weights=[[4.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    batch = es.simulate(net, {"in": es.SpikeBatch.from_latencies([[0.0, 0.5], [0.0, np.inf]])}, 1.0)
    assert es.operations(batch).neurobench == {
        "footprint": es.operations(batch).footprint,
        "connection_sparsity": 0.5,
        "activation_sparsity": pytest.approx(2 / 3),
        "synaptic_operations": {"Effective_MACs": 0.0, "Effective_ACs": 2.5, "Dense": 6.0},
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record": ["out"]}, r"operations needs the spikes of all populations.*\['out'\]"),
        ({"history": False}, "operations needs the whole run"),
    ],
)
def test_what_has_not_all_spikes_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    net = network(1)
    begun = es.simulate(net, {}, 1.0, history=False)
    if "history" in options:
        options = options | {"resume": begun}
    with pytest.raises(ValueError, match=message):
        es.operations(es.simulate(net, {}, 2.0, **options))


def test_what_is_no_run_is_refused() -> None:
    with pytest.raises(ValueError, match="result must be a Result or BatchResult, got 3"):
        es.operations(3)  # type: ignore[arg-type]
