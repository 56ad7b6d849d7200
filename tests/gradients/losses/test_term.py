"""Losses as objects: those of the functions of arrays, their sums, and what they refuse."""

from __future__ import annotations

import dataclasses
from importlib import import_module

import numpy as np
import pytest

import eventsim as es
import gradients
from gradients import FirstSpikeCrossEntropy, MembraneCrossEntropy, SpikeCountPenalty

LATENCIES = np.array([[0.0, 0.3, np.inf], [0.5, 0.1, 0.2], [0.2, np.inf, 0.7]])
LABELS = np.array([0, 1, 1])
BATCH = {"in": es.SpikeBatch.from_latencies(LATENCIES)}
T_STOP = 2.0


def network(threshold: float = np.inf) -> es.Network:
    rng = np.random.default_rng(3)
    net = es.Network()
    net.add_input("in", 3)
    net.add_population("hidden", 4, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.add_population("out", 2, es.LIF(tau_mem=2.0, tau_syn=1.0, threshold=threshold))
    net.connect("in", "hidden", weights=rng.normal(1.5, 0.5, (3, 4)), delays=0.05)
    net.connect("hidden", "out", weights=rng.normal(1.0, 0.5, (4, 2)))
    return net


def run(threshold: float = np.inf) -> es.BatchResult:
    return es.simulate(network(threshold), BATCH, T_STOP)


def test_a_loss_of_first_spikes_is_that_of_the_function() -> None:
    result = run(0.5)
    loss = FirstSpikeCrossEntropy("out", tau0=0.3, gamma=0.2, smoothing=0.1)
    found = loss(result, LABELS)
    value, slope = gradients.first_spike_cross_entropy(
        result.first_spikes("out"), LABELS, tau0=0.3, gamma=0.2, t_silent=T_STOP, smoothing=0.1
    )
    assert found.value == value
    np.testing.assert_array_equal(found.first_spikes["out"], slope)
    times = result.first_spikes("out")
    first = times[np.arange(3), LABELS] < times[np.arange(3), 1 - LABELS]
    assert found.metrics == {"accuracy": first.mean(), "silent_labels": 0.0}
    assert not found.incoming


def test_a_loss_of_potentials_is_that_of_the_function() -> None:
    result = run()
    found = MembraneCrossEntropy("out", 0.1, 0.05).of(LABELS)(result)
    value, slope = gradients.membrane_cross_entropy(
        result.potential("out"), LABELS, smoothing=0.1, norm_penalty=0.05
    )
    assert found.value == value
    np.testing.assert_array_equal(found.potentials["out"], slope)
    highest = result.potential("out").argmax(axis=1) == LABELS
    assert found.metrics == {"accuracy": highest.mean()}


def test_a_label_that_is_only_level_with_another_class_is_not_right() -> None:
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("read", 2, es.LIF(threshold=np.inf))
    net.add_population("fire", 2, es.LIF(threshold=0.1))
    for name in ("read", "fire"):
        net.connect("in", name, weights=[[1.0, 1.0]])
    level = es.simulate(net, {"in": es.Spikes([0.0], [0])}, T_STOP)
    for loss in (MembraneCrossEntropy("read"), FirstSpikeCrossEntropy("fire", tau0=0.3)):
        for label in (0, 1):
            assert loss(level, [label]).metrics["accuracy"] == 0.0


def test_a_penalty_is_that_of_the_function_and_needs_no_labels() -> None:
    result = run()
    found = SpikeCountPenalty("hidden", lambda counts: counts < 2)(result)
    value, slope = gradients.spike_count_penalty(
        result.potential("hidden"), result.spike_counts("hidden"), threshold=1.0,
        condition=lambda counts: counts < 2,
    )  # fmt: skip
    assert found.value == value
    np.testing.assert_array_equal(found.potentials["hidden"], slope)
    assert SpikeCountPenalty("hidden", lambda counts: counts < 0)(result).value == 0.0


def test_sums_and_multiples_are_those_of_their_losses() -> None:
    result, membrane = run(), MembraneCrossEntropy("out")
    penalty = SpikeCountPenalty("hidden", lambda counts: counts < 2)
    found = (membrane + 2.0 * (0.25 * penalty + membrane)).of(LABELS)(result)
    expected = 3.0 * membrane(result, LABELS).value + 0.5 * penalty(result).value
    assert found.value == pytest.approx(expected, rel=1e-14)
    assert found.metrics == membrane(result, LABELS).metrics
    np.testing.assert_allclose(
        found.potentials["out"], 3.0 * membrane(result, LABELS).potentials["out"], rtol=1e-14
    )


@pytest.mark.parametrize("loss", [
    FirstSpikeCrossEntropy("out", 0.1), MembraneCrossEntropy("out"), SpikeCountPenalty("hidden"),
    2.0 * MembraneCrossEntropy("out"),
])  # fmt: skip
def test_a_loss_stays_as_it_was_made_and_is_found_by_its_value(loss) -> None:
    name = dataclasses.fields(loss)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(loss, name, None)
    assert len({loss, dataclasses.replace(loss)}) == 1


def test_losses_compare_and_print() -> None:
    assert MembraneCrossEntropy("out", 0.1) == MembraneCrossEntropy("out", smoothing=0.1)
    assert MembraneCrossEntropy("out") == MembraneCrossEntropy("out", 0.0, 0.0)
    assert FirstSpikeCrossEntropy("out", 0.1) == FirstSpikeCrossEntropy(
        "out", 0.1, t_silent=None, tau1=1.0, gamma=0.0, smoothing=0.0, wake=None
    )
    assert repr(2 * MembraneCrossEntropy("out")).startswith("Sum(factors=(2.0,), terms=(Membr")


@pytest.mark.parametrize("loss", [
    FirstSpikeCrossEntropy("out", tau0=0.3, gamma=0.1), MembraneCrossEntropy("out"),
    MembraneCrossEntropy("out") + 0.1 * SpikeCountPenalty("hidden", lambda counts: counts < 3),
])  # fmt: skip
@pytest.mark.parametrize("label", [1, [1], np.array([1])])
def test_a_single_run_is_a_batch_of_one(loss, label) -> None:
    net = network(0.5 if isinstance(loss, FirstSpikeCrossEntropy) else np.inf)
    single = {"in": es.Spikes([0.5, 0.1, 0.2], [0, 1, 2])}
    one, by_one, _ = gradients.value_and_grad(net, single, loss.of(label), T_STOP)
    same, by_same, _ = gradients.value_and_grad(net, [single], loss.of([1]), T_STOP)
    assert one == same
    for key, slopes in by_one.weights.items():
        np.testing.assert_array_equal(by_same.weights[key], slopes)


REFUSED = [
    (MembraneCrossEntropy("out"), "labels must be given, as MembraneCrossEntropy.*got None"),
    (
        FirstSpikeCrossEntropy("out", 0.2) + SpikeCountPenalty("hidden"),
        "labels must be given, as FirstSpikeCrossEntropy.* got None",
    ),
    (MembraneCrossEntropy("out").of([0, 1]), r"labels must have shape .* \(3,\), got \(2,\)"),
    (MembraneCrossEntropy("out").of([0, 1, 2]), "labels must be < 2, got 2"),
    (MembraneCrossEntropy("nobody").of(LABELS), "population must name one of .* got 'nobody'"),
    (SpikeCountPenalty("out"), "thresholds must be finite, got inf"),
    ("membrane", "loss must be a function of the result, got 'membrane'"),
]


@pytest.fixture
def unsimulated(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it was simulated")

    monkeypatch.setattr(import_module("gradients.value_and_grad"), "simulate", fail)


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize(("loss", "text"), REFUSED)
def test_what_does_not_fit_is_refused_before_the_run(loss, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        gradients.value_and_grad(network(), BATCH, loss, T_STOP)


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("loss", [
    MembraneCrossEntropy("out"), SpikeCountPenalty("hidden"),
    FirstSpikeCrossEntropy("out", 0.2) + 0.0 * SpikeCountPenalty("hidden"),
])  # fmt: skip
def test_a_loss_of_potentials_refuses_an_early_end_before_the_run(loss) -> None:
    with pytest.raises(ValueError, match="until_fired must be None for a loss of potentials"):
        gradients.value_and_grad(network(0.5), BATCH, loss.of(LABELS), T_STOP, until_fired="out")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FirstSpikeCrossEntropy("out", 0.0), "tau0 must be > 0"),
        (lambda: FirstSpikeCrossEntropy("out", 0.1, wake=-1.0), r"wake must be >= 0.* got -1\.0"),
        (lambda: FirstSpikeCrossEntropy(3, 0.1), "population must be a string, got 3"),
        (lambda: MembraneCrossEntropy("out").of([0.5]), r"labels must be integers, got \[0\.5\]"),
        (lambda: np.nan * MembraneCrossEntropy("out"), "factor of a loss must be finite, got nan"),
        (lambda: 1e300 * (1e300 * MembraneCrossEntropy("out")), "factor .* finite, got inf"),
        (lambda: SpikeCountPenalty("out", 0.1), "condition must be a function of the counts"),
        (lambda: FirstSpikeCrossEntropy("out", 0.1).of_times([[1.0]], [0]), "t_silent must be"),
    ],
)
def test_bad_arguments_are_refused(make, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_a_loss_adds_to_losses_alone() -> None:
    with pytest.raises(TypeError):
        MembraneCrossEntropy("out") + 1.0
