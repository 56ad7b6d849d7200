"""MNIST by the first spike, from the options to the table: on a slice of real images if there."""

import json
import math

import numpy as np
import pytest

from gradients import cosine
from scenarios.datasets import images
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.running.checkpoint import load_arrays
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.training import fit
from scenarios.stdbp import figures as stdbp_figures
from scenarios.stdbp import run as stdbp
from scenarios.stdbp.config import CSNN, ROWS, StdbpOptions
from scenarios.stdbp.run import build
from tests.helpers import idx_files
from tests.helpers.resuming import assert_a_killed_run_resumes, assert_same_arrays

PICTURES = {"training.png", "spike_times.png", "exploding_gradients.png"}


@pytest.fixture(scope="module")
def digits():
    """A few of the real digits; or else ten bright squares at random grey."""
    if idx_files.PUBLISHED.is_dir():
        parts = images.mnist(idx_files.PUBLISHED)
        return {"train": parts["train"][:600], "test": parts["test"][:200]}
    return {"train": squares(600, 0), "test": squares(200, 1)}


def squares(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    grey = rng.integers(-300, 200, (n, 28, 28)).clip(0).astype(np.uint8)
    for image, label in zip(grey, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[8 * row : 8 * row + 8, 7 * column : 7 * column + 7] |= 128
    return LabelledImages(grey, labels)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with twelve training and five test images, at random."""
    folder = tmp_path_factory.mktemp("data")
    idx_files.write(folder)
    return str(folder)


@pytest.fixture
def few_scales(monkeypatch):
    monkeypatch.setattr(stdbp_figures, "SCALES", np.array([0.5, 1.001, 3.0]))


def tiny(noise, **options):
    """Settings of a run that plain Python can do."""
    small = {"network": "784-3-10", "epochs": 1, "batch_size": 6, "data_dir": noise}
    return StdbpOptions(**{**small, **options})


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("network", ["784-100-10", "28x28-4C5-P2-8C5-P2-60-10"])
def test_digits_are_learnt_from_the_start(digits, network):
    config = StdbpOptions(network=network, epochs=4, batch_size=20)
    task = build(config, network, digits)
    history = fit(task, config.settings(network, task.n_train, seed=0)).history
    assert history[0]["test_silent_labels"] == 0.0
    assert history[1]["silent_labels"] < 0.05
    assert history[-1]["loss"] < history[1]["loss"]
    assert history[-1]["test_accuracy"] > 0.6


@pytest.mark.parametrize("steps", [1, 3])
def test_a_run_that_is_killed_and_resumed_is_the_run_that_was_not(noise, tmp_path, steps):
    config = tiny(noise, epochs=3)
    settings = config.settings(config.network, 12, seed=1)

    def fresh():
        return build(config, config.network, images.mnist(noise))

    assert_a_killed_run_resumes(fresh, settings, tmp_path, steps)


def test_a_tiny_run_gives_a_report(noise, tmp_path, few_scales):
    report = stdbp.run(tiny(noise, seeds=2), tmp_path, SILENT)
    assert all(row.what and row.published and row.ours for row in report.rows)
    assert {f"{figure}.png" for figure in report.figures} == PICTURES
    assert len(report.numbers["networks"]["784-3-10"]["test_accuracy"]) == 2
    assert (tmp_path / "784-3-10" / "seed-1" / "metrics.jsonl").exists()


def test_all_rows_of_table_1_are_in_the_table(noise, tmp_path, few_scales):
    report = stdbp.run(tiny(noise), tmp_path, SILENT)
    published = [row.published for row in report.rows[:8]]
    assert published == ["97.5 %", "96.6 %", "97.4 %", "97.4 %", "98.1 %", "98.4 %", "99.2 %", "–"]
    assert [row.what for row in report.rows[4:8]] == [f"STDBP, {n}" for n in (*ROWS, "784-3-10")]
    assert [row.ours for row in report.rows[:7]] == ["–"] * 7


@pytest.mark.slow
@pytest.mark.jit
def test_the_published_network_stands_beside_the_published_numbers(noise, tmp_path, few_scales):
    report = stdbp.run(tiny(noise, network="784-400-10"), tmp_path, SILENT)
    published = {row.what: row.published for row in report.rows}
    assert published["784-400-10: hidden neurons that fire before the decision"] == "48.6 %"
    assert published["784-400-10: hidden neurons that fire at any time"] == "66.3 %"


def test_what_is_chosen_goes_before_what_is_preset():
    chosen = {"batch_size": 7, "learning_rate": 0.02, "weight_decay": 0.7, "clip_norm": 2.0,
              "smoothing": 0.2, "shift": 2, "jitter": 0.01, "dropout": 0.5, "bump": 0.25,
              "tau0": 0.3, "t_stop": 9.0, "init_total": 3.0, "init_spread": 0.9}  # fmt: skip
    config = StdbpOptions(**chosen, epochs=3)
    recipe = config.recipe("784-400-10")
    assert {name: getattr(recipe, name) for name in chosen} == chosen
    settings = config.settings("784-400-10", 100, seed=5)
    assert settings.optimizer.lr == cosine(0.02, 3 * 15)
    assert (settings.optimizer.weight_decay, settings.optimizer.clip_norm) == (0.7, 2.0)
    assert (settings.epochs, settings.batch_size, settings.seed) == (3, 7, 5)
    model = config.model("784-400-10")
    assert (model.t_stop, model.loss.wake, model.loss.t_silent) == (9.0, 0.25, 9.0)
    assert (model.loss.tau0, model.loss.gamma, model.loss.smoothing) == (0.3, 0.0, 0.2)


def test_the_full_run_is_longer_and_has_three_networks():
    default, full = StdbpOptions(), StdbpOptions(full=True)
    assert (default.chosen.seeds, full.chosen.seeds) == (1, 3)
    for network in ROWS:
        assert full.recipe(network).epochs > default.recipe(network).epochs


def test_gradients_are_clipped_with_convolutions_alone():
    clips = [StdbpOptions().settings(name, 60_000, seed=0).optimizer.clip_norm for name in ROWS]
    assert clips == [None, None, 5.0]


def test_rows_are_the_three_networks_of_the_table():
    assert StdbpOptions(rows=True).networks == ("784-400-10", "784-800-10", CSNN)
    assert StdbpOptions().networks == ("784-400-10",)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"epochs": 0}, "epochs must lie in .*, got 0"),
        ({"seeds": 0}, "seeds must lie in .*, got 0"),
        ({"shift": -1}, "shift must lie in .*, got -1"),
        ({"n_train": 0}, "n_train must lie in .*, got 0"),
        ({"batch_size": 0}, "batch_size must lie in .*, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must lie in .*, got 0.0"),
        ({"weight_decay": -0.1}, "weight_decay must lie in .*, got -0.1"),
        ({"clip_norm": 0.0}, "clip_norm must lie in .*, got 0.0"),
        ({"smoothing": 1.0}, r"smoothing must lie in \[0, 1\), got 1.0"),
        ({"jitter": -0.1}, "jitter must lie in .*, got -0.1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"bump": math.inf}, "bump must lie in .*, got inf"),
        ({"tau0": 0.0}, "tau0 must lie in .*, got 0.0"),
        ({"t_stop": 0.0}, "t_stop must lie in .*, got 0.0"),
        ({"init_total": math.nan}, "init_total must lie in .*, got nan"),
        ({"init_spread": -1.0}, "init_spread must lie in .*, got -1.0"),
        ({"network": "784-400"}, "network must begin with 784 or 28x28 and end with 10"),
        ({"network": "900-400-10"}, "network must begin with 784 or 28x28 and end with 10"),
        ({"network": "784-6C5-10"}, "layer '6C5' of network '784-6C5-10': must follow an image"),
        ({"rows": True, "network": CSNN}, "network must not be given with rows"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        StdbpOptions(**options)


def test_more_images_than_there_are_is_refused(capsys, noise, tmp_path):
    arguments = ["--data-dir", noise, "--n-train", "13", "--folder", str(tmp_path / "run")]
    assert main(["run", "stdbp", *arguments]) == 2
    assert "n_train must be <= 12, the number of images, got 13" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.jit
def test_the_command_leaves_its_files_and_resumes(capsys, noise, tmp_path):
    folder = tmp_path / "run"
    options = ["--data-dir", noise, "--network", "28x28-2C5-P2-20-10", "--epochs", "2"]
    assert main(["run", "stdbp", *options, "--folder", str(folder)]) == 0
    assert "28x28-2C5-P2-20-10" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} >= PICTURES
    assert json.loads((folder / "results.json").read_text())["networks"]
    before = load_arrays(folder / "weights.npz")
    assert main(["resume", str(folder)]) == 0
    assert_same_arrays(load_arrays(folder / "weights.npz"), before)
