"""On a GPU, at sizes that the simulator cannot do: `pytest -m gpu`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import eventsim as es
import gradients
from eventsim._engines.cuda import device
from tests.helpers.feedforward import Cells, Population, Recipe, Window, Wires
from tests.helpers.models import Model

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


def test_single_precision_moves_few_spikes() -> None:
    model = NETWORKS["784-400-10"].model()
    single, double = map(model.run, ("cuda-float32", "cuda"))
    ours, theirs = (result.spike_counts("p0") for result in (single, double))
    assert np.mean(ours != theirs) < 1e-3
    first, second = single.first_spikes("p0"), double.first_spikes("p0")
    both = np.isfinite(first) & np.isfinite(second)
    assert np.median(np.abs(first - second)[both]) < 1e-5


def readout(
    model: Model, *, graph: bool = False, precision: str = "float64"
) -> gradients.cuda.Trainer:
    """A training of the first network, its input spikes jittered."""
    from gradients import cuda

    labels = np.arange(len(model.stimulus["in0"])) % 10
    loss = [cuda.Potentials("p1", 0.1, 0.01), cuda.DeadNeurons("p0", 0.1)]
    return cuda.Trainer(
        model.network, model.stimulus, labels, loss, model.t_stop, jitter=0.01, graph=graph,
        precision=precision, optimizer=gradients.Adam(0.01, weight_decay=0.01, clip_norm=1.0),
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_replayed_step_is_the_same_bits(precision: str) -> None:
    model = NETWORKS["784-400-10"].model()
    trainers = [readout(model, graph=graph, precision=precision) for graph in (False, True)]
    rng = np.random.default_rng(0)
    for seed in range(20):
        rows = rng.permutation(100)[:50]
        one, other = (trainer.step(rows, seed=seed) for trainer in trainers)
        assert one == other
    for values, others in zip(*(t.state()[0]["weights"].values() for t in trainers), strict=True):
        np.testing.assert_array_equal(values, others)


def test_a_hundred_trainings_give_the_same_bits() -> None:
    model, found = NETWORKS["784-400-10"].model(), set()
    for _ in range(100):
        trainer = readout(model)
        for seed in range(3):
            trainer.step(np.arange(100), seed=seed)
        weights = trainer.state()[0]["weights"]
        found.add(b"".join(values.tobytes() for values in weights.values()))
    assert len(found) == 1


def test_many_chunks_have_the_running_sum_of_numpy() -> None:
    from eventsim._engines.cuda.scan import CHUNK, RunningSum

    for n in (1, CHUNK, CHUNK + 1, 40 * CHUNK + 7, CHUNK * CHUNK + 3):
        counts = np.random.default_rng(n).integers(0, 5, n)
        start = device.zeros(n + 1)
        RunningSum(n, device.zeros(1))(device.to_device(counts), start)
        np.testing.assert_array_equal(start.copy_to_host(), np.cumsum([0, *counts]))


@pytest.mark.parametrize("library", ["cupy", "torch"])
def test_arrays_of_other_libraries_are_not_copied(library: str) -> None:
    from gradients import cuda

    module = pytest.importorskip(library)
    if library == "torch" and not module.cuda.is_available():
        pytest.skip("PyTorch has not been built for this GPU")
    on_device = {"device": "cuda"} if library == "torch" else {}
    as_array = partial(module.as_tensor if library == "torch" else module.asarray, **on_device)
    model = NETWORKS["784-400-10"].model()
    batch = model.stimulus["in0"]
    columns = [as_array(np.array(a)) for a in (batch.times, batch.indices, batch.offsets)]
    weights = {k: as_array(np.array(p.weights)) for k, p in model.network.projections.items()}
    run = cuda.simulate(
        model.network, {"in0": cuda.DeviceSpikes(*columns)}, model.t_stop, weights=weights
    )
    slope = as_array(np.ones((100, 10)))
    found = cuda.weight_gradient(run, potentials={"p1": slope})
    result = model.run("layered")
    expected = gradients.timing_backprop(result, potentials={"p1": np.ones((100, 10))})
    for key, values in expected.weights.items():
        ours = as_array(found[key])  # by the interface
        assert ours.__cuda_array_interface__["data"] == found[key].__cuda_array_interface__["data"]
        scale = np.abs(values).max()
        np.testing.assert_allclose(found[key].copy_to_host(), values, atol=1e-10 * scale)
    given = device.as_device(slope, np.float64, "slope")
    assert given.__cuda_array_interface__["data"] == slope.__cuda_array_interface__["data"]


def test_a_batch_larger_than_the_memory_is_cut() -> None:
    """Something else takes all of the memory but what a part of the batch needs."""
    model = replace(NETWORKS["784-400-10"], n_spikes=(400,) * 5000).model()
    expected, whole = gradient_of(model, "cuda")
    expected.leave()
    taken = device.empty(int((device.free_memory() - 600e6) / 8))
    found, gradient = gradient_of(model, "cuda")
    assert taken.size > 0
    assert found.on_device is None
    for a, b in zip(found.record, expected.record, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(parts(gradient), parts(whole), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck"])
def test_the_sanitizer_finds_nothing(tool: str) -> None:
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed")
    program = [
        sys.executable, "-m", "pytest", "-q", "-x", "tests/gradients/cuda/test_functions.py",
        "tests/gradients/cuda/test_training.py",
    ]  # fmt: skip
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"]
    run = subprocess.run([*command, *program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
