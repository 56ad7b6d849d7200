"""The scenario adaptation, from its options to its table and picture."""

import json

import numpy as np
import pytest

import eventsim as es
from scenarios.adaptation import figures
from scenarios.adaptation import run as adaptation
from scenarios.adaptation.config import AdaptationOptions
from scenarios.adaptation.fit import fit, problem
from scenarios.adaptation.network import CELLS, cells, poisson
from scenarios.running.console.progress import SILENT
from scenarios.running.report import write

pytestmark = pytest.mark.jit

SMALL = AdaptationOptions(starts=3, duration=200.0)


def test_adaptation_makes_intervals_longer():
    whole = problem(AdaptationOptions())
    without, with_it = (
        np.diff(whole.run(100.0, strength).spikes[CELLS].times) for strength in (0.0, 0.3)
    )
    assert with_it[0] < 0.6 * with_it[5:].mean()
    assert without[0] > 0.8 * without[5:].mean()


def test_the_jacobian_is_that_of_central_differences():
    whole = problem(AdaptationOptions())
    at, step = np.log([80.0, 0.25]), 1e-6
    exact = whole.jacobian(at)
    numeric = [
        (whole.residuals(at + move) - whole.residuals(at - move)) / (2.0 * step)
        for move in step * np.eye(2)
    ]
    assert exact.shape == (whole.target.size, 2)
    np.testing.assert_allclose(exact, np.transpose(numeric), rtol=1e-5, atol=1e-6)


def test_many_neurons_at_once_are_as_far_from_the_target_as_one_by_one():
    whole = problem(SMALL)
    tau, strength = np.array([50.0, 100.0, 300.0]), np.array([0.1, 0.3, 2.0])
    alone = [
        np.sqrt(np.mean(whole.residuals(np.log(values)) ** 2))
        for values in zip(tau, strength, strict=True)
    ]
    np.testing.assert_allclose(whole.distances(tau, strength), alone, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("values", [(100.0, 0.3), (30.0, 0.8), (250.0, 0.12)])
def test_known_values_are_found_to_a_millionth(values):
    config = AdaptationOptions(tau=values[0], strength=values[1], factor=2.0)
    for seed in range(2):
        found = fit(config, seed)
        np.testing.assert_allclose(found["path"][-1], values, rtol=1e-6)
        assert found["distances"][0] > 0.1
        assert found["distances"][-1] < 1e-6


def test_a_small_run_gives_a_report_and_is_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "RESOLUTION", 5)
    report = adaptation.run(SMALL, tmp_path, SILENT)
    before = (tmp_path / "fits.jsonl").read_bytes()
    assert adaptation.run(SMALL, tmp_path, SILENT).numbers == report.numbers
    assert (tmp_path / "fits.jsonl").read_bytes() == before
    assert all(row.what and row.published and row.ours for row in report.rows)
    report.figures["adaptation"].savefig(tmp_path / "picture.png", dpi=40)
    json.dumps(report.numbers, allow_nan=False)
    assert set(report.weights) == {"tau", "strength"}
    write(report, tmp_path)
    network, whole = es.Network.load(tmp_path / "network.npz"), problem(SMALL)
    result = es.simulate(network, {"in": whole.inputs}, report.t_stop, engine="scheduler")
    np.testing.assert_allclose(result.spikes["cells"].times, whole.target, atol=1e-6)


def test_a_target_without_intervals_is_refused():
    config = AdaptationOptions(duration=50.0, inputs=1, seed=0, strength=10.0, tau=1000.0)
    with pytest.raises(ValueError, match=r"duration must be longer: the target has \d spikes"):
        problem(config)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tau": 0.0}, "tau must lie in .*, got 0.0"),
        ({"strength": -0.1}, "strength must lie in .*, got -0.1"),
        ({"factor": 1.0}, "factor must lie in .*, got 1.0"),
        ({"starts": 0}, "starts must lie in .*, got 0"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        AdaptationOptions(**options)


def test_input_trains_have_their_rate_and_the_synapse_is_one_of_each_onto_itself():
    spikes = poisson(10, 5000.0, np.random.default_rng(0))
    assert spikes.times.size / 10 / 5000.0 == pytest.approx(0.2, rel=0.03)
    net = cells([50.0, 100.0], [0.2, 0.4], 10)
    own = net.projections[CELLS, CELLS]
    np.testing.assert_array_equal(own.weights.toarray(), [[-0.2, 0.0], [0.0, -0.4]])
    assert own.delays == 0.0
