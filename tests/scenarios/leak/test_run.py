"""The leak study from the options to the table, on images of squares."""

import json
import math
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from scenarios.extras import MissingExtraError
from scenarios.leak import run as leak
from scenarios.leak.claims import Claim, ordered_by_leak
from scenarios.leak.config import PAPER, PAPER_SVHN, LeakOptions
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from scenarios.leak import study as leak_study  # noqa: E402
from tests.helpers.resuming import KilledError  # noqa: E402
from tests.helpers.squares import parts  # noqa: E402

FIGURES = {"accuracy", "input_spectra", "target_spectra", "layers", "training"}
TINY = LeakOptions(
    network="4P-4C3-2P-8FC-10", steps=6, epochs=2, seeds=2, batch_size=12, n_train=24,
    n_test=10, n_noisy=10, severities=(1, 5, 8),
)  # fmt: skip


@pytest.fixture(autouse=True)
def squares(monkeypatch):
    monkeypatch.setattr(leak, "load_colour_images", lambda *_: parts())


@pytest.mark.slow
def test_a_tiny_run_gives_a_report(tmp_path):
    report = leak.run(TINY, tmp_path, SILENT)
    rows = {row.what: (row.published, row.ours) for row in report.rows}
    assert rows["tau_m 30: test accuracy"][0] == "89.65 %"
    assert rows["tau_m 100: synaptic operations per image"][0] == "7.92e+08"
    assert rows["no leak: critical frequency of the target output"][0] == "0.345"
    assert all(what and published and ours for what, (published, ours) in rows.items())
    assert set(report.figures) == FIGURES
    assert sum(" with leak" in what for what in rows) == 13 == len(report.numbers["claims"])
    networks = report.numbers["networks"]
    assert set(networks) == {"30.0", "100.0", "inf"}
    assert len(networks["30.0"]["accuracies"]) == len(networks["30.0"]["spikes"]) == 2
    assert [len(c) for c in networks["inf"]["accuracies"][0].values()] == [4] * 4
    assert json.loads(json.dumps(report.numbers))
    again = leak.run(TINY, tmp_path, SILENT)  # from its files
    assert repr(again.numbers["networks"]) == repr(networks)


def test_nothing_is_called_published_that_was_not(monkeypatch):
    claim = Claim("a quantity", True, {}, 0.01, 0.002, "holds")
    for data, name, published in (
        ("cifar10", "spikes", "holds"),
        ("cifar10", "clean", "holds"),
        ("cifar10", "potential", "–"),
        ("svhn", "robustness, mean of the four", "holds"),
        ("svhn", "noisy", "–"),
        ("mnist", "spikes", "–"),
    ):
        assert leak._claim_row(replace(TINY, data=data), name, claim).published == published
    assert leak._claim_row(TINY, "spikes", claim).ours == "holds (+1 ± 0.2 points)"
    assert leak._claim_row(TINY, "enwsi", claim).ours == "holds (+0.01 ± 0.002)"


def test_what_no_image_has_is_null_in_the_results_and_a_dash_in_the_table():
    assert np.isnan(leak._mean_known([np.nan, np.nan]))
    assert leak._mean_known([np.nan, 0.25, 0.75]) == 0.5
    assert leak._text("clean", [0.3, np.nan]) == "–"
    claim = ordered_by_leak("x", {5.0: [np.nan, 0.1], 9.0: [0.1, 0.2]}, rises=True)
    assert leak._claim_row(TINY, "clean", claim).ours == "not decided (not all networks have one)"


def test_a_run_goes_on_in_the_precision_that_it_began_with(monkeypatch, tmp_path):
    monkeypatch.setattr(leak_study, "best_precision", lambda _: "bfloat16")
    assert leak_study.settled(TINY, tmp_path).precision == "bfloat16"
    monkeypatch.setattr(leak_study, "best_precision", lambda _: "float32")
    assert leak_study.settled(TINY, tmp_path).precision == "bfloat16"
    assert leak_study.settled(replace(TINY, precision="float32"), tmp_path).precision == "float32"


def test_one_leak_makes_no_claims(tmp_path):
    report = leak.run(replace(TINY, tau_m=(30.0,), seeds=1, epochs=1), tmp_path, SILENT)
    assert report.numbers["claims"] == []
    assert set(report.figures) == FIGURES


def test_one_network_of_each_leak_decides_nothing(tmp_path):
    config = replace(TINY, tau_m=(5.0, math.inf), seeds=1, epochs=1)
    claims = leak.run(config, tmp_path, SILENT).numbers["claims"]
    assert {claim["verdict"] for claim in claims} == {"not decided"}
    assert {claim["margin"] for claim in claims} == {None}


@pytest.mark.parametrize("after", [8, 14])
def test_measurements_that_are_killed_go_on_where_they_were(tmp_path, monkeypatch, after):
    config = replace(TINY, tau_m=(30.0,), seeds=1, epochs=1)
    whole = leak.run(config, tmp_path / "whole", SILENT).numbers["networks"]
    done = []

    def dying(function):
        def measured(*arguments):
            if len(done) == after:
                raise KilledError
            done.append(1)
            return function(*arguments)

        return measured

    for name in ("accuracy", "measure"):
        monkeypatch.setattr(leak_study, name, dying(getattr(leak_study, name)))
    with pytest.raises(KilledError):
        leak.run(config, tmp_path / "pieces", SILENT)
    done[:] = [1] * (2 * after - 15)  # so it dies once more if a measure is taken again
    pieces = leak.run(config, tmp_path / "pieces", SILENT).numbers["networks"]
    assert repr(pieces) == repr(whole)


@pytest.mark.slow
def test_the_command_leaves_its_files_and_resumes(capsys, tmp_path):
    folder = tmp_path / "run"
    options = [
        *("--network", "4P-4C3-2P-8FC-10", "--steps", "6", "--epochs", "1", "--seeds", "1"),
        *("--n-train", "12", "--n-test", "10", "--n-noisy", "10", "--severities", "5"),
        *("--tau-m", "30", "inf"),
    ]
    assert main(["run", "leak", *options, "--folder", str(folder)]) == 0
    assert "no leak: test accuracy" in capsys.readouterr().out
    assert {f"{name}.png" for name in FIGURES} <= {path.name for path in folder.iterdir()}
    before = json.loads((folder / "results.json").read_text())
    assert main(["resume", str(folder)]) == 0
    after = json.loads((folder / "results.json").read_text())
    assert repr(after["networks"]) == repr(before["networks"])


def test_without_pytorch_the_extra_is_named_and_nothing_is_loaded(monkeypatch, tmp_path):
    def without(extra, modules, purpose):
        raise MissingExtraError(f"{purpose} needs {modules[0]}; install the extra {extra}")

    def loaded(*_):
        raise AssertionError("images must not be loaded")

    monkeypatch.setattr("scenarios.leak.config.require", without)
    monkeypatch.setattr(leak, "load_colour_images", loaded)
    with pytest.raises(MissingExtraError, match=r"scenario leak needs torch; install .* torch"):
        leak.run(TINY, tmp_path, SILENT)


def test_its_page_can_be_read_without_pytorch():
    code = "import sys, scenarios.leak.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_train": 25}, "n_train must be <= 24"),
        ({"n_noisy": 11}, "n_noisy must be <= 10"),
        ({"network": "3P-5FC-10"}, "windows must divide the image"),
        ({"device": "nowhere"}, "device must be one that PyTorch can use"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_training(tmp_path, options, expected):
    with pytest.raises(ValueError, match=expected):
        leak.run(replace(TINY, **options), tmp_path, SILENT)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"data": "imagenet"}, "data must be one of cifar10, svhn, mnist, fashion_mnist, got 'im"),
        ({"size": "huge"}, "size must be one of small, medium, paper, got 'huge'"),
        ({"precision": "int8"}, "precision must be one of auto, float32, bfloat16, got 'int8'"),
        ({"tau_m": (30.0, 0.0)}, r"tau_m must lie in .*, got 0.0"),
        ({"tau_m": (-1.0,)}, "tau_m must lie in .*, got -1.0"),
        ({"tau_m": (math.nan,)}, "tau_m must lie in .*, got nan"),
        ({"tau_m": ()}, r"tau_m must be one or more numbers that differ in six digits, got \(\)"),
        ({"tau_m": (30.0, 30.0)}, "tau_m must be one or more numbers that differ in six digits"),
        ({"severities": (0, 1)}, "severities must lie in .*, got 0"),
        ({"severities": (9,)}, r"severities must lie in .*, got 9"),
        ({"severities": (2, 1)}, "severities must be ascending"),
        ({"severities": (1, 1)}, "severities must be ascending"),
        ({"severities": (1.5,)}, "severities must be a whole number, got 1.5"),
        ({"severities": ()}, "severities must be ascending"),
        ({"steps": 2}, "steps must lie in .*, got 2"),
        ({"epochs": 0}, "epochs must lie in .*, got 0"),
        ({"seeds": 0}, "seeds must lie in .*, got 0"),
        ({"batch_size": 0}, "batch_size must lie in .*, got 0"),
        ({"n_train": 0}, "n_train must lie in .*, got 0"),
        ({"n_noisy": -5}, "n_noisy must lie in .*, got -5"),
        ({"learning_rate": 0.0}, "learning_rate must lie in .*, got 0.0"),
        ({"learning_rate": math.inf}, "learning_rate must lie in .*, got inf"),
        ({"gain": -1.0}, "gain must lie in .*, got -1.0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"shift": 32}, "shift must lie in .*, got 32"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        LeakOptions(**options)


def test_what_is_chosen_goes_before_what_is_preset():
    chosen = {"network": "2P-10", "steps": 7, "epochs": 3, "seeds": 2, "batch_size": 5,
              "learning_rate": 0.5, "dropout": 0.4, "gain": 1.1, "shift": 1, "n_train": 9,
              "n_test": 8, "n_noisy": 6}  # fmt: skip
    for size in ("small", "medium", "paper"):
        config = LeakOptions(size=size, **chosen).chosen
        assert {name: getattr(config, name) for name in chosen} == chosen
    settings = LeakOptions(**chosen).settings(4)
    assert (settings.epochs, settings.batch_size, settings.seed) == (3, 5, 4)


def test_the_paper_size_is_the_published_protocol():
    recipe = LeakOptions(size="paper").chosen
    assert (recipe.network, recipe.steps, recipe.epochs) == (PAPER, 100, 150)
    assert (recipe.seeds, recipe.batch_size, recipe.n_train) == (3, 64, None)
    assert LeakOptions(size="paper", data="svhn").chosen.network == PAPER_SVHN
    assert LeakOptions().chosen.network == "2P-32C3-2P-64C3-2P-256FC-10"
    assert LeakOptions().tau_m == (30.0, 100.0, math.inf)


def test_a_configuration_from_a_file_is_the_one_that_was_written():
    config = LeakOptions(severities=(1, 5), tau_m=(30.0, math.inf))
    content = json.loads(json.dumps({f.name: getattr(config, f.name) for f in fields(LeakOptions)}))
    assert LeakOptions(**content) == config


def test_squared_errors_are_averaged_over_the_last_epochs():
    history = [{"epoch": k, "sse": float(k), "test_sse": 2.0 * k} for k in range(151)]
    assert leak._late(history, "sse") == np.mean(np.arange(131, 151))
    assert leak._late(history[:4], "test_sse") == 6.0
