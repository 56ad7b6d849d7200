"""The scenario coherence, from its options to its table and picture."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.coherence import config as coherence_config
from scenarios.coherence import run as coherence
from scenarios.coherence import study as coherence_study
from scenarios.coherence.config import CoherenceOptions
from scenarios.coherence.estimate import Estimate
from scenarios.coherence.figures import figure
from scenarios.coherence.study import Comparison, compare, limit, study
from scenarios.coherence.theory import Neuron, Spectra, firing_rate, spectra
from scenarios.running.checkpoint import load_arrays
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.records import belonging_to


@pytest.fixture
def tiny(monkeypatch):
    """Settings that plain Python can do."""
    monkeypatch.setattr(coherence_config, "BINS", 128)
    monkeypatch.setattr(coherence_config, "PER_INTERVAL", 20)
    monkeypatch.setattr(coherence_config, "N_LINE", 5)
    monkeypatch.setattr(coherence_study, "STEPS", (1, 2, 4))
    monkeypatch.setattr(coherence_study, "FINEST", 1)
    return CoherenceOptions(
        taus=(30.0, np.inf), jumps=(0.3, 0.25, 0.2), segments=10, shot_segments=10
    )


def test_a_tiny_run_gives_a_report(tiny, tmp_path):
    report = coherence.run(tiny, tmp_path, SILENT)
    assert all(row.what and row.published and row.ours for row in report.rows)
    what = [row.what for row in report.rows]
    assert len(set(what)) == len(what)
    assert sum("shot noise, jumps" in one for one in what) == 6
    assert set(report.figures) == {"coherence"}
    assert set(report.numbers["neurons"]) == {"tau_m = 30", "no leak"}
    json.dumps(report.numbers, allow_nan=False)


def test_the_picture_names_its_axes(tiny, tmp_path):
    drawn = figure(study(tiny, tmp_path, SILENT))
    drawn.savefig(tmp_path / "picture.png", dpi=40)
    assert all(ax.get_xlabel() and ax.get_ylabel() and ax.get_title() for ax in drawn.axes)


def test_a_run_that_is_stopped_goes_on_with_what_is_missing(tiny, tmp_path, monkeypatch):
    whole = study(tiny, tmp_path / "whole", SILENT)
    real, begun = coherence_study.estimate, []

    def counting(*arguments):
        begun.append(1)
        if len(begun) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(coherence_study, "estimate", counting)
    with pytest.raises(KeyboardInterrupt):
        study(tiny, tmp_path / "pieces", SILENT)
    pieces = study(tiny, tmp_path / "pieces", SILENT)
    assert len(begun) == 1 + len(list((tmp_path / "whole").iterdir()))  # none but one twice
    for a, b in zip(whole.responses, pieces.responses, strict=True):
        np.testing.assert_array_equal(a.white.found.coherence, b.white.found.coherence)
        assert a.white.found.rate == b.white.found.rate
    for scheme, found in whole.convergence.deviations.items():
        plain = [np.load(tmp_path / "whole" / f"{scheme}-{n}.npz")["coherence"] for n in (1, 2, 4)]
        theory = whole.responses[0].white.theory.coherence
        expected = [np.sqrt(np.mean((one - theory) ** 2)) for one in plain]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    for scheme, rates in whole.convergence.rates.items():
        np.testing.assert_array_equal(rates, pieces.convergence.rates[scheme])


def test_a_damaged_file_costs_its_simulation_and_those_of_another_run_are_refused(tiny, tmp_path):
    run = {"scenario": "coherence", "config": {"seed": 0}}
    with belonging_to(run):
        whole = study(tiny, tmp_path, SILENT)
        path = tmp_path / "neuron-0-white.npz"
        before = path.read_bytes()
        path.write_bytes(before[:-20])
        with pytest.warns(RuntimeWarning, match=r"neuron-0-white\.npz .*; this is simulated again"):
            again = study(tiny, tmp_path, SILENT)
    assert path.read_bytes() == before
    assert again.responses[0].white.found.rate == whole.responses[0].white.found.rate
    other = {**run, "config": {"seed": 1}}
    with (
        belonging_to(other),
        pytest.raises(ValueError, match=r"made with seed = 0, but .* seed = 1"),
    ):
        study(tiny, tmp_path, SILENT)


def of_theory(neuron, n, factor=1.0):
    """An estimate that is the theory, but for a factor."""
    f = np.geomspace(0.001, 0.1, 12)
    theory = spectra(neuron, f)
    return Estimate(
        f, factor * theory.gain, theory.power, factor**2 * theory.coherence, n,
        firing_rate(neuron), 1e-4,
    )  # fmt: skip


def test_a_comparison_tells_right_from_wrong():
    neuron = Neuron(30.0, 1 / 30, 1 / 300)
    right, wrong = (compare(neuron, of_theory(neuron, 400, x)) for x in (1.0, 0.8))
    assert right.inside == 12
    assert wrong.inside < 6
    assert right.gain_ratio()[0] == pytest.approx(1.0)
    assert wrong.gain_ratio()[0] == pytest.approx(0.8)
    assert right.power_ratio() == pytest.approx((1.0, 1 / np.sqrt(12 * 400)))
    assert wrong.root_mean_square > right.root_mean_square == 0.0


def test_the_deviation_of_an_estimator_without_bias_is_that_of_chance():
    """The estimates are those of noisy sine and cosine, whose coherence is known."""
    rng, n, known = np.random.default_rng(1), 200, 0.6
    z, noise = rng.normal(size=(2, 400, n, 2)) @ [1.0, 1.0j]
    x, y = z, np.sqrt(known) * z + np.sqrt(1.0 - known) * noise
    cross = np.abs(np.sum(x * y.conj(), axis=1)) ** 2
    found = cross / np.sum(np.abs(x) ** 2, axis=1) / np.sum(np.abs(y) ** 2, axis=1)
    flat = np.full(400, known)
    theory = Spectra(flat, flat, flat)
    estimate = Estimate(flat, flat, flat, found, n, 1.0, 0.1)
    one = Comparison(estimate, theory, 0, 1.0)
    assert one.chance == pytest.approx(np.sqrt(2 * known * (1 - known) ** 2 / n))
    assert one.root_mean_square == pytest.approx(one.chance, rel=0.1)


def test_intervals_and_probabilities_say_the_same():
    neuron = Neuron(30.0, 1 / 30, 1 / 300)
    right, wrong = (compare(neuron, of_theory(neuron, 400, x)) for x in (1.0, 0.8))
    for one in (right, wrong):
        low, high = one.interval
        held = (low <= one.theory.coherence) & (one.theory.coherence <= high)
        assert one.inside == held.sum()


@given(st.floats(0.1, 2.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_a_limit_is_exact_where_the_expansion_is(at_zero, root, linear):
    steps = np.array([0.01, 0.02, 0.04, 0.09])
    rates = at_zero + root * np.sqrt(steps) + linear * steps
    value, error = limit(steps, rates, np.full(4, 0.01), powers=(0.5, 1.0))
    assert value == pytest.approx(at_zero, abs=1e-9)
    assert error > 0.01


def test_the_error_of_a_limit_is_its_deviation():
    rng, steps, errors = np.random.default_rng(0), np.array([1.0, 2.0, 4.0]), [0.1, 0.2, 0.1]
    found = [limit(steps, rng.normal(3.0 + steps, errors), errors, (1.0,)) for _ in range(2000)]
    values, expected = np.array(found).T
    assert values.std() == pytest.approx(expected[0], rel=0.06)
    assert values.mean() == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"taus": ()}, r"taus must be one or more, ascending, got \(\)"),
        ({"taus": (100.0, 30.0)}, "taus must be one or more, ascending, got"),
        ({"taus": (0.0, 30.0)}, "taus must lie in .*, got 0.0"),
        ({"current": 0.0}, "current must lie in .*, got 0.0"),
        ({"noise": -1.0}, "noise must lie in .*, got -1.0"),
        ({"noise": 1e-6, "taus": (10.0,)}, "current and noise must make the neuron fire"),
        ({"jumps": (0.1, 0.2)}, r"jumps must descend, got \(0.1, 0.2\)"),
        ({"jumps": (1.0,)}, r"jumps must lie in .*, got 1.0"),
        ({"segments": 9}, "segments must lie in .*, got 9"),
        ({"shot_segments": 0}, "shot_segments must lie in .*, got 0"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        CoherenceOptions(**options)


def test_options_from_a_file_are_those_that_were_written():
    config = CoherenceOptions()
    read = json.loads(json.dumps({"taus": config.taus, "jumps": config.jumps}))
    assert CoherenceOptions(**read) == config


@pytest.mark.slow
@pytest.mark.jit
def test_the_command_leaves_its_files_and_resumes(capsys, tmp_path):
    folder = tmp_path / "run"
    options = ["--taus", "30", "inf", "--jumps", "0.2", "--segments", "20", "--shot-segments", "10"]
    assert main(["run", "coherence", *options, "--folder", str(folder)]) == 0
    assert "no leak" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} >= {"coherence.png", "results.json"}
    before = json.loads((folder / "results.json").read_text())["neurons"]
    assert main(["resume", str(folder)]) == 0
    assert json.loads((folder / "results.json").read_text())["neurons"] == before
    assert load_arrays(folder / "neuron-0-white.npz")["n_segments"] == 20
