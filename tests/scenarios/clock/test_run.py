"""The scenario `clock`, from its options to the picture, on a small scale."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scenarios.clock import run as clock
from scenarios.clock.config import ClockOptions
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.registry import find
from tests.helpers import idx_files


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with twelve training and five test images, at random."""
    folder = tmp_path_factory.mktemp("data")
    idx_files.write(folder)
    return str(folder)


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(clock, "TIME_STEPS", (0.1, 0.02, 0.01))


def tiny(noise, **options):
    small = {"networks": 2, "batches": 2, "batch_size": 4, "finest": 20, "hidden": 8, "epochs": 1,
             "n_train": 12, "data_dir": noise}  # fmt: skip
    return ClockOptions(**{**small, **options})


@pytest.mark.slow
@pytest.mark.jit
def test_a_run_gives_a_table_a_picture_and_all_numbers(noise, few_steps, tmp_path):
    report = clock.run(tiny(noise), tmp_path, SILENT)
    assert all(row.what and row.published and row.ours for row in report.rows)
    assert set(report.figures) == {"clock"}
    assert len(report.figures["clock"].axes) == 6
    assert all(len(orders) == 2 for orders in report.numbers["orders"].values())
    assert len(report.numbers["spikes"]) == 2 * 3 * 2 * 3
    assert len(report.numbers["angles"]) == 4
    assert all(len(runs) == 2 for runs in report.numbers["angles"].values())
    json.dumps(report.numbers)


@pytest.mark.slow
@pytest.mark.jit
def test_what_was_measured_is_not_measured_again(noise, few_steps, tmp_path, monkeypatch):
    """A run that is killed in its last measurement goes on, and ends with the same numbers."""
    from scenarios.clock import gradients as clock_gradients

    for name in ("whole", "pieces"):
        (tmp_path / name).mkdir()
    whole = clock.run(tiny(noise), tmp_path / "whole", SILENT)
    measured, done = clock_gradients.measure, []

    def killed(what, seed):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(seed)
        return measured(what, seed)

    monkeypatch.setattr(clock_gradients, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        clock.run(tiny(noise), tmp_path / "pieces", SILENT)
    done.clear()
    pieces = clock.run(tiny(noise), tmp_path / "pieces", SILENT)
    assert len(done) == 1
    assert pieces.numbers == whole.numbers
    assert pieces.rows == whole.rows


@pytest.mark.slow
@pytest.mark.jit
def test_it_runs_from_the_command_line(noise, few_steps, tmp_path, capsys):
    options = "--networks 1 --batches 1 --batch-size 4 --finest 10 --hidden 6 --epochs 1"
    data, folder = ["--n-train", "12", "--data-dir", noise], tmp_path / "run"
    assert main(["run", "clock", *options.split(), *data, "--folder", str(folder)]) == 0
    assert "order of a spike time's error" in capsys.readouterr().out
    assert (folder / "clock.png").read_bytes().startswith(b"\x89PNG")


def test_it_is_listed():
    assert find("clock").module() is clock


def test_numbers_of_steps_and_seeds_follow_the_options():
    assert ClockOptions(finest=50).steps == [10, 20, 50]
    assert (ClockOptions(finest=50).slope_steps, ClockOptions().slope_steps) == (50, 100)
    assert list(ClockOptions(networks=3, seed=5).seeds) == [5, 6, 7]
    assert ClockOptions(epochs=7).settings("mnist").epochs == 7
    assert ClockOptions().settings("yin_yang").epochs == 20


def test_a_single_value_has_no_deviation():
    assert clock._with_spread([0.5], 2) == "0.50"
    assert clock._with_spread([0.5, 0.7], 2) == "0.60 ± 0.14"
    assert clock._with_spread([None, None], 2) == "–"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"networks": 0}, "networks must lie in .*, got 0"),
        ({"batches": -1}, "batches must lie in .*, got -1"),
        ({"batch_size": 0}, "batch_size must lie in .*, got 0"),
        ({"hidden": 0}, "hidden must lie in .*, got 0"),
        ({"epochs": 0}, "epochs must lie in .*, got 0"),
        ({"n_train": 1}, "n_train must lie in .* got 1"),
        ({"n_train": 5001}, "n_train must lie in .* got 5001"),
        ({"finest": 77}, "finest must be one of .* got 77"),
        ({"seed": -1}, "seed must lie in .*, got -1"),
    ],
)
def test_a_bad_option_is_an_error_that_quotes_it(options, message):
    with pytest.raises(ValueError, match=message):
        ClockOptions(**options)


def test_missing_images_are_an_error_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="train-images"):
        clock.run(ClockOptions(data_dir=str(tmp_path)), tmp_path / "run", SILENT)
    assert not (tmp_path / "run").exists()


def test_missing_cosines_are_left_out_of_means():
    from scenarios.clock.figures import mean_and_spread

    assert mean_and_spread([1.0, None]) == (1.0, 0.0)
    assert np.isnan(mean_and_spread([None])).all()
