"""Forward propagation, the tangent sweep, both backward methods and central differences agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from scipy import sparse

import eventsim as es
import gradients
from eventsim.model.jumps import CHARGE
from tests.helpers import cases, differences
from tests.helpers.differences import begun, in_the_order_of_the_record, off_grid
from tests.helpers.graphs import (
    WRT,
    chain,
    column_of_synapse,
    columns_of,
    lif_as_srm,
    run_of,
)
from tests.helpers.naive import Case, Neuron
from tests.helpers.strategies import any_networks, examples, networks


def away_from_grazing(case: Case) -> tuple[cases.Built, es.Result]:
    built, result = run_of(begun(off_grid(case)))
    assume(result.batch.record.time.size)
    assume(result.batch.min_slope > 0.05)
    cases.assume_charges_come_alone(result)
    return built, result


@given(any_networks())
@examples(0.4)
def test_backward_is_the_transpose_of_forward(case: Case) -> None:
    """a' dF/dp, for the adjoint sweep on the run and for the transposed solve on the graph."""
    built, result = away_from_grazing(case)
    by_spikes = differences.cotangents(result)["spike_times"]
    a = in_the_order_of_the_record(result, by_spikes)
    graph = result.causality()
    sweep = gradients.timing_backprop(result, spike_times=by_spikes)
    solve = gradients.timing_backprop(graph, spike_times=by_spikes)
    for kind in differences.KINDS:
        forward = gradients.forward_propagation(graph, WRT[kind])[:, columns_of(built, kind)]
        assert forward.shape[0] == a.size
        scale = np.abs(forward).max(initial=0.0) * 1e-8 + 1e-12
        for found in (sweep, solve):
            np.testing.assert_allclose(
                differences.gradient(built, found, kind), a @ forward, rtol=1e-7, atol=scale
            )


@pytest.mark.parametrize("name", cases.NETWORK_NAMES + cases.GENERAL_NAMES)
def test_forward_propagation_of_the_reference_networks(name: str) -> None:
    """Times the cotangents of the spikes it is the reference, less the share of the potentials."""
    reference = cases.load(name)
    built = cases.build(reference.case)
    result = built.run()
    graph, a = result.causality(), np.array(reference.time_coefficients)
    for kind, known, expected in of_spikes_alone(reference, built, result):
        forward = gradients.forward_propagation(graph, WRT[kind])[:, columns_of(built, kind)]
        scale = 1.0 + np.abs(expected).max(initial=0.0)
        np.testing.assert_allclose(
            (a @ forward)[known], expected, rtol=1e-10, atol=1e-11 * scale, err_msg=kind
        )


def of_spikes_alone(
    reference: cases.Reference, built: cases.Built, result: es.Result
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(kind, which entries are known, their derivatives) of what the loss has of spike times."""
    b = {cases.ALL: np.array(reference.potential_coefficients)}
    rest = gradients.timing_backprop(result, potentials=b)
    for kind, every in reference.gradients.items():
        known = np.isfinite(every.ravel())
        yield kind, known, (every.ravel() - differences.gradient(built, rest, kind))[known]


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


@given(any_networks())
@examples(0.4)
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
    network = built.network
    like = {
        key: scipy.sparse.csr_array(
            (rng.normal(size=p.weights.nnz), p.weights.indices, p.weights.indptr),
            shape=p.weights.shape,
        )
        for key, p in network.projections.items()
    }

    def of_receptors(name: str, n: int) -> Any:
        neurons = network.neurons[name]
        changes = [rng.normal(size=n) * (column != CHARGE) for column in neurons.columns]
        return dict(zip(neurons.receptors, changes, strict=False)) or changes[0]

    sizes = network.populations.items()
    directions: dict[str, dict] = {
        "weights": like,
        "delays": {
            key: rng.normal() if isinstance(p.delays, float) else like[key] * rng.normal()
            for key, p in network.projections.items()
        },
        "input_times": {cases.IN: rng.normal(size=len(built.case.inputs))},
        "tau_syn": {name: of_receptors(name, n) for name, n in sizes},
        "initial": {name: es.State(rng.normal(size=n), of_receptors(name, n)) for name, n in sizes},
    }
    for parameter in ("tau_mem", "threshold", "bias", "rest", "reset"):
        directions[parameter] = {name: rng.normal(size=n) for name, n in sizes}
    return directions


def inner(gradient: Any, direction: Any) -> float:
    """<gradient, direction>, of anything that holds arrays."""
    if isinstance(direction, es.State):
        potentials = inner(gradient.potential, direction.potential)
        return potentials + inner(gradient.current, direction.current)
    if isinstance(direction, Mapping):
        return sum(inner(gradient[key], direction[key]) for key in direction)
    return float(np.sum(cases.to_dense(gradient) * cases.to_dense(direction)))


@given(any_networks())
@examples(0.4)
def test_jvp_and_backward_are_adjoint_to_each_other(case: Case) -> None:
    """<a, J v> = <J' a, v> for every kind of parameter, and for all at once."""
    built, result = away_from_grazing(case)
    a = differences.cotangents(result)["spike_times"]
    gradient = gradients.timing_backprop(result, spike_times=a)
    directions = random_direction(built, 0)
    total = 0.0
    for name, direction in directions.items():
        tangent = gradients.jvp(result, **{name: direction})
        expected = inner(getattr(gradient, name), direction)
        scale = 1.0 + largest(tangent)
        assert inner(a, tangent) == pytest.approx(expected, rel=1e-7, abs=1e-8 * scale), name
        total += expected
    everything = gradients.jvp(result, **directions)
    scale = 1.0 + largest(everything)
    assert inner(a, everything) == pytest.approx(total, rel=1e-7, abs=1e-7 * scale)


def largest(tangent: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(values).max(initial=0.0)) for values in tangent.values())


@pytest.mark.parametrize("name", cases.NETWORK_NAMES + cases.GENERAL_NAMES)
def test_jvp_of_the_reference_networks(name: str) -> None:
    """A direction that changes one kind of parameter gives the reference gradient's product."""
    reference = cases.load(name)
    built = cases.build(reference.case)
    result = built.run()
    a, directions = np.array(reference.time_coefficients), random_direction(built, 5)
    rates = {"alpha": "tau_syn", "beta": "tau_mem"}
    changes = SimpleNamespace(
        **directions, **{rate: directions[tau] for rate, tau in rates.items()}
    )
    for kind, known, expected in of_spikes_alone(reference, built, result):
        if not np.all(known):
            continue  # a delay of 0 has no derivative: it cannot be left out of a direction
        v = differences.gradient(built, changes, kind)
        argument = rates.get(kind, WRT[kind])
        if kind in rates:
            v = -v * np.square(differences.parameters(reference.case, kind))
        direction = directions[argument]
        if argument == "initial":
            (begun,) = direction.values()
            alone = es.State(current=begun.current) if kind == "i0" else es.State(begun.potential)
            direction = {cases.ALL: alone}
        tangent = gradients.jvp(result, **{argument: direction})[cases.ALL]
        scale = 1.0 + np.abs(a).max() * np.abs(tangent).max(initial=0.0)
        assert a @ tangent == pytest.approx(expected @ v, rel=1e-9, abs=1e-10 * scale), kind


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
