"""Losses, optimizers and training on the device, or in numba's simulator: as on the processors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import config
from numba import cuda as numba_cuda

import eventsim as es
import gradients
from eventsim._engines.cuda import device, plan, samples
from eventsim._engines.cuda import run as device_run
from eventsim._engines.cuda.result import make_room
from gradients import cuda
from gradients.cuda import functions, losses, optimizers, program

pytestmark = pytest.mark.cuda

SIZES = (6, 5, 3)
ADAM = gradients.Adam(lr=gradients.cosine(0.05, 20), weight_decay=0.1)
LOSS = [cuda.Potentials("out", 0.1, 0.01), cuda.DeadNeurons("hidden", 0.5, 0.6)]
Weights = dict[Any, np.ndarray]
Tree = dict[str, Weights]


def network(sizes: tuple[int, int, int] = SIZES, threshold: float = np.inf) -> es.Network:
    rng = np.random.default_rng(1)
    n_in, n_hidden, n_out = sizes
    net = es.Network()
    net.add_input("in", n_in)
    net.add_population("hidden", n_hidden, es.LIF(0.4, 0.8))
    net.add_population("out", n_out, es.LIF(0.4, 0.8, threshold=threshold))
    net.connect("in", "hidden", weights=rng.normal(1.0, 1.0, (n_in, n_hidden)))
    net.connect("hidden", "out", weights=rng.normal(0.5, 1.0, (n_hidden, n_out)))
    return net


def weights_of(net: es.Network) -> Weights:
    return {key: p.like(p.values) for key, p in net.projections.items()}


def data(n: int = 6) -> tuple[es.SpikeBatch, np.ndarray]:
    rng = np.random.default_rng(2)
    latencies = rng.random((n, SIZES[0]))
    latencies[latencies > 0.9] = np.inf
    return es.SpikeBatch.from_latencies(latencies), rng.integers(0, SIZES[-1], n)


def trainer(net: es.Network, loss: Any = LOSS, **options: Any) -> cuda.Trainer:
    spikes, labels = data()
    return cuda.Trainer(net, {"in": spikes}, labels, loss, 1.0, **{"optimizer": ADAM, **options})


def readout_loss(labels: np.ndarray) -> Callable[[es.BatchResult], gradients.Loss]:
    def loss(result: es.BatchResult) -> gradients.Loss:
        value, slope = gradients.membrane_cross_entropy(
            result.potential("out"), labels, smoothing=0.1, norm_penalty=0.01
        )
        penalty, lift = gradients.spike_count_penalty(
            result.potential("hidden"), result.spike_counts("hidden"), threshold=1.0,
            condition=gradients.dead_neurons(0.6),
        )  # fmt: skip
        return gradients.Loss(value, potentials={"out": slope}) + 0.5 * gradients.Loss(
            penalty, potentials={"hidden": lift}
        )

    return loss


def first_spike_loss(labels: np.ndarray) -> Callable[[es.BatchResult], gradients.Loss]:
    def loss(result: es.BatchResult) -> gradients.Loss:
        value, slope = gradients.first_spike_cross_entropy(
            result.first_spikes("out"), labels, tau0=0.2, gamma=0.1, t_silent=1.5
        )
        return gradients.Loss(value, first_spikes={"out": slope})

    return loss


WAKING = gradients.FirstSpikeCrossEntropy("out", tau0=0.2, wake=0.5)
CASES: list[tuple[float, Any, Any]] = [
    (np.inf, LOSS, readout_loss),
    (2.5, WAKING, WAKING.of),
    (np.inf, LOSS[0] + LOSS[1], (LOSS[0] + LOSS[1]).of),
    (0.6, [cuda.FirstSpikes("out", tau0=0.2, t_silent=1.5, gamma=0.1, wake=0.0)], first_spike_loss),
]


@pytest.mark.parametrize(("threshold", "terms", "loss"), CASES)
@pytest.mark.parametrize("rule", [ADAM, gradients.Adam(0.1, clip_norm=0.2), gradients.SGD(0.1)])
def test_steps_are_those_of_the_processors(
    threshold: float, terms: Any, loss: Any, rule: Any
) -> None:
    net, (spikes, labels) = network(threshold=threshold), data()
    ours = trainer(net, terms, optimizer=rule)
    params = net.parameters()
    state = rule.init(params)
    for rows in ([0, 1, 4, 2], [5, 3]):
        found = ours.step(rows)
        value, gradient, result = gradients.value_and_grad(
            net.replace(params), {"in": spikes[rows]}, loss(labels[rows]), 1.0, engine="layered"
        )
        params, state = rule.update(params, gradient, state)
        assert found["loss"] == pytest.approx(value, rel=1e-12)
        hidden = result.spike_counts("hidden").sum(axis=1).mean()
        assert found["spikes in hidden"] == pytest.approx(hidden)
        for key, values in gradient.weights.items():
            slope = ours.gradient[key].copy_to_host()
            np.testing.assert_allclose(slope, values, rtol=1e-10, atol=1e-12)
    moved, memory = ours.state()
    assert memory["step"] == 2
    assert_near(moved, params)
    for name in state.keys() - {"step"}:
        assert_near(memory[name], state[name])


def assert_near(tree: Tree, other: Tree) -> None:
    assert tree.keys() == other.keys() == {"weights"}
    assert tree["weights"].keys() == other["weights"].keys()
    for key, values in other["weights"].items():
        np.testing.assert_allclose(tree["weights"][key], values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", [ADAM, gradients.SGD(0.1, momentum=0.5)])
def test_a_training_goes_on_from_device_to_processor_and_back(rule: Any) -> None:
    net, (spikes, labels) = network(), data()
    first, second = (trainer(net, LOSS, optimizer=rule) for _ in range(2))
    first.step([0, 1])
    params, state = first.state()
    _, gradient, _ = gradients.value_and_grad(
        net.replace(params), {"in": spikes[[2, 3]]}, readout_loss(labels[[2, 3]]), 1.0
    )
    params, state = rule.update(params, gradient, state)
    second.load(params, state)
    first.step([2, 3])
    for one in (first, second):
        one.step([4, 5])
    assert_near(first.state()[0], second.state()[0])
    assert_near(first.state()[1]["mean"], second.state()[1]["mean"])


def changed(tree: Tree, value: Any) -> Tree:
    first, *rest = tree["weights"]
    return {"weights": {first: value, **{key: tree["weights"][key] for key in rest}}}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p, s: (p["weights"], s), r"params of 'weights'\[\('in', 'hidden'\)\] .* got None"),
        (lambda p, s: (p | {"bias": {"out": np.zeros(3)}}, s), r"params must hold .* got 'bias'"),
        (lambda p, s: (changed(p, np.zeros(3)), s), r"must have shape \(6, 5\), got \(3,\)"),
        (lambda p, s: (changed(p, np.full((6, 5), np.nan)), s), r"must be finite, got nan"),
        (lambda p, s: (p, {"step": 0, "mean": s["mean"]}), r"state: square of .* got None"),
        (lambda p, s: (p, s | {"more": 1}), r"state must hold .* alone, got 'more'"),
        (lambda p, s: (p, s | {"step": -1}), r"state: step must be .* >= 0, got -1"),
        (
            lambda p, s: (p, s | {"square": changed(p, np.full((6, 5), -1.0))}),
            r"square of 'weights'\[\('in', 'hidden'\)\] must be >= 0, got -1.0",
        ),
    ],
)
def test_a_state_that_is_not_of_this_training_is_refused(change: Any, text: str) -> None:
    ours = trainer(network())
    before = ours.state()
    with pytest.raises(ValueError, match=text):
        ours.load(*change(*before))
    np.testing.assert_equal(ours.state(), before)


def test_silent_labels_are_told_of_where_the_step_was_taken() -> None:
    ours = trainer(network(threshold=2.5), gradients.FirstSpikeCrossEntropy("out", tau0=0.2))
    with pytest.warns(gradients.SilentLabelsWarning, match="of 3 samples the label's") as told:
        ours.step([0, 1, 2])
    assert [each.filename for each in told] == [__file__]


def test_a_part_of_a_network_is_woken_as_alone() -> None:
    net, kept = network(threshold=2.5), np.array([0, 2, 3])
    whole = trainer(net, WAKING, part=network((6, 3, 3), threshold=2.5))
    assert whole.step([0, 1, 2], kept={"hidden": kept})["silent_labels"] > 0.0
    (first, second), weights = net.projections, weights_of(net)
    some = {first: weights[first][:, kept], second: weights[second][kept] * 5 / 3}
    alone = network((6, 3, 3), threshold=2.5).replace(weights=some)
    spikes, labels = data()
    _, gradient, _ = gradients.value_and_grad(
        alone, {"in": spikes[:3]}, WAKING.of(labels[:3]), 1.0, engine="layered"
    )
    slopes = whole.gradient[second].copy_to_host()
    np.testing.assert_allclose(slopes[kept], gradient.weights[second] * 5 / 3, rtol=1e-10)
    assert not slopes[[1, 4]].any()


def test_several_inputs_and_projections_are_trained() -> None:
    net = network()
    net.add_input("more", 4)
    rng = np.random.default_rng(4)
    net.connect("more", "hidden", weights=rng.normal(0.5, 1.0, (4, 5)), delays=0.1)
    net.connect("more", "out", weights=rng.normal(0.0, 1.0, (4, 3)))
    net.connect("in", "out", weights=rng.normal(0.0, 1.0, (6, 3)))
    spikes, labels = data()
    given = {"in": spikes, "more": es.SpikeBatch.from_latencies(rng.random((6, 4)))}
    ours = cuda.Trainer(net, given, labels, LOSS, 1.0)
    rows = np.array([4, 1])
    found = ours.step(rows)
    some = {name: batch[rows] for name, batch in given.items()}
    value, gradient, _ = gradients.value_and_grad(
        net, some, readout_loss(labels[rows]), 1.0, engine="layered"
    )
    assert found["loss"] == pytest.approx(value, rel=1e-12)
    for key, values in gradient.weights.items():
        slope = ours.gradient[key].copy_to_host()
        np.testing.assert_allclose(slope, values, rtol=1e-10, atol=1e-12)


def test_single_precision_stays_near() -> None:
    net = network()
    single, double = trainer(net, precision="float32"), trainer(net)
    for rows in ([0, 1, 4, 2], [5, 3]):
        assert single.step(rows)["loss"] == pytest.approx(double.step(rows)["loss"], rel=1e-4)
    assert all(values.dtype == np.float32 for values in single.weights.values())
    ((ours, _), (theirs, _)) = single.state(), double.state()
    for key, values in theirs["weights"].items():
        np.testing.assert_allclose(ours["weights"][key], values, atol=1e-3)


def test_a_part_of_a_network_is_trained_as_alone() -> None:
    net, kept = network(), np.array([0, 2, 3])
    whole = trainer(net, part=network((6, 3, 3)))
    with pytest.raises(ValueError, match="must be different numbers"):
        whole.step([0, 1], kept={"hidden": np.array([0, 2, 2])})
    whole.step([0, 1], kept={"hidden": kept})
    (first, second), weights = net.projections, weights_of(net)
    some = {first: weights[first][:, kept], second: weights[second][kept] * 5 / 3}
    alone = trainer(network((6, 3, 3)).replace(weights=some))
    alone.step([0, 1])
    expected = {key: np.zeros_like(value) for key, value in weights.items()}
    expected[first][:, kept] = alone.gradient[first].copy_to_host()
    expected[second][kept] = alone.gradient[second].copy_to_host() * 5 / 3
    for key, values in expected.items():
        np.testing.assert_allclose(whole.gradient[key].copy_to_host(), values, rtol=1e-12)
    with pytest.raises(ValueError, match=r"kept\['hidden'\] must be \(3,\), got \(0,\)"):
        whole.step([0, 1])


def test_steps_are_the_same_bits_again_from_a_state_and_replayed() -> None:
    first, second = trainer(network(), jitter=0.1), trainer(network(), jitter=0.1, graph=True)
    first.step([0, 1], seed=1)
    second.load(*first.state())
    for seed in (2, 3):
        assert first.step([2, 3], seed=seed) == second.step([2, 3], seed=seed)
    np.testing.assert_equal(second.state(), first.state())


def test_buffers_that_are_too_small_grow_and_the_step_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = trainer(network())
    expected = whole.step([0, 1, 2])
    monkeypatch.setattr(plan, "ROOM", 0)
    assert trainer(network()).step([0, 1, 2]) == expected


def test_too_many_spikes_are_the_error_of_the_processors() -> None:
    net, (spikes, _) = network(), data()
    with pytest.raises(es.ActivityError) as on_device:
        trainer(net, max_spikes=1).step([5, 3])
    with pytest.raises(es.ActivityError) as on_cpu:
        es.simulate(net, {"in": spikes.sample(5)}, 1.0, max_spikes=1, engine="scheduler")
    assert str(on_device.value) == str(on_cpu.value).replace("sample 0", "sample 5")


def test_too_many_spikes_of_jittered_inputs_are_those_of_the_jitter() -> None:
    """Without jitter the sample has no spike: its second input comes after the end."""
    net = es.Network()
    net.add_input("in", 2)
    net.add_population("out", 1, es.LIF(0.4, 0.8, threshold=1.0))
    net.connect("in", "out", weights=[[-100.0], [100.0]])
    given = {"in": es.SpikeBatch.from_latencies([[0.4, 0.5]])}
    terms = [cuda.FirstSpikes("out", tau0=0.2, t_silent=1.5, wake=0.0)]
    assert es.simulate(net, given, 1.0).events.spikes == 0
    ours = cuda.Trainer(net, given, [0], terms, 1.0, jitter=0.3, max_spikes=1)
    with pytest.raises(es.ActivityError, match="sample 0 exceeded max_spikes = 1: neuron 0 of"):
        [ours.step([0], seed=seed) for seed in range(20)]


def test_a_spike_at_the_cap_that_depends_on_rounding_is_told_as_such() -> None:
    net, (spikes, _) = network(), data()
    error = functions.activity_error(net, {}, {"in": spikes.sample(3)}, 3, 1.0, 1000)
    n = es.simulate(net, {"in": spikes.sample(3)}, 1.0).events.spikes
    assert str(error).startswith("sample 3 exceeded max_spikes = 1000 on the device, but has")
    assert f"has {n} spikes on a processor" in str(error)


class DeviceError(Exception):
    code = 2


def test_a_minibatch_that_does_not_fit_names_one_that_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise DeviceError

    make_room()  # of other tests' results
    monkeypatch.setattr(program, "DeviceRun", fail)
    monkeypatch.setattr(device, "free_memory", lambda: 8000.0)
    with pytest.raises(MemoryError, match=r"of 6 samples takes about .* a batch of \d samples"):
        trainer(network()).step(np.arange(6))


@pytest.mark.skipif(not config.ENABLE_CUDASIM, reason="a compiled kernel keeps its constants")
def test_a_gradient_that_is_no_number_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = trainer(network())
    before = ours.state()
    monkeypatch.setattr(optimizers, "LARGEST", 0.0)
    with pytest.raises(ValueError, match="gradient must be finite"):
        ours.step([0, 1])
    np.testing.assert_equal(ours.state(), before)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": []}, "loss must begin with a MembraneCrossEntropy or FirstSpikeCrossEntropy"),
        ({"loss": 0.5 * LOSS[0]}, "must begin with .* unscaled"),
        ({"loss": "least squares"}, "loss must be a loss of gradients, .* got 'least squares'"),
        ({"loss": LOSS[0] + LOSS[0]}, "after its first term, loss must have .* none but"),
        ({"loss": [LOSS[0], cuda.DeadNeurons("out", 1.0)]}, "about different populations"),
        ({"jitter": -1.0}, "jitter must be >= 0 and finite, got -1.0"),
        ({"optimizer": object()}, "the optimizer must be a gradients.Adam or SGD"),
        (
            {"optimizer": gradients.SGD(0.1, clip_norm=1e-101)},
            "clip_norm must be at least 1e-100 on the device, got 1e-101",
        ),
    ],
)
def test_what_makes_no_training_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        trainer(network(), **options)


@pytest.mark.parametrize(
    ("rows", "text"),
    [([6], "rows must be < 6, got 6"), ([], r"rows must be \(n,\)"), ([-1], "rows must be >= 0")],
)
def test_rows_that_are_no_samples_are_refused(rows: list[int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        trainer(network()).step(rows)


@pytest.mark.parametrize(("wrong", "text"), [(-1, ">= 0, got -1"), (3, "< 3, got 3")])
def test_labels_on_the_device_are_checked(wrong: int, text: str) -> None:
    spikes, labels = data()
    labels[4] = wrong
    for given in (labels, Foreign(labels)):
        with pytest.raises(ValueError, match=f"labels must be {text}"):
            cuda.Trainer(network(), {"in": spikes}, given, LOSS, 1.0)
        with pytest.raises(ValueError, match=f"labels must be {text}"):
            cuda.membrane_cross_entropy(np.zeros((6, 3)), given)


def test_jitter_of_several_inputs_is_refused() -> None:
    net = network()
    net.add_input("more", 2)
    spikes, labels = data()
    given = {"in": spikes, "more": es.SpikeBatch.from_latencies(np.full((len(spikes), 2), 0.5))}
    with pytest.raises(ValueError, match=r"jitter must be 0 with more than one input, got 0\.1"):
        cuda.Trainer(net, given, labels, LOSS, 1.0, jitter=0.1)


# --- arrays of other libraries --------------------------------------------------------------------


class Foreign:
    """An array of another library: in the simulator its memory is that of the host."""

    def __init__(self, values: np.ndarray, **changed: Any) -> None:
        self.values = np.ascontiguousarray(values)
        on_device = numba_cuda.to_device(self.values)
        given = self.values.__array_interface__
        if not config.ENABLE_CUDASIM:
            self.on_device, given = on_device, on_device.__cuda_array_interface__
        self.__cuda_array_interface__ = {**given, **changed}


def foreign_spikes(batch: es.SpikeBatch) -> cuda.DeviceSpikes:
    columns = (batch.times, batch.indices, batch.offsets)
    return cuda.DeviceSpikes(*[Foreign(np.array(column)) for column in columns])


def test_arrays_of_other_libraries_are_read_where_they_are() -> None:
    net, (spikes, labels) = network(), data()
    weights = {key: Foreign(2.0 * value) for key, value in weights_of(net).items()}
    given = foreign_spikes(spikes)
    run = cuda.simulate(net, {"in": given}, 1.0, weights=weights)
    host = net.replace(weights={key: 2.0 * value for key, value in weights_of(net).items()})
    expected = es.simulate(host, {"in": spikes}, 1.0, engine="layered")
    potentials = run.potential("out").copy_to_host()
    np.testing.assert_allclose(potentials, expected.potential("out"), rtol=1e-12)
    totals, slope = cuda.membrane_cross_entropy(Foreign(potentials), Foreign(labels))
    value, by_potential = gradients.membrane_cross_entropy(expected.potential("out"), labels)
    assert totals.copy_to_host()[0] == pytest.approx(value, rel=1e-12)
    found = cuda.weight_gradient(run, potentials={"out": Foreign(slope.copy_to_host())})
    theirs = gradients.timing_backprop(expected, potentials={"out": by_potential})
    for key, values in theirs.weights.items():
        np.testing.assert_allclose(found[key].copy_to_host(), values, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_of_numbers_of_any_size_are_those_of_the_processors(smoothing: float) -> None:
    """Times and potentials that are too far apart for a number, and a label that is late."""
    times = np.array([[1.0, 1.7e308, np.inf], [1e308, 1.0, 2.0], [2.0, 900.0, 1.0]])
    labels, options = np.array([0, 2, 1]), {"t_silent": 1e308, "smoothing": smoothing}
    for tau0, gamma in ((1e-310, 0.0), (1e-3, 0.0), (1e3, 1e-300)):
        settings = options | {"tau0": tau0, "gamma": gamma}
        totals, slope = cuda.first_spike_cross_entropy(times, labels, **settings)
        value, expected = gradients.first_spike_cross_entropy(times, labels, **settings)
        assert totals.copy_to_host()[0] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(slope.copy_to_host(), expected, rtol=1e-12, atol=1e-15)
    potentials = np.array([[1.5e308, -1.5e308, 0.0], [0.0, 1e160, -1e160], [1e-5, 2.0, -3.0]])
    for penalty in (0.0, 1e-100):
        settings = {"smoothing": smoothing, "norm_penalty": penalty}
        totals, slope = cuda.membrane_cross_entropy(potentials, labels, **settings)
        value, expected = gradients.membrane_cross_entropy(potentials, labels, **settings)
        assert totals.copy_to_host()[0] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(slope.copy_to_host(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.skipif(not config.ENABLE_CUDASIM, reason="looks at memory from the host")
def test_no_copy_is_made() -> None:
    array = Foreign(np.arange(3.0))
    view = device.as_device(array, np.float64, "values")
    array.values[1] = 7.0
    assert view[1] == 7.0


@pytest.mark.parametrize(("stream", "waits"), [(None, 1), (1, 0)])
def test_an_array_that_names_no_stream_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, stream: int | None, waits: int
) -> None:
    waited: list[None] = []
    monkeypatch.setattr(device, "wait", lambda: waited.append(None))
    device.as_device(Foreign(np.zeros(3), stream=stream), np.float64, "values")
    assert len(waited) == waits


def test_what_is_handed_out_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (spikes, _) = network(), data()
    run = cuda.simulate(net, {"in": cuda.DeviceSpikes.of(spikes)}, 1.0)
    waited: list[None] = []
    for module in (device_run, functions, losses):
        monkeypatch.setattr(module, "wait", lambda: waited.append(None))
    handed_out = (
        lambda: run.spike_counts("hidden"),
        lambda: run.first_spikes("hidden"),
        lambda: cuda.weight_gradient(run, potentials={"out": np.zeros((6, 3))}),
        lambda: cuda.membrane_cross_entropy(np.zeros((6, 3)), np.zeros(6, int)),
        lambda: cuda.first_spike_cross_entropy(
            np.ones((6, 3)), np.zeros(6, int), tau0=1.0, t_silent=2.0
        ),
    )
    for number, hand_out in enumerate(handed_out, start=1):
        hand_out()
        assert len(waited) >= number


def test_a_step_that_finds_no_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: cuModuleLoadDataEx")

    monkeypatch.setattr(program.Program, "run", fail)
    monkeypatch.setattr(device, "free_memory", lambda: 8000.0)
    with pytest.raises(MemoryError, match="a step of training of 2 samples takes about"):
        trainer(network()).step([0, 1])


def test_a_loss_of_a_population_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody"):
        trainer(network(), [cuda.Potentials("nobody")])


@pytest.mark.parametrize(
    ("values", "changed", "text"),
    [
        (np.zeros(3, np.float32), {}, "values on the device must be of float64, got float32"),
        (np.zeros(4), {}, r"values must have shape \(3\), got \(4,\)"),
        (np.zeros(6), {"shape": (3,), "strides": (16,)}, "contiguous in C order"),
        (np.zeros(3), {"mask": object()}, "must not be masked"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    values: np.ndarray, changed: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        device.as_device(Foreign(values, **changed), np.float64, "values", (3,))


def test_a_derivative_by_first_spikes_on_the_device() -> None:
    net, (spikes, _) = network(threshold=0.6), data()
    result = es.simulate(net, {"in": spikes}, 1.0, engine="cuda")
    times = result.first_spikes("out")
    slope = np.where(np.isfinite(times), 1.0, 0.0)
    assert slope.any()
    found = cuda.weight_gradient(result.on_device, first_spikes={"out": slope})
    expected = gradients.timing_backprop(result, first_spikes={"out": slope})
    for key, values in expected.weights.items():
        np.testing.assert_allclose(found[key].copy_to_host(), values, rtol=1e-12, atol=1e-14)


def test_kernels_of_a_convolution_have_gradients_on_the_device() -> None:
    net = es.Network()
    net.add_input("in", 9)
    net.add_population("maps", 8, es.LIF(threshold=np.inf))
    kernel = np.random.default_rng(0).normal(size=(2, 1, 2, 2))
    key = net.connect("in", "maps", weights=es.Convolution(kernel, (3, 3)))
    spikes = es.SpikeBatch.from_latencies(np.random.default_rng(1).random((2, 9)))
    slope = np.random.default_rng(2).normal(size=(2, 8))
    run = cuda.simulate(net, {"in": cuda.DeviceSpikes.of(spikes)}, 1.0, weights={key: kernel})
    found = cuda.weight_gradient(run, potentials={"maps": slope})[key].copy_to_host()
    result = es.simulate(net, {"in": spikes}, 1.0, engine="layered")
    expected = gradients.timing_backprop(result, potentials={"maps": slope}).weights[key]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("spikes", "text"),
    [
        (([0.2, 0.1], [0, 0], [0, 2]), "must ascend"),
        (([0.1, -0.1], [0, 0], [0, 1, 2]), "must ascend"),
        (([0.1], [0], [0, 2]), "must ascend"),
        (([0.1], [-1], [0, 1]), "indices must be >= 0, got -1"),
        (([0.1], [0, 1], [0, 1]), r"indices must have shape \(1\), got \(2,\)"),
        (([0.1], [0], [0]), "offsets must hold"),
        (([0.1], [0.5], [0, 1]), r"indices must be integers, got \[0\.5\]"),
        (([0.1], [0], [0.0, 1.0]), r"offsets must be integers, got \[0\.0, 1\.0\]"),
        (([0.1j], [0], [0, 1]), r"times must be real numbers.*, got \[0\.1j\]"),
    ],
)
def test_spikes_on_the_device_are_checked(spikes: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        cuda.DeviceSpikes(*spikes)


def test_spikes_of_sources_that_are_not_there_are_refused() -> None:
    spikes = cuda.DeviceSpikes([0.1], [6], [0, 1])
    with pytest.raises(ValueError, match="indices must be < 6, the size of the input, got 6"):
        cuda.simulate(network(), {"in": spikes}, 1.0)


def test_a_source_beyond_32_bits_is_no_other_source() -> None:
    """Its lowest 32 bits are those of source 0."""
    spikes = cuda.DeviceSpikes.of(es.SpikeBatch([0.1], [2**32], [0], 1))
    with pytest.raises(ValueError, match=f"indices must be < 6, .* got {2**32}"):
        cuda.simulate(network(), {"in": spikes}, 1.0)


def test_jitter_is_normal_and_keeps_spikes_in_order() -> None:
    times = np.full(400, 0.5)
    spikes = cuda.DeviceSpikes(times, np.arange(400), [0, 200, 400])
    minibatch = samples.Minibatch(spikes, 2, 400, 0.1, 1.0)
    with device.quietly():
        minibatch.choose(device.to_device(np.array([1, 0, 5])))
    moved = minibatch.train.time.copy_to_host()
    assert np.all(np.diff(moved.reshape(2, 200)) >= 0.0)
    sources = minibatch.train.source.copy_to_host().reshape(2, 200)
    assert set(sources[0]) == set(range(200, 400))
    noise = (moved - 0.5) / 0.1
    assert abs(noise.mean()) < 0.15  # three standard errors
    assert abs(noise.std() - 1.0) < 0.11
    assert np.unique(noise).size == 400
