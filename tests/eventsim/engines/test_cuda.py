"""The layered engine on a CUDA device, or in numba's simulator of one: what the CPU gives.

The simulator starts a thread for each thread of the device, so networks are small here.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from numba import cuda as numba_cuda

import eventsim as es
from eventsim._engines.cuda import arrivals, device, plan, result, run, scan, sorting
from eventsim._layout.layers import layers_of
from tests.helpers.device import NETWORKS, DeviceError, two_layers
from tests.helpers.feedforward import Population, Recipe, Wires, cells
from tests.helpers.models import Model, assert_same_events, assert_same_run, decided
from tests.helpers.strategies import decimals

pytestmark = pytest.mark.cuda


def assert_as_on_the_cpu(model: Model) -> None:
    found, expected = model.run("cuda"), model.run("layered")
    assert_same_run(found, expected, rtol=1e-12)
    assert_same_events(found, expected)


# --- the same answer ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_cpu_gives(name: str) -> None:
    model = NETWORKS[name].model()
    assert_as_on_the_cpu(model)


@settings(max_examples=8)
@given(st.data())
def test_drawn_neurons_do_what_they_do_on_the_cpu(data: st.DataObject) -> None:
    population = Population(3, data.draw(cells()), (Wires(0, delay=data.draw(decimals(0, 1, 2))),))
    recipe = Recipe(((3, 1, 1),), (population,), (5, 3), data.draw(st.booleans()), 2.0, 7)
    decided(recipe.model())
    assert_as_on_the_cpu(recipe.model())


# --- buffers and chunks ---------------------------------------------------------------------------


def same_bits(a: es.BatchResult, b: es.BatchResult) -> bool:
    pairs = [*zip(a.record, b.record, strict=True), (a.state.neuron, b.state.neuron)]
    return all(np.array_equal(x, y) for x, y in pairs)


def test_buffers_that_are_too_small_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = two_layers().run("cuda")
    monkeypatch.setattr(plan, "ROOM", 0)
    monkeypatch.setattr(run, "_guess", lambda *_: 1)
    model = two_layers()
    assert same_bits(model.run("cuda"), whole)
    layer = plan.device_layers(model.network)[0]
    assert layer.room >= np.diff(whole.offsets).max() / 2 > 0


def test_a_batch_is_cut_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_layers(n_samples=3)
    whole = model.run("cuda")
    monkeypatch.setattr(result, "free_memory", lambda: 1.0)
    assert result.portion_size(model.network, whole.stimulus, []) == 1
    cut = model.run("cuda")
    assert same_bits(cut, whole)
    assert cut.on_device is None
    assert whole.on_device is None  # its memory was wanted


def fail_above(limit: int, code: int, run: Callable[..., Any]) -> Callable[..., Any]:
    """A run of a portion that fails for more than ``limit`` samples."""

    def limited(*arguments: Any) -> Any:
        first, last = arguments[3:5]
        if last - first > limit:
            raise DeviceError(code)
        return run(*arguments)

    return limited


def test_a_batch_is_halved_where_an_allocation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_layers(n_samples=3)
    whole = model.run("cuda")
    monkeypatch.setattr(result, "run_portion", fail_above(1, 2, result.run_portion))
    assert same_bits(model.run("cuda"), whole)
    monkeypatch.setattr(result, "run_portion", fail_above(0, 2, result.run_portion))
    with pytest.raises(MemoryError, match=r"a single sample does not fit in the .* MB"):
        model.run("cuda")
    monkeypatch.setattr(result, "run_portion", fail_above(0, 700, result.run_portion))
    with pytest.raises(DeviceError):
        model.run("cuda")


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (DeviceError(2), True),
        (RuntimeError("Call to cuModuleLoadDataEx results in CUDA_ERROR_OUT_OF_MEMORY"), True),
        (DeviceError(700), False),
    ],
)
def test_no_memory_is_recognised_wherever_it_was_wanted(error: Exception, is_one: bool) -> None:
    assert device.is_out_of_memory(error) is is_one


def test_halving_halves_what_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is memory for the largest array of one sample, not for that of four."""
    model, sizes, empty = two_layers(n_samples=4), [0], device.empty
    whole = model.run("cuda")

    def measured(shape: Any, *dtype: Any) -> Any:
        sizes.append(int(np.prod(shape)))
        return empty(shape, *dtype)

    def limited(shape: Any, *dtype: Any) -> Any:
        if np.prod(shape) > most:
            raise DeviceError(2)
        return empty(shape, *dtype)

    for module in (arrivals, run):
        monkeypatch.setattr(module, "empty", measured)
    for k in range(4):
        es.simulate(two_layers(n_samples=4).network, model.sample(k), model.t_stop, engine="cuda")
    most = 2 * max(sizes)
    sizes.clear()
    assert same_bits(model.run("cuda"), whole)
    assert max(sizes) > most
    for module in (arrivals, run):
        monkeypatch.setattr(module, "empty", limited)
    assert same_bits(model.run("cuda"), whole)


@pytest.mark.skipif(not config.ENABLE_CUDASIM, reason="a compiled kernel keeps its constants")
def test_more_spikes_than_fit_in_shared_memory_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_layers()
    whole = model.run("cuda")
    monkeypatch.setattr(sorting, "SORTED_IN_PLACE", 2)
    assert same_bits(model.run("cuda"), whole)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20))
@settings(max_examples=5)
def test_the_network_sorts(pairs: list[tuple[int, int]]) -> None:
    n = len(pairs)
    model = layered_sort(pairs)
    assert model == sorted(pairs)
    assert len(model) == n


def layered_sort(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs as (time, row), sorted as the arrivals of a single list."""
    n = max(1, len(pairs))
    time = numba_cuda.to_device(np.array([t for t, _ in pairs] or [0.0], dtype=float))
    row = numba_cuda.to_device(np.array([r for _, r in pairs] or [0], dtype=np.int32))
    origin, zero = device.zeros(n), device.zeros(1)
    start, count = (numba_cuda.to_device(np.array([k])) for k in (0, len(pairs)))
    layer = layers_of(two_layers().network)[0]
    on_device = plan.DeviceLayer(layer)
    factors = arrivals.Factors(*(device.empty((layer.n_kinds, n)) for _ in range(4)))
    with device.quietly():
        arrivals.order_arrivals[1, 4](
            arrivals.Arrivals(start, count, time, row, origin), on_device.tables, 1, True, 5, 9.0,
            factors, device.zeros(1), zero,
        )  # fmt: skip
    assert zero.copy_to_host()[0] == 0
    found = zip(time.copy_to_host().tolist(), row.copy_to_host().tolist(), strict=True)
    return [(int(t), r) for t, r in found][: len(pairs)]


@settings(max_examples=5)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_a_running_sum_of_many_chunks_is_that_of_one(counts: list[int]) -> None:
    total = device.zeros(len(counts) + 1)
    running_sum = scan.RunningSum(len(counts), device.zeros(1))
    with device.quietly():
        running_sum(device.to_device(np.array(counts, dtype=np.int64)), total)
    np.testing.assert_array_equal(total.copy_to_host(), np.cumsum([0, *counts]))


# --- what stays on the device ---------------------------------------------------------------------


def test_a_result_says_the_same_on_the_device_and_off_it() -> None:
    found = two_layers().run("cuda")
    held = [
        (found.first_spikes(name), found.spike_counts(name), found.potential(name))
        for name in found.network.populations
    ]
    sums = found.min_slope, found.silent_fraction, found.events
    found.leave()
    assert found.on_device is None
    for (first, counts, potential), name in zip(held, found.network.populations, strict=True):
        np.testing.assert_array_equal(first, found.first_spikes(name))
        np.testing.assert_array_equal(counts, found.spike_counts(name))
        np.testing.assert_array_equal(potential, found.potential(name))
    assert sums == (found.min_slope, found.silent_fraction, found.events)


def test_some_samples_of_a_result_are_a_result_that_can_go_on() -> None:
    found = two_layers(n_samples=3).run("cuda")
    part = found[1:]
    assert type(part) is type(found)
    assert len(part) == 2
    for k in (0, 1):
        np.testing.assert_array_equal(part.potential("p1")[k], found.potential("p1")[k + 1])
        np.testing.assert_array_equal(part[k].spikes["p1"].times, found[k + 1].spikes["p1"].times)
    with pytest.raises(IndexError, match=r"sample must be in \[-3, 3\), got 3"):
        found[3]


def test_nothing_is_copied_before_somebody_reads_it() -> None:
    found = two_layers().run("cuda")
    found.potential("p1")
    assert not {"record", "state", "_count"} & vars(found).keys()
    assert found.record.time.size == found.offsets[-1] > 0


# --- single precision -----------------------------------------------------------------------------


def test_single_precision_moves_spikes_by_its_rounding() -> None:
    model = two_layers()
    single, double = model.run("cuda-float32"), model.run("cuda")
    assert single.on_device.layers[0].spikes.time.dtype == np.float32
    assert single.record.time.dtype == np.float64
    np.testing.assert_array_equal(single.offsets, double.offsets)
    error = np.abs(single.record.time - double.record.time).max()
    assert 0.0 < error < 1e-5


def test_a_stored_time_is_after_what_released_the_spike() -> None:
    """A current so large that the spike comes within the rounding of its arrival."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 1, es.LIF(refractory=0.5))
    network.connect("in", "p", weights=[[1e9]])
    spikes = {"in": es.Spikes([1.0], [0])}
    found = es.simulate(network, spikes, 1.4, engine="cuda-float32")
    (time,) = found.spikes["p"].times
    assert time == np.nextafter(np.float32(1.0), np.float32(2.0))


def test_a_resumed_run_keeps_its_precision() -> None:
    model = two_layers()
    half = es.simulate(model.network, model.stimulus, 1.0, engine="cuda-float32")
    resumed = es.simulate(model.network, {}, model.t_stop, resume=half)
    assert resumed.dtype == np.float32
    with pytest.raises(ValueError, match="must be 'cuda-float32', which made"):
        es.simulate(model.network, {}, model.t_stop, resume=half, engine="cuda")


# --- what cannot be done --------------------------------------------------------------------------


def test_the_cap_names_the_spike_as_on_the_cpu() -> None:
    model = two_layers()
    with pytest.raises(es.ActivityError) as on_cpu:
        model.run("layered", max_spikes=3)
    with pytest.raises(es.ActivityError) as on_device:
        model.run("cuda", max_spikes=3)
    assert str(on_device.value) == str(on_cpu.value)


def test_a_projection_without_synapses_leads_nowhere() -> None:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", 2, es.LIF())
    network.connect("in", "p", weights=scipy.sparse.csr_array((2, 2)))
    result = es.simulate(network, {"in": es.Spikes([0.0, 0.1], [0, 1])}, 1.0, engine="cuda")
    assert result.events == es.EventCounts(0, 2, 0, 0)


def test_what_was_missing_in_one_layer_says_nothing_about_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the inhibition that is missing at first, the second layer would exceed the cap."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("a", 3, es.LIF(np.inf, np.inf, refractory=np.inf))
    network.add_population("b", 2, es.LIF(np.inf, np.inf))
    network.connect("in", "a", weights=[[2.0, 2.0, 2.0]])
    network.connect("in", "b", weights=[[30.0, 30.0]], delays=0.6)
    network.connect("a", "b", weights=np.full((3, 2), -10.0))
    spikes = {"in": es.Spikes([0.0], [0])}
    expected = es.simulate(network, spikes, 3.0, engine="layered", max_spikes=5)
    monkeypatch.setattr(plan, "ROOM", 0)
    found = es.simulate(network, spikes, 3.0, engine="cuda", max_spikes=5)
    assert found.engine == "cuda"
    np.testing.assert_array_equal(found.batch.record.neuron, expected.batch.record.neuron)


def test_plans_go_with_their_networks() -> None:
    model = two_layers()
    model.run("cuda")
    plans = [weakref.ref(plan._PLANS[layer]) for layer in layers_of(model.network)]
    del model
    gc.collect()
    assert [plan() for plan in plans] == [None] * len(plans)


def test_a_recurrent_network_is_refused() -> None:
    network = es.Network()
    network.add_population("p", 2, es.LIF())
    network.connect("p", "p", weights=scipy.sparse.eye_array(2, format="csr"))
    with pytest.raises(ValueError, match=r"feed-forward.*\['p'\] feed back"):
        es.simulate(network, {}, 1.0, engine="cuda")


def test_several_receptors_are_refused() -> None:
    network = es.Network()
    network.add_population("p", 2, es.LIF(tau_syn={"exc": 1.0, "inh": 2.0}))
    expected = r"'cuda' needs neurons with one receptor, got \('exc', 'inh'\) of 'p'"
    with pytest.raises(ValueError, match=expected):
        es.simulate(network, {}, 1.0, engine="cuda")


def test_without_a_device_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"needs an NVIDIA GPU.*pip install.*engine='layered'"):
        two_layers().run("cuda")


def test_a_resumed_run_stays_on_the_device() -> None:
    model = two_layers()
    half = es.simulate(model.network, model.stimulus, 1.0, engine="cuda")
    assert half.engine == "cuda"
    with pytest.raises(ValueError, match="engine must be 'cuda', which made the resumed run"):
        es.simulate(model.network, {}, 3.0, resume=half, engine="layered")
    resumed = es.simulate(model.network, {}, model.t_stop, resume=half)
    assert same_bits(resumed, model.run("cuda"))


# --- arrays of other libraries --------------------------------------------------------------------


def test_the_type_of_an_array_is_that_of_its_interface() -> None:
    class Tensor:
        dtype = "int32 of another library"
        __cuda_array_interface__: ClassVar = {"typestr": "<i4"}

    assert device.type_of(Tensor()) == np.int32
    assert device.type_of(np.zeros(2, np.float32)) == np.float32
