"""What `eventsim info` prints."""

from __future__ import annotations

import numpy as np
import pytest

import eventsim.cuda
from scenarios import cli, system


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
    monkeypatch.setattr(eventsim.cuda.cuda, "is_available", lambda: False)
    lines = "\n".join(system.report())
    assert "numba finds no device here" in lines
    assert "self-test, cuda" not in lines


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
