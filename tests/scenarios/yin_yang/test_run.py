"""The options and the report of Yin-Yang with learnt delays."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.yin_yang import figures
from scenarios.yin_yang import run as yin_yang
from scenarios.yin_yang.config import YinYangOptions

TINY = {"epochs": 1, "hidden": 5, "seeds": 2, "batch_size": 4}


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    few = {part: data[:6] for part, data in yin_yang.yin_yang().items()}
    monkeypatch.setattr(yin_yang, "yin_yang", lambda _: few)
    monkeypatch.setattr(figures, "class_planes", partial(figures.class_planes, resolution=3))


def test_a_tiny_run_with_learnt_delays_shows_them(tmp_path):
    config = YinYangOptions("small", learn="delays", **TINY)
    report = yin_yang.run(config, tmp_path, SILENT)
    assert set(report.figures) == {"decision_regions", "training", "delays"}
    assert report.title.endswith("by weights and delays")
    assert report.rows[0].published == "98.2 % (DelGrad, delays learnt, one network)"
    assert len(report.numbers["test_accuracy"]) == 2
    counts = report.numbers["neurobench"]["synaptic_operations"]
    assert counts["Effective_ACs"] > counts["Effective_MACs"] == 0.0
    assert counts["Dense"] == 5 * 5 + 5 * 3
    assert [row.what for row in report.rows][-3:] == [
        "accumulates per sample, of Dense", "activation sparsity", "footprint",
    ]  # fmt: skip
    assert any(note.startswith("each seed: ") for note in report.notes)


def test_delays_that_are_all_0_can_be_drawn():
    nothing = {"in->hidden": np.zeros((2, 3))}
    assert figures.delay_histograms(nothing, nothing).axes[0].get_title() == (
        "in to hidden: 6 of 6 ended at 0"
    )


def test_a_run_of_thirty_hidden_neurons_has_settings_of_its_own_with_delays():
    plain, delayed = (YinYangOptions("small", learn=x).chosen for x in ("weights", "delays"))
    assert plain.hidden == delayed.hidden == 30
    assert (plain.t_stop, plain.learning_rate, plain.clip_norm) == (2.0, 0.02, 1.0)
    assert (delayed.t_stop, delayed.learning_rate, delayed.clip_norm) == (3.0, 0.01, 0.3)


@pytest.mark.parametrize("recipe", ["published", "best"])
def test_delays_of_other_recipes_are_learnt_with_their_settings(recipe):
    plain, delayed = (YinYangOptions(recipe, learn=x).chosen for x in ("weights", "delays"))
    assert delayed.delay == 0.5
    assert replace(delayed, learn="weights", delay=None) == plain


def test_learnt_delays_are_not_compared_with_surrogate_gradients(capsys):
    arguments = ["run", "yin_yang", "--learn", "delays", "--compare", "surrogate"]
    assert main(arguments) == 2
    assert "learn must be 'weights' with --compare surrogate, got 'delays'" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learn", "nothing"], "--learn must be one of weights, delays, got 'nothing'"),
        (["--delay", "0.3"], "delay must be None without --learn delays, got 0.3"),
        (["--delay", "-1"], "--delay must lie in [0, 1e+06], got -1.0"),
        (["--clip-norm", "0"], "--clip-norm must lie in [1e-06, 1e+06], got 0.0"),
    ],
)
def test_what_cannot_be_learnt_is_refused(capsys, words, message):
    assert main(["run", "yin_yang", *words]) == 2
    assert message in capsys.readouterr().err
