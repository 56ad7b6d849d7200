"""On a GPU, at sizes that the simulator cannot do: `pytest -m gpu`."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

import eventsim as es
import gradients
from tests.feedforward import Cells, Model, Population, Recipe, Window, Wires

pytestmark = pytest.mark.gpu

YAMAMOTO = Cells(((1.25, 2.5),))
REL_PSP = Cells(((0.0, 0.0),), refractory=(np.inf,))
READOUT = Cells(((1.25, 2.5),), threshold=(np.inf,))
MIXED = Cells(((2.0, 1.0), (1.0, 1.0), (0.7, 1.9)), refractory=(0.0, 0.3), bias=(0.0, 0.2))

NETWORKS = {
    "784-400-10": Recipe(
        ((784, 1, 1),),
        (Population(400, YAMAMOTO, (Wires(0),)), Population(10, READOUT, (Wires(1),))),
        (400,) * 100, False, 1.0, 1,
    ),
    "kinds, delays, bias, refractory": Recipe(
        ((50, 1, 1), (30, 1, 1)),
        (
            Population(150, MIXED, (Wires(0), Wires(1, delay=0.25))),
            Population(40, MIXED, (Wires(2, each_delay=True), Wires(0, sparse=True))),
        ),
        (60,) * 20, True, 3.0, 2,
    ),
    "convolution and pool": Recipe(
        ((1, 28, 28),),
        (
            Population(0, REL_PSP, (), Window(0, 6, 5, 1)),
            Population(0, REL_PSP, (), Window(1, 0, 2, 2)),
            Population(10, REL_PSP, (Wires(2),)),
        ),
        (300,) * 10, False, 4.0, 3,
    ),
    "spikes that do not fit in shared memory": Recipe(
        ((100, 1, 1),), (Population(600, Cells(((1.0, 1.0),), bias=(3.1,)), (Wires(0),)),),
        (3000, 10), False, 5.0, 4,
    ),
}  # fmt: skip


def gradient_of(model: Model, engine: str) -> tuple[es.BatchResult, gradients.Gradient]:
    result = model.run(engine)
    rng = np.random.default_rng(0)
    by_spikes = {
        name: rng.normal(size=len(result.spikes[name])) for name in result.network.populations
    }
    by_potentials = {
        name: rng.normal(size=(len(result), n)) for name, n in result.network.populations.items()
    }
    return result, gradients.timing_backprop(
        result, spike_times=by_spikes, potentials=by_potentials
    )


def parts(gradient: gradients.Gradient) -> list[np.ndarray]:
    names = ("weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "input_times")
    values = [value for name in names for value in getattr(gradient, name).values()]
    return [v.toarray() if hasattr(v, "toarray") else np.asarray(v) for v in values]


@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_and_gradients_are_those_of_the_processors(name: str) -> None:
    model = NETWORKS[name].model()
    (found, ours), (expected, theirs) = (gradient_of(model, e) for e in ("cuda", "layered"))
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.record.neuron, expected.record.neuron)
    np.testing.assert_allclose(found.record.time, expected.record.time, rtol=1e-12, atol=1e-12)
    for a, b in zip(parts(ours), parts(theirs), strict=True):
        scale = max(1.0, float(np.abs(b).max(initial=0.0)))
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * scale)


def test_a_hundred_runs_give_the_same_bits() -> None:
    model = NETWORKS["784-400-10"].model()
    result, gradient = gradient_of(model, "cuda")
    for _ in range(99):
        other, again = gradient_of(model, "cuda")
        for a, b in zip(result.record, other.record, strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(parts(gradient), parts(again), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck"])
def test_the_sanitizer_finds_nothing(tool: str) -> None:
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed")
    program = [sys.executable, "-m", "pytest", "-q", "-x", "tests/gradients/test_cuda.py"]
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"]
    run = subprocess.run([*command, *program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
