"""L and dV/dp: triangular, and the derivatives of the spike condition."""

from __future__ import annotations

import dataclasses
import math
import re
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given

import eventsim as es
import gradients
from eventsim._layout.wiring import compiled_form
from gradients.graph.jacobian import SRM, as_graph, jacobian
from tests.helpers import cases, naive
from tests.helpers.graphs import chain, column_of_synapse, lif_as_srm, run_of
from tests.helpers.naive import Case
from tests.helpers.strategies import examples, networks


@given(networks())
@examples(0.3)
def test_L_is_lower_triangular_with_the_slopes_on_its_diagonal(case: Case) -> None:
    _, result = run_of(case)
    assume(result.spikes[cases.ALL].slopes.min(initial=1.0) > 1e-3)
    L = jacobian(result.causality()).L.toarray()
    assert L.shape == (len(result.spikes[cases.ALL]),) * 2
    assert not np.any(np.triu(L, 1))
    assert np.all(np.diag(L) > 0.0)
    np.testing.assert_allclose(np.diag(L), result.spikes[cases.ALL].slopes, rtol=1e-7)


def condition(case: Case, times: list[float], row: int, inputs=None, synapses=None, neurons=None):
    """V_f of spike `row` as a function of all spike times and parameters, written out.

    All earlier arrivals and all earlier own spikes, as Lee et al., Eq. 9 (no refractoriness).
    """
    inputs = sorted(case.inputs, key=lambda s: (s[1], s[0])) if inputs is None else inputs
    synapses = case.synapses if synapses is None else synapses
    neurons = case.neurons if neurons is None else neurons
    spikes = condition.spikes
    target, f = spikes[row], times[row]
    n = neurons[target]
    terms = [n.bias * naive.charge(f, n.beta), -n.theta]
    emitted = [(-s - 1, t) for s, t in inputs] + list(zip(spikes, times, strict=True))
    for source, t in emitted:
        for pre, post, w, d, *_ in synapses:
            if pre == source and post == target and t + d < f:
                terms.append(w * naive.kernel(f - t - d, n.alpha, n.beta))
    for other, m in zip(spikes[:row], times[:row], strict=True):
        if other == target:
            terms.append(-n.theta * math.exp(-n.beta * (f - m)))
    return math.fsum(terms)


@pytest.mark.parametrize(
    "name", ["feedforward", "recurrent_delays", "bias", "non_leaky", "equal_time_constants"]
)
def test_L_and_dV_are_central_differences_of_the_spike_condition(name: str) -> None:
    case = cases.load(name).case
    built = cases.build(case)
    result = built.run()
    graph = result.causality()
    spikes, times = zip(*cases.trains(result), strict=True)
    condition.spikes = spikes
    times, h, n = list(times), 1e-6, len(spikes)
    assert max(abs(condition(case, times, row)) for row in range(n)) < 1e-12

    def difference(change) -> np.ndarray:
        """dV/d(something) of all rows; `change(step)` gives the arguments of `condition`."""
        up, down = change(h), change(-h)
        return np.array(
            [(condition(case, *_placed(up, row)) - condition(case, *_placed(down, row))) / (2 * h)
             for row in range(n)]
        )  # fmt: skip

    def _placed(arguments, row):
        return arguments[0], row, *arguments[1:]

    def compare(found: np.ndarray, column: int, change) -> None:
        np.testing.assert_allclose(found[:, column], difference(change), rtol=1e-6, atol=1e-8)

    L = jacobian(graph).L.toarray()
    for k in range(n):
        compare(L, k, lambda s, k=k: ([t + s * (j == k) for j, t in enumerate(times)],))
    inputs = sorted(case.inputs, key=lambda s: (s[1], s[0]))
    by_input = jacobian(graph, "input_times").dV.toarray()
    assert by_input.shape == (n, len(inputs))
    for k in range(len(inputs)):
        compare(
            by_input,
            k,
            lambda s, k=k: (times, [(c, t + s * (j == k)) for j, (c, t) in enumerate(inputs)]),
        )
    columns = column_of_synapse(built)
    for wrt, part in (("weights", 2), ("delays", 3)):
        found = jacobian(graph, wrt).dV.toarray()
        assert found.shape == (n, len(case.synapses))
        for k in range(len(case.synapses)):

            def change(s, k=k, part=part):
                row = list(case.synapses[k])
                row[part] += s
                return times, None, (*case.synapses[:k], tuple(row), *case.synapses[k + 1 :])

            if part == 2 or case.synapses[k][3] > h:
                compare(found, columns[k], change)
    for wrt, field in (("alpha",) * 2, ("beta",) * 2, ("bias",) * 2, ("threshold", "theta")):
        found = jacobian(graph, wrt).dV.toarray()
        assert found.shape == (n, len(case.neurons))
        for i, neuron in enumerate(case.neurons):
            if wrt in ("alpha", "beta") and getattr(neuron, field) == 0.0:
                continue

            def change(s, i=i, field=field):
                changed = [
                    naive.Neuron(**{**vars(m), field: getattr(m, field) + s * (j == i)})
                    for j, m in enumerate(case.neurons)
                ]
                return times, None, None, changed

            compare(found, i, change)


def test_a_networkx_graph_is_as_good_as_ours() -> None:
    result = cases.build(cases.load("recurrent_delays").case).run()
    graph = result.causality()
    dag = graph.to_networkx()
    ours, theirs = jacobian(graph), jacobian(dag)
    np.testing.assert_allclose(theirs.L.toarray(), ours.L.toarray(), rtol=1e-13, atol=1e-15)
    for wrt in ("input_times", "threshold", "alpha", "beta", "bias"):
        assert jacobian(dag, wrt).wrt == wrt
    synapses = as_graph(dag).synapses
    label = graph.synapse_labels()
    key_of = {}
    compiled = compiled_form(graph.network)
    for position in range(compiled.wiring.weight.size):
        key_of[label(position)] = position
    from gradients.graph.jacobian import synapse_columns

    column, _ = synapse_columns(graph, np.array([key_of[s] for s in synapses]))
    np.testing.assert_allclose(
        theirs.dV.toarray(), ours.dV.toarray()[:, column], rtol=1e-13, atol=1e-15
    )


def test_a_graph_made_by_hand() -> None:
    jac = jacobian(chain())
    np.testing.assert_array_equal(jac.L.toarray(), [[2.0, 0.0], [-2.0, 4.0]])
    np.testing.assert_array_equal(jac.dV.toarray(), [[0.5, 0.0], [0.0, 0.25]])
    np.testing.assert_array_equal(jacobian(chain(), "delays").dV.toarray(), [[-1.0, 0], [0, -2.0]])
    np.testing.assert_array_equal(jacobian(chain(), "input_times").dV.toarray(), [[-1.0], [0.0]])


def test_the_kernels_of_the_lif_given_as_an_srm_change_nothing() -> None:
    """All neurons alike, since there is one pair of kernels."""
    case = cases.load("recurrent_delays").case
    neuron = naive.Neuron(2.0, 1.5, 0.4)
    case = Case((neuron,) * len(case.neurons), case.synapses, case.inputs, case.t_stop)
    graph = cases.build(case).run().causality()
    for wrt in ("weights", "delays", "input_times"):
        own, srm = jacobian(graph, wrt), jacobian(graph, wrt, lif_as_srm(neuron))
        assert own.L.shape[0] > 5
        np.testing.assert_allclose(srm.L.toarray(), own.L.toarray(), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(srm.dV.toarray(), own.dV.toarray(), rtol=1e-11, atol=1e-13)


def test_what_no_jacobian_can_be_made_of_is_refused() -> None:
    graph = cases.build(cases.load("feedforward").case).run().causality()
    with pytest.raises(ValueError, match="'wishes'"):
        jacobian(graph, "wishes")
    for nothing in ("graph", SimpleNamespace(nodes=[]), SimpleNamespace(edges=[])):
        with pytest.raises(ValueError, match=f"got {re.escape(repr(nothing))}"):
            jacobian(nothing)
    with pytest.raises(ValueError, match="'alpha'"):
        jacobian(graph, "alpha", lif_as_srm(naive.Neuron(1.0, 1.0)))
    with pytest.raises(ValueError, match=r"k_in\(0\+\).*1\.0"):
        SRM(lambda t: np.exp(-t), lambda t: -np.exp(-t), np.zeros_like, np.zeros_like)


def test_spike_times_that_no_potential_rises_through_are_refused() -> None:
    """Long after its only input the potential falls: no spike can be there."""
    case = Case((naive.Neuron(1.0, 1.0),), ((-1, 0, 9.0, 0.0),), ((0, 0.0),), 5.0)
    built = cases.build(case)
    graph = es.CausalityGraph.from_spikes(
        built.network, built.stimulus, {cases.ALL: es.Spikes([4.0], [0])}
    )
    with pytest.raises(ValueError, match=r"slope.*4\.0.*> 0"):
        jacobian(graph)


def test_an_empty_graph_has_empty_matrices() -> None:
    dag = nx.DiGraph()
    dag.add_node(0, kind="input", time=0.5)
    jac = jacobian(dag)
    assert jac.L.shape == (0, 0)
    assert jac.dV.shape == (0, 0)
    assert jacobian(dag, "input_times").dV.shape == (0, 1)


def test_potentials_depend_on_the_spikes_before_them() -> None:
    """Derivatives of V(t) by spike times and parameters, through the transposed solve."""
    reference = cases.load("recurrent_delays")
    built = cases.build(reference.case)
    result = built.run()
    v = {cases.ALL: np.array(reference.potential_coefficients)}
    for at in (None, 2.5):
        sweep = gradients.timing_backprop(result, potentials=v, potentials_at=at)
        solve = gradients.timing_backprop(result.causality(), potentials=v, potentials_at=at)
        for name in ("weights", "delays"):
            one, two = getattr(sweep, name), getattr(solve, name)
            np.testing.assert_allclose(
                built.per_synapse(one), built.per_synapse(two), rtol=1e-9, atol=1e-12
            )


def test_records_cannot_be_changed() -> None:
    jac = jacobian(chain())
    kernels = lif_as_srm(naive.Neuron(1.0, 1.0))
    for record, field in ((jac, "L"), (kernels, "k_in")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field, None)
        assert not hasattr(record, "__dict__")
