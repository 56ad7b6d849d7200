"""Forward propagation, the tangent sweep, both backward methods and central differences agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from scipy import sparse

import eventsim as es
import gradients
from tests.helpers import cases, differences
from tests.helpers.differences import off_grid
from tests.helpers.graphs import PARAMETERS, chain, column_of_synapse, lif_as_srm, run_of
from tests.helpers.naive import Case, Neuron
from tests.helpers.strategies import examples, networks


def away_from_grazing(case: Case) -> tuple[cases.Built, es.Result]:
    built, result = run_of(off_grid(case))
    slopes = result.spikes[cases.ALL].slopes
    assume(slopes.size)
    assume(slopes.min() > 0.05)
    return built, result


def by_columns(built: cases.Built, gradient: gradients.Gradient, wrt: str) -> np.ndarray:
    """A gradient in the column order of forward propagation."""
    if wrt in ("weights", "delays"):
        out = np.empty(len(built.place))
        out[column_of_synapse(built)] = built.per_synapse(getattr(gradient, wrt))
        return out
    if wrt == "input_times":
        return gradient.input_times[cases.IN][built.stimulus[cases.IN].order]
    return getattr(gradient, wrt)[cases.ALL]


@given(networks())
@examples(0.3)
def test_backward_is_the_transpose_of_forward(case: Case) -> None:
    """a' dF/dp, for the adjoint sweep on the run and for the transposed solve on the graph."""
    built, result = away_from_grazing(case)
    a = differences.cotangents(result)["spike_times"]
    graph = result.causality()
    sweep = gradients.timing_backprop(result, spike_times=a)
    solve = gradients.timing_backprop(graph, spike_times=a)
    for wrt in PARAMETERS:
        forward = gradients.forward_propagation(graph, wrt)
        assert forward.shape[0] == len(a[cases.ALL])
        expected = a[cases.ALL] @ forward
        scale = np.abs(forward).max(initial=0.0) * 1e-8 + 1e-12
        for found in (sweep, solve):
            np.testing.assert_allclose(
                by_columns(built, found, wrt), expected, rtol=1e-7, atol=scale
            )


@pytest.mark.parametrize("wrt", [("delays", "tau_mem"), ["bias", "input_times"], ()])
def test_a_graph_gives_what_it_is_asked_for(wrt) -> None:
    result = cases.build(cases.load("recurrent_delays").case).run()
    a = differences.cotangents(result)["spike_times"]
    whole = gradients.timing_backprop(result.causality(), spike_times=a).tree
    found = gradients.timing_backprop(result.causality(), spike_times=a, wrt=wrt).tree
    for kind, by_key in found.items():
        expected = whole[kind] if kind in wrt else {}
        assert by_key.keys() == expected.keys()
        for key, values in expected.items():
            one, other = (x.data if sparse.issparse(x) else x for x in (by_key[key], values))
            np.testing.assert_array_equal(one, other)


@given(networks())
@examples(0.3)
def test_both_backward_methods_agree_on_potentials_too(case: Case) -> None:
    built, result = away_from_grazing(case)
    given_cotangents = differences.cotangents(result)
    sweep = gradients.timing_backprop(result, **given_cotangents)
    solve = gradients.timing_backprop(result.causality(), **given_cotangents)
    for kind in differences.KINDS:
        one = differences.gradient(built, sweep, kind)
        two = differences.gradient(built, solve, kind)
        np.testing.assert_allclose(
            one, two, rtol=1e-7, atol=1e-8 * (1 + np.abs(one).max(initial=0))
        )
    assert sweep.silent_fraction == pytest.approx(solve.silent_fraction)
    assert sweep.min_slope == pytest.approx(solve.min_slope, rel=1e-7)


def random_direction(built: cases.Built, seed: int) -> dict[str, dict]:
    """A change of every parameter, as the arguments of `jvp`."""
    rng = np.random.default_rng(seed)
    like = {
        key: scipy.sparse.csr_array(
            (rng.normal(size=p.weights.nnz), p.weights.indices, p.weights.indptr),
            shape=p.weights.shape,
        )
        for key, p in built.network.projections.items()
    }
    n = len(built.case.neurons)
    return {
        "weights": like,
        "delays": {key: matrix * rng.normal() for key, matrix in like.items()},
        "input_times": {cases.IN: rng.normal(size=len(built.case.inputs))},
        "tau_mem": {cases.ALL: rng.normal(size=n)},
        "tau_syn": {cases.ALL: rng.normal(size=n)},
        "threshold": {cases.ALL: rng.normal(size=n)},
        "bias": {cases.ALL: rng.normal(size=n)},
    }


def inner(gradient: gradients.Gradient, name: str, direction: dict) -> float:
    """<gradient, direction> for one kind of parameter."""
    return sum(
        float(np.sum(cases.to_dense(getattr(gradient, name)[key]) * cases.to_dense(change)))
        for key, change in direction.items()
    )


@given(networks())
@examples(0.3)
def test_jvp_and_backward_are_adjoint_to_each_other(case: Case) -> None:
    """<a, J v> = <J' a, v> for every kind of parameter, and for all at once."""
    built, result = away_from_grazing(case)
    a = differences.cotangents(result)["spike_times"][cases.ALL]
    gradient = gradients.timing_backprop(result, spike_times={cases.ALL: a})
    directions = random_direction(built, 0)
    total = 0.0
    for name, direction in directions.items():
        tangent = gradients.jvp(result, **{name: direction})[cases.ALL]
        assert tangent.shape == a.shape
        expected = inner(gradient, name, direction)
        scale = 1.0 + np.abs(tangent).max()
        assert a @ tangent == pytest.approx(expected, rel=1e-7, abs=1e-8 * scale), name
        total += expected
    everything = gradients.jvp(result, **directions)[cases.ALL]
    scale = 1.0 + np.abs(everything).max()
    assert a @ everything == pytest.approx(total, rel=1e-7, abs=1e-7 * scale)


@pytest.mark.parametrize("name", cases.NETWORK_NAMES)
def test_jvp_of_the_reference_networks(name: str) -> None:
    """A direction that changes one kind of parameter gives the reference gradient's product."""
    reference = cases.load(name)
    built = cases.build(reference.case)
    result = built.run()
    a = np.array(reference.time_coefficients)
    # the reference loss also holds potentials: take their share from the sweep
    rest = gradients.timing_backprop(
        result, potentials={cases.ALL: np.array(reference.potential_coefficients)}
    )
    rng = np.random.default_rng(5)
    for kind, argument in (("weight", "weights"), ("theta", "threshold"), ("bias", "bias")):
        expected = reference.gradients[kind] - differences.gradient(built, rest, kind)
        v = rng.normal(size=expected.size)
        if kind == "weight":
            change = {
                key: scipy.sparse.csr_array(p.weights) * 0.0
                for key, p in built.network.projections.items()
            }
            dense = {key: np.zeros(p.weights.shape) for key, p in built.network.projections.items()}
            for (key, row, col), value in zip(built.place, v, strict=True):
                dense[key][row, col] = value
            for key, matrix in change.items():
                rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
                matrix.data[:] = dense[key][rows, matrix.indices]
        else:
            change = {cases.ALL: v}
        tangent = gradients.jvp(result, **{argument: change})[cases.ALL]
        assert a @ tangent == pytest.approx(expected @ v, rel=1e-9, abs=1e-10)


@pytest.mark.slow
@given(networks(max_neurons=3))
@examples(0.1)
def test_every_spike_time_moves_as_central_differences_say(case: Case) -> None:
    built, result = away_from_grazing(case)
    case = built.case
    forward = gradients.forward_propagation(result.causality())
    columns = column_of_synapse(built)
    found = cases.trains(result)
    for k in range(len(case.synapses)):
        up, down = (
            cases.trains(cases.build(differences.moved(case, "weight", k, s)).run())
            for s in (1e-6, -1e-6)
        )
        if [i for i, _ in up] != [i for i, _ in found] or [i for i, _ in down] != [
            i for i, _ in found
        ]:
            continue
        slope = [(t - s) / 2e-6 for (_, t), (_, s) in zip(up, down, strict=True)]
        scale = 1.0 + np.abs(forward).max()
        assert max(map(abs, slope)) < 1e4  # no spike was swapped for another
        np.testing.assert_allclose(forward[:, columns[k]], slope, rtol=1e-3, atol=1e-5 * scale)


def test_chosen_spikes_and_columns_are_a_part_of_the_whole() -> None:
    graph = cases.build(cases.load("recurrent_delays").case).run().causality()
    whole = gradients.forward_propagation(graph)
    spikes, columns = [7, 0, 3], [4, 1]
    np.testing.assert_allclose(
        gradients.forward_propagation(graph, spikes=spikes), whole[spikes], rtol=1e-11, atol=1e-14
    )
    np.testing.assert_allclose(
        gradients.forward_propagation(graph, columns=columns), whole[:, columns], rtol=1e-12
    )
    np.testing.assert_allclose(
        gradients.forward_propagation(graph, spikes=spikes, columns=columns),
        whole[spikes][:, columns],
        rtol=1e-11,
        atol=1e-14,
    )
    many = list(range(whole.shape[0]))
    np.testing.assert_allclose(
        gradients.forward_propagation(graph, spikes=many, columns=columns),
        whole[:, columns],
        rtol=1e-11,
        atol=1e-14,
    )


def test_a_chain_made_by_hand() -> None:
    """Forward and backward on two spikes, worked out on paper: a moves by -v/4, b by a/2 - w/16."""
    dag = chain()
    np.testing.assert_allclose(
        gradients.forward_propagation(dag), [[-0.25, 0.0], [-0.125, -0.0625]], rtol=1e-15
    )
    np.testing.assert_allclose(
        gradients.forward_propagation(dag, "input_times"), [[0.5], [0.25]], rtol=1e-15
    )
    found = gradients.timing_backprop(dag, spike_times=np.array([1.0, 10.0]))
    assert found.weights == {"v": pytest.approx(-1.5), "w": pytest.approx(-0.625)}
    assert found.min_slope == 2.0


def test_other_kernels_move_the_spikes_as_they_should() -> None:
    """An SRM with other kernels on the same spike times: L and dV by its own formulas."""
    neuron = Neuron(2.0, 1.5, 0.4)
    case = cases.load("recurrent_delays").case
    case = Case((neuron,) * len(case.neurons), case.synapses, case.inputs, case.t_stop)
    graph = cases.build(case).run().causality()
    own = gradients.forward_propagation(graph)
    same = gradients.forward_propagation(graph, kernels=lif_as_srm(neuron))
    np.testing.assert_allclose(same, own, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spikes": [99]}, "spikes.*99"),
        ({"spikes": [-1]}, "spikes.*-1"),
        ({"columns": [1000]}, "columns.*1000"),
        ({"wrt": "luck"}, "'luck'"),
    ],
)
def test_what_is_not_there_cannot_be_chosen(arguments: dict, message: str) -> None:
    graph = cases.build(cases.load("feedforward").case).run().causality()
    with pytest.raises(ValueError, match=message):
        gradients.forward_propagation(graph, **arguments)


def test_no_spikes_no_derivatives() -> None:
    case = Case((Neuron(1.0, 1.0),), ((-1, 0, 1.0, 0.0),), ((0, 0.5),), 2.0)
    result = cases.build(case).run()
    graph = result.causality()
    assert gradients.forward_propagation(graph).shape == (0, 1)
    assert gradients.jvp(result, bias={cases.ALL: 1.0})[cases.ALL].shape == (0,)
    found = gradients.timing_backprop(graph, potentials={cases.ALL: np.ones(1)})
    h = math.exp(-1.5) * 1.5
    np.testing.assert_allclose(
        cases.to_dense(found.weights[cases.IN, cases.ALL]), [[h]], rtol=1e-14
    )
