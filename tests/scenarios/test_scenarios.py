"""Each scenario, from the command line to its pictures, on a small scale."""

import json
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest

import eventsim as es
from scenarios.iris import run as iris
from scenarios.iris.config import IrisOptions
from scenarios.networks.first_spike import accuracy
from scenarios.running.checkpoint import load_arrays
from scenarios.running.command.cli import main
from scenarios.running.command.runs import new_run
from scenarios.running.console.progress import SILENT
from scenarios.running.registry import SCENARIOS
from scenarios.running.report import write
from scenarios.running.training import fit
from scenarios.xor import config as xor_config
from scenarios.xor import run as xor
from scenarios.xor.config import XorOptions
from scenarios.yin_yang import figures
from scenarios.yin_yang import run as yin_yang
from scenarios.yin_yang.config import TAU_SYN, YinYangOptions
from tests.helpers.resuming import assert_same_arrays

SMALL = {
    "xor": ["--runs", "3"],
    "iris": ["--splits", "2", "--epochs", "2"],
    "yin_yang": ["--epochs", "2", "--hidden", "12", "--n-train", "90", "--batch-size", "30"],
}
PICTURES = {
    "xor": {"potentials.png", "steps.png"},
    "iris": {"first_spikes.png", "training.png"},
    "yin_yang": {"decision_regions.png", "training.png"},
}
ALWAYS = {"config.json", "results.json", "report.html", "weights.npz", "network.npz"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_scenario_starts_from_a_seed_below_zero(name):
    with pytest.raises(ValueError, match=r"seed must lie in .*, got -1"):
        SCENARIOS[name].options()(seed=-1)


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("name", SMALL)
def test_a_small_run_ends_with_a_table_leaves_its_files_and_is_resumed(capsys, tmp_path, name):
    folder = tmp_path / name
    assert main(["run", name, *SMALL[name], "--folder", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "published" in text
    assert "this run" in text
    assert PICTURES[name] | ALWAYS <= {path.name for path in folder.iterdir()}
    for picture in PICTURES[name]:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in (folder / "report.html").read_text()
    assert json.loads((folder / "results.json").read_text())["table"]
    weights = load_arrays(folder / "weights.npz")
    assert all(np.isfinite(weight).all() for weight in weights.values())
    assert main(["resume", str(folder)]) == 0
    assert_same_arrays(load_arrays(folder / "weights.npz"), weights)


def test_the_folder_of_a_run_says_what_was_used(tmp_path):
    config = IrisOptions(epochs=3)
    with new_run(SCENARIOS["iris"], config, tmp_path / "run") as folder:
        content = json.loads((folder / "config.json").read_text())
        assert content["config"] == asdict(config)
        assert content["used"] == asdict(config.chosen)
        assert content["used"]["epochs"] == 3
        assert content["used"]["batch_size"] == config.chosen.batch_size is not None


@pytest.fixture
def tiny(monkeypatch):
    """Scenarios that are small enough to run as plain Python."""
    few = {part: data[:6] for part, data in yin_yang.yin_yang().items()}
    monkeypatch.setattr(yin_yang, "yin_yang", lambda _: few)
    monkeypatch.setattr(figures, "class_planes", partial(figures.class_planes, resolution=3))
    monkeypatch.setattr(xor_config, "SHOWN_STEPS", 2)
    return {
        "xor": XorOptions(runs=2, max_steps=2),
        "iris": IrisOptions(epochs=1, splits=1, batch_size=99),
        "yin_yang": YinYangOptions(epochs=1, hidden=5, seeds=2, batch_size=4),
        "yin_yang, best": YinYangOptions("best", epochs=1, hidden=5, seeds=2, batch_size=4),
    }


@pytest.mark.parametrize("title", [*SMALL, "yin_yang, best"])
def test_a_tiny_run_gives_a_report(tiny, tmp_path, title):
    name = title.split(",")[0]
    report = SCENARIOS[name].module().run(tiny[title], tmp_path, SILENT)
    assert report.rows
    assert all(row.what and row.published and row.ours for row in report.rows)
    assert {f"{figure}.png" for figure in report.figures} <= PICTURES[name]


def test_the_network_of_a_run_has_the_accuracy_in_its_table(tiny, tmp_path):
    report = iris.run(replace(tiny["iris"], epochs=3), tmp_path, SILENT)
    write(report, tmp_path)
    task = iris.build(tiny["iris"], tiny["iris"].seed)
    spikes, labels = task.test
    network = es.Network.load(tmp_path / "network.npz")
    times = es.simulate(network, {"in": spikes}, report.t_stop).first_spikes("out")
    assert accuracy(times, labels) == report.numbers["documented"] > 0.0


@pytest.mark.jit
def test_xor_is_learnt_from_the_first_initialisations(tmp_path):
    report = xor.run(XorOptions(runs=5), tmp_path, SILENT)
    assert report.numbers["failed_seeds"] == []
    assert max(report.numbers["steps"]) <= 98


@pytest.mark.jit
def test_xor_side_by_side_takes_as_many_steps_as_one_by_one():
    config = XorOptions(runs=6)
    task, alone = xor.build(config), []
    for seed in range(6):
        until_right = replace(
            config.settings(seed),
            epochs=config.max_steps + 1,
            stop=lambda history: history[-1].get("accuracy") == 1.0,
        )
        alone.append(fit(task, until_right).epoch - 1)  # right before the last step
    assert xor.steps_to_converge(config) == alone
    assert len(set(alone)) > 1


@pytest.mark.jit
def test_xor_names_the_initialisations_that_did_not_converge(tmp_path):
    report = xor.run(XorOptions(runs=2, max_steps=1), tmp_path, SILENT)
    assert set(report.numbers["failed_seeds"]) <= {0, 1}
    assert report.numbers["failed_seeds"]
    assert any("not converged within 1 steps" in note for note in report.notes)


@pytest.mark.jit
def test_the_published_settings_of_xor_are_those_of_table_1(tmp_path):
    config = XorOptions(published=True, runs=1, max_steps=1)
    notes = " ".join(xor.run(config, tmp_path, SILENT).notes)
    assert "beta2 0.999 (0.999), gamma 0.2 (0.2), tau0 0.1 (0.1)" in notes


@pytest.mark.jit
def test_xor_shows_the_published_constants_beside_its_own(tmp_path):
    report = xor.run(XorOptions(runs=2, max_steps=4), tmp_path, SILENT)
    assert report.numbers["steps_as_printed"] == xor.steps_to_converge(
        XorOptions(runs=2, max_steps=4, **xor_config.TABLE_1)
    )
    assert [row.what for row in report.rows if "Table 1" in row.what]


@pytest.mark.parametrize(("t_bias", "inputs"), [(1.0, 5), (None, 4)])
def test_iris_has_a_source_per_measurement_and_perhaps_a_clock(t_bias, inputs):
    task = iris.build(IrisOptions(t_bias=t_bias), seed=0)
    assert task.initial(np.random.default_rng(0))["in->hidden"].shape == (inputs, 10)
    assert (task.n_train, len(task.test[1])) == (99, 51)


def test_the_published_settings_of_iris_are_those_of_table_2():
    published = IrisOptions(published=True).chosen
    assert (published.t_max, published.t_stop, published.learning_rate) == (16.0, 20.0, 0.05)
    assert (published.gamma, published.tau0, published.tau1) == (0.1, 1.0, 1.0)
    assert (published.spikes, published.schedule, published.bump) == ("multi", "constant", 0.0)
    model = iris.build(published, seed=0).model
    neuron = model.neuron
    assert model.sizes[0] == 4  # no other source than the measurements
    assert (neuron.tau_mem, neuron.tau_syn, neuron.refractory) == (1 / 0.9, 1.0, 0.0)


@pytest.mark.parametrize("name", ["schedule", "spikes"])
def test_iris_refuses_an_unknown_choice(name):
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got 'other'"):
        IrisOptions(**{name: "other"})


@pytest.mark.jit
def test_yin_yang_starts_where_the_publication_starts():
    """A cross-entropy of 1.09 to 1.1, and about as good as guessing (§5.3)."""
    task = yin_yang.build(YinYangOptions())
    task = replace(task, test=(task.test[0][:200], task.test[1][:200]))
    before = task.evaluate(task.initial(np.random.default_rng(0)))
    assert 1.09 <= before["test_cross_entropy"] <= 1.1
    assert 0.2 <= before["test_accuracy"] <= 0.4


@pytest.mark.slow
@pytest.mark.jit
def test_yin_yang_learns():
    config = YinYangOptions(hidden=40, n_train=1500, epochs=15, learning_rate=1e-2)
    task = yin_yang.build(config)
    accuracy = fit(task, config.settings(task.n_train, seed=0)).history[-1]["test_accuracy"]
    assert accuracy > 0.75  # straight lines between the classes reach 0.64


@pytest.mark.slow
@pytest.mark.jit
def test_yin_yang_learns_better_by_the_best_recipe():
    config = YinYangOptions("best", hidden=60, n_train=1500, epochs=15)
    task = yin_yang.build(config)
    accuracy = fit(task, config.settings(task.n_train, seed=0)).history[-1]["test_accuracy"]
    assert accuracy > 0.9


def test_neurons_of_the_best_yin_yang_recipe_fire_once():
    neurons = yin_yang.build(YinYangOptions("best")).model.network({}).neurons
    assert [neurons[name].refractory for name in ("hidden", "out")] == [np.inf, np.inf]


def test_the_yin_yang_inputs_are_as_late_as_asked():
    config = YinYangOptions("best", t_late=4.0, t_bias=0.5)
    times = yin_yang.latencies(np.array([[1.0, 0.0, 0.0, 1.0]]), config.chosen)
    np.testing.assert_array_equal(times, [[4.0, 0.0, 0.0, 4.0, 0.5]])


def test_the_full_yin_yang_run_is_the_published_protocol():
    full = YinYangOptions(full=True).chosen
    assert (full.epochs, full.learning_rate, full.hidden, full.batch_size) == (300, 5e-4, 150, 150)
    assert (full.gamma, full.tau0, full.tau1, full.schedule) == (0.005, 0.2, 1.0, "constant")
    assert (full.spikes, full.tau_mem, TAU_SYN["published"]) == ("multi", 1.0, 1 / 0.999)


@pytest.mark.parametrize("recipe", ["published", "best"])
def test_a_yin_yang_run_is_short_unless_asked_to_be_full(recipe):
    short, full = (YinYangOptions(recipe, full=full).chosen for full in (False, True))
    assert short.epochs < full.epochs
    assert short.hidden == full.hidden
