"""Parts of runs: the very spikes of one uninterrupted run, whatever changes between them."""

from __future__ import annotations

import gc
import itertools
import math
import pickle
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._engines import parts as parts_of_runs
from eventsim._engines.windows.bundles import bundles_of, cut_at_hand
from eventsim._engines.windows.host import LEAST_NEURONS, LEAST_WINDOWS
from eventsim.ranks import WHOLE
from tests.helpers import cases
from tests.helpers.engines import batches, built_for, excitable, made_for, model_for
from tests.helpers.feedforward import Recipe, recipes
from tests.helpers.naive import Case, Neuron, TooManySpikesError, simulate_changed
from tests.helpers.ranks import between, cortex
from tests.helpers.strategies import any_networks, decimals, examples, general_neurons

ENGINES = ("scheduler", "windows")
each_engine = pytest.mark.parametrize("engine", ENGINES)

CHUNKS = st.one_of(st.sampled_from([0.25, 0.5, 1.0, 7.0]), decimals(0.07, 3.5))


MOST_IDLE = 5  # of networks as small as these


@pytest.fixture(autouse=True, scope="module")
def _parts_begin_both_ways() -> Iterator[None]:
    """Some with the idle spikes that they took over, some without them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_of_runs, "MOST_IDLE", MOST_IDLE)
        yield


def batch_of(result: es.Result | es.BatchResult) -> es.BatchResult:
    return result.batch if isinstance(result, es.Result) else result


def of_sample(batch: es.BatchResult, k: int, column: str) -> np.ndarray:
    return getattr(batch.record, column)[batch.offsets[k] : batch.offsets[k + 1]]


def assert_same_spikes(parts: Sequence[Any], whole: es.BatchResult) -> None:
    """Bit for bit."""
    pieces = list(map(batch_of, parts))
    for k in range(len(whole)):
        for column in ("time", "neuron", "slope"):
            found = np.concatenate([of_sample(piece, k, column) for piece in pieces])
            np.testing.assert_array_equal(found, of_sample(whole, k, column))
    counts = [piece.events for piece in pieces]
    for name in ("spikes", "inputs", "synaptic"):
        assert sum(getattr(c, name) for c in counts) == getattr(whole.events, name)
    for name in whole.network.populations:
        each = sum(piece.spike_counts(name) for piece in pieces)
        np.testing.assert_array_equal(each, whole.spike_counts(name))


def assert_same_states(part: es.BatchResult, whole: es.BatchResult, at: np.ndarray) -> None:
    for name in whole.network.populations:
        for quantity in ("potential", "current"):
            expected = getattr(whole, quantity)(name, at=at)
            atol = 1e-9 * (1.0 + np.abs(expected).max())
            found = getattr(part, quantity)(name, at=at)
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


# --- the same run in parts ------------------------------------------------------------------------


@each_engine
@given(st.data(), CHUNKS)
@examples(0.6)
def test_a_stream_is_the_whole_run(engine: str, data: st.DataObject, chunk: float) -> None:
    """Bit for bit, wherever parts end; and their potentials are those of the whole run."""
    model, whole = model_for(data, engine)
    options = {"initial": model.initial, "max_spikes": cases.MANY_SPIKES}
    parts = list(
        es.stream(
            model.network, model.stimulus, model.t_stop, chunk=chunk, engine=engine, **options
        )
    )
    assert [part.t_start for part in parts] == [0.0, *(part.t_stop for part in parts[:-1])]
    assert parts[-1].t_stop == whole.t_stop
    assert_same_spikes(parts, whole)
    for part in parts[:: max(1, len(parts) // 4)]:
        shares = data.draw(st.lists(st.integers(1, 8).map(lambda n: n / 8), max_size=3))
        at = np.array([part.t_start + s * (part.t_stop - part.t_start) for s in (*shares, 1.0)])
        assert_same_states(part, whole, np.minimum(at, part.t_stop))
    first, last = whole.first_spikes, parts[0].first_spikes
    for name in model.network.populations:
        early = first(name) <= parts[0].t_stop
        np.testing.assert_array_equal(last(name)[early], first(name)[early])


@given(recipes(), CHUNKS)
@examples(0.3)
def test_layers_and_pools_in_parts_are_the_whole_run(recipe: Recipe, chunk: float) -> None:
    """A pool fires just after what sets it off, which may come where a part ends."""
    model = recipe.model()
    with cases.drawn_again_if_endless():
        whole = model.run("scheduler", max_spikes=cases.MANY_SPIKES)
    options = {"initial": model.initial, "max_spikes": cases.MANY_SPIKES, "engine": "scheduler"}
    parts = list(es.stream(model.network, model.stimulus, model.t_stop, chunk=chunk, **options))
    assert len(parts) == max(1, math.ceil(model.t_stop / chunk))
    assert_same_spikes(parts, whole)
    last = list(model.network.populations)[-1]
    found = model.run("scheduler", record=[last], max_spikes=cases.MANY_SPIKES).spikes
    assert list(found) == [last]
    np.testing.assert_array_equal(found[last].times, whole.spikes[last].times)


@pytest.mark.parametrize("time", [0.5, 1.0, 1.25])
def test_pools_in_a_row_fire_with_the_part_in_which_their_input_comes(time: float) -> None:
    network = es.Network()
    network.add_input("in", 1)
    for name in ("a", "b", "c"):
        network.add_population(name, 1, es.LIF.earliest())
    for pre, post in (("in", "a"), ("a", "b"), ("b", "c")):
        network.connect(pre, post, weights=[[1.0]])
    stimulus = {"in": es.Spikes([time], [0])}
    parts = list(es.stream(network, stimulus, 2.0, chunk=0.5, engine="scheduler"))
    assert len(parts) == 4
    fired = [part for part in parts if part.events.spikes]
    assert len(fired) == 1
    kept = es.simulate(network, stimulus, 2.0, engine="scheduler", record=["c"])
    for result in (*fired, kept):
        assert result.spikes["c"].times.tolist() == [time]


@each_engine
@given(st.data())
@examples(0.3)
def test_input_that_is_given_early_waits(engine: str, data: st.DataObject) -> None:
    """All of it with the first part; or each with the part before its own."""
    model, whole = model_for(data, engine)
    stops = sorted(data.draw(st.sets(decimals(0.0, 3.0), min_size=1, max_size=3)))
    stops = [stop for stop in stops if stop < model.t_stop] + [model.t_stop]
    early = data.draw(st.booleans())
    given_until = [math.inf, *[-1.0] * len(stops)] if early else [*stops[1:], math.inf, math.inf]
    part, begin, parts = None, -1.0, []
    for stop, until in zip(stops, given_until, strict=False):
        stimulus = model.between(begin, until) if until > begin else {}
        begun = {"initial": model.initial, "engine": engine} if part is None else {"resume": part}
        part = es.simulate(
            model.network, stimulus, stop, history=False, max_spikes=cases.MANY_SPIKES, **begun
        )
        parts.append(part)
        begin = max(begin, until)
    assert_same_spikes(parts, whole)


@each_engine
def test_a_function_sees_the_parts_before_and_decides_the_next_input(engine: str) -> None:
    network = excitable(engine)
    asked, parts, given_spikes = [], [], []

    def loop(begin: float, end: float) -> dict[str, es.Spikes]:
        asked.append((begin, end))
        assert len(parts) == len(asked) - 1
        fired = len(parts[-1].spikes["a"]) if parts else 0
        times = [] if fired > 2 else [(begin + end) / 2.0]
        given_spikes.extend(times)
        return {"in": es.Spikes(times, np.zeros(len(times), int))}

    parts.extend(es.stream(network, loop, 8.0, chunk=0.7, engine=engine))
    edges = [*(0.7 * k for k in range(12)), 8.0]
    assert asked == list(itertools.pairwise(edges))
    stimulus = {"in": es.Spikes(given_spikes, np.zeros(len(given_spikes), int))}
    whole = es.simulate(network, stimulus, 8.0, engine=engine).batch
    assert 0 < len(given_spikes) < 12
    assert whole.events.spikes > 10
    assert_same_spikes(parts, whole)


@each_engine
def test_a_stream_that_was_left_goes_on_from_its_last_part(engine: str) -> None:
    network = excitable(engine)
    stimulus = {"in": es.Spikes([0.1, 1.0, 3.2, 5.0], [0, 0, 1, 0])}
    whole = es.simulate(network, stimulus, 6.0, engine=engine).batch
    parts: list[Any] = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        for part in es.stream(network, stimulus, 6.0, chunk=0.5, engine=engine):
            parts.append(part)
            if len(parts) == 4:
                raise KeyboardInterrupt
    late = {"in": es.Spikes([3.2, 5.0], [1, 0])}
    rest = es.stream(network, late, 6.0, chunk=0.75, resume=parts[-1])
    first = next(rest)
    assert (first.t_start, first.t_stop, first.engine) == (2.0, 2.25, engine)
    assert_same_spikes([*parts, first, *rest], whole)
    again = es.simulate(network, late, 6.0, resume=parts[-1], history=False)
    assert_same_spikes([*parts, again], whole)


@each_engine
@given(st.data(), st.booleans())
@examples(0.3)
def test_a_part_from_a_file_goes_on_with_a_network_built_anew(
    engine: str, data: st.DataObject, history: bool
) -> None:
    """As another process does, which has the file and builds the network once more."""
    recipe = data.draw(batches(engine))
    with cases.drawn_again_if_endless():
        whole = recipe.model().run(engine, max_spikes=cases.MANY_SPIKES)
    t_stop = recipe.model().t_stop
    stops = sorted(data.draw(st.lists(decimals(0.0, t_stop), max_size=3)))
    parts: list[Any] = []
    for begin, end in itertools.pairwise([-1.0, *stops, t_stop]):
        model = recipe.model()
        last = pickle.loads(pickle.dumps(parts[-1])) if parts else None
        begun = {"initial": model.initial, "engine": engine} if last is None else {"resume": last}
        given_now = model.between(begin, end)
        options = {"history": history, "max_spikes": cases.MANY_SPIKES, **begun}
        if last is None or end > last.ends.max():
            parts.append(es.simulate(model.network, given_now, end, **options))
    assert_same_spikes(parts[-1:] if history else parts, whole)


@pytest.mark.jit
@each_engine
def test_parts_that_go_on_with_networks_built_anew_are_one_run(engine: str) -> None:
    """Receptors, neurons that differ, sparse and dense synapses with their own delays, a drive."""

    def built() -> es.Network:
        network, _, _ = cortex(apart=True)
        network.add_poisson("ext", 43, rate=0.5, seed=1)
        network.connect("ext", "e", es.one_to_one(43, 43, weights=0.8), receptor="exc")
        return network

    _, stimulus, t_stop = cortex()
    whole = es.simulate(built(), stimulus, t_stop, engine=engine).batch
    assert whole.events.spikes > 50
    for history in (False, True):
        parts: list[Any] = []
        for begin, end in itertools.pairwise([-1.0, 0.7, 5.3, 5.4, t_stop]):
            begun = {"resume": pickle.loads(pickle.dumps(parts[-1]))} if parts else {}
            given_now = between(stimulus, begin, end)
            options = {"engine": engine, "history": history, **begun}
            parts.append(es.simulate(built(), given_now, end, **options))
        assert_same_spikes(parts[-1:] if history else parts, whole)


def test_what_a_part_keeps_does_not_grow() -> None:
    """Spikes that act no more, and inputs that arrived, are not carried along."""
    network = excitable("windows")
    times = np.arange(0.05, 200.0, 0.5)
    stimulus = {"in": es.Spikes(times, np.zeros(times.size, int))}
    for engine in ENGINES:
        for part in es.stream(network, stimulus, 200.0, chunk=2.0, engine=engine):
            before = part.batch.before
            if before is not None:
                assert before.carried < 60 + MOST_IDLE
                assert part.batch.stimulus.times.size <= 6


@each_engine
def test_the_current_of_a_neuron_that_fires_once_is_not_forgotten(engine: str) -> None:
    """It is held for ever, so nothing is left of its current then; but there is one now."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 2, es.LIF(tau_mem=1.0, tau_syn=2.0, refractory=[np.inf, 0.5]))
    network.connect("in", "p", weights=[[4.0, 4.0]], delays=0.25)
    stimulus = {"in": es.Spikes([0.0, 2.5, 3.9], [0, 0, 0])}
    whole = es.simulate(network, stimulus, 6.0, engine=engine).batch
    assert whole.spike_counts("p")[0].tolist()[0] == 1
    for part in es.stream(network, stimulus, 6.0, chunk=1.0, engine=engine):
        at = np.linspace(part.t_start, part.t_stop, 4)[1:]
        assert_same_states(part.batch, whole, at)


@each_engine
def test_a_neuron_that_fired_once_stays_held_and_keeps_its_current(engine: str) -> None:
    """Also where neurons no longer fire only once: it is held since before."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 1, es.LIF(tau_mem=10.0, tau_syn=10.0, refractory=np.inf))
    network.connect("in", "p", weights=[[10.0]])
    part = es.simulate(network, {"in": es.Spikes([0.0], [0])}, 0.5, engine=engine)
    assert len(part.spikes["p"]) == 1
    often = network.replace(neurons={"p": es.LIF(tau_mem=10.0, tau_syn=10.0, refractory=0.1)})
    for end in (1.0, 2.0, 3.0):
        part = es.simulate(often, {}, end, resume=part, history=False)
        assert len(part.spikes["p"]) == 0
        for at in (end - 0.25, end):
            np.testing.assert_allclose(
                part.current("p", at=at), 10.0 * np.exp(-at / 10.0), rtol=1e-12
            )


# --- other parameters from a part on --------------------------------------------------------------


@st.composite
def changes(draw: st.DrawFn, case: Case) -> Case:
    """The case with other weights and neurons; no threshold is lower than it was."""

    def other(old: Neuron) -> Neuron:
        if draw(st.booleans()):
            return old
        at_once = old.alphas.index(math.inf) if math.inf in old.alphas else -1
        new = draw(general_neurons(len(old.alphas), at_once))
        new = replace(new, theta=max(new.theta, old.theta), v0=None, i0=())
        return new if isinstance(old.alpha, tuple) else replace(new, alpha=new.alphas[0])

    weights = st.one_of(st.just(1.0), decimals(-1.0, 2.0))
    synapses = tuple(s._replace(weight=s.weight * draw(weights)) for s in case.synapses)
    return replace(case, neurons=tuple(map(other, case.neurons)), synapses=synapses)


@each_engine
@given(st.data())
@examples(0.6)
def test_other_parameters_hold_from_a_part_on(engine: str, data: st.DataObject) -> None:
    """Weights of what arrives later, and all parameters of neurons: as the oracle has it."""
    case = made_for(engine, data.draw(any_networks()))
    later = data.draw(changes(case))
    at = data.draw(decimals(0.0, case.t_stop))
    try:
        expected = simulate_changed(case, at, later, 60)
    except TooManySpikesError:
        assume(False)
    assume(expected.margin > 1e-7)
    assume(expected.min_slope > 1e-3)
    built, changed = built_for(engine, case), built_for(engine, later)
    first = es.simulate(built.network, built.stimulus, at, engine=engine, initial=built.initial)
    stops = sorted({at, *data.draw(st.lists(decimals(0.0, case.t_stop), max_size=3)), case.t_stop})
    parts = [first]
    for stop in [stop for stop in stops if stop > at] or [case.t_stop]:
        parts.append(es.simulate(changed.network, {}, stop, resume=parts[-1], history=False))
    found = [spike for part in parts for spike in cases.all_trains(part)]
    cases.assert_same_trains(found, list(expected.spikes))
    for quantity in ("potential", "current"):
        values = getattr(expected, quantity + "s")
        np.testing.assert_allclose(cases.at_the_end(parts[-1], quantity), values, atol=1e-8)
    whole = es.simulate(changed.network, {}, case.t_stop, resume=first, history=False)
    assert_same_spikes(parts[1:], whole.batch)


@each_engine
def test_a_changed_bias_is_a_step_of_the_current(engine: str) -> None:
    """A current that never decays stands for it."""
    network = es.Network()
    network.add_input("in", 2)
    receptors = {"fast": 1.0, "step": np.inf, "charge": 0.0}
    lif = es.LIF(tau_mem=2.0, tau_syn=receptors, refractory=0.3)
    network.add_population("p", 2, lif)
    network.connect("in", "p", weights=[[2.0, 1.0], [0.0, 0.0]], receptor="fast", delays=0.1)
    network.connect("in", "p", weights=[[0.0, 0.0], [0.9, 0.4]], receptor="step")
    network.connect("p", "p", weights=[[0.0, 0.7], [-0.3, 0.0]], receptor="fast", delays=0.4)
    driven = {"in": es.Spikes([0.0, 0.3, 3.7, 5.0], [0, 0, 1, 0])}
    plain = {"in": es.Spikes([0.0, 0.3, 5.0], [0, 0, 0])}
    expected = es.simulate(network, driven, 9.0, engine=engine).spikes["p"]
    half = es.simulate(network, plain, 3.7, engine=engine)
    biased = network.replace({"bias": {"p": [0.9, 0.4]}})
    rest = es.simulate(biased, {}, 9.0, resume=half, history=False).spikes["p"]
    assert len(rest) > 5
    later = expected.times > 3.7
    np.testing.assert_allclose(rest.times, expected.times[later], rtol=1e-12)
    np.testing.assert_array_equal(rest.indices, expected.indices[later])


@each_engine
def test_a_part_without_duration_is_the_state_where_it_begins(engine: str) -> None:
    network = excitable(engine)
    half = es.simulate(network, {"in": es.Spikes([0.0], [0])}, 3.0, engine=engine)
    heavier = network.replace(weights={("in", "a"): np.ones((2, 3))})
    for again in (network, heavier):
        part = es.simulate(again, {}, 3.0, resume=half, history=False)
        assert (part.t_start, part.t_stop, part.events.spikes) == (3.0, 3.0, 0)
        for name in network.populations:
            np.testing.assert_allclose(part.potential(name), half.potential(name), rtol=1e-12)
            np.testing.assert_allclose(part.current(name), half.current(name), rtol=1e-12)


@each_engine
def test_a_potential_above_its_new_threshold_is_refused_by_the_number_of_its_neuron(
    engine: str,
) -> None:
    network = excitable(engine)
    half = es.simulate(network, {"in": es.Spikes([0.0], [0])}, 3.0, engine=engine)
    potential = half.potential("a")
    i = int(np.argmax(potential))
    assert 0.1 < potential[i] < 1.0
    low = network.replace({"threshold": {"a": [1.0 if k != i else 0.1 for k in range(3)]}})
    with pytest.raises(ValueError, match=f"neuron {i} of 'a' .*{potential[i]:.6}.* got 0.1"):
        es.simulate(low, {}, 4.0, resume=half, history=False)


# --- some populations alone -----------------------------------------------------------------------


@each_engine
@given(st.data())
@examples(0.3)
def test_a_run_that_records_some_populations_is_the_same_run(
    engine: str, data: st.DataObject
) -> None:
    model, whole = model_for(data, engine)
    names = list(model.network.populations)
    record = [name for name in names if data.draw(st.booleans())]
    found = model.run(engine, record=record, max_spikes=cases.MANY_SPIKES)
    assert list(found.spikes) == record
    assert (found.t_start, found.t_stop) == (0.0, whole.t_stop)
    for name in record:
        for column in ("times", "indices", "slopes", "samples"):
            ours, theirs = (getattr(run.spikes[name], column) for run in (found, whole))
            np.testing.assert_array_equal(ours, theirs)
    for name in names:
        np.testing.assert_array_equal(found.spike_counts(name), whole.spike_counts(name))
        np.testing.assert_allclose(found.potential(name), whole.potential(name), atol=1e-9)
    assert found.events.spikes == whole.events.spikes
    assert found.silent_fraction == whole.silent_fraction


@each_engine
@pytest.mark.parametrize("several", [False, True])
def test_a_run_that_records_nothing_ends_at_the_cap(engine: str, several: bool) -> None:
    network = excitable(engine)
    calm, wild = es.Spikes([0.1, 2.0], [0, 0]), es.Spikes([0.1, 0.2], [1, 1])
    batch = [{"in": calm}, {"in": wild}, {"in": wild}, {"in": calm}]
    given_spikes: Any = batch if several else {"in": wild}
    with pytest.raises(es.ActivityError) as plain:
        es.simulate(network, given_spikes, 60.0, engine=engine, max_spikes=300)
    with pytest.raises(es.ActivityError, match="max_spikes = 300:") as caught:
        es.simulate(network, given_spikes, 60.0, engine=engine, max_spikes=300, record=[])
    ours, theirs = caught.value, plain.value
    assert (ours.sample, ours.neuron, ours.time) == (theirs.sample, theirs.neuron, theirs.time)
    assert len(ours.result.batch if not several else ours.result) == 1 + several


@each_engine
def test_recorded_runs_go_on_in_parts(engine: str) -> None:
    network = excitable(engine)
    stimulus = {"in": es.Spikes([0.1, 1.0, 3.2, 5.0], [0, 0, 1, 0])}
    whole = es.simulate(network, stimulus, 6.0, engine=engine)
    options = {"chunk": 0.5, "engine": engine, "record": ["b"]}
    parts = list(es.stream(network, stimulus, 6.0, **options))
    assert whole.spike_counts("b").sum() > 3
    times = np.concatenate([part.spikes["b"].times for part in parts])
    np.testing.assert_array_equal(times, whole.spikes["b"].times)
    counts = sum(part.spike_counts("a") for part in parts)
    np.testing.assert_array_equal(counts, whole.spike_counts("a"))
    with pytest.raises(ValueError, match=r"one of \['b'\], whose spikes are recorded, got 'a'"):
        parts[-1].first_spikes("a")


# --- what needs the whole run ---------------------------------------------------------------------


@each_engine
def test_gradients_and_causality_refuse_what_is_not_the_whole_run(engine: str) -> None:
    network = excitable(engine)
    stimulus = {"in": es.Spikes([0.1], [0])}
    first, second = es.stream(network, stimulus, 4.0, chunk=2.0, engine=engine)
    kept = es.simulate(network, stimulus, 4.0, engine=engine, record=["b"])
    asked = [
        lambda run: run.causality(),
        lambda run: gradients.jvp(run, bias={"a": 1.0}),
        lambda run: gradients.timing_backprop(run, spike_times={}),
        lambda run: run.batch.ended_when_fired("b"),
    ]
    for ask in asked:
        for part in (first, second):
            with pytest.raises(ValueError, match=r"needs the whole run.*history=True.*from t = "):
                ask(part)
        with pytest.raises(ValueError, match=r"spikes of all populations.*got those of \['b'\]"):
            ask(kept)


def test_parts_on_more_threads_let_go_the_synapses_of_one() -> None:
    """The arrays that parts work in are kept, but not what they were made for."""
    n = 2 * LEAST_NEURONS
    net = es.Network()
    net.add_population("neurons", n, es.LIF(20.0, 5.0))
    net.connect("neurons", "neurons", es.one_to_one(n, n, weights=1.0, delays=1.0))
    part: Any = None
    held = []
    for k, threads in enumerate([1, 2, 1], 1):
        t_stop = k * (LEAST_WINDOWS + 1.0)
        options: dict[str, Any] = {"engine": "windows", "history": False, "resume": part}
        part = es.simulate(net, {}, t_stop, threads=threads, **options)
        cut = cut_at_hand(net, WHOLE)
        assert cut is not None
        assert cut.n_shares == threads
        held.append(weakref.ref(bundles_of(net, cut)[0].weight))
        gc.collect()
        assert [of_cut() is not None for of_cut in held] == [False] * (k - 1) + [True]
