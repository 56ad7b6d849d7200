"""The table of parameters, and what follows from it."""

import math
import re
from dataclasses import fields

import numpy as np
import pytest

import eventsim as es
from eventsim.model.parameters import (
    DELAYS,
    INPUT,
    NEURON,
    SYNAPSE,
    WEIGHTS,
    Parameter,
    pulled,
    pushed,
    used,
)

EVERY = (*NEURON, *SYNAPSE, *INPUT)


def test_a_neuron_has_the_fields_and_defaults_of_the_table() -> None:
    assert {f.name: f.default for f in fields(es.LIF)} == {p.name: p.default for p in NEURON}


@pytest.mark.parametrize("parameter", NEURON, ids=lambda p: p.name)
def test_a_neuron_documents_its_parameters(parameter: Parameter) -> None:
    section = (es.LIF.__doc__ or "").split("Raises\n")[0].split("Parameters\n")[1]
    heads = [line.split(" : ")[0].strip() for line in section.splitlines() if " : " in line]
    assert parameter.name in ", ".join(heads).split(", ")


@pytest.mark.parametrize("parameter", EVERY, ids=lambda p: p.name)
def test_the_limits_of_the_table_are_required(parameter: Parameter) -> None:
    parameter.require(np.array([1.0, 1e-90, 1e90]))
    refused = [math.nan]
    refused += [-1.0, -5e-324] if parameter.limits != "any" else []
    refused += [0.0] if parameter.limits == "above 0" else []
    refused += [1e-101] if parameter.inverse else []
    refused += [1e101] if not parameter.inverse else []
    refused += [math.inf] if not parameter.infinite else []
    for value in refused:
        with pytest.raises(
            ValueError, match=rf"{parameter.name} must .*, got {re.escape(repr(value))}"
        ):
            parameter.require(np.array([1.0, value]))


N = 4
AT_REST = np.array([True, False, True, False])


def values_of_neurons(n_receptors: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {p.name: (N, n_receptors) if p.name == "tau_syn" else (N,) for p in NEURON}
    return {name: rng.uniform(0.3, 2.0, shape) for name, shape in shapes.items()}


def in_equations(values: dict[str, np.ndarray], start: np.ndarray) -> dict[str, np.ndarray]:
    """What the equations use: by the table, and the potential at t = 0, measured from reset."""
    begin = np.where(AT_REST, values["rest"], start)
    found = {**used(values), "potential": begin - values["reset"]}
    found.pop("refractory")
    return found


def direction(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    like = values_of_neurons()
    return {p.name: rng.normal(size=like[p.name].shape) for p in NEURON if p.differentiable}


def rise(change: dict[str, np.ndarray], d_start: np.ndarray) -> dict[str, np.ndarray]:
    """The central difference of all that the equations use."""
    values, start, step = values_of_neurons(), np.array([0.0, 0.3, 0.0, -0.2]), 1e-6
    ends = []
    for sign in (step, -step):
        moved = {k: v + sign * change[k] if k in change else v for k, v in values.items()}
        ends.append(in_equations(moved, start + sign * d_start))
    return {symbol: (ends[0][symbol] - ends[1][symbol]) / (2.0 * step) for symbol in ends[0]}


@pytest.mark.parametrize("seed", range(3))
def test_changes_of_parameters_are_pushed_to_what_the_equations_use(seed: int) -> None:
    change = direction(seed)
    d_start = np.where(AT_REST, 0.0, np.random.default_rng(seed).normal(size=N))
    found = pushed({**change, "potential": d_start}, values_of_neurons(), AT_REST)
    expected = rise(change, d_start)
    assert found.keys() == expected.keys()
    for symbol, values in expected.items():
        np.testing.assert_allclose(found[symbol], values, rtol=1e-8, atol=1e-8, err_msg=symbol)


@pytest.mark.parametrize("seed", range(3))
def test_derivatives_are_pulled_back_to_parameters(seed: int) -> None:
    """A loss that is linear in what is used, and in the potentials as users read them."""
    rng = np.random.default_rng(seed)
    like = in_equations(values_of_neurons(), np.zeros(N))
    by = {symbol: rng.normal(size=values.shape) for symbol, values in like.items()}
    by["level"] = rng.normal(size=N)
    found = pulled(by, values_of_neurons(), AT_REST)
    for name, values in direction(seed).items():
        moved = rise({name: values}, np.zeros(N))
        expected = sum(np.sum(by[symbol] * moved[symbol]) for symbol in moved)
        expected += np.sum(by["level"] * values) if name == "reset" else 0.0
        assert np.sum(found[name] * values) == pytest.approx(expected, rel=1e-8, abs=1e-8), name
    np.testing.assert_allclose(found["alpha"], by["alpha"])
    of_rate = -found["tau_mem"] * np.square(values_of_neurons()["tau_mem"])
    np.testing.assert_allclose(found["beta"], of_rate, rtol=1e-12)


def test_synapses_are_checked_by_the_table() -> None:
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("out", 1, es.LIF())
    for parameter, other in ((WEIGHTS, {}), (DELAYS, {"weights": [[1.0]]})):
        with pytest.raises(ValueError, match=f"{parameter.name} must be finite.*, got 1e\\+101"):
            net.connect("in", "out", **{parameter.name: [[1e101]], **other})
