"""Spike trains of neo: to and fro to the bit, each neuron once, and no unit that nobody named."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from tests.helpers.spike_files import assert_same, runs

neo = pytest.importorskip("neo", reason="spike trains of neo")
pq = pytest.importorskip("quantities", reason="units of neo")

SPIKES = {"in": es.Spikes([0.0, 0.25], [0, 1])}


def net() -> es.Network:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("out", 3, es.LIF())
    network.add_population("mute", 2, es.LIF())
    network.connect("in", "out", weights=[[4.0, 0.0, 4.0]] * 2)
    return network


def train(times: Any, units: Any = "ms", **options: Any) -> Any:
    return neo.SpikeTrain(times, 1e6, units, **options)


def segment(*trains: Any) -> Any:
    made = neo.Segment()
    made.spiketrains.extend(list(trains))
    return made


def block(*segments: Any) -> Any:
    made = neo.Block()
    made.segments.extend(list(segments))
    return made


def test_a_result_is_a_segment_with_a_train_for_each_neuron() -> None:
    result = es.simulate(net(), SPIKES, 2.0)
    made = result.to_neo("ms")
    trains = list(made.spiketrains)
    named = [(t.annotations["population"], t.annotations["neuron"]) for t in trains]
    assert named == [("out", 0), ("out", 1), ("out", 2), ("mute", 0), ("mute", 1)]
    assert [len(t) for t in trains] == [2, 0, 2, 0, 0]
    assert {(float(t.t_start), float(t.t_stop)) for t in trains} == {(0.0, 2.0)}
    assert {str(t.dimensionality) for t in trains} == {"ms"}
    out = result.spikes["out"]
    for neuron in range(3):
        own = out.indices == neuron
        np.testing.assert_array_equal(trains[neuron].magnitude, out.times[own])
        np.testing.assert_array_equal(trains[neuron].array_annotations["slope"], out.slopes[own])
    assert_same({"out": es.Spikes.from_neo(made, "ms", "out")}, {"out": out.train()})
    assert len(es.Spikes.from_neo(made, "ms", "mute")) == 0


def test_a_batch_is_a_block_with_a_segment_for_each_sample() -> None:
    batch = es.simulate(net(), [SPIKES, {}, SPIKES], 2.0, until_fired="out")
    made = batch.to_neo("s")
    assert [each.index for each in made.segments] == [0, 1, 2]
    assert [float(each.t_stop) for each in made.segments] == batch.ends.tolist()
    again = es.SpikeBatch.from_neo(made, "s", "out")
    for k in range(3):
        assert_same({"out": again.sample(k)}, {"out": batch[k].spikes["out"].train()})
    assert_same(
        {"out": es.SpikeBatch.from_neo(made.segments, "s", "out").sample(2)},
        {"out": batch[2].spikes["out"].train()},
    )


def test_a_part_of_a_run_has_trains_that_begin_where_it_begins() -> None:
    parts = list(es.stream(net(), SPIKES, 2.0, chunk=1.0))
    spans = [(float(p.to_neo("ms").t_start), float(p.to_neo("ms").t_stop)) for p in parts]
    assert spans == [(0.0, 1.0), (1.0, 2.0)]
    for part in parts:
        again = es.Spikes.from_neo(part.to_neo("ms"), "ms", "out")
        assert_same({"out": again}, {"out": part.spikes["out"].train()})


@pytest.mark.parametrize("record", [None, ["out"]])
def test_samples_that_go_on_from_different_ends_have_trains_of_their_own(record: Any) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("out", 1, es.LIF(bias=8.0))
    network.connect("in", "out", weights=[[400.0]])
    early = es.simulate(network, [{}, {"in": es.Spikes([0.01], [0])}], 9.0, until_fired="out")
    options = {"engine": "scheduler", "history": False, "record": record}
    result = es.simulate(network, [{}, {}], 1.0, resume=early, **options)
    assert result[1].spikes["out"].times[0] < result.t_start == early.ends[0]
    again = es.SpikeBatch.from_neo(result.to_neo("ms"), "ms", "out")
    np.testing.assert_array_equal(again.times, result.spikes["out"].times)


@given(spikes=runs(st.just("E")), unit=st.sampled_from(["s", "ms", "us", "ns"]))
def test_trains_in_the_unit_of_the_network_are_taken_to_the_bit(
    spikes: dict[str, es.Spikes], unit: str
) -> None:
    for each in spikes.values():
        trains = [
            neo.SpikeTrain(each.times[each.indices == k], 1e99, unit, neuron=k)
            for k in np.unique(each.indices)
        ]
        assert_same({"E": es.Spikes.from_neo(trains, unit)}, {"E": each})


@pytest.mark.parametrize(
    ("units", "unit", "time"),
    [
        ("ms", "s", 0.0103), ("s", "ms", 10300.0), ("us", "ms", 0.0103), ("ns", "s", 1.03e-8),
        ("ms", "ns", 10300000.0), (pq.min, "s", 618.0), (pq.CompoundUnit("2*ms"), "ms", 20.6),
    ],
)  # fmt: skip
def test_times_are_converted_to_the_unit_of_the_network(units: Any, unit: str, time: float) -> None:
    found = es.Spikes.from_neo([train([10.3], units)], unit).times
    np.testing.assert_allclose(found, [time], rtol=4e-16)


def test_trains_of_several_units_meet_in_one() -> None:
    made = segment(train([2000.0, 500.0, 500.0], "us"), train([1.0], "ms"), train([], "s"))
    found = es.Spikes.from_neo(made, "ms")
    assert found.times.tolist() == [0.5, 0.5, 1.0, 2.0]
    assert found.indices.tolist() == [0, 0, 1, 0]
    assert found.order.tolist() == [1, 2, 3, 0]


def test_whatever_holds_trains_is_taken() -> None:
    one, two = train([1.0]), train([2.0])
    group = neo.Group()
    group.spiketrains.extend([one, two])
    made = segment(one, two)
    for source in (made, block(made), group, [one, two], (one, two), made.spiketrains):
        assert es.Spikes.from_neo(source, "ms").indices.tolist() == [0, 1]
    assert es.Spikes.from_neo(one, "ms").times.tolist() == [1.0]
    assert len(es.Spikes.from_neo(segment(), "ms")) == 0


def test_trains_in_two_arrays_are_taken() -> None:
    made = neo.Segment()
    lists = neo.spiketrainlist.SpikeTrainList
    made.spiketrains = lists.from_spike_time_array(
        np.array([1.0, 2.0, 3.0]), np.array([7, 5, 7]), [5, 6, 7], 9.0 * pq.ms, units="ms"
    )
    assert es.Spikes.from_neo(made, "ms").indices.tolist() == [2, 0, 2]


def test_float32_and_whole_numbers_are_taken() -> None:
    single = train(np.array([0.5], np.float32) * pq.ms, None)
    whole = train(np.array([3]) * pq.ms, None)
    assert es.Spikes.from_neo([single, whole], "ms").times.tolist() == [0.5, 3.0]


def test_waveforms_are_left_out_and_a_warning_says_so() -> None:
    waveforms = np.zeros((1, 2, 5)) * pq.mV
    with pytest.warns(UserWarning, match="the waveforms of 1 spike trains are left out") as caught:
        es.Spikes.from_neo([train([1.0], waveforms=waveforms), train([2.0])], "ms")
    assert caught[0].filename == __file__


OF = {"population": "E"}
BROKEN: list[tuple[Any, dict[str, Any], str]] = [
    ([], {"unit": "h"}, "unit must be one of s, ms, us, ns, got 'h'"),
    ([], {"unit": None}, "unit must be one of s, ms, us, ns, got None"),
    (3, {}, "source must hold spike trains of neo, got 3"),
    ([[1.0, 2.0]], {}, r"source must hold spike trains of neo, got \[\[1.0, 2.0\]\]"),
    (np.ones(2) * pq.ms, {}, r"source must hold spike trains of neo, got array.* \* ms"),
    (b"", {}, "source must hold spike trains of neo, got b''"),
    ([segment()], {}, "source must hold spike trains of neo"),
    (block(), {}, "source must be a block of one segment .*, got one of 0"),
    (block(segment(), segment()), {}, "block of one segment .SpikeBatch.from_neo .*, got one of 2"),
    ([train([1.0], **OF), train([2.0])], {}, r"those of the trains, \['E', None\], got None"),
    ([train([1.0], **OF)], {"population": "I"}, r"those of the trains, \['E'\], got 'I'"),
    ([train([1.0])], {"population": "I"}, r"those of the trains, \[None\], got 'I'"),
    ([train([1.0], neuron=3)] * 2, {}, "one train of each neuron .*, got two of neuron 3"),
    ([train([1.0], neuron=3), train([])], {}, "neuron of a spike train must be an .*, got None"),
    ([train([1.0], neuron=-3)], {}, "neuron of a spike train must be an integer >= 0, got -3"),
    ([train([1.0], neuron="a")], {}, "neuron of a spike train must be an integer >= 0, got 'a'"),
    ([train([-1.0], t_start=-2.0)], {}, "times must be >= 0, got -1.0"),
    ([train([1.0, np.nan])], {}, "times must be finite, got nan"),
]


@pytest.mark.parametrize(("source", "options", "message"), BROKEN)
def test_what_is_not_clear_is_refused(source: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        es.Spikes.from_neo(source, **{"unit": "ms"} | options)


@pytest.mark.parametrize("source", [None, 3, segment(), [train([])], [segment(), 3]])
def test_a_batch_needs_segments(source: Any) -> None:
    with pytest.raises(ValueError, match="source must be a block or segments of neo, got "):
        es.SpikeBatch.from_neo(source, "ms")


@pytest.mark.parametrize("source", [block(), []])
def test_a_batch_has_a_sample(source: Any) -> None:
    with pytest.raises(ValueError, match="source must have at least one segment, got "):
        es.SpikeBatch.from_neo(source, "ms")


def test_without_neo_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = es.simulate(net(), SPIKES, 1.0)
    monkeypatch.setitem(sys.modules, "neo", None)
    for call in (lambda: result.to_neo("ms"), lambda: es.Spikes.from_neo([], "ms")):
        with pytest.raises(ImportError, match=r"need neo, .* pip install 'eventsim-snn\[io\]'"):
            call()
