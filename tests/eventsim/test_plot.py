"""Pictures of runs and graphs: every spike in its row, every peak as high as it is."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim import plot

mpl = pytest.importorskip("matplotlib", reason="pictures need matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")
Axes, Figure = pytest.importorskip("matplotlib.axes").Axes, mpl.figure.Figure
mpl.use("Agg")

SPIKES = {"in": es.Spikes([0.0, 0.25], [0, 1])}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def net(out: int = 3, **neuron: Any) -> es.Network:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("out", out, es.LIF(**neuron))
    network.add_population("mute", 2, es.LIF())
    network.connect("in", "out", weights=np.full((2, out), 4.0))
    return network


def panel() -> Any:
    return Figure().subplots()


def run(**neuron: Any) -> es.Result:
    return es.simulate(net(**neuron), SPIKES, 2.0)


def test_every_spike_stands_in_the_row_of_its_neuron_and_the_silent_keep_theirs() -> None:
    result = run()
    ax = result.plot_raster(unit="ms", ax=panel())
    out, mute = ax.lines[:2]
    np.testing.assert_array_equal(out.get_xdata(), result.spikes["out"].times)
    np.testing.assert_array_equal(out.get_ydata(), result.spikes["out"].indices)
    assert mute.get_xdata().size == 0
    assert ax.get_ylim() == (-0.5, 4.5)
    low, high = ax.get_xlim()
    assert low < 0.0 < 2.0 < high
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "neuron")
    names = ax.get_yticklabels()
    assert [name.get_text() for name in names] == ["out", "mute"]
    assert [name.get_color() for name in names] == [out.get_color(), mute.get_color()]
    np.testing.assert_array_equal(ax.get_yticks(), [1.0, 3.5])


def test_a_raster_shows_what_is_chosen_in_that_order_inputs_too() -> None:
    ax = run().plot_raster(["mute", "in"], ax=panel())
    assert [name.get_text() for name in ax.get_yticklabels()] == ["mute", "in"]
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), SPIKES["in"].times)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [2.0, 3.0])


def test_the_rows_of_a_single_population_are_numbered() -> None:
    ax = run().plot_raster(["out"], ax=panel())
    assert ax.get_ylabel() == "neuron of out"
    assert {0.0, 1.0, 2.0} <= set(ax.get_yticks())


def test_a_small_population_beside_a_large_one_has_room_for_its_name() -> None:
    ax = es.simulate(net(out=999), SPIKES, 0.5).plot_raster(ax=panel())
    low, high = ax.get_ylim()
    assert (high - ax.get_yticks()[1]) / (high - low) >= 0.5 * plot.LEAST_SHARE / 1.1
    assert min(name.get_fontsize() for name in ax.get_yticklabels()) > 7.0


@pytest.mark.parametrize("populations", [[], ["out"]])
def test_nothing_to_draw_is_an_empty_picture(populations: list[str]) -> None:
    ax = es.simulate(net(), {}, 0.0).plot_raster(populations, ax=panel())
    assert sum(line.get_xdata().size for line in ax.lines) == 0


def test_a_potential_reaches_its_threshold_and_falls_upright_to_its_reset() -> None:
    result = run(threshold=[1.0, 1.2, math.inf], reset=-0.5, refractory=0.1)
    ax = result.plot_potential("out", [2, 1, 0], unit="s", ax=panel())
    assert ax.get_ylabel() == "potential of out"
    assert ax.get_xlabel() == "time (s)"
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["neuron 2", "neuron 1", "neuron 0", "threshold"]
    spikes = result.spikes["out"]
    for line, neuron, threshold in zip(ax.lines[1:3], (1, 0), (1.2, 1.0), strict=True):
        own = spikes.times[spikes.indices == neuron]
        at = np.searchsorted(line.get_xdata(), own)
        assert own.size
        np.testing.assert_allclose(line.get_ydata()[at - 1], threshold, rtol=1e-9)
        np.testing.assert_array_equal(line.get_ydata()[at], -0.5)
        release = np.searchsorted(line.get_xdata(), own + 0.1)
        np.testing.assert_array_equal(line.get_ydata()[release[own + 0.1 <= 2.0]], -0.5)
    assert [line.get_ydata()[0] for line in ax.lines[3:]] == [1.0, 1.2]


@given(
    tau_mem=st.floats(0.05, 20.0),
    tau_syn=st.floats(0.05, 20.0),
    start=st.floats(0.0, 50.0),
    length=st.floats(1.0, 1e5),
)
def test_no_peak_is_cut(tau_mem: float, tau_syn: float, start: float, length: float) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("out", 1, es.LIF(tau_mem=tau_mem, tau_syn=tau_syn, threshold=1e9))
    network.connect("in", "out", weights=[[1.0]])
    t_stop = start + length
    result = es.simulate(network, {"in": es.Spikes([start], [0])}, t_stop)
    (line, _) = result.plot_potential("out", ax=panel()).lines
    fine = start + np.geomspace(1e-3, 200.0, 1000)
    exact = result.potential("out", fine[fine <= t_stop]).max()
    assert line.get_ydata().max() >= 0.998 * exact
    assert line.get_xdata()[-1] == t_stop


def test_a_part_of_a_run_is_drawn_from_its_beginning() -> None:
    first = es.simulate(net(), SPIKES, 1.0, history=False)
    part = es.simulate(first.network, {}, 2.0, resume=first, history=False)
    (line, *_) = part.plot_potential("out", [0], ax=panel()).lines
    whole = run()
    at = line.get_xdata()
    assert 1.0 < at[0] < 1.0 + 1e-12
    np.testing.assert_allclose(line.get_ydata(), whole.potential("out", at)[:, 0], atol=1e-9)
    low, high = part.plot_raster(ax=panel()).get_xlim()
    assert 0.9 < low < 1.0 < 2.0 < high


def test_an_arrow_leads_from_each_cause_to_its_effect() -> None:
    graph = run().causality()
    ax = graph.plot(unit="ms", ax=panel())
    edges = graph.to_networkx().edges(data=True)
    assert len(ax.patches) == len(edges)
    resets = sum(not attributes["synapses"] for _, _, attributes in edges)
    assert 0 < resets == sum(patch.get_linestyle() == ":" for patch in ax.patches)
    times = np.concatenate([graph.input_times, graph.times])
    rows = np.concatenate([graph.input_sources, graph.neurons + 2])
    drawn = {tuple(map(tuple, patch._posA_posB)) for patch in ax.patches}
    assert drawn == {((times[a], rows[a]), (times[b], rows[b])) for a, b, _ in edges}
    assert [name.get_text() for name in ax.get_yticklabels()] == ["in", "out", "mute"]
    assert ax.get_ylim() == (-0.5, 6.5)


def test_a_node_of_a_graph_made_by_hand_has_a_row_with_its_name() -> None:
    dag = run().causality().to_networkx()
    ax = es.CausalityGraph.from_networkx(dag).plot(ax=panel())
    assert [name.get_text() for name in ax.get_yticklabels()] == [str(node) for node in dag]
    assert len(ax.patches) == dag.number_of_edges()


def test_an_empty_graph_is_an_empty_picture() -> None:
    assert len(es.simulate(net(), {}, 1.0).causality().plot(ax=panel()).patches) == 0


def test_a_tangle_is_refused_with_its_size() -> None:
    many = es.simulate(net(out=120), SPIKES, 0.5).causality()
    with pytest.raises(ValueError, match=rf"at most 100 spikes, got {len(many)}: to_networkx"):
        many.plot()
    dense = es.simulate(net(out=3, tau_syn=50.0), SPIKES, 4.0).causality()
    assert len(dense) <= plot.MOST_NODES
    with pytest.raises(ValueError, match=rf"at most 500 arrows, got {edges_of(dense)}: to_netw"):
        dense.plot()


def edges_of(graph: es.CausalityGraph) -> int:
    return len(set(zip(graph.edges.cause.tolist(), graph.edges.row.tolist(), strict=True)))


def test_what_cannot_be_drawn_is_an_error_that_names_it() -> None:
    result = run()
    with pytest.raises(ValueError, match=r"neurons must choose at most 12 of 'out', .*, got 13"):
        es.simulate(net(out=13), SPIKES, 0.5).plot_potential("out")
    with pytest.raises(ValueError, match=r"populations must hold some of .*, got \['no'\]"):
        result.plot_raster(["no"])
    with pytest.raises(ValueError, match=r"neurons must be < 3, .* got 3"):
        result.plot_potential("out", [3])
    with pytest.raises(ValueError, match=r"ax must be matplotlib.axes.Axes, got 3"):
        result.plot_raster(ax=3)
    with pytest.raises(ValueError, match=r"unit must be a printable text, got 3"):
        result.plot_raster(unit=3)
    some = es.simulate(net(), SPIKES, 2.0, record=["mute"], engine="scheduler")
    with pytest.raises(ValueError, match=r"plot_potential needs the spikes of all populations"):
        some.plot_potential("out")
    assert len(some.plot_raster(ax=panel()).lines) == 1
    assert plt.get_fignums() == []


def test_without_axes_there_is_a_new_figure() -> None:
    for draw in (run().plot_raster, lambda: run().plot_potential("out"), run().causality().plot):
        assert isinstance(draw(), Axes)
    assert len(plt.get_fignums()) == 3


def test_without_matplotlib_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (result.plot_raster, lambda: result.plot_potential("out"), result.causality().plot):
        with pytest.raises(ImportError, match=r"needs matplotlib, .* 'eventsim-snn\[plot\]'"):
            draw()


def test_matplotlib_is_not_imported_before_a_picture_is_drawn() -> None:
    code = "import sys, eventsim; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
