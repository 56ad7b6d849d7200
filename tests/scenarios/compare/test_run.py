"""Exact against surrogate gradients, from the options to the picture, on a small scale."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scenarios import extras
from scenarios.compare import run as compare
from scenarios.compare.config import CompareOptions
from scenarios.networks import contest
from scenarios.networks.contest import EXACT, by_spikes
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.registry import find
from scenarios.running.training import Settings, fit
from scenarios.yin_yang import run as yin_yang
from scenarios.yin_yang.config import YinYangOptions
from tests.helpers import idx_files

METHODS = {
    "Yin-Yang by spikes": 5,  # exact, and two surrogates with two losses each
    "Yin-Yang by potentials": 5,  # exact, and four surrogates
    "MNIST by potentials": 5,
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with twelve training and five test images, at random."""
    folder = tmp_path_factory.mktemp("data")
    idx_files.write(folder)
    return str(folder)


def tiny(noise, **options):
    small = {"seeds": 2, "epochs": 1, "steps": 10, "hidden": 6, "n_train": 12, "data_dir": noise}
    return CompareOptions(**{**small, **options})


@pytest.mark.slow
@pytest.mark.jit
def test_a_run_gives_a_table_a_picture_and_all_numbers(noise, tmp_path):
    report = compare.run(tiny(noise), tmp_path, SILENT)
    assert {title: len(methods) for title, methods in report.numbers.items()} == METHODS
    assert len(report.rows) == 15
    assert all(row.what and row.published and row.ours for row in report.rows)
    assert [row.published for row in report.rows if row.published != "–"] == [
        "95.0 ± 0.83 % (300 epochs)"
    ]
    assert len(report.figures["compare"].axes) == 18
    for title, methods in report.numbers.items():
        for one in methods.values():
            assert len(one["test_accuracy"]) == len(one["test_spikes"]) == 2
            assert (one["accuracy_in_exact_engine"] is None) == (title == "Yin-Yang by spikes")
    json.dumps(report.numbers)


@pytest.mark.slow
@pytest.mark.jit
def test_exact_weights_are_as_accurate_in_the_exact_engine(noise, tmp_path):
    numbers = compare.run(tiny(noise, problem="yin_yang"), tmp_path, SILENT).numbers
    exact = numbers["Yin-Yang by potentials"][EXACT]
    assert exact["accuracy_in_exact_engine"] == exact["test_accuracy"]


@pytest.mark.slow
@pytest.mark.jit
def test_a_finished_run_is_resumed_with_the_same_table(noise, tmp_path, capsys):
    folder = tmp_path / "run"
    options = "--problem mnist --seeds 1 --epochs 1 --steps 5 --hidden 4 --n-train 12 --data-dir"
    assert main(["run", "compare", *options.split(), noise, "--folder", str(folder)]) == 0
    assert "MNIST by potentials" in " ".join(capsys.readouterr().out.split())
    before = (folder / "results.json").read_text()
    assert main(["resume", str(folder)]) == 0
    assert (folder / "results.json").read_text() == before
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_all_methods_see_the_same_minibatches(monkeypatch):
    """The order of the samples is drawn from the seed, whatever the gradient."""
    chosen = YinYangOptions(hidden=8, n_train=20, batch_size=8, epochs=2)
    seen = {}
    for name, task in by_spikes(yin_yang.build(chosen), lambda _: None).tasks.items():
        rows, step = [], type(task).step

        def watched(self, params, chosen, rng, rows=rows, step=step):
            rows.append(chosen.tolist())
            return step(self, params, chosen, rng)

        with monkeypatch.context() as patch:
            patch.setattr(type(task), "step", watched)
            fit(task, Settings(epochs=2, batch_size=8, seed=7))
        seen[name] = rows
    first, *others = seen.values()
    assert len(first) == 6
    assert all(rows == first for rows in others)


@pytest.mark.slow
@pytest.mark.jit
def test_yin_yang_can_be_compared_on_the_way(tmp_path):
    config = YinYangOptions(
        hidden=10, n_train=40, batch_size=20, epochs=2, compare="surrogate", compare_epochs=1
    )
    report = yin_yang.run(config, tmp_path, SILENT)
    assert len(report.figures["surrogate"].axes) == 6
    folders = {path.name for path in (tmp_path / "yin-yang-spikes").iterdir()}
    assert len(folders) == 4


def test_names_of_methods_are_names_of_folders():
    tasks = by_spikes(yin_yang.build(YinYangOptions(hidden=4)), lambda _: None).tasks
    names = {contest._file_name(name) for name in tasks}
    assert len(names) == len(tasks)
    assert "fast-sigmoid-count-loss" in names
    assert contest._file_name("constant (straight-through)") == "constant-straight-through"


def test_seconds_add_up():
    assert contest.seconds([{"seconds": 0.0}, {"seconds": 1.5}, {"seconds": 2.0}]) == [0, 1.5, 3.5]


def test_options_choose_contests_and_lengths():
    assert CompareOptions().problems == ("yin_yang_spikes", "yin_yang", "mnist")
    assert CompareOptions(problem="mnist").problems == ("mnist",)
    of = {"default": {}, "full": {"full": True}, "chosen": {"steps": 7}}
    steps = [CompareOptions(**options).chosen.steps for options in of.values()]
    assert steps == [50, 100, 7]
    assert list(CompareOptions(seeds=2, seed=4).all_seeds) == [4, 5]
    assert len(CompareOptions(full=True).all_seeds) == 5
    for problem, short, long in (("mnist", 4, 20), ("yin_yang", 20, 100)):
        epochs = [CompareOptions(full=full).chosen_for(problem).epochs for full in (False, True)]
        assert epochs == [short, long]
    chosen = CompareOptions(problem="mnist", epochs=3, n_train=9).chosen_for("mnist")
    assert (chosen.epochs, chosen.n_train) == (3, 9)


def test_learning_rates_fall_to_nothing():
    settings = CompareOptions().settings("mnist", seed=3)
    assert settings.optimizer.lr(0) == pytest.approx(5e-3)
    steps = 4 * 50
    assert settings.optimizer.lr(steps) == pytest.approx(0.0, abs=1e-12)
    assert settings.seed == 3


def test_it_is_listed():
    assert find("compare").module() is compare


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problem": "iris"}, "problem.* got 'iris'"),
        ({"seeds": 0}, "seeds must lie in .*, got 0"),
        ({"epochs": -1}, "epochs must lie in .*, got -1"),
        ({"steps": 0}, "steps must lie in .*, got 0"),
        ({"hidden": 0}, "hidden must lie in .*, got 0"),
        ({"n_train": 0}, "n_train must lie in .*, got 0"),
        ({"n_train": 6000}, "n_train must be <= 5000 .* got 6000"),
        ({"seed": -1}, "seed must lie in .*, got -1"),
    ],
)
def test_a_bad_option_is_an_error_that_quotes_it(options, message):
    with pytest.raises(ValueError, match=message):
        CompareOptions(**options)


def test_many_images_are_no_error():
    assert CompareOptions(problem="mnist", n_train=60_000).chosen_for("mnist").n_train == 60_000


def test_without_torch_the_error_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(extras.MissingExtraError, match=r"eventsim-snn\[torch\]"):
        compare.run(CompareOptions(), tmp_path, SILENT)
    with pytest.raises(extras.MissingExtraError, match=r"eventsim-snn\[torch\]"):
        yin_yang.run(YinYangOptions(compare="surrogate"), tmp_path, SILENT)


def test_fewer_images_than_asked_for_are_an_error(noise, tmp_path):
    with pytest.raises(ValueError, match="n_train must be <= 12"):
        compare.run(CompareOptions(problem="mnist", n_train=13, data_dir=noise), tmp_path, SILENT)
    assert not np.any([path.is_dir() for path in tmp_path.iterdir()])
