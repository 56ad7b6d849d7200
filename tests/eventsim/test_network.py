"""What is connected: keys, values, copies, and the delay groups that the engines run on."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim._layout.layers import weight_tables
from eventsim._layout.wiring import compiled_form


def small() -> es.Network:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("a", 3, es.LIF())
    network.add_population("b", 1, es.LIF(tau_mem=[2.0]))
    return network


def test_sizes_and_names_are_read_back() -> None:
    network = small()
    assert dict(network.inputs) == {"in": 2}
    assert dict(network.populations) == {"a": 3, "b": 1}
    assert set(network.neurons) == {"a", "b"}
    assert np.ravel(network.neurons["b"].tau_mem).tolist() == [2.0]


def test_a_further_projection_between_the_same_two_gets_a_number_or_a_name() -> None:
    network = small()
    w = np.ones((2, 3))
    keys = [
        network.connect("in", "a", weights=w),
        network.connect("in", "a", weights=w),
        network.connect("in", "a", weights=w, name="slow"),
        network.connect("in", "a", weights=w),
    ]
    assert keys == [("in", "a"), ("in", "a", 1), ("in", "a", "slow"), ("in", "a", 2)]
    assert list(network.projections) == keys


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64, np.uint8])
def test_a_multapse_of_numbers_of_any_type_stays_one(dtype: Any) -> None:
    network = small()
    entries = np.array([1, 2, 3], dtype=dtype), ([0, 0, 1], [2, 2, 0])
    twice = scipy.sparse.coo_array(entries, shape=(2, 3))
    lags = scipy.sparse.coo_array((np.array([0, 1, 2], dtype=dtype), entries[1]), shape=(2, 3))
    key = network.connect("in", "a", weights=twice, delays=lags)
    assert network.projections[key].values.tolist() == [1.0, 2.0, 3.0]
    assert np.ravel(network.projections[key].delay_values).tolist() == [0.0, 1.0, 2.0]


def test_weights_and_delays_are_kept_as_given() -> None:
    network = small()
    w = np.arange(6.0).reshape(2, 3)
    sparse = scipy.sparse.csr_array(([1.0, 2.0], ([0, 2], [1, 1])), shape=(3, 3))
    dense_key = network.connect("in", "a", weights=w, delays=0.25)
    sparse_key = network.connect("a", "a", weights=sparse, delays=sparse * 0.5)
    np.testing.assert_array_equal(network.projections[dense_key].weights, w)
    assert network.projections[dense_key].delays == 0.25
    assert scipy.sparse.issparse(network.projections[sparse_key].weights)
    np.testing.assert_array_equal(
        network.projections[sparse_key].delays.toarray(), sparse.toarray() * 0.5
    )
    w[0, 0] = 99.0
    assert network.projections[dense_key].weights[0, 0] == 0.0


def test_replace_changes_values_and_leaves_the_original_alone() -> None:
    network = small()
    key = network.connect("in", "a", weights=np.ones((2, 3)), delays=0.1)
    other = network.replace(
        weights={key: np.full((2, 3), 5.0)},
        delays={key: np.full((2, 3), 0.7)},
        neurons={"b": es.LIF(threshold=9.0)},
    )
    assert network.projections[key].weights[0, 0] == 1.0
    assert network.projections[key].delays == 0.1
    assert other.projections[key].weights[0, 0] == 5.0
    assert other.projections[key].delays[1, 2] == 0.7
    assert other.neurons["b"].threshold == 9.0
    assert np.ravel(network.neurons["b"].threshold)[0] == 1.0


@pytest.mark.parametrize("delays", [0.0, 0.25, "matrix"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_replaced_values_run_as_if_connected_so_from_the_start(form, delays) -> None:
    """Also after a run, when the compiled arrays exist already."""
    rng = np.random.default_rng(0)
    matrices = [form(rng.uniform(1.0, 4.0, (2, 3))) for _ in range(2)]
    lag = form(rng.uniform(0.1, 0.5, (2, 3))) if delays == "matrix" else delays
    stimulus = {"in": es.Spikes([0.0, 0.3, 0.6], [0, 1, 0])}
    first, second = small(), small()
    key = first.connect("in", "a", weights=matrices[0], delays=lag)
    second.connect("in", "a", weights=matrices[1], delays=lag)
    es.simulate(first, stimulus, 2.0)
    replaced = es.simulate(first.replace(weights={key: matrices[1]}), stimulus, 2.0)
    expected = es.simulate(second, stimulus, 2.0)
    assert expected.spikes["a"].times.size > 3
    np.testing.assert_array_equal(replaced.spikes["a"].times, expected.spikes["a"].times)
    np.testing.assert_array_equal(replaced.spikes["a"].indices, expected.spikes["a"].indices)


def test_weight_tables_follow_the_weights() -> None:
    """Made once; anew after `replace` and `connect`; a snapshot shares those of its moment."""
    network = small()
    key = network.connect("in", "a", weights=np.ones((2, 3)))
    table = weight_tables(network)[0]
    assert weight_tables(network)[0] is table
    snapshot = network.snapshot()
    assert weight_tables(snapshot)[0] is table
    twice = network.replace(weights={key: 2.0 * np.ones((2, 3))})
    assert weight_tables(twice)[0].sum() == 12.0
    network.connect("in", "a", weights=np.ones((2, 3)))
    assert weight_tables(network)[0].sum() == 12.0
    assert weight_tables(snapshot)[0].sum() == table.sum() == 6.0


def test_dense_and_sparse_are_the_same_network() -> None:
    rng = np.random.default_rng(3)
    w = rng.uniform(1.0, 4.0, (2, 3)) * [[1, 0, 1], [1, 1, 0]]
    d = rng.uniform(0.0, 0.5, (2, 3))
    stimulus = {"in": es.Spikes([0.0, 0.3, 0.6], [0, 1, 0])}
    results = []
    for form in (
        np.asarray,
        scipy.sparse.csr_array,
        scipy.sparse.coo_array,
        scipy.sparse.csc_array,
    ):
        network = small()
        mask = w != 0 if form is not np.asarray else np.ones_like(w)
        network.connect("in", "a", weights=form(w), delays=form(np.where(mask, d, 0.0)))
        results.append(es.simulate(network, stimulus, 2.0).spikes["a"])
    for spikes in results[1:]:
        np.testing.assert_allclose(spikes.times, results[0].times, rtol=1e-14)
        np.testing.assert_array_equal(spikes.indices, results[0].indices)


def test_a_stored_zero_is_a_synapse_and_an_absent_entry_is_none() -> None:
    """Counted as synaptic events; its gradient exists."""
    stimulus = {"in": es.Spikes([0.0], [0])}
    w = scipy.sparse.csr_array(([0.0, 1.0], ([0, 0], [0, 2])), shape=(2, 3))
    network = small()
    network.connect("in", "a", weights=w)
    assert es.simulate(network, stimulus, 1.0).events.synaptic == 2


PARTS = [
    ("coo_array", "coords"),
    *itertools.product(
        ("csr_array", "csc_array", "bsr_array", "csr_matrix"), ("indices", "indptr")
    ),
]


@given(st.data(), st.sampled_from(PARTS))
def test_a_sparse_matrix_is_sound_or_refused(data: st.DataObject, where: tuple[str, str]) -> None:
    """Else a compiled loop would read and write anywhere in memory."""
    form, part = where
    w = getattr(scipy.sparse, form)(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]]))
    arrays = w.coords if part == "coords" else (getattr(w, part),)
    array = data.draw(st.sampled_from(arrays))
    place = data.draw(st.integers(0, array.size - 1))
    array[place] = data.draw(st.integers(-4, 4) | st.integers(-(2**31), 2**31 - 1))
    network, refusal = small(), None
    try:
        key = network.connect("in", "a", weights=w)
    except ValueError as error:
        refusal = str(error)
    if refusal is not None:
        assert "weights must be a sound sparse matrix" in refusal
        return
    rows = network.projections[key].weights
    assert isinstance(rows, scipy.sparse.csr_array)
    assert rows.indptr[0] == 0
    assert rows.indptr[-1] == rows.indices.size == rows.data.size
    assert np.all(np.diff(rows.indptr.astype(np.int64)) >= 0)
    assert np.all((rows.indices >= 0) & (rows.indices < 3))
    assert np.all(compiled_form(network).wiring.target < 3)


def test_what_was_given_may_change_and_what_a_network_holds_may_not() -> None:
    w, d = (scipy.sparse.csr_array(np.full((2, 3), value)) for value in (8.0, 0.5))
    network = small()
    key = network.connect("in", "a", weights=w, delays=d)
    for array in (w.data, w.indices, w.indptr, d.data):
        array[:] = 99
    for same in (network, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        held = same.projections[key]
        np.testing.assert_array_equal(held.weights.toarray(), np.full((2, 3), 8.0))
        np.testing.assert_array_equal(held.delays.toarray(), np.full((2, 3), 0.5))
        for matrix in (held.weights, held.delays):
            for array in (matrix.data, matrix.indices, matrix.indptr):
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = 99
        result = es.simulate(same, {"in": es.Spikes([0.0], [0])}, 2.0)
        assert result.spikes["a"].indices.tolist()[:3] == [0, 1, 2]


def test_a_list_of_synapses_keeps_all_of_one_place_in_the_order_given() -> None:
    at = [1, 0, 1, 0, 1, 1], [2, 1, 2, 0, 0, 2]
    w, d = (scipy.sparse.coo_array((np.arange(6.0) + k, at), shape=(2, 3)) for k in (0.0, 10.0))
    network = small()
    key = network.connect("in", "a", weights=w, delays=d)
    held = network.projections[key]
    assert held.values.tolist() == [3.0, 1.0, 4.0, 0.0, 2.0, 5.0]
    assert held.delay_values.tolist() == [13.0, 11.0, 14.0, 10.0, 12.0, 15.0]


def test_weights_and_delays_share_their_indices_after_every_change() -> None:
    w = scipy.sparse.csr_array(np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]))
    network = small()
    key = network.connect("in", "a", weights=w, delays=w)
    lighter = network.replace(weights={key: 0.5 * w})
    for held in (p.projections[key] for p in (network, lighter, lighter.replace(delays={key: w}))):
        assert np.shares_memory(held.delays.indices, held.weights.indices)
        assert np.shares_memory(held.delays.indptr, held.weights.indptr)
        assert not np.shares_memory(held.weights.indices, w.indices)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_indices_are_kept_in_32_bits(form: str) -> None:
    w = scipy.sparse.csr_array(np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]))
    w.indices, w.indptr = w.indices.astype(np.int64), w.indptr.astype(np.int64)
    network = small()
    key = network.connect("in", "a", weights=w.asformat(form))
    held = network.projections[key].weights
    assert held.indices.dtype == held.indptr.dtype == np.int32
    np.testing.assert_array_equal(held.toarray(), w.toarray())


def test_connecting_leaves_no_note_in_what_was_given() -> None:
    w = scipy.sparse.csr_array(np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]))
    small().connect("in", "a", weights=w, delays=w)
    w.indices[:2] = w.indices[1::-1]
    assert not w.has_sorted_indices


@pytest.mark.parametrize("dtype", [complex, object])
def test_sparse_weights_are_real_numbers(dtype: type) -> None:
    w = scipy.sparse.csr_array(np.ones((2, 3)))
    w.data = w.data.astype(dtype)
    with pytest.raises(ValueError, match="weights must be real numbers, got"):
        small().connect("in", "a", weights=w)


def test_parallel_projections_add_up() -> None:
    stimulus = {"in": es.Spikes([0.0, 0.2], [0, 1])}
    once, twice = small(), small()
    once.connect("in", "a", weights=np.full((2, 3), 3.0))
    for part in (1.0, 2.0):
        twice.connect("in", "a", weights=np.full((2, 3), part))
    expected = es.simulate(once, stimulus, 2.0).spikes["a"].times
    assert expected.size
    np.testing.assert_allclose(
        es.simulate(twice, stimulus, 2.0).spikes["a"].times, expected, rtol=1e-13
    )


def test_a_network_without_synapses_or_without_input_runs() -> None:
    network = es.Network()
    network.add_population("a", 2, es.LIF(bias=[2.0, 0.5], tau_mem=np.inf))
    result = es.simulate(network, {}, 1.25)
    assert result.spikes["a"].times.tolist() == [0.5, 1.0]
    np.testing.assert_array_equal(result.potential("a"), [0.5, 0.625])


def test_the_description_shows_the_sizes() -> None:
    assert repr(small()) == "Network(inputs={'in': 2}, populations={'a': 3, 'b': 1}, synapses=0)"


def test_charges_between_neurons_take_a_while() -> None:
    net = es.Network()
    net.add_population("p", 2, es.LIF(tau_syn={"fast": 0.0, "slow": 5.0}))
    with pytest.raises(ValueError, match=r"delays of charges .* must be > 0, got 0\.0"):
        net.connect("p", "p", weights=np.ones((2, 2)))
    key = net.connect("p", "p", weights=np.ones((2, 2)), delays=0.5)
    slow = net.connect("p", "p", weights=np.ones((2, 2)), receptor="slow")
    with pytest.raises(ValueError, match=r"delays of charges .* must be > 0, got 0\.0"):
        net.replace(delays={key: 0.0})
    assert net.replace(delays={slow: 0.0, key: 0.25}).projections[key].delays == 0.25


def test_charges_are_passed_on_at_once_to_populations_that_were_added_later() -> None:
    net = es.Network()
    net.add_input("in", 1)
    for name in "abc":
        net.add_population(name, 1, es.LIF(tau_syn=0.0))
    for pre, post, weight in (("in", "a", 2.0), ("a", "b", 1.5), ("a", "c", 2.0), ("b", "c", -1.5)):
        net.connect(pre, post, weights=[[weight]])
    result = es.simulate(net, {"in": es.Spikes([0.0, 0.5], [0, 0])}, 1.0)
    assert {name: s.times.tolist() for name, s in result.spikes.items() if name != "in"} == {
        "a": [0.0, 0.5], "b": [0.0, 0.5], "c": [],
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"delays of charges \('c', 'a'\) must be > 0, got 0\.0"):
        net.connect("c", "a", weights=[[1.0]])


# --- the same network -----------------------------------------------------------------------------


def rich() -> es.Network:
    """A network with everything that can differ."""
    network = es.Network()
    network.add_input("in", 4)
    network.add_poisson("ext", 3, rate=1.0, seed=1)
    network.add_population("a", 3, es.LIF(tau_syn={"x": 1.0, "y": 2.0}, bias=[0.0, 0.1, 0.2]))
    network.add_population("b", 9, es.LIF(threshold=2.0))
    network.connect("in", "a", weights=np.ones((4, 3)), delays=np.full((4, 3), 0.5), receptor="x")
    network.connect("in", "b", weights=es.Convolution(np.ones((1, 1, 2, 2)), (2, 2), padding=1))
    some = es.fixed_indegree(9, 3, 4, weights=0.3, delays=lambda rng, n: rng.random(n), seed=1)
    network.connect("b", "a", some, receptor="y")
    return network


def test_a_network_built_again_is_the_same() -> None:
    network = rich()
    stored = pickle.loads(pickle.dumps(network))
    for other in (network, network.snapshot(), network.replace(), rich(), stored):
        assert network.is_same(other)
        assert other.is_same(network)
    assert network.is_same(network.replace(rates={"ext": 2.0}))
    assert not network.is_same(es.Network())
    assert not es.Network().is_same(es.Network((0, 2)))


@pytest.mark.parametrize(
    "values",
    [
        {"weights": {("in", "a"): np.nextafter(np.ones((4, 3)), 2.0)}},
        {"weights": {("in", "b"): np.full((1, 1, 2, 2), 2.0)}},
        {"weights": {("b", "a"): 1.5 * rich().projections["b", "a"].weights}},
        {"delays": {("in", "a"): 0.5}},
        {"delays": {("b", "a"): 1.5 * rich().projections["b", "a"].delays}},
        {"neurons": {"a": es.LIF(tau_syn={"x": 1.0, "y": 2.0}, bias=0.1)}},
        {"neurons": {"b": es.LIF(threshold=2.0, rest=1e-9)}},
    ],
)
def test_a_network_with_any_other_value_is_another(values: dict[str, Any]) -> None:
    network = rich()
    other = network.replace(**values)
    assert not network.is_same(other)
    assert not other.is_same(rich())
    assert other.is_same(rich().replace(**values))


def test_the_order_of_populations_and_inputs_counts() -> None:
    """Neurons are numbered by it."""

    def in_order(names: str) -> es.Network:
        network = es.Network()
        for name in names:
            if name in "ab":
                network.add_input(name, 2)
            else:
                network.add_population(name, 2, es.LIF())
        return network

    assert in_order("abcd").is_same(in_order("cadb"))
    for other in ("bacd", "abdc", "abc"):
        assert not in_order("abcd").is_same(in_order(other))
