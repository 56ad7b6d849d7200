"""The scenario cuba, from its options to its table and pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.cuba import run as cuba
from scenarios.cuba.beside import SIMULATORS
from scenarios.cuba.config import CubaOptions
from scenarios.cuba.measures import same_until
from scenarios.cuba.network import build, draw, for_others, simulate, spikes_of
from scenarios.extras import MissingExtraError
from scenarios.networks import beside
from scenarios.networks.recording import Recording
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.records import belonging_to

SMALL = CubaOptions(neurons=400, time=400.0)


def test_the_network_is_that_of_the_benchmark():
    drawn = draw(CubaOptions())
    net, initial = build(drawn, delay=0.1)
    assert net.populations == {"E": 3200, "I": 800}
    assert drawn.pre.size == pytest.approx(0.02 * 4000 * 3999, rel=0.01)
    assert len(set(zip(drawn.pre.tolist(), drawn.post.tolist(), strict=True))) == drawn.pre.size
    assert sum(p.values.size for p in net.projections.values()) == drawn.pre.size
    for pre, weight, receptor in (("E", 1.62, "exc"), ("I", -9.0, "inh")):
        for post in ("E", "I"):
            projection = net.projections[pre, post]
            np.testing.assert_allclose(projection.values * 20.0, weight, rtol=1e-15)
            assert net.neurons[post].receptors[projection.receptor] == receptor
    potential = np.concatenate([initial[name].potential for name in ("E", "I")])
    assert -60.0 <= potential.min() < -59.9 < -50.1 < potential.max() < -50.0


def test_each_synapse_is_as_likely_as_any_other():
    n, runs = 400, 40
    count = np.zeros((n, n))
    for seed in range(runs):
        drawn = draw(CubaOptions(neurons=n, seed=seed))
        count[drawn.pre, drawn.post] += 1.0
    apart, own = count[~np.eye(n, dtype=bool)], np.diag(count)
    probability = 80.0 / (n - 1)
    assert not own.any()
    assert apart.mean() / runs == pytest.approx(probability, rel=0.01)
    assert apart.var() == pytest.approx(runs * probability * (1.0 - probability), rel=0.02)
    for sums in (count.sum(axis=0), count.sum(axis=1)):
        assert sums.std() == pytest.approx(np.sqrt(runs * 80.0 * (1.0 - probability)), rel=0.2)


@pytest.mark.jit
def test_both_engines_find_the_same_spikes():
    drawn = draw(SMALL)
    windows, scheduler = (
        Recording.of(spikes_of(*simulate(drawn, config, 200.0), drawn), 400, 200.0)
        for config in (replace(SMALL, engine=engine) for engine in ("windows", "scheduler"))
    )
    assert windows.times.size > 300
    assert same_until(windows, scheduler, 1e-9) == 200.0


@pytest.mark.jit
def test_a_small_run_gives_a_report_and_is_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(cuba, "SHOWN", 50.0)
    with belonging_to({"scenario": "cuba", "config": {"seed": 0}}):
        report = cuba.run(SMALL, tmp_path, SILENT)
        before = (tmp_path / "eventsim.npz").read_bytes()
        again = cuba.run(SMALL, tmp_path, SILENT)
    assert (tmp_path / "eventsim.npz").read_bytes() == before
    assert again.numbers == report.numbers
    assert [row.ours for row in again.rows] == [row.ours for row in report.rows]
    assert all(row.what and row.published and row.ours for row in report.rows)
    assert set(report.figures) == {"activity", "statistics"}
    for figure in report.figures.values():
        figure.savefig(tmp_path / "picture.png", dpi=40)
    json.dumps(report.numbers, allow_nan=False)


@pytest.mark.slow
@pytest.mark.jit
def test_excitation_and_inhibition_are_in_balance():
    """All fire, irregularly, with rates of some Hz, and those of both populations alike."""
    drawn = draw(CubaOptions())
    found = Recording.of(spikes_of(*simulate(drawn, CubaOptions(), 2000.0), drawn), 4000, 2000.0)
    late = found.after(200.0)
    rates = {name: late.rates[part].mean() for name, part in drawn.parts.items()}
    assert 3.0 < rates["E"] < 15.0
    assert rates["I"] == pytest.approx(rates["E"], rel=0.2)
    assert 0.5 < late.cvs.mean() < 1.5


trains = st.lists(st.lists(st.integers(0, 50), unique=True, max_size=6), min_size=2, max_size=2)


@given(trains, trains)
def test_trains_agree_until_the_first_spike_that_the_other_lacks(one, other):
    recordings = [
        Recording.of(
            {
                "times": np.array([t for train in both for t in train], dtype=float),
                "indices": np.repeat([0, 1], [len(train) for train in both]),
                "seconds": np.asarray(0.0),
            },
            2,
            99.0,
        )
        for both in (one, other)
    ]
    lacking = [set(a) ^ set(b) for a, b in zip(one, other, strict=True)]
    expected = min((min(times) for times in lacking if times), default=99.0)
    assert same_until(*recordings, 0.5) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"neurons": 4001}, "neurons must be a multiple of 5, got 4001"),
        ({"neurons": 100}, "neurons must lie in .*, got 100"),
        ({"time": 300.0}, "time must lie in .*, got 300.0"),
        ({"delay": 0.0, "engine": "windows"}, "delay must be > 0 with engine windows, got 0.0"),
        ({"delay": -1.0}, "delay must lie in .*, got -1.0"),
        ({"engine": "layered"}, "engine must be one of auto, scheduler, windows, got 'layered'"),
        ({"beside": ("neuron",)}, "beside must be one of nest, nest-grid, brian2, got 'neuron'"),
        ({"beside": ("nest", "nest")}, "beside must name each simulator once, got"),
        ({"beside": ("brian2",), "delay": 0.15}, "delay must be a multiple of 0.1 ms, .* got 0.15"),
        ({"beside": ("nest",), "delay": 0.0, "engine": "scheduler"}, "delay must be .*, got 0.0"),
        ({"beside": ("nest",), "time": 500.05}, "time must be a multiple of 0.1 ms, .* got 500.05"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        CubaOptions(**options)


def test_multiples_of_the_grid_are_taken_whatever_their_rounding():
    for k in range(1, 200):
        CubaOptions(beside=("nest",), delay=k * 0.1)


def test_a_simulator_that_is_not_there_is_named_before_any_work(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(beside, "find_spec", lambda _: None)
    for name, simulator in SIMULATORS.items():
        monkeypatch.delenv(simulator.variable, raising=False)
        with pytest.raises(MissingExtraError, match=f"got no interpreter.*{simulator.variable}"):
            CubaOptions(beside=(name,)).require()
    folder = tmp_path / "run"
    assert main(["run", "cuba", "--beside", "nest", "--folder", str(folder)]) == 1
    assert "make peers" in capsys.readouterr().err
    assert not folder.exists()


def test_others_are_told_all_that_ours_is_told():
    drawn = draw(SMALL)
    told, (net, initial) = for_others(drawn, SMALL), build(drawn, SMALL.delay)
    lif = net.neurons["E"]
    assert (told["tau_mem"], told["rest"], told["reset"]) == (lif.tau_mem, lif.rest, lif.reset)
    assert (told["threshold"], told["refractory"]) == (lif.threshold, lif.refractory)
    assert dict(lif.tau_syn) == {"exc": told["tau_exc"], "inh": told["tau_inh"]}
    assert {p.delays for p in net.projections.values()} == {float(told["delay"])}
    values = np.concatenate([net.projections["E", post].values for post in ("E", "I")])
    ours = np.concatenate([initial[name].potential for name in ("E", "I")])
    np.testing.assert_array_equal(told["potential"], ours)
    assert values.sum() * 20.0 == pytest.approx(told["weight"][told["pre"]].clip(min=0.0).sum())
