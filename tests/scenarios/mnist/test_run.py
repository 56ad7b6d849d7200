"""MNIST and Fashion-MNIST from the options to the table: on slices of the real images if there."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gradients import cosine
from scenarios.datasets import images
from scenarios.fashion_mnist import run as fashion_mnist
from scenarios.mnist import run as mnist
from scenarios.mnist import study as mnist_study
from scenarios.mnist.config import MnistOptions
from scenarios.mnist.study import Variant, build, variants
from scenarios.networks.readout import readout_loss
from scenarios.running.checkpoint import load_arrays
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.training import fit
from tests.helpers import idx_files
from tests.helpers.resuming import assert_a_killed_run_resumes, assert_same_arrays

SCENARIOS = {"mnist": mnist, "fashion_mnist": fashion_mnist}
PICTURES = {"training.png", "accuracy_against_spikes.png", "dynamics.png", "spike_counts.png"}


@pytest.fixture(scope="module")
def real():
    """A few of the real digits."""
    if not idx_files.PUBLISHED.is_dir():
        pytest.skip("EVENTSIM_DATA does not name the folder of the published files")
    parts = images.mnist(idx_files.PUBLISHED)
    return {"train": parts["train"][:600], "test": parts["test"][:200]}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with twelve training and five test images, at random."""
    folder = tmp_path_factory.mktemp("data")
    idx_files.write(folder)
    return str(folder)


def tiny(noise, **options):
    """Settings of a run that plain Python can do."""
    return MnistOptions(**{"hidden": 4, "epochs": 1, "batch_size": 6, "data_dir": noise, **options})


def task(parts, **options):
    config = MnistOptions(**options)
    return config, build(config, variants(config)[0], parts)


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize(("spikes", "leaky"), [("multi", True), ("single", False)])
def test_digits_are_learnt(real, spikes, leaky):
    config, digits = task(real, hidden=100, epochs=4, batch_size=20, spikes=spikes, leaky=leaky)
    history = fit(digits, config.settings(digits.n_train, seed=0)).history
    assert history[-1]["loss"] < history[1]["loss"]
    assert history[-1]["test_accuracy"] > 0.7


@pytest.mark.slow
@pytest.mark.jit
def test_networks_that_are_silent_at_first_wake_up(real):
    config, digits = task(real, hidden=50, epochs=6, batch_size=20, tau_i=0.2, published=True)
    history = fit(digits, config.settings(digits.n_train, seed=0)).history
    assert history[0]["test_dead"] == 1.0
    assert history[-1]["test_dead"] < 0.5


@pytest.mark.parametrize("steps", [1, 3])
def test_a_run_that_is_killed_and_resumed_is_the_run_that_was_not(noise, tmp_path, steps):
    config = tiny(noise, epochs=3)
    settings = config.settings(12, seed=1)

    def fresh():
        return build(config, variants(config)[0], images.mnist(noise))

    assert_a_killed_run_resumes(fresh, settings, tmp_path, steps)


def test_the_published_protocol_is_that_of_the_paper():
    config = MnistOptions(published=True)
    assert config.chosen == replace(
        config, tau_i=0.8, learning_rate=1e-3, schedule="constant", weight_decay=0.0,
        smoothing=0.0, shift=0, jitter=0.0, dropout=0.0, dead_penalty=0.01, dead_fraction=0.1,
        norm_penalty=1e-4, epochs=100, seeds=1,
    )  # fmt: skip
    assert config.leaky_tau_i("single") == 0.8
    assert (config.batch_size, config.hidden) == (100, 400)
    assert (config.init_mean, config.init_std) == (0.03, 0.3)
    adam = config.settings(60_000, 0).optimizer
    assert (adam.lr, adam.betas, adam.eps, adam.weight_decay) == (1e-3, (0.9, 0.999), 1e-8, 0.0)


def test_the_default_is_short_and_the_full_run_has_three_networks():
    default, full = MnistOptions(), MnistOptions(full=True)
    assert default.chosen.epochs <= 10
    assert (default.chosen.seeds, full.chosen.seeds, full.chosen.epochs) == (1, 3, 100)
    rate = default.settings(60_000, 0).optimizer.lr
    assert rate == cosine(5e-3, 600 * default.chosen.epochs)
    assert full.settings(60_000, 0).optimizer.weight_decay == 0.02


@pytest.mark.parametrize("published", [False, True])
def test_what_is_chosen_goes_before_what_is_preset(published):
    chosen = {"tau_i": 0.7, "learning_rate": 0.02, "schedule": "cosine", "weight_decay": 0.3,
              "smoothing": 0.2, "shift": 2, "jitter": 0.01, "dropout": 0.5, "dead_penalty": 0.0,
              "dead_fraction": 0.4, "norm_penalty": 0.5}  # fmt: skip
    config = MnistOptions(published=published, **chosen)
    assert {name: getattr(config.chosen, name) for name in chosen} == chosen
    assert config.leaky_tau_i("single") == 0.7
    assert config.loss() == readout_loss(0.2, 0.5, 0.0, 0.4)


def test_kinds_of_network_are_those_of_the_options():
    inf = np.inf
    assert variants(MnistOptions(spikes="single", leaky=False)) == [Variant("single", inf)]
    assert variants(MnistOptions(rows=True, published=True)) == [
        Variant("multi", 0.8), Variant("multi", inf), Variant("single", 0.8), Variant("single", inf)
    ]  # fmt: skip
    assert variants(MnistOptions(rows=True)) == [
        Variant("multi", 1.6), Variant("multi", inf), Variant("single", 6.4), Variant("single", inf)
    ]  # fmt: skip
    assert variants(MnistOptions(spikes="single")) == [Variant("single", 6.4)]
    assert variants(MnistOptions(spikes="single", tau_i=3.2)) == [Variant("single", 3.2)]
    taus = [variant.tau_i for variant in variants(MnistOptions(sweep="tau"))]
    assert taus == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4] * 2
    folders = {variant.folder for variant in variants(MnistOptions(sweep="tau"))}
    assert len(folders) == 12


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"epochs": 0}, "epochs must lie in .*, got 0"),
        ({"seeds": 0}, "seeds must lie in .*, got 0"),
        ({"shift": -1}, "shift must lie in .*, got -1"),
        ({"hidden": -1}, "hidden must lie in .*, got -1"),
        ({"batch_size": 0}, "batch_size must lie in .*, got 0"),
        ({"n_train": 0}, "n_train must lie in .*, got 0"),
        ({"tau_i": 0.0}, "tau_i must lie in .*, got 0.0"),
        ({"tau_i": np.inf}, "tau_i must lie in .*, got inf"),
        ({"learning_rate": np.nan}, "learning_rate must lie in .*, got nan"),
        ({"weight_decay": -0.1}, "weight_decay must lie in .*, got -0.1"),
        ({"smoothing": 1.0}, r"smoothing must lie in \[0, 1\), got 1.0"),
        ({"jitter": -0.1}, "jitter must lie in .*, got -0.1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"init_std": np.inf}, "init_std must lie in .*, got inf"),
        ({"init_mean": np.nan}, "init_mean must lie in .*, got nan"),
        ({"dead_penalty": -1.0}, "dead_penalty must lie in .*, got -1.0"),
        ({"dead_fraction": 2.0}, r"dead_fraction must lie in \(0, 1\], got 2.0"),
        ({"norm_penalty": np.inf}, "norm_penalty must lie in .*, got inf"),
        ({"spikes": "many"}, "spikes must be one of multi, single, got 'many'"),
        ({"schedule": "steps"}, "schedule must be one of constant, cosine, got 'steps'"),
        ({"sweep": "beta"}, "sweep must be one of nothing, tau, got 'beta'"),
        ({"rows": True, "sweep": "tau"}, "rows and sweep must not both be given"),
        ({"rows": True, "spikes": "single"}, "spikes and leaky must not be given with rows"),
        ({"sweep": "tau", "leaky": False}, "spikes and leaky must not be given with rows or sweep"),
        ({"sweep": "tau", "tau_i": 1.0}, "tau_i must not be given with sweep or no-leaky, got 1.0"),
        ({"leaky": False, "tau_i": 1.0}, "tau_i must not be given with sweep or no-leaky, got 1.0"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        MnistOptions(**options)


def test_more_images_than_there_are_is_refused(capsys, noise, tmp_path):
    arguments = ["--data-dir", noise, "--n-train", "13", "--folder", str(tmp_path / "run")]
    assert main(["run", "mnist", *arguments]) == 2
    assert "n_train must be <= 12, the number of images, got 13" in capsys.readouterr().err


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_tiny_run_gives_a_report(noise, tmp_path, name):
    report = SCENARIOS[name].run(tiny(noise, seeds=2), tmp_path, SILENT)
    assert all(row.what and row.published and row.ours for row in report.rows)
    assert {f"{figure}.png" for figure in report.figures} == PICTURES
    assert len(report.numbers["networks"]["multi-spike, tau_I = 1.6"]["test_accuracy"]) == 2
    assert (tmp_path / "multi-tau-1.6" / "seed-1" / "metrics.jsonl").exists()


def test_the_four_rows_stand_beside_the_published_ones(noise, tmp_path):
    report = mnist.run(tiny(noise, rows=True), tmp_path, SILENT)
    published = {row.what: row.published for row in report.rows}
    for kind, accuracy in {
        "multi-spike, tau_I = 1.6": "98.43 ± 0.05 %",
        "multi-spike, non-leaky": "98.23 ± 0.07 %",
        "single-spike, tau_I = 6.4": "97.99 ± 0.06 %",
        "single-spike, non-leaky": "97.96 ± 0.08 %",
    }.items():
        assert published[f"{kind}: test accuracy"] == accuracy


def test_a_sweep_draws_accuracy_and_spikes_against_the_time_constant(noise, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist_study, "TAUS", (0.8, 6.4))
    report = mnist.run(tiny(noise, sweep="tau", n_train=6), tmp_path, SILENT)
    assert {f"{figure}.png" for figure in report.figures} == {*PICTURES, "tau.png"}
    accuracies = [row.published for row in report.rows if "accuracy" in row.what]
    assert accuracies == ["98.43 ± 0.05 %", "–", "–", "–"]


def test_nothing_is_published_for_clothes(noise, tmp_path):
    report = fashion_mnist.run(tiny(noise, rows=True), tmp_path, SILENT)
    assert {row.published for row in report.rows} == {"–"}


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_command_leaves_its_files_and_resumes(capsys, noise, tmp_path, name):
    folder = tmp_path / "run"
    options = ["--data-dir", noise, "--hidden", "20", "--epochs", "2", "--no-leaky"]
    assert main(["run", name, *options, "--folder", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "multi-spike, non-leaky" in text
    assert {path.name for path in folder.iterdir()} >= PICTURES
    assert json.loads((folder / "results.json").read_text())["networks"]
    before = load_arrays(folder / "weights.npz")
    assert main(["resume", str(folder)]) == 0
    assert_same_arrays(load_arrays(folder / "weights.npz"), before)
