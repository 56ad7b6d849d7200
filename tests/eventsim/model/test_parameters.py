"""The table of parameters, and what follows from it."""

import math
import re
from dataclasses import fields

import numpy as np
import pytest

import eventsim as es
from eventsim.model.parameters import DELAYS, INPUT, NEURON, SYNAPSE, WEIGHTS, Parameter

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
    refused += [0.0, 1e-101] if parameter.limits == "above 0" else []
    refused += [1e101] if not parameter.inverse else []
    refused += [math.inf] if not parameter.infinite else []
    for value in refused:
        with pytest.raises(
            ValueError, match=rf"{parameter.name} must .*, got {re.escape(repr(value))}"
        ):
            parameter.require(np.array([1.0, value]))


@pytest.mark.parametrize("parameter", EVERY, ids=lambda p: p.name)
def test_the_chain_rule_of_the_table_is_the_derivative_of_what_is_used(
    parameter: Parameter,
) -> None:
    value, step = np.array([0.3, 2.0]), 1e-6
    rise = (parameter.used(value + step) - parameter.used(value - step)) / (2.0 * step)
    np.testing.assert_allclose(parameter.pushed(np.ones(2), value), rise, rtol=1e-9)
    np.testing.assert_allclose(parameter.pulled(np.ones(2), value), rise, rtol=1e-9)


def test_synapses_are_checked_by_the_table() -> None:
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("out", 1, es.LIF())
    for parameter, other in ((WEIGHTS, {}), (DELAYS, {"weights": [[1.0]]})):
        with pytest.raises(ValueError, match=f"{parameter.name} must be finite.*, got 1e\\+101"):
            net.connect("in", "out", **{parameter.name: [[1e101]], **other})
