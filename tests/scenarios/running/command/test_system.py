"""What `eventsim info` prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eventsim._engines.cuda import device
from gradients import FirstSpikeCrossEntropy
from scenarios.datasets.encoding import latency
from scenarios.networks.readout import ReadoutNetwork
from scenarios.running.command import cli, system
from scenarios.stdbp.network import ReLPSPNetwork


def test_info_names_versions_devices_and_the_result_of_the_self_test(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert f"numpy {np.__version__}" in text
    assert "CUDA device: " in text
    for engine in ("layered", "cuda"):
        assert f"self-test, {engine} against scheduler" in text
    assert text.count("passed") == 2


def test_without_a_device_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.cuda, "is_available", lambda: False)
    lines = "\n".join(system.report())
    assert "numba finds no device here" in lines
    assert "self-test, cuda" not in lines


@pytest.mark.parametrize("is_available", [True, False])
def test_it_says_that_the_engines_of_devices_are_experimental(
    monkeypatch: pytest.MonkeyPatch, is_available: bool
) -> None:
    monkeypatch.setattr(device.cuda, "is_available", lambda: is_available)
    monkeypatch.setattr(system, "largest_difference", lambda _: 0.0)
    (line,) = [line for line in system.report() if "experimental" in line]
    assert line.startswith("CUDA: engines 'cuda' and 'cuda-float32' are experimental")
    assert "not yet run on a device" in line


@pytest.mark.parametrize(
    ("found", "verdict"), [(1e-3, "FAILED"), (np.inf, "FAILED"), (0, "passed")]
)
def test_a_wrong_engine_fails_the_self_test(
    monkeypatch: pytest.MonkeyPatch, found: float, verdict: str
) -> None:
    monkeypatch.setattr(system, "largest_difference", lambda _: found)
    assert verdict in system.report()[-1]


def test_other_spikes_are_an_infinite_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter([[np.zeros(3)], [np.zeros(4)]])
    monkeypatch.setattr(system, "_run", lambda _: next(runs))
    assert system.largest_difference("layered") == np.inf


def small_readout(rng: np.random.Generator) -> tuple[Any, dict[str, np.ndarray]]:
    model = ReadoutNetwork((6, 4, 2), 0.8)
    return model, model.initial([(0.5, 0.8)] * 2, rng)


def small_rel_psp(rng: np.random.Generator) -> tuple[Any, dict[str, np.ndarray]]:
    loss = FirstSpikeCrossEntropy("out", tau0=0.1, t_silent=3.0, wake=0.0)
    model = ReLPSPNetwork("6-3-2", 3.0, loss)
    return model, model.initial(model.normals(4.0, 1.0), rng)


@pytest.mark.parametrize("make", [small_readout, small_rel_psp])
def test_scenarios_train_on_the_device_as_on_processors(make: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    model, weights = make(rng)
    spikes = latency(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8))
    here, there = (
        replace(model, engine=engine).step(weights, spikes, np.array([0, 1]))
        for engine in ("auto", "cuda")
    )
    assert here.metrics["loss"] == pytest.approx(there.metrics["loss"], rel=1e-12)
    for name, slopes in here.gradients.items():
        np.testing.assert_allclose(there.gradients[name], slopes, rtol=1e-10, atol=1e-12)
