"""Leak and noise with exact gradients: from the options to the table, and the statistics."""

import json
import math

import numpy as np
import pytest
from scipy import stats

import eventsim as es
from scenarios.leak_exact import run as leak_exact
from scenarios.leak_exact import study as leak_exact_study
from scenarios.leak_exact.config import LeakExactOptions
from scenarios.leak_exact.figures import figure
from scenarios.leak_exact.noise import NOISES
from scenarios.leak_exact.run import rows
from scenarios.leak_exact.study import Kind, Study, effect, study
from scenarios.mnist.study import build
from scenarios.running.checkpoint import load_arrays
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.report import write
from tests.helpers import idx_files
from tests.helpers.resuming import assert_same_arrays

TITLES = ("tau_I = 0.4", "tau_I = 1.6", "no leak")


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with twelve training and five test images, at random."""
    folder = tmp_path_factory.mktemp("data")
    idx_files.write(folder)
    return str(folder)


def tiny(noise, **options):
    """Settings of a run that plain Python can do."""
    small = {"taus": (0.8, math.inf), "hidden": 3, "epochs": 1, "seeds": 2, "data_dir": noise}
    return LeakExactOptions(**{**small, "n_train": 12, "n_test": 4, **options})


def made_up(losses, spikes=(3.0, 2.0, 1.0)):
    """Results in which networks of three time constants lose so much at all severities."""
    clean = np.array([0.9, 0.92])
    kinds = [
        Kind(title, [], clean, np.full(2, rate),
             {name: np.repeat((clean - np.array(loss))[:, None], 8, axis=1) for name in NOISES})
        for title, loss, rate in zip(TITLES, losses, spikes, strict=True)
    ]  # fmt: skip
    effects = {name: effect([kind.lost(name) for kind in kinds]) for name in NOISES}
    return Study(kinds, effects, es.Network(), 1.0, 1.0, {})


def test_a_tiny_run_gives_a_report(noise, tmp_path):
    report = leak_exact.run(tiny(noise), tmp_path, SILENT)
    assert all(row.what and row.published and row.ours for row in report.rows)
    assert set(report.figures) == {"noise", "training"}
    for network in report.numbers["networks"].values():
        assert len(network["accuracy"]) == 2
        assert {name: np.shape(x) for name, x in network["noisy"].items()} == dict.fromkeys(
            NOISES, (2, 8)
        )
    assert (tmp_path / "multi-non-leaky" / "seed-1" / "metrics.jsonl").exists()
    assert_network_has_accuracy_of_table(report, tiny(noise), tmp_path)


def assert_network_has_accuracy_of_table(report, config, folder):
    write(report, folder)
    network = es.Network.load(folder / "network.npz")
    task = build(config.readout(0.8), config.variant(0.8), config.images())
    result = es.simulate(network, {"in": task.test_spikes}, report.t_stop)
    right = result.potential("out").argmax(axis=1) == task.test.labels
    assert np.mean(right) == report.numbers["networks"]["tau_I = 0.8"]["accuracy"][0]


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_with_what_is_missing(noise, tmp_path, monkeypatch):
    config = tiny(noise)
    whole = study(config, tmp_path / "whole", SILENT)
    real, disturbed = leak_exact_study._accuracies, []

    def counting(*arguments):
        disturbed.append(1)
        if len(disturbed) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(leak_exact_study, "_accuracies", counting)
    with pytest.raises(KeyboardInterrupt):
        study(config, tmp_path / "pieces", SILENT)
    pieces = study(config, tmp_path / "pieces", SILENT)
    assert len(disturbed) == 5  # four networks, one of them twice
    for a, b in zip(whole.kinds, pieces.kinds, strict=True):
        for name in NOISES:
            np.testing.assert_array_equal(a.noisy[name], b.noisy[name])
        for one, other in zip(a.states, b.states, strict=True):
            for weight, array in one.params.items():
                np.testing.assert_array_equal(other.params[weight], array)


def test_networks_differ_in_leak_and_meet_no_noise_in_training():
    config = LeakExactOptions()
    for tau in config.chosen.taus:
        recipe = config.readout(tau)
        chosen = recipe.chosen
        assert (chosen.jitter, chosen.dropout, chosen.shift) == (0.0, 0.0, 0)
        assert recipe.leaky == (tau < math.inf)
        assert not recipe.leaky or chosen.tau_i == tau
    assert (
        LeakExactOptions(full=True).chosen.seeds,
        LeakExactOptions(full=True).readout(0.8).hidden,
    ) == (5, 400)
    assert LeakExactOptions(full=True).readout(0.8).n_train is None


@pytest.mark.parametrize(
    ("vary", "first", "last", "title"),
    [
        ("both", (0.8, 0.4), (math.inf, math.inf), "tau_I = 0.8"),
        ("membrane", (1.6, 0.4), (1.6, math.inf), "tau_V = 0.4"),
        ("current", (0.8, 0.8), (math.inf, 0.8), "tau_I = 0.8"),
    ],
)
def test_what_varies_is_current_membrane_or_both(noise, vary, first, last, title):
    config = tiny(noise, vary=vary, taus=None)
    assert config.title(config.chosen.taus[0]) == title
    for tau, expected in ((config.chosen.taus[0], first), (config.chosen.taus[-1], last)):
        model = build(config.readout(tau), config.variant(tau), config.images()).model
        neurons = model.structure.neurons
        for name in ("hidden", "out"):
            assert (neurons[name].tau_syn, neurons[name].tau_mem) == expected


def test_folders_of_constants_that_differ_in_late_digits_differ(noise):
    config = tiny(noise, taus=(0.8, 0.8 + 1e-12))
    assert len({config.variant(tau).folder for tau in config.chosen.taus}) == 2


def test_an_effect_is_students_paired_interval_and_kendalls_rank():
    rng = np.random.default_rng(0)
    losses = [rng.normal(0.1 + 0.02 * k, 0.01 + 0.02 * k, 5) for k in range(3)]
    found = effect(losses)
    paired = stats.ttest_rel(losses[-1], losses[0]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((paired.low, paired.high))
    assert found.low < found.saved < found.high
    rank = stats.kendalltau(np.repeat([3, 2, 1], 5), np.concatenate(losses))
    assert (found.rank, found.p_value) == pytest.approx((rank.statistic, rank.pvalue))


def test_networks_that_all_lose_the_same_have_no_effect():
    found = effect([np.array([0.1, 0.1]), np.array([0.1, 0.1])])
    assert (found.saved, found.low, found.high, found.ordered) == (0.0, 0.0, 0.0, False)
    assert math.isnan(found.rank)


@pytest.mark.parametrize(
    ("losses", "ordered", "saved", "best"),
    [
        ([(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)], "yes", "+20.0", "tau_I = 0.4"),
        ([(0.2, 0.2), (0.1, 0.1), (0.3, 0.3)], "no", "+10.0", "tau_I = 1.6"),
        ([(0.3, 0.3), (0.2, 0.2), (0.1, 0.1)], "no", "-20.0", "no leak"),
    ],
)
def test_the_table_says_whether_the_claim_holds(losses, ordered, saved, best):
    table = {row.what: row.ours for row in rows(made_up(losses))}
    for noise in NOISES.values():
        assert table[f"{noise.title}: loss falls with every step to more leak"] == ordered
        assert table[f"{noise.title}: least is lost at"] == best
        lost = table[f"{noise.title}: lost at no leak minus lost at tau_I = 0.4"]
        assert lost.startswith(saved)
    assert table["spikes per hidden neuron rise with every step to more leak"] == "yes"


def test_the_picture_has_a_panel_for_each_noise_and_a_line_for_each_time_constant():
    drawn = figure(made_up([(0.1, 0.2), (0.2, 0.2), (0.3, 0.3)]))
    assert [ax.get_title() for ax in drawn.axes] == [noise.title for noise in NOISES.values()]
    for ax in drawn.axes:
        assert len(ax.containers) == 3
        assert ax.get_xlabel()
    assert drawn.axes[0].get_ylabel() == "test accuracy (%)"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"taus": (0.8,)}, r"taus must be two or more, ascending, got \(0.8,\)"),
        ({"taus": (0.8, 0.4)}, "taus must be two or more, ascending"),
        ({"taus": (0.0, 0.4)}, "taus must lie in .*, got 0.0"),
        ({"vary": "leak"}, "vary must be one of both, membrane, current, got 'leak'"),
        ({"seeds": 1}, "seeds must lie in .*, got 1"),
        ({"n_test": 0}, "n_test must lie in .*, got 0"),
        ({"n_train": 0}, "n_train must lie in .*, got 0"),
        ({"hidden": 0}, "hidden must lie in .*, got 0"),
        ({"epochs": -1}, "epochs must lie in .*, got -1"),
        ({"spikes": "many"}, "spikes must be one of multi, single, got 'many'"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        LeakExactOptions(**options)


@pytest.mark.parametrize(("option", "n"), [("n_test", 5), ("n_train", 12)])
def test_more_images_than_there_are_is_refused(noise, tmp_path, option, n):
    with pytest.raises(ValueError, match=f"{option} must be <= {n}, the number of images"):
        study(tiny(noise, **{option: n + 1}), tmp_path, SILENT)


@pytest.mark.slow
@pytest.mark.jit
def test_the_command_leaves_its_files_and_resumes(capsys, noise, tmp_path):
    folder = tmp_path / "run"
    options = ["--data-dir", noise, "--taus", "0.8", "inf", "--hidden", "20", "--epochs", "2",
               "--seeds", "2", "--n-train", "12", "--n-test", "5"]  # fmt: skip
    assert main(["run", "leak_exact", *options, "--folder", str(folder)]) == 0
    assert "spike insertion" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} >= {"noise.png", "training.png"}
    before = load_arrays(folder / "weights.npz")
    results = json.loads((folder / "results.json").read_text())["networks"]
    assert main(["resume", str(folder)]) == 0
    assert_same_arrays(load_arrays(folder / "weights.npz"), before)
    assert json.loads((folder / "results.json").read_text())["networks"] == results
