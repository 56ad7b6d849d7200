"""The scenario microcircuit, from its options to its table and pictures."""

import json
import sys

import numpy as np
import pytest

from scenarios.microcircuit import config as options
from scenarios.microcircuit import run as microcircuit
from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.model import POPULATIONS
from scenarios.microcircuit.network import build, for_nest
from scenarios.networks import beside
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.records import belonging_to

SMALL = MicrocircuitOptions(scale=0.005, duration=60.0)


@pytest.mark.jit
def test_the_command_leaves_spikes_a_table_and_pictures_and_is_resumed(
    tmp_path, capsys, monkeypatch
):
    def refuse():
        raise AssertionError("a large network must give back what it frees")

    monkeypatch.setattr("scenarios.running.memory.keep_freed_memory", refuse)
    folder = tmp_path / "run"
    words = ["--scale", "0.005", "--duration", "60", "--folder", str(folder)]
    assert main(["run", "microcircuit", *words]) == 0
    text = capsys.readouterr().out
    assert "scale 0.005" in text
    assert "L23E: rate" in text
    assert {"spikes-000001.npz", "raster.png", "statistics.png", "results.json"} <= {
        path.name for path in folder.iterdir()
    }
    before = (folder / "spikes-000001.npz").read_bytes()
    assert main(["resume", str(folder)]) == 0
    assert (folder / "spikes-000001.npz").read_bytes() == before


@pytest.mark.jit
def test_the_table_shows_nest_beside_ours(tmp_path, monkeypatch):
    ran = []

    def fake(simulator, network, more):
        ran.append(sum(piece["pre"].size for piece in more))
        assert (simulator.title, simulator.threads) == ("NEST, grid 0.1 ms", 1)
        times = np.arange(0.5, 60.0, 0.5)
        return {
            "times": times,
            "indices": np.arange(times.size) % network["sizes"].sum(),
            "seconds": np.asarray(0.03),
            "memory": np.asarray(5e8),
        }

    monkeypatch.setattr(beside, "simulate", fake)
    config = MicrocircuitOptions(scale=0.005, duration=60.0, beside=("nest",))
    with belonging_to({"scenario": "microcircuit", "config": {}}):
        report = microcircuit.run(config, tmp_path, SILENT)
        microcircuit.run(config, tmp_path, SILENT)
    assert ran == [SMALL.circuit.synapses.sum()]  # once
    assert report.headings == ("published", "this run", "NEST, grid 0.1 ms")
    assert all(len(row.cells) == 3 and all(row.cells) for row in report.rows)
    rows = {row.what: row.cells for row in report.rows}
    assert rows["L23E: rate (Hz)"][0] == "0.90"
    assert rows["processor s per s of the model"][2] == "0.50"
    assert rows["memory at most (GB)"][2] == "0.50"
    json.dumps(report.numbers, allow_nan=False)
    for figure in report.figures.values():
        figure.savefig(tmp_path / "picture.png", dpi=40)


def test_nest_is_told_the_very_same_network():
    net, _ = build(SMALL)
    given, *more = for_nest(SMALL)
    assert given["sizes"].tolist() == list(net.populations.values())
    assert given["potential"].size == given["sizes"].sum()
    np.testing.assert_allclose(given["rate"][:2], [64.0, 64.0])
    bias = [250.0 * float(net.neurons[name].bias) for name in POPULATIONS]
    np.testing.assert_allclose(given["bias"], bias)
    matrix, delays = np.zeros((2, given["potential"].size, given["potential"].size))
    for piece in more:
        np.add.at(matrix, (piece["pre"], piece["post"]), piece["weight"])
        np.add.at(delays, (piece["pre"], piece["post"]), piece["delay"])
    for pre in POPULATIONS:
        for post in POPULATIONS:
            block = net.neurons_of(pre), net.neurons_of(post)
            if (pre, post) in net.projections:
                projection = net.projections[pre, post]
                np.testing.assert_allclose(
                    matrix[block], 250.0 * projection.weights.toarray(), atol=1e-9
                )
                np.testing.assert_allclose(delays[block], projection.delays.toarray(), atol=1e-12)
            else:
                assert not matrix[block].any()


def test_statistics_leave_the_beginning_out():
    assert MicrocircuitOptions().transient == 500.0
    assert MicrocircuitOptions(duration=60.0).transient == 30.0
    spikes = {
        "times": np.array([10.0, 40.0, 50.0]),
        "indices": np.array([0, 0, 103]),
        "seconds": np.asarray(0.0),
    }
    found = microcircuit._found(SMALL, spikes, SMALL.transient)
    assert list(found) == list(POPULATIONS)
    assert found["L23E"].times.tolist() == [10.0]
    assert found["L23I"].times.tolist() == [20.0]
    assert found["L23I"].indices.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale": 0.001}, r"scale must lie in \[0.005, 1\], got 0.001"),
        ({"scale": 1.5}, "scale must lie in .*, got 1.5"),
        ({"duration": 1.0}, "duration must lie in .*, got 1.0"),
        ({"drive": "ac"}, "drive must be one of poisson, dc, got 'ac'"),
        ({"start": "warm"}, "start must be one of optimized, original, got 'warm'"),
        ({"threads": 0}, "threads must lie in .*, got 0"),
        ({"beside": ("brian2",)}, "beside must be one of nest, got 'brian2'"),
        ({"beside": ("nest", "nest")}, "beside must name each simulator once, got"),
        ({"beside": ("nest",), "duration": 60.05}, "duration must be a multiple .*, got 60.05"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        MicrocircuitOptions(**options)


def test_a_missing_nest_is_named_before_any_work(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(beside, "find_spec", lambda _: None)
    monkeypatch.delenv(SMALL.nest.variable, raising=False)
    folder = tmp_path / "run"
    assert main(["run", "microcircuit", "--beside", "nest", "--folder", str(folder)]) == 1
    assert "got no interpreter; `make peers`" in capsys.readouterr().err
    assert not folder.exists()


def test_a_nest_that_fails_is_quoted(monkeypatch):
    monkeypatch.setenv(SMALL.nest.variable, sys.executable)
    monkeypatch.setattr(options, "IN_NEST", "nothing.py")
    with pytest.raises(beside.SimulatorError, match=r"NEST, .* exit code 2: .*nothing\.py"):
        microcircuit._in_nest(SMALL)


@pytest.mark.jit
def test_threads_change_no_spike(tmp_path):
    one, two = (
        microcircuit.run(
            MicrocircuitOptions(scale=0.02, duration=100.0, threads=threads),
            tmp_path / str(threads),
            SILENT,
        ).numbers
        for threads in (1, 2)
    )
    assert one == two
