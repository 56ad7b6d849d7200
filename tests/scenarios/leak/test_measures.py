"""Measures of networks: counts against brute force, spectra against closed forms."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from scenarios.datasets.labelled_images import LabelledImages  # noqa: E402
from scenarios.leak.measures import (  # noqa: E402
    accuracy,
    critical_frequency,
    measure,
    power_spectrum,
    synaptic_operations,
)
from scenarios.leak.network import SpikingNetwork, read_layers  # noqa: E402
from scenarios.leak.noise import Noise  # noqa: E402
from scenarios.leak.task import LeakTask  # noqa: E402

NETWORK = "2P-3C3-2P-4C3-6FC-10"


def some_images(n, seed=0):
    rng = np.random.default_rng(seed)
    return LabelledImages(
        rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, n)
    )


def some_task(n=30, steps=8, network=NETWORK, tau_m=30.0):
    model = SpikingNetwork(read_layers(network, (3, 32, 32)), tau_m, gain=3.0, seed=1)
    return LeakTask(model, some_images(4), some_images(n, seed=1), steps)


def one_by_one(layers, spikes):
    """Count synaptic operations by walking over every synapse of every spike.

    ``spikes`` has the spikes (channels, height, width) of the input and of each firing layer.
    """
    operations, scale, source = {}, 1, np.asarray(spikes["in"])
    for layer in layers:
        if layer.kind == "pool":
            scale *= layer.size
            continue
        total = 0
        for place in np.argwhere(source):
            weight = int(source[tuple(place)])
            if layer.kind == "conv":
                _, row, column = place
                row, column = row // scale, column // scale
                for to_row, to_column in np.ndindex(*layer.after[1:]):
                    reached = abs(to_row - row) <= 1 and abs(to_column - column) <= 1
                    total += weight * layer.after[0] * reached
            else:
                total += weight * layer.after[0]
        operations[layer.name] = total
        if layer.fires:
            scale, source = 1, np.asarray(spikes[layer.name])
    return operations


def test_operations_are_those_of_walking_over_all_synapses():
    rng = np.random.default_rng(0)
    layers = read_layers("2P-3C3-2P-4C3-6FC-10", (2, 8, 8))
    counts = {"in": rng.integers(0, 3, (2, 8, 8))}
    counts |= {layer.name: rng.integers(0, 4, layer.after) for layer in layers if layer.fires}
    assert synaptic_operations(layers, counts) == one_by_one(layers, counts)


def test_operations_without_borders_are_spikes_times_weights_of_a_column():
    layers = read_layers("5C1-7FC-10", (2, 3, 3))
    counts = {"in": np.ones((2, 3, 3)), "conv1": np.ones((5, 3, 3)), "fc1": np.zeros(7)}
    assert synaptic_operations(layers, counts) == {"conv1": 90.0, "fc1": 315.0, "out": 0.0}


def test_a_network_is_measured_as_its_spikes_say():
    task = some_task()
    found = measure(task)
    spikes, drives = {"in": 0.0}, {}

    def watch(passed):
        name = passed.layer.name
        if passed.spikes is not None:
            spikes[name] = spikes.get(name, 0.0) + passed.spikes.sum((0, 1)).numpy()
        norms = np.sqrt((passed.drive.flatten(2).numpy() ** 2).sum(2)).mean(0)
        drives.setdefault(name, []).extend(norms)

    with torch.no_grad():
        for images, _, rng in task.portions():
            inputs = task.spikes(images, rng)
            spikes["in"] = spikes["in"] + inputs.abs().sum((0, 1)).numpy()
            task.model(inputs, watch=watch)
    n = len(task.test)
    for layer in task.model.layers:
        if layer.fires:
            expected = spikes[layer.name].sum() / np.prod(layer.after) / n / task.steps
            assert found.activity[layer.name] == pytest.approx(expected, rel=1e-6)
    per_image = {name: counts / n for name, counts in spikes.items()}
    expected = synaptic_operations(task.model.layers, per_image)
    assert found.operations == pytest.approx(expected, rel=1e-6)
    for name, norms in drives.items():
        assert found.weighted_sums[name] == pytest.approx(np.mean(norms), rel=1e-5)
    neurons = {layer.name: np.prod(layer.after) for layer in task.model.layers if layer.fires}
    weighted = sum(found.activity[name] * size for name, size in neurons.items())
    assert found.spikes == pytest.approx(weighted / sum(neurons.values()))


def test_the_same_spikes_are_drawn_each_time():
    task = some_task(network="2P-4FC-10")
    with torch.no_grad():
        assert accuracy(task) == accuracy(task) == task.evaluate()["test_accuracy"]
    assert repr(measure(task)) == repr(measure(task))  # so NaN equals NaN


def test_a_target_signal_is_that_of_the_label(monkeypatch):
    """An output that gets a wave of its own frequency shows it in the images of its class."""
    task = some_task(n=10, steps=20, network="4P-3FC-10")
    task = LeakTask(task.model, task.train, LabelledImages(task.test.images, np.arange(10)), 20)
    steps = torch.arange(20.0)[:, None, None]
    waves = torch.cos(2 * math.pi * torch.arange(1.0, 11.0) / 20 * steps).expand(20, 10, 10)
    drive = task.model._drive

    def drive_of_waves(layer, spikes):
        return waves.clone() if layer.kind == "out" else drive(layer, spikes)

    monkeypatch.setattr(task.model, "_drive", drive_of_waves)
    found = measure(task)
    np.testing.assert_allclose(found.critical_frequencies, np.arange(1, 11) / 20)


def test_noise_widens_the_input_spectrum():
    task = some_task(steps=20, network="2P-4FC-10")
    clean, noisy = measure(task), measure(task, Noise("gaussian", 1, 8))
    assert len(clean.input_spectrum) == 9
    assert min(noisy.input_spectrum) > max(clean.input_spectrum)
    assert sum(clean.input_amplitudes) == pytest.approx(1.0)


def test_the_amplitude_of_poisson_spikes_is_known():
    """White noise of power p has |X| / sqrt(T) with mean sqrt(π p) / 2."""
    task = some_task(steps=40, network="4FC-10")
    spikes = task.spikes(task.test.images, np.random.default_rng(0))
    power = float((spikes - spikes.mean(0)).square().mean((0, 1)).mean()) * 40 / 39
    found = np.mean(measure(task).input_spectrum)
    assert 0.85 * math.sqrt(math.pi * power) / 2 < found < math.sqrt(math.pi * power) / 2


@pytest.mark.parametrize("n_steps", [7, 8, 50])
def test_the_power_is_the_variance(n_steps):
    signals = np.random.default_rng(0).normal(2.0, 3.0, (5, n_steps))
    power = power_spectrum(signals)
    assert power.shape == (5, n_steps // 2)
    np.testing.assert_allclose(power.sum(axis=1), signals.var(axis=1))


@pytest.mark.parametrize("n_steps", [9, 12])
def test_the_power_is_that_of_the_definition(n_steps):
    signal = np.random.default_rng(1).normal(size=n_steps)
    t = np.arange(n_steps)
    for k, power in enumerate(power_spectrum(signal[None])[0], start=1):
        wave = np.sum(signal * np.exp(-2j * math.pi * k * t / n_steps)) / n_steps
        sides = 1 if 2 * k == n_steps else 2
        assert power == pytest.approx(sides * abs(wave) ** 2, abs=1e-12)


def test_a_wave_has_its_own_critical_frequency():
    t = np.arange(100)
    for k in (1, 10, 49, 50):
        assert critical_frequency(np.cos(2 * np.pi * k * t / 100)[None])[0] == k / 100


def test_the_stronger_of_two_waves_decides():
    t = np.arange(100)
    low, high = np.cos(2 * np.pi * 0.05 * t), np.cos(2 * np.pi * 0.4 * t)
    signals = np.stack([low + 0.6 * high, low + 0.7 * high])  # 1 / 1.36 and 1 / 1.49 of the power
    assert critical_frequency(signals).tolist() == [0.05, 0.4]


def test_white_noise_has_seventy_per_cent_of_the_nyquist_frequency():
    noise = np.random.default_rng(0).normal(size=(400, 1000))
    assert critical_frequency(noise).mean() == pytest.approx(0.35, abs=0.003)
    assert critical_frequency(np.cumsum(noise, axis=1)).mean() < 0.02


def test_signals_of_small_integers_have_the_same_critical_frequency():
    """In int8, the square of 12 is -112."""
    signals = (12 + np.random.default_rng(3).integers(0, 2, (4, 64))).astype(np.int8)
    signals[0] = 12
    found, expected = (critical_frequency(s) for s in (signals, signals.astype(np.float64)))
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(found[0])


def test_a_constant_signal_has_no_critical_frequency():
    assert np.isnan(critical_frequency(np.array([[0.0] * 6, [0.1] * 6]))).all()
