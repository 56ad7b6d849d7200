"""A minibatch in shards: the same run, the same sum, whoever does them and however often."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._support.sources import OtherCodeError, code
from gradients import shards
from tests.helpers.cases import MANY_SPIKES
from tests.helpers.engines import each_engine, excitable, model_for
from tests.helpers.models import assert_identical
from tests.helpers.strategies import examples

RNG = np.random.default_rng(7)
LATENCIES = np.where(RNG.random((11, 6)) < 0.2, np.inf, RNG.random((11, 6)))
BATCH = {"in": es.SpikeBatch.from_latencies(LATENCIES)}
LABELS = RNG.integers(0, 3, 11)
LOSS = gradients.FirstSpikeCrossEntropy(
    "out", tau0=0.3, wake=0.5
) + 0.1 * gradients.SpikeCountPenalty("hidden")


def network() -> es.Network:
    net = es.Network()
    net.add_input("in", 6)
    net.add_population("hidden", 8, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.add_population("out", 3, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.connect("in", "hidden", weights=RNG.normal(1.0, 0.7, (6, 8)), delays=0.05)
    net.connect("hidden", "out", weights=RNG.normal(0.8, 0.4, (8, 3)))
    return net


NET = network()


def all_that_happens(result: es.BatchResult) -> gradients.Loss:
    """A loss of all spike times and of the potentials at the end."""
    times = {name: spikes.times for name, spikes in result.spikes.items()}
    ends = {name: result.potential(name) for name in times}
    value = sum(np.sin(each).sum() for each in (*times.values(), *ends.values()))
    return gradients.Loss(
        float(value),
        spike_times={name: np.cos(each) for name, each in times.items()},
        potentials={name: np.cos(each) for name, each in ends.items()},
    )


class Elsewhere(Executor):
    """Another process, as far as this one can tell: it tries all twice, on copies."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        sent = pickle.dumps((fn, args, kwargs))
        try:
            for _ in range(2):
                function, arguments, named = pickle.loads(sent)
                answer = pickle.dumps(function(*arguments, **named))
            future.set_result(pickle.loads(answer))
        except Exception as error:
            future.set_exception(pickle.loads(pickle.dumps(error)))
        return future


class Nobody(Executor):
    """Takes everything and does nothing."""

    def __init__(self) -> None:
        self.given: list[Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        self.given.append(Future())
        return self.given[-1]


def leaves(value: Any) -> Iterator[Any]:
    """The arrays and numbers of a gradient, in order."""
    if isinstance(value, gradients.Gradient):
        value = {**value.tree, "more": [value.alpha, value.beta, value.initial,
                 value.input_times, value.min_slope, value.silent_fraction]}  # fmt: skip
    if isinstance(value, es.State):
        value = [value.potential, value.current]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)


def assert_same_bits(found: Any, expected: Any) -> None:
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def assert_close(found: Any, expected: Any) -> None:
    """What cancels in one of them is a rounding of the largest in the other."""
    pairs = [*zip(leaves(found), leaves(expected), strict=True)]
    sizes = (np.abs(other[np.isfinite(other)]).max(initial=0.0) for _, other in pairs)
    atol = 1e-9 * float(max(sizes))
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=0.0, atol=atol)


@each_engine
@given(data=st.data(), n=st.integers(1, 5))
@examples(0.3)
def test_shards_give_the_run_of_the_whole_and_its_gradient(
    engine: str, data: st.DataObject, n: int
) -> None:
    model, whole = model_for(data, engine)
    assert isinstance(whole, es.BatchResult)
    given_to = (model.network, model.stimulus, all_that_happens, model.t_stop)
    options: dict[str, Any] = {
        "wrt": None, "engine": engine, "initial": model.initial, "max_spikes": MANY_SPIKES,
    }  # fmt: skip
    value, gradient, result = gradients.value_and_grad(*given_to, **options)
    here = gradients.value_and_grad(*given_to, shards=n, **options)
    assert here[0] == value
    assert_identical(here[2], result)
    assert_close(here[1], gradient)
    elsewhere = gradients.value_and_grad(*given_to, shards=n, executor=Elsewhere(), **options)
    assert_same_bits(elsewhere[1], here[1])
    assert_identical(elsewhere[2], result)


def test_a_loss_of_labels_and_of_the_whole_batch_is_that_of_the_whole() -> None:
    value, gradient, _ = gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0)
    cut = gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0, shards=4)
    assert cut[0] == value
    assert_close(cut[1], gradient)


def test_the_number_of_workers_and_their_haste_change_no_bit() -> None:
    expected = gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0, shards=5, wrt=None)
    for workers in (1, 2, 3):
        with ThreadPoolExecutor(workers) as executor:
            found = gradients.value_and_grad(
                NET, BATCH, LOSS.of(LABELS), 3.0, shards=5, wrt=None, executor=executor
            )
        assert found[0] == expected[0]
        assert_same_bits(found[1], expected[1])


@pytest.mark.jit
@pytest.mark.slow
def test_two_processes_give_the_same_bits() -> None:
    expected = gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0, shards=3)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        found = gradients.value_and_grad(
            NET, BATCH, LOSS.of(LABELS), 3.0, shards=3, executor=executor
        )
    assert_same_bits(found[1], expected[1])


def test_without_a_number_an_executor_gets_the_usual_number_of_shards() -> None:
    expected = gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0, shards=shards.SHARDS)
    found = gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0, executor=Elsewhere())
    assert_same_bits(found[1], expected[1])


def test_derivatives_by_input_times_come_in_the_order_in_which_spikes_were_given() -> None:
    order = np.random.default_rng(2).permutation(30)
    times = np.linspace(0.0, 1.0, 30)[order]
    given_so = es.SpikeBatch(times, np.arange(30) % 6, np.arange(30) % 4, 4)
    _, whole, _ = gradients.value_and_grad(NET, {"in": given_so}, all_that_happens, 3.0, wrt=None)
    _, cut, _ = gradients.value_and_grad(
        NET, {"in": given_so}, all_that_happens, 3.0, wrt=None, shards=3
    )
    assert_close(cut, whole)
    assert len(set(whole.input_times["in"].tolist())) > 10


@each_engine
@pytest.mark.parametrize("executor", [None, Elsewhere()], ids=["here", "elsewhere"])
def test_a_sample_that_runs_away_is_named_as_in_the_whole(
    engine: str, executor: Executor | None
) -> None:
    trains = [es.Spikes([0.5], [0]) if k < 4 else es.Spikes([0.5], [1]) for k in range(7)]
    samples = [{"in": train} for train in trains]
    options: dict[str, Any] = {"engine": engine, "max_spikes": 12}
    with pytest.raises(es.ActivityError) as whole:
        gradients.value_and_grad(excitable(engine), samples, all_that_happens, 50.0, **options)
    with pytest.raises(es.ActivityError) as cut:
        gradients.value_and_grad(
            excitable(engine), samples, all_that_happens, 50.0, shards=3, executor=executor,
            **options,
        )  # fmt: skip
    assert str(cut.value) == str(whole.value)
    assert "sample 4" in str(cut.value)
    assert_identical(cut.value.result, whole.value.result)


def test_what_cannot_be_cut_is_refused_before_any_work() -> None:
    nobody = Nobody()
    drawn = es.Network()
    drawn.add_poisson("in", 2, rate=1.0, seed=1)
    drawn.add_population("hidden", 1, es.LIF(tau_mem=1.0))
    loss = all_that_happens
    refused: list[tuple[str, dict[str, Any]]] = [
        ("shards must be an integer >= 1, got 0", {"shards": 0}),
        ("shards must be an integer >= 1, got 1.5", {"shards": 1.5}),
        ("executor must be a concurrent.futures.Executor.*, got 'dask'", {"executor": "dask"}),
        ("engine must be one of processors.*'cuda'", {"engine": "cuda"}),
        ("engine must be one of", {"engine": "warp"}),
    ]
    for words, options in refused:
        with pytest.raises(ValueError, match=words):
            gradients.value_and_grad(NET, BATCH, loss, 3.0, **{"executor": nobody, **options})
    with pytest.raises(ValueError, match="None for a single sample, got 2"):
        gradients.value_and_grad(NET, {"in": es.Spikes([0.1], [0])}, loss, 3.0, shards=2)
    with pytest.raises(ValueError, match=r"where inputs are generators.*'in'"):
        gradients.value_and_grad(drawn, [{}, {}], loss, 3.0, shards=2)
    assert not nobody.given


def test_derivatives_that_do_not_fit_are_refused_as_of_the_whole() -> None:
    wrong = gradients.Loss(0.0, potentials={"out": np.zeros((10, 3))})
    with pytest.raises(ValueError, match=r"potentials\['out'\] must have shape \(11, 3\)"):
        gradients.value_and_grad(NET, BATCH, lambda _: wrong, 3.0, shards=2)


def test_workers_that_are_gone_are_no_reason_to_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shards, "WAIT", 0.1)
    nobody = Nobody()
    with pytest.raises(TimeoutError, match=r"shard 0 of 2 was not done 0\.1 s after"):
        gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0, shards=2, executor=nobody)
    assert [future.cancelled() for future in nobody.given] == [True, True]


def test_a_shard_that_an_executor_gives_up_is_an_error_that_names_it() -> None:
    class Gone(Nobody):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future = super().submit()
            future.cancel()
            return future

    with pytest.raises(RuntimeError, match="shard 0 of 2 was given up: its workers are gone"):
        gradients.value_and_grad(NET, BATCH, LOSS.of(LABELS), 3.0, shards=2, executor=Gone())


def test_a_worker_with_other_code_is_refused_by_name() -> None:
    other = {**code("eventsim", "gradients"), "gradients": "0" * 12}
    with pytest.raises(OtherCodeError, match=r"worker .*, process \d+, has gradients"):
        shards._called(other, len, [])
