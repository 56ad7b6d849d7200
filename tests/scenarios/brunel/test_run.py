"""The scenario brunel, from its options to its table and pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scenarios.brunel import figures
from scenarios.brunel import run as brunel
from scenarios.brunel.config import SIMULATORS, BrunelOptions
from scenarios.brunel.network import REGIMES, Brunel
from scenarios.extras import MissingExtraError
from scenarios.networks import beside
from scenarios.running.command.cli import main
from scenarios.running.console.progress import SILENT
from scenarios.running.records import belonging_to

SMALL = BrunelOptions(scale=0.02, duration=50.0, threads=1)
FEW = ("--scale", "0.02", "--duration", "50", "--regimes", "SI-fast", "AI", "--threads", "1")


@pytest.mark.parametrize("name", REGIMES)
def test_the_network_is_that_of_the_publication(name):
    network = Brunel(REGIMES[name])
    assert network.sizes == {"E": 10_000, "I": 2500}
    assert network.in_degrees == {"E": 1000, "I": 250}
    assert network.weights == {"E": 0.1, "I": pytest.approx(-0.1 * REGIMES[name].g)}
    assert network.bias == 0.0
    # Each of 1000 external synapses fires at drive * theta / (J C_E tau).
    assert network.drive == pytest.approx(1000 * REGIMES[name].drive * 20.0 / (0.1 * 1000 * 20.0))


@pytest.mark.jit
@pytest.mark.parametrize("model", ["delta", "exp"])
def test_each_neuron_has_its_share_of_synapses_from_different_others(model):
    network = Brunel(REGIMES["AI"], 0.02, model)
    net = network.build()
    for pre in "EI":
        for post in "EI":
            weights = net.projections[pre, post].weights
            places = weights.copy()
            places.data = np.ones_like(places.data)
            places = places.toarray()
            assert set(places.sum(axis=0)) == {network.in_degrees[pre]}
            assert places.max() == 1.0
            assert pre != post or not places.diagonal().any()
            assert set(weights.data) == {network.weights[pre]}
            assert net.projections[pre, post].delays == 1.5
    assert net.neurons["E"].reset == 10.0
    assert set(net.generators) == {"to E", "to I"}


@pytest.mark.parametrize("name", REGIMES)
@pytest.mark.parametrize("scale", [0.02, 0.2, 0.4, 1.0])
def test_smaller_networks_have_the_mean_and_the_variance_of_the_full_one(name, scale):
    regime = REGIMES[name]

    def moments(network):
        """Mean (mV / ms) and variance (mV² / ms) of the input at the full network's rate."""
        rate = regime.rate / 1000.0
        sources = [(network.in_degrees[p] * rate, network.weights[p]) for p in "EI"]
        sources.append((network.drive, 0.1))
        mean = network.bias + sum(n * weight for n, weight in sources)
        return mean, sum(n * weight**2 for n, weight in sources)

    assert moments(Brunel(regime, scale)) == pytest.approx(moments(Brunel(regime)), rel=1e-12)


def test_the_rate_of_regular_firing_is_that_under_the_mean_input():
    rate = REGIMES["SR"].rate / 1000.0
    mean = 20.0 * (20.0 * 0.1 + 1000 * 0.1 * rate * (1.0 - 3.0 / 4.0))
    assert 1.0 / rate == pytest.approx(2.0 + 20.0 * np.log((mean - 10.0) / (mean - 20.0)), rel=1e-3)


def test_both_models_have_the_same_charge():
    delta, exp = (Brunel(REGIMES["AI"], 0.4, model) for model in ("delta", "exp"))
    assert exp.weights["E"] * 0.5 == pytest.approx(delta.weights["E"])
    assert (exp.bias, exp.drive) == (delta.bias, delta.drive)


@pytest.mark.jit
def test_a_small_run_gives_a_report_and_is_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(brunel, "TRANSIENT", 20.0)
    with belonging_to({"scenario": "brunel", "config": {"seed": 0}}):
        report = brunel.run(SMALL, tmp_path, SILENT)
        before = (tmp_path / "AI" / "spikes-000001.npz").read_bytes()
        again = brunel.run(SMALL, tmp_path, SILENT)
    assert (tmp_path / "AI" / "spikes-000001.npz").read_bytes() == before
    assert again.numbers == report.numbers
    assert [row.what for row in report.rows[:5]] == [f"SR: {what}" for what in brunel.MEASURES]
    assert all(row.what and row.published and row.ours for row in report.rows)
    published = {row.what: row.published for row in report.rows}
    assert [published[f"{name}: rate (Hz)"] for name in REGIMES] == ["–", "60.7", "37.7", "5.5"]
    rates = {name: found["eventsim"]["rate"] for name, found in report.numbers["regimes"].items()}
    assert 300.0 < rates["SR"] < 350.0
    assert rates["SI-slow"] < rates["AI"] < rates["SI-fast"] < rates["SR"]
    assert set(report.figures) == {"activity", "statistics"}
    for figure in report.figures.values():
        figure.savefig(tmp_path / "picture.png", dpi=40)
    json.dumps(report.numbers, allow_nan=False)


@pytest.mark.parametrize("duration", [10.0, 137.0, 1000.0, 5000.0])
def test_a_bin_of_the_rates_holds_a_number_of_spikes(duration):
    """Else the distribution of low rates would be a comb."""
    edges = figures._rate_edges(duration)
    possible = 1000.0 * np.arange(1, 4000) / duration
    inside = possible[(possible > edges[0]) & (possible < edges[-1])]
    counts, _ = np.histogram(inside, edges)
    assert counts.min() == 1
    assert counts.sum() == inside.size
    assert not np.isin(edges, possible).any()


@pytest.mark.jit
def test_nest_stands_in_a_column_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(brunel, "TRANSIENT", 0.0)
    given = []

    def simulate(simulator, network):
        given.append((simulator.arguments, network))
        times = np.arange(0.1, 50.0, 0.1)
        return {"times": times, "indices": np.arange(times.size) % 250, "seconds": np.asarray(0.1)}

    monkeypatch.setattr(beside, "simulate", simulate)
    config = replace(SMALL, regimes=("AI",), beside=("nest",), model="exp")
    report = brunel.run(config, tmp_path, SILENT)
    ((arguments, network),) = given
    assert arguments == ("iaf_psc_exp",)
    assert report.headings[-1] == "NEST, grid 0.1 ms"
    assert {len(row.cells) for row in report.rows} == {3}
    cost = next(row for row in report.rows if row.what == "AI: cost (s / s)")
    assert cost.cells[2] == "2.0"
    assert network["time"] == 50.0
    _assert_same_network(network, Brunel(REGIMES["AI"], 0.02, "exp").build())


def _assert_same_network(told, net):
    n = 200
    lif = net.neurons["E"]
    assert (told["tau_mem"], told["threshold"], told["reset"]) == (20.0, 20.0, lif.reset)
    assert (told["tau_syn"], told["refractory"], told["bias"]) == (0.5, lif.refractory, lif.bias)
    synapses = np.zeros((250, 250))
    np.add.at(synapses, (told["pre"], told["post"]), told["weight"][told["pre"]])
    parts = {"E": slice(0, n), "I": slice(n, 250)}
    for pre, post in ((p, q) for p in "EI" for q in "EI"):
        ours = net.projections[pre, post].weights.toarray()
        np.testing.assert_array_equal(synapses[parts[pre], parts[post]], ours)
    assert set(net.projections["to E", "E"].values) == {float(told["external"])}
    assert told["rate"] == 1000.0 * 20.0


@pytest.mark.slow
@pytest.mark.jit
def test_the_command_leaves_spikes_pictures_and_a_table(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["run", "brunel", *FEW, "--folder", str(folder)]) == 0
    assert "published" in capsys.readouterr().out
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"activity.png", "statistics.png", "report.html", "results.json"} <= left
    spikes = {path for path in left if path.endswith(".npz") and "/" in path}
    assert spikes == {
        f"{name}/spikes-{k:06d}.npz" for name in ("SI-fast", "AI") for k in range(1, 6)
    }
    results = (folder / "results.json").read_bytes()
    (folder / "AI" / "spikes-000005.npz").unlink()
    before = _times(folder, "SI-fast")
    assert main(["resume", str(folder)]) == 0
    assert _without_cost(folder / "results.json") == _without_cost(results)
    assert _times(folder, "SI-fast") == before


def _times(folder, name):
    return [path.stat().st_mtime_ns for path in sorted((folder / name).iterdir())]


def _without_cost(content):
    content = content if isinstance(content, bytes) else content.read_bytes()
    table = json.loads(content)["table"]
    return {what: cells for what, cells in table.items() if "cost" not in what}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale": 0.01}, "scale must lie in .*, got 0.01"),
        ({"scale": 1.5}, "scale must lie in .*, got 1.5"),
        ({"scale": 0.021}, "scale must be a multiple of 0.004 .*, got 0.021"),
        ({"duration": 1.0}, "duration must lie in .*, got 1.0"),
        ({"regimes": ()}, "regimes must name at least one, got none"),
        ({"regimes": ("AI", "AI")}, "regimes must name each once, got AI, AI"),
        ({"regimes": ("chaos",)}, "regimes must be one of .*, got 'chaos'"),
        ({"model": "alpha"}, "model must be one of delta, exp, got 'alpha'"),
        ({"beside": ("brian2",)}, "beside must be one of nest, got 'brian2'"),
        ({"beside": ("nest",), "duration": 50.05}, "duration must be a multiple .* got 50.05"),
        ({"threads": 0}, "threads must lie in .*, got 0"),
    ],
)
def test_bad_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        BrunelOptions(**options)


def test_every_scale_with_whole_numbers_of_synapses_is_taken():
    for k in range(5, 251):
        network = Brunel(REGIMES["AI"], BrunelOptions(scale=k * 0.004).scale)
        assert network.in_degrees == {"E": 4 * k, "I": k}


def test_a_full_run_is_that_of_the_publication():
    full = BrunelOptions(full=True).chosen
    assert (full.scale, full.duration) == (1.0, 5000.0)
    assert BrunelOptions(full=True, duration=70.0).chosen.duration == 70.0


def test_nest_that_is_not_there_is_named_before_any_work(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(beside, "find_spec", lambda _: None)
    monkeypatch.delenv(SIMULATORS["delta"].variable, raising=False)
    with pytest.raises(MissingExtraError, match="got no interpreter"):
        BrunelOptions(beside=("nest",)).require()
    folder = tmp_path / "run"
    assert main(["run", "brunel", "--beside", "nest", "--folder", str(folder)]) == 1
    assert "make peers" in capsys.readouterr().err
    assert not folder.exists()
