"""Flowers, from the options to the table and the pictures: on tiny images, and on real ones."""

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")
pytest.importorskip("plotly", reason="the extra plot is not installed")

from scenarios.datasets.flower_images import flower_images, split  # noqa: E402
from scenarios.datasets.labelled_images import LabelledImages  # noqa: E402
from scenarios.flowers import run as flowers  # noqa: E402
from scenarios.flowers.config import FlowersOptions  # noqa: E402
from scenarios.running.checkpoint import load_arrays  # noqa: E402
from scenarios.running.command.cli import main  # noqa: E402
from scenarios.running.console.progress import SILENT  # noqa: E402
from scenarios.running.training import Settings, fit  # noqa: E402
from tests.helpers import flower_files  # noqa: E402
from tests.helpers.resuming import assert_a_killed_run_resumes, assert_same_arrays  # noqa: E402

PICTURES = {
    "training",
    "gradient",
    "firing_rate",
    "network_1_columns",
    "network_1_spikes",
    "network_2_columns",
    "network_2_spikes",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with three images of each class, one of which is for tests."""
    folder = tmp_path_factory.mktemp("data")
    flower_files.write(folder)
    return str(folder)


@pytest.fixture(scope="module")
def parts(folder):
    return split(flower_images(folder))


def tiny(folder, **options):
    return FlowersOptions(**{"epochs": 2, "batch_size": 8, "data_dir": folder, **options})


@pytest.fixture(scope="module")
def report(folder, tmp_path_factory):
    """The report of a tiny run, with its folder."""
    place = tmp_path_factory.mktemp("run")
    return flowers.run(tiny(folder, seeds=2), place, SILENT), place


def test_all_networks_and_controls_are_in_the_table(report):
    rows = {row.what: row for row in report[0].rows}
    assert rows["network 1: accuracy, best epoch"].published == "> 40 %"
    assert rows["network 2: accuracy, best epoch"].published == "≈ 55 %"
    assert rows["network 2: ahead of its control"].published == "> 10 points"
    for network in "12":
        for title in (f"network {network}", f"network {network}, control"):
            for what in ("accuracy, best epoch", "accuracy, last epoch",
                         "arg max right, best epoch"):  # fmt: skip
                assert "±" in rows[f"{title}: {what}"].ours
    assert all(row.published and row.ours for row in report[0].rows)


def test_the_table_has_the_numbers_of_the_histories(report):
    kinds = report[0].numbers["kinds"]
    for title, numbers in kinds.items():
        for k in range(2):
            lines = (report[1] / title.replace(", ", "-").replace(" ", "-") / f"seed-{k}"
                     / "metrics.jsonl").read_text().splitlines()  # fmt: skip
            history = [json.loads(line) for line in lines]
            assert numbers["last"][k] == history[-1]
            highest = max(record["test_accuracy"] for record in history)
            assert numbers["best"][k]["test_accuracy"] == highest
    best = [record["test_accuracy"] for record in kinds["network 1"]["best"]]
    control = [record["test_accuracy"] for record in kinds["network 1, control"]["best"]]
    rows = {row.what: row.ours for row in report[0].rows}
    mean = 100 * np.mean(np.subtract(best, control))
    assert rows["network 1: ahead of its control"].startswith(f"{mean:.1f} ± ")
    assert rows["network 1: accuracy, best epoch"].startswith(f"{100 * np.mean(best):.1f} ± ")


def test_a_run_leaves_its_pictures_and_the_page(report):
    assert set(report[0].figures) == PICTURES
    assert "Plotly.restyle" in (report[1] / "interactive.html").read_text("utf-8")
    assert any("ended by the limit of 2 epochs" in note for note in report[0].notes)


def test_the_control_starts_as_the_network_and_its_units_stay_as_they_are(folder, parts):
    config = tiny(folder)
    for network in "12":
        trained, control = (
            flowers.build(config, parts, network, seed=3, control=silent).model.state_dict()
            for silent in (False, True)
        )
        assert all(torch.equal(trained[name], control[name]) for name in trained)
        state = fit(
            flowers.learner(
                config, flowers.build(config, parts, network, 3, control=True), network
            ),
            Settings(epochs=2, batch_size=8),
        )
        for name, array in state.params.items():
            same = np.array_equal(array, control[name].numpy())
            assert same == name.startswith(("lif", "dense", "head.lstm.bias_hh")), name


def test_other_seeds_give_other_networks(folder, parts):
    one, two = (flowers.build(tiny(folder), parts, "1", seed, control=False) for seed in (0, 1))
    weights = [task.model.head.lstm.weight_ih_l0 for task in (one, two)]
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    ("derivative", "scale", "moved"), [("constant", 1.0, True), ("fast_sigmoid", 2.0, False)]
)
def test_what_differs_from_the_publication_is_said(
    folder, parts, tmp_path, derivative, scale, moved
):
    config = tiny(folder, network="1", control=False, epochs=1, derivative=derivative,
                  shift=int(moved), flip=False)  # fmt: skip
    unit = flowers.build(config, parts, "1", 0, control=False).model.lif
    assert (unit.derivative.kind, unit.derivative.scale) == (derivative, scale)
    notes = flowers.run(config, tmp_path, SILENT).notes
    assert any("moved at random" in note for note in notes) == moved
    assert any("derivative of a spike: fast_sigmoid" in note for note in notes) != moved


def test_units_and_head_learn_at_rates_of_their_own(folder, parts):
    config = tiny(folder, learning_rate=0.25, unit_rate=0.125)
    task = flowers.build(config, parts, "2", 0, control=False)
    one = flowers.learner(config, task, "2")
    groups = one.optimizer.param_groups
    sizes = [sum(p.numel() for p in group["params"] if p.requires_grad) for group in groups]
    counts = task.model.n_parameters()
    assert sizes == [sum(counts.values()) - counts["dense"] - counts["lif"],
                     counts["dense"] + counts["lif"]]  # fmt: skip
    assert [group["lr"] for group in groups] == [0.25, 0.125]
    for _ in range(3):  # 20 images, 8 in a minibatch: one epoch of two
        one.optimizer.step()
        one.scheduler.step()
    assert [group["lr"] for group in groups] == pytest.approx([0.125, 0.0625])


@pytest.mark.parametrize("steps", [1, 4])
def test_a_run_that_is_killed_and_resumed_is_the_run_that_was_not(folder, parts, tmp_path, steps):
    config = tiny(folder, epochs=3, shift=1, flip=True)
    settings = Settings(epochs=3, batch_size=8, seed=1)

    def fresh():
        return flowers.learner(
            config, flowers.build(config, parts, "2", 1, control=False), "2"
        )  # fmt: skip

    assert_a_killed_run_resumes(fresh, settings, tmp_path, steps, method="learn")


def test_training_stops_when_the_test_accuracy_stays_as_it_is(folder, tmp_path):
    config = tiny(folder, network="1", control=False, epochs=40, patience=2, learning_rate=1e-9,
                  unit_rate=1e-9)  # fmt: skip
    report = flowers.run(config, tmp_path, SILENT)
    record = report.numbers["kinds"]["network 1"]["last"][0]
    assert record["epoch"] < 40
    assert not any("ended by the limit" in note for note in report.notes)


@pytest.mark.slow
def test_real_flowers_are_learned():
    if not flower_files.PUBLISHED.is_dir():
        pytest.skip(flower_files.WITHOUT)
    parts = split(flower_images(flower_files.PUBLISHED))
    config = FlowersOptions(epochs=3)
    task = flowers.build(config, parts, "1", 0, control=False)
    state = fit(flowers.learner(config, task, "1"), Settings(epochs=3, batch_size=32))
    history = state.history
    assert history[0]["test_accuracy"] == pytest.approx(0.1, abs=0.02)
    assert history[-1]["test_argmax"] > 0.3
    assert history[-1]["loss"] < history[1]["loss"]


def test_what_is_chosen_goes_before_what_is_preset():
    chosen = {"batch_size": 7, "learning_rate": 0.02, "unit_rate": 0.01, "dropout": 0.5,
              "w_input": 1.25, "w_leak": 0.75, "gain": 2.0, "shift": 3, "flip": False}  # fmt: skip
    for network in "12":
        recipe = FlowersOptions(**chosen).recipe(network)
        assert {name: getattr(recipe, name) for name in chosen} == chosen


def test_the_full_run_is_longer_and_has_five_networks():
    default, full = FlowersOptions(), FlowersOptions(full=True)
    assert (default.chosen.seeds, full.chosen.seeds) == (2, 5)
    assert full.chosen.epochs > default.chosen.epochs
    assert default.networks == ("1", "2")
    assert FlowersOptions(network="2").networks == ("2",)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"network": "3"}, "network must be one of .*, got '3'"),
        ({"derivative": "silent"}, "derivative must be one of .*, got 'silent'"),
        ({"epochs": 0}, "epochs must lie in .*, got 0"),
        ({"seeds": 0}, "seeds must lie in .*, got 0"),
        ({"patience": 0}, "patience must lie in .*, got 0"),
        ({"seed": -1}, "seed must lie in .*, got -1"),
        ({"split_seed": -1}, "split_seed must lie in .*, got -1"),
        ({"batch_size": 0}, "batch_size must lie in .*, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must lie in .*, got 0.0"),
        ({"unit_rate": math.inf}, "unit_rate must lie in .*, got inf"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"w_input": -0.5}, "w_input must lie in .*, got -0.5"),
        ({"w_leak": 1.5}, r"w_leak must lie in \[0, 1\], got 1.5"),
        ({"w_leak": math.nan}, r"w_leak must lie in \[0, 1\], got nan"),
        ({"gain": 0.0}, "gain must lie in .*, got 0.0"),
        ({"shift": -1}, "shift must lie in .*, got -1"),
        ({"test_share": 1.0}, r"test_share must lie in \(0, 1\), got 1.0"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        FlowersOptions(**options)


def test_a_missing_folder_or_device_is_an_error_before_any_work(folder, capsys, tmp_path):
    run = tmp_path / "run"
    for arguments, message in (
        (["--data-dir", str(tmp_path)], "no file"),
        (["--data-dir", folder, "--device", "tpu"], "device must be one that PyTorch can use"),
    ):
        assert main(["run", "flowers", *arguments, "--folder", str(run)]) == 2
        assert message in capsys.readouterr().err
        assert not run.exists()


def test_images_that_the_page_cannot_show_are_refused_before_any_training(tmp_path, monkeypatch):
    def narrow(*_):
        return LabelledImages(np.zeros((40, 6, 1, 3), np.uint8), np.arange(40) % 10)

    monkeypatch.setattr(flowers, "flower_images", narrow)
    monkeypatch.setattr(flowers, "fit_series", None)
    with pytest.raises(ValueError, match="row must be"):
        flowers.run(FlowersOptions(), tmp_path, SILENT)


@pytest.mark.slow
def test_the_command_leaves_its_files_and_resumes(folder, capsys, tmp_path):
    run = tmp_path / "run"
    options = ["--data-dir", folder, "--network", "1", "--seeds", "1", "--epochs", "1"]
    assert main(["run", "flowers", *options, "--folder", str(run)]) == 0
    assert "network 1, control" in capsys.readouterr().out
    drawn = {f"{picture}.png" for picture in PICTURES if not picture.startswith("network_2")}
    assert {path.name for path in run.iterdir()} >= drawn | {"interactive.html"}
    before = load_arrays(run / "weights.npz")
    assert main(["resume", str(run)]) == 0
    assert_same_arrays(load_arrays(run / "weights.npz"), before)
