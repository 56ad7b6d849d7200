"""The program that makes the reference files gives what they hold, digit by digit."""

from __future__ import annotations

import json
from collections.abc import Iterator

import mpmath
import pytest

from tests.reference import make

pytestmark = pytest.mark.jit  # nothing of the packages runs


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    with mpmath.workdps(make.DIGITS):
        yield


@pytest.mark.parametrize("name", ["feedforward", "recurrent_zero_delay", "rel_psp", "refractory"])
def test_spikes_and_potentials_are_those_of_the_file(name: str) -> None:
    raw = json.loads((make.FOLDER / "networks" / f"{name}.json").read_text())
    spikes, potentials = make.simulate(make.problem_of(raw))
    assert [[i, make.text(t)] for i, t in spikes] == raw["spikes"]
    assert [make.text(v) for v in potentials] == raw["final_potentials"]


@pytest.mark.parametrize(("kind", "key"), [("weight", 2), ("delay", 3)])
def test_derivatives_are_those_of_the_file(kind: str, key: int) -> None:
    raw = json.loads((make.FOLDER / "networks" / "feedforward.json").read_text())
    problem = make.problem_of(raw)
    for k in (0, 5):
        found = make.difference(problem, problem["synapses"][k], key)
        assert make.text(found) == raw["gradients"][kind][k]


def test_crossings_are_those_of_the_file() -> None:
    rows = json.loads((make.FOLDER / "crossings.json").read_text())["rows"][::15]
    assert sum(row[8] is None for row in rows) > 20
    for row in rows:
        assert make.search(row) == row[8:]
