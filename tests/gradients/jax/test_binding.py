"""Networks as functions of JAX: values and derivatives are ours, through all transformations."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import eventsim as es
import gradients

jax = pytest.importorskip("jax", reason='the extra "jax" is not installed')

import jax.numpy as jnp  # noqa: E402
from jax.test_util import check_grads  # noqa: E402

import gradients.jax  # noqa: E402
from gradients.jax.setting import Setting  # noqa: E402
from tests.helpers.noisy import noisy  # noqa: E402

pytestmark = pytest.mark.usefixtures("x64")

T_STOP = 5.0
LATENCIES = np.array([[0.1, 0.5, np.inf], [0.3, 0.0, 0.2], [np.inf, np.inf, np.inf]])
HIDDEN, OUT = ("in", "hidden"), ("hidden", "out")


@cache
def network(seed: int = 0) -> es.Network:
    """Two layers, with a delay for each synapse, a sparse matrix, and inhibition."""
    rng = np.random.default_rng(seed)
    net = es.Network()
    net.add_input("in", 3)
    net.add_population("hidden", 4, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.add_population("out", 2, es.LIF(tau_mem=1.5, tau_syn=1.0, rest=-0.1))
    delays = rng.uniform(0.05, 0.3, (3, 4))
    net.connect("in", "hidden", weights=rng.uniform(1.0, 4.0, (3, 4)), delays=delays)
    weights = scipy.sparse.csr_array(np.where(np.eye(4, 2), 0.0, rng.uniform(1.0, 3.0, (4, 2))))
    net.connect("hidden", "out", weights=weights, delays=0.1)
    net.connect("hidden", "hidden", weights=np.full((4, 4), -0.2), delays=0.2)
    return net


@cache
def bound(**options: Any) -> gradients.jax.Apply:
    options = {"t_stop": T_STOP, "learn": None} | options
    return gradients.jax.bind(network(), **options)


def few() -> gradients.jax.Apply:
    """The network with fewer parameters: JAX compiles functions of them sooner."""
    return bound(learn=("weights", "tau_mem"))


def total(apply: gradients.jax.Apply, params: Any, latencies: Any) -> Any:
    """A loss in which silent neurons count as the number 3."""
    read = apply(params, latencies)
    return jnp.sum(jnp.sin(jnp.where(read < jnp.inf, read, 3.0)))


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def values_of(leaf: Any) -> Any:
    return leaf.data if scipy.sparse.issparse(leaf) else leaf


def ours(
    apply: gradients.jax.Apply,
    net: es.Network,
    latencies: np.ndarray,
    loss: Callable[[es.BatchResult], gradients.Loss],
) -> tuple[float, dict[str, Any], np.ndarray]:
    """Value and derivatives by parameters and latencies of `gradients.value_and_grad`."""
    stimulus = {"in": es.SpikeBatch.from_latencies(latencies)}
    value, found, _ = gradients.value_and_grad(net, stimulus, loss, T_STOP, wrt=None)
    by_latency = np.zeros(latencies.shape)
    by_latency[latencies < np.inf] = found.input_times["in"]
    tree = {kind: found.tree[kind] for kind in apply.params}
    return value, jax.tree.map(values_of, tree), by_latency


def sine(result: es.BatchResult) -> gradients.Loss:
    """The loss `total` of first spikes, as a loss of ours."""
    times = result.first_spikes("out")
    seen = np.where(times < np.inf, times, 3.0)
    slopes = np.where(times < np.inf, np.cos(seen), 0.0)
    return gradients.Loss(np.sin(seen).sum(), first_spikes={"out": slopes})


def sine_of_potentials(result: es.BatchResult) -> gradients.Loss:
    values = result.potential("out")
    return gradients.Loss(np.sin(values).sum(), potentials={"out": np.cos(values)})


# --- values and gradients -------------------------------------------------------------------------


def test_a_call_returns_what_a_run_does_for_a_sample_a_batch_and_more_axes() -> None:
    run = es.simulate(network(), {"in": es.SpikeBatch.from_latencies(LATENCIES)}, T_STOP)
    expected = run.first_spikes("out")
    assert np.isinf(expected).any()
    apply = bound()
    np.testing.assert_array_equal(apply(apply.params, LATENCIES), expected)
    np.testing.assert_array_equal(apply(apply.params, LATENCIES[1]), expected[1])
    np.testing.assert_array_equal(apply({}, LATENCIES[None, :, None]), expected[None, :, None])
    assert apply(apply.params, LATENCIES[:0]).shape == (0, 2)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("read", "loss"), [("first_spikes", sine), ("potential", sine_of_potentials)]
)
def test_values_and_gradients_are_ours_to_the_bit(
    read: str, loss: Callable[[es.BatchResult], gradients.Loss], compiled: bool
) -> None:
    apply = bound(read=read)
    function = jax.value_and_grad(lambda *given: total(apply, *given), argnums=(0, 1))
    value, (params, latencies) = (jax.jit(function) if compiled else function)(
        apply.params, LATENCIES
    )
    expected, by_params, by_latency = ours(apply, network(), LATENCIES, loss)
    assert value == pytest.approx(expected, rel=1e-14)
    assert params.keys() == by_params.keys()
    np.testing.assert_allclose(flat(params), flat(by_params), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(latencies, by_latency, rtol=1e-13, atol=1e-14)
    assert flat(by_params).any()
    assert by_latency.any()


@pytest.mark.slow
@pytest.mark.parametrize("read", ["first_spikes", "spikes"])
def test_both_modes_agree_with_differences(read: str) -> None:
    apply = bound(read=read, n_spikes=2 if read == "spikes" else None)
    latencies = jnp.array([[0.1, 0.5, 0.9], [0.3, 0.05, 0.2]])
    assert np.isfinite(apply(apply.params, latencies)).all()
    check_grads(apply, (apply.params, latencies), 1, modes=("fwd", "rev"), eps=1e-6)


@pytest.mark.slow
def test_jacobians_of_both_modes_agree_also_compiled_and_mapped() -> None:
    apply = few()
    forward = jax.jacfwd(apply, argnums=(0, 1))(apply.params, LATENCIES[1])
    for jacobian in (jax.jacrev, lambda f, **k: jax.jit(jax.jacfwd(f, **k))):
        found = jacobian(apply, argnums=(0, 1))(apply.params, LATENCIES[1])
        np.testing.assert_allclose(flat(found), flat(forward), rtol=1e-12, atol=1e-14)
    each = jax.jit(jax.vmap(jax.jacrev(apply), (None, 0)))(apply.params, LATENCIES)
    np.testing.assert_allclose(
        flat(jax.tree.map(lambda leaf: leaf[1], each)), flat(forward[0]), rtol=1e-12, atol=1e-14
    )


def test_the_first_spikes_of_each_neuron_are_read_in_order_and_inf_follows_them() -> None:
    apply = bound(read="spikes", n_spikes=3)
    spikes = es.simulate(network(), {"in": es.SpikeBatch.from_latencies(LATENCIES)}, T_STOP).spikes
    expected = np.full((3, 2, 3), np.inf)
    for k in range(3):
        for i in range(2):
            own = (spikes["out"].samples == k) & (spikes["out"].indices == i)
            times = spikes["out"].times[own][:3]
            expected[k, i, : times.size] = times
    assert 0 < np.isinf(expected).sum() < expected.size
    np.testing.assert_array_equal(apply(apply.params, LATENCIES), expected)


def test_silence_has_no_derivative_and_no_nan_comes_of_what_it_is_multiplied_by() -> None:
    apply = bound()
    found = jax.grad(lambda *given: jnp.sum(apply(*given)), argnums=(0, 1))(apply.params, LATENCIES)
    assert np.isfinite(flat(found)).all()
    by_nan = jax.vjp(apply, apply.params, LATENCIES[2])[1](jnp.full(2, jnp.nan))
    np.testing.assert_array_equal(flat(by_nan), 0.0)


def test_several_inputs_and_outputs_are_arguments_and_a_tuple() -> None:
    net = es.Network()
    for name in ("left", "right"):
        net.add_input(name, 2)
    for name in ("one", "two"):
        net.add_population(name, 1, es.LIF(tau_mem=2.0, tau_syn=1.0))
        net.connect("left", name, weights=[[3.0], [1.0]])
        net.connect("right", name, weights=[[1.0], [4.0]])
    apply = gradients.jax.bind(net, ("right", "left"), ["two", "one"], t_stop=3.0)
    right, left = np.array([[0.1, 0.4]]), np.array([[0.2, 0.0]])
    two, one = apply(apply.params, right, left)
    trains = {
        "right": es.SpikeBatch.from_latencies(right),
        "left": es.SpikeBatch.from_latencies(left),
    }
    run = es.simulate(net, trains, 3.0)
    np.testing.assert_array_equal(two, run.first_spikes("two"))
    np.testing.assert_array_equal(one, run.first_spikes("one"))
    by_left = jax.grad(lambda x: apply({}, right, x)[0][0, 0])(left)
    expected = gradients.timing_backprop(run, first_spikes={"two": [[1.0]]}).input_times["left"]
    np.testing.assert_allclose(by_left[0], expected, rtol=1e-14)


def test_a_kernel_and_a_delay_of_a_projection_are_parameters() -> None:
    net = es.Network()
    net.add_input("in", 9)
    net.add_population("out", 4, es.LIF(tau_mem=2.0, tau_syn=1.0))
    kernel = np.array([[[[1.5, 0.5], [1.0, 2.0]]]])
    key = net.connect("in", "out", weights=es.Convolution(kernel, (3, 3)), delays=0.25)
    apply = gradients.jax.bind(net, t_stop=4.0, learn=("weights", "delays"))
    latencies = np.linspace(0.1, 0.9, 9)
    assert apply.params["weights"][key].shape == kernel.shape
    assert apply.params["delays"][key].shape == ()
    check_grads(apply, (apply.params, latencies), 1, modes=("fwd", "rev"), eps=1e-6)


def test_time_constants_of_receptors_are_parameters_by_name() -> None:
    net = es.Network()
    net.add_input("in", 2)
    net.add_population("out", 1, es.LIF(tau_mem=2.0, tau_syn={"slow": 1.0, "fast": 0.5}))
    net.connect("in", "out", weights=[[3.0], [1.0]])
    net.connect("in", "out", weights=[[1.0], [2.0]], receptor="fast")
    apply = gradients.jax.bind(net, t_stop=4.0, learn=("tau_syn",))
    assert apply.params["tau_syn"]["out"].keys() == {"slow", "fast"}
    check_grads(lambda p: apply(p, [0.1, 0.4]), (apply.params,), 1, ("fwd", "rev"), eps=1e-6)


def test_the_network_of_parameters_is_the_one_that_is_run() -> None:
    apply = bound()
    params = jax.tree.map(lambda leaf: 1.1 * leaf, apply.params)
    net = apply.network(params)
    run = es.simulate(net, {"in": es.SpikeBatch.from_latencies(LATENCIES)}, T_STOP)
    np.testing.assert_array_equal(apply(params, LATENCIES), run.first_spikes("out"))
    assert apply.network({}).is_same(network())
    part = apply.network({"weights": params["weights"]})
    np.testing.assert_array_equal(part.projections[HIDDEN].values, net.projections[HIDDEN].values)
    np.testing.assert_array_equal(
        part.projections[HIDDEN].delays, network().projections[HIDDEN].delays
    )


def test_parameters_of_single_precision_have_gradients_of_single_precision() -> None:
    apply = bound()
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), apply.params)
    found = jax.grad(lambda p: total(apply, p, LATENCIES))(params)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float32)}


# --- transformations ------------------------------------------------------------------------------


def value_and_slopes(params: Any, latencies: Any) -> Any:
    return jax.value_and_grad(total, argnums=(1, 2))(few(), params, latencies)


def of_map(params: Any, latencies: Any) -> Any:
    """Derivatives of the sum of a map, by what its members have in common and by their own."""

    def mapped(params: Any, latencies: Any) -> Any:
        return jnp.sum(jax.vmap(lambda x: total(few(), params, x))(latencies))

    return jax.grad(mapped, argnums=(0, 1))(params, latencies)


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(function)


def scaled(factor: Any) -> Any:
    return jax.tree.map(lambda leaf: factor * leaf, few().params)


@pytest.mark.slow
@settings(max_examples=max(5, settings.default.max_examples // 20))
@given(seed=st.integers(0, 2**32 - 1), silent=st.floats(0.0, 0.6))
def test_members_of_a_map_are_what_each_is_alone(seed: int, silent: float) -> None:
    rng = np.random.default_rng(seed)
    latencies = rng.uniform(0.0, 2.0, (3, 2, 3))
    latencies[rng.random(latencies.shape) < silent] = np.inf
    factors = rng.uniform(0.7, 1.4, 3)
    members = jax.vmap(scaled)(factors)
    found = compiled(jax.vmap(value_and_slopes))(members, latencies)
    for k, factor in enumerate(factors):
        alone = compiled(value_and_slopes)(scaled(factor), latencies[k])
        own = jax.tree.map(lambda leaf, k=k: leaf[k], found)
        np.testing.assert_allclose(flat(own), flat(alone), rtol=1e-11, atol=1e-12)
    summed = compiled(of_map)(few().params, latencies)
    together = compiled(value_and_slopes)(few().params, latencies.reshape(6, 3))[1]
    np.testing.assert_allclose(flat(summed), flat(together), rtol=1e-11, atol=1e-12)


@pytest.mark.slow
def test_nested_maps_with_operands_in_common_are_what_each_is_alone() -> None:
    apply = few()
    factors = jnp.array([0.8, 1.0, 1.2])
    over_samples = lambda c: jax.vmap(lambda x: apply(scaled(c), x))(LATENCIES)  # noqa: E731
    found = jax.vmap(over_samples)(factors)
    other = jax.vmap(lambda x: jax.vmap(lambda c: apply(scaled(c), x))(factors), out_axes=1)(
        LATENCIES
    )
    for k, c in enumerate(factors):
        np.testing.assert_array_equal(found[k], apply(scaled(c), LATENCIES))
        np.testing.assert_array_equal(other[k], apply(scaled(c), LATENCIES))


def descend(apply: gradients.jax.Apply, params: Any, latencies: Any) -> Any:
    slopes = jax.grad(lambda p: total(apply, p, latencies))(params)
    return jax.tree.map(lambda p, g: p - 0.01 * g, params, slopes)


@pytest.mark.slow
def test_steps_are_the_same_compiled_scanned_and_with_checkpoints() -> None:
    apply = bound(learn=("weights",))
    batches = jnp.stack([LATENCIES, LATENCIES[::-1] + 0.1, LATENCIES + 0.2])
    expected = apply.params
    for latencies in batches:
        expected = descend(apply, expected, latencies)
    step = jax.jit(lambda p, x: descend(apply, p, x))
    found = apply.params
    for latencies in batches:
        found = step(found, latencies)
    scanned, _ = jax.lax.scan(lambda p, x: (descend(apply, p, x), None), apply.params, batches)
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-14)
    np.testing.assert_allclose(flat(scanned), flat(expected), rtol=1e-14)

    def through(params: Any, run: Callable[..., Any]) -> Any:
        return jax.lax.scan(lambda c, x: (c + run(params, x), None), 0.0, batches)[0]

    loss = lambda params, latencies: total(apply, params, latencies)  # noqa: E731
    plain = jax.grad(through)(apply.params, loss)
    again = jax.jit(lambda p: jax.grad(through)(p, jax.checkpoint(loss)))(apply.params)
    np.testing.assert_allclose(flat(again), flat(plain), rtol=1e-13)


def test_two_steps_of_gradient_descent_are_those_of_our_optimizer() -> None:
    net = network()
    apply = bound(learn=("weights", "tau_mem"))
    loss = gradients.FirstSpikeCrossEntropy("out", tau0=0.3, gamma=0.01, wake=0.0)
    labels, sgd = [0, 1, 0], gradients.SGD(lr=0.05)
    stimulus = {"in": es.SpikeBatch.from_latencies(LATENCIES)}

    @jax.jit
    def step(params: Any) -> Any:
        def cost(params: Any) -> Any:
            times = apply(params, LATENCIES)
            return gradients.jax.first_spike_cross_entropy(
                times, jnp.array(labels), tau0=0.3, gamma=0.01, t_silent=T_STOP
            )

        value, slopes = jax.value_and_grad(cost)(params)
        return value, jax.tree.map(lambda p, g: p - 0.05 * g, params, slopes)

    params, theirs = net.parameters(("weights", "tau_mem")), apply.params
    state = sgd.init(params)
    for _ in range(2):
        expected, found, _ = gradients.value_and_grad(
            net.replace(params), stimulus, loss.of(labels), T_STOP, wrt=("weights", "tau_mem")
        )
        params, state = sgd.update(params, found, state)
        value, theirs = step(theirs)
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(
            flat(theirs), flat(jax.tree.map(values_of, params)), rtol=1e-13, atol=1e-14
        )


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": 3}, "network must be an eventsim.Network, got 3"),
        ({"input": "inn"}, r"input must be one of \['in'\], got 'inn'"),
        ({"output": ("out", "out")}, r"output must hold different names.*got \('out', 'out'\)"),
        ({"output": ()}, r"output must hold different names, at least one, got \(\)"),
        ({"learn": ("weight",)}, r"learn must hold some of .*got \('weight',\)"),
        ({"t_stop": -1.0}, "t_stop must be .*got -1.0"),
        ({"read": "rate"}, "read must be one of first_spikes, spikes, potential, got 'rate'"),
        ({"read": "spikes"}, "n_spikes must be an integer >= 1, got None"),
        ({"n_spikes": 2}, "n_spikes must be None unless read='spikes', got 2"),
        ({"at": 1.0}, "at must be None unless read='potential', got 1.0"),
        ({"read": "potential", "at": 6.0}, r"at must be in \[0, t_stop\] = \[0, 5.0\], got 6.0"),
        ({"until_fired": "hidden"}, "until_fired must be None, or the only output.*got 'hidden'"),
        ({"read": "potential", "until_fired": "out"}, "until_fired must be None.*read='potential'"),
        ({"engine": "fast"}, "engine must be one of .*got 'fast'"),
        ({"engine": "layered"}, "engine"),
        ({"max_spikes": 0}, "max_spikes must be an integer >= 1, got 0"),
        ({"threads": 0}, "threads must be an integer >= 1, got 0"),
    ],
)
def test_what_cannot_be_bound_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradients.jax.bind(**{"network": network(), "t_stop": T_STOP} | options)


def test_keys_that_jax_cannot_sort_are_refused() -> None:
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("out", 1, es.LIF())
    for name in (None, None, "more"):
        net.connect("in", "out", weights=[[1.0]], name=name)
    with pytest.raises(
        ValueError, match=r"must all have names.*'weights'.*\('in', 'out', 'more'\)"
    ):
        gradients.jax.bind(net, t_stop=1.0)
    apply = gradients.jax.bind(net, t_stop=1.0, learn=("bias",))
    assert jax.tree.leaves(apply.params)[0].shape == (1,)


@pytest.mark.parametrize(
    ("params", "latencies", "message"),
    [
        ({"weight": {}, "weights": {}}, LATENCIES, None),
        ({"weights": {("in", "out"): 1.0}}, LATENCIES, r"alone, got 'weights'\[\('in', 'out'\)\]"),
        ({"weights": {OUT: np.ones((4, 2))}}, LATENCIES, r"must have shape \(6,\), got \(4, 2\)"),
        ({"tau_syn": {"in": np.ones(4)}}, LATENCIES, r"alone, got 'tau_syn'\['in'\]"),
        (
            {"weights": {OUT: None}},
            LATENCIES,
            r"params\['weights'\].* must be real numbers.*got None",
        ),
        (3, LATENCIES, "params must be a dict, got 3"),
        ({}, LATENCIES[:, :2], r"latencies of 'in' must be \(..., 3\).*got \(3, 2\)"),
        ({}, 0.5, r"latencies of 'in' must be \(..., 3\).*got \(\)"),
        ({}, LATENCIES > 0, "latencies of 'in' must be real numbers.*got"),
        ({}, "soon", "latencies of 'in' must be real numbers.*got 'soon'"),
        ({}, -LATENCIES, "latencies of 'in' must be >= 0, or inf where silent, got -0.1"),
        ({}, np.full(3, np.nan), "latencies of 'in' must be >= 0, or inf where silent, got nan"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(params: Any, latencies: Any, message: str) -> None:
    if message is None:
        assert bound()(params, latencies).shape == (3, 2)
        return
    with pytest.raises(ValueError, match=message):
        bound()(params, latencies)


def test_arrays_of_jax_that_are_no_real_numbers_are_refused() -> None:
    for kind in (bool, complex):
        with pytest.raises(ValueError, match="latencies of 'in' must be real numbers, got"):
            bound()({}, jnp.ones(3, dtype=kind))


def test_arrays_that_are_missing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"latencies must be given for \('in',\), got 0 arrays"):
        bound()({})


def test_without_64_bits_nothing_is_run() -> None:
    apply = bound()
    jax.config.update("jax_enable_x64", False)
    for call in (lambda: apply({}, LATENCIES), lambda: gradients.jax.bind(network(), t_stop=1.0)):
        with pytest.raises(ValueError, match="jax_enable_x64 must be True, got False"):
            call()


BAD = np.full(3, -1.0)
MESSAGE = "latencies of 'in' must be >= 0, or inf where silent, got -1.0"


@pytest.mark.parametrize(
    "run",
    [
        lambda apply: jax.jit(apply)({}, BAD),
        lambda apply: jax.vmap(lambda x: apply({}, x))(BAD[None]),
        lambda apply: jax.jit(jax.vmap(lambda x: apply({}, x)))(BAD[None]),
        lambda apply: jax.grad(lambda x: jnp.nansum(apply({}, x)))(BAD),
        lambda apply: jax.jit(jax.grad(lambda x: jnp.nansum(apply({}, x))))(BAD),
        lambda apply: jax.lax.scan(lambda c, x: (c, apply({}, x)), 0.0, BAD[None]),
        lambda apply: jax.jit(lambda x: jax.lax.cond(x[0] < 0, apply, lambda _, x: x[:2], {}, x))(
            BAD
        ),
        lambda apply: jax.jit(lambda x: jnp.where(apply({}, x) > 0, 1.0, 2.0) + 1.0)(BAD),
    ],
)
def test_an_error_in_a_call_is_an_error_with_its_message_wherever_it_comes_from(run: Any) -> None:
    with pytest.raises((ValueError, RuntimeError), match=MESSAGE):
        jax.block_until_ready(run(bound()))


def test_a_compiled_call_that_has_gone_well_fails_and_goes_well_again() -> None:
    compiled, apply = jax.jit(bound()), bound()
    expected = compiled(apply.params, LATENCIES)
    with pytest.raises((ValueError, RuntimeError), match=r"got -1\.0"):
        jax.block_until_ready(compiled(apply.params, np.full((3, 3), -1.0)))
    np.testing.assert_array_equal(compiled(apply.params, LATENCIES), expected)


def test_parameters_out_of_their_range_and_runaways_are_named() -> None:
    apply = bound()
    params = {"delays": {OUT: -0.5}}
    with pytest.raises(ValueError, match=r"delays must be >= 0, got -0.5"):
        apply(params, LATENCIES)
    with pytest.raises((ValueError, RuntimeError), match=r"delays must be >= 0, got -0.5"):
        jax.block_until_ready(jax.jit(apply)(params, LATENCIES))
    capped = bound(max_spikes=1)
    with pytest.raises(es.ActivityError, match="exceeded max_spikes = 1"):
        capped({}, LATENCIES)
    with pytest.raises((ValueError, RuntimeError), match="exceeded max_spikes = 1"):
        jax.block_until_ready(jax.jit(capped)({}, LATENCIES))


def test_a_derivative_that_is_no_number_is_refused_and_not_handed_on() -> None:
    apply = bound()
    with pytest.raises(ValueError, match="derivative by the output 'out' must be finite, got nan"):
        jax.vjp(apply, apply.params, LATENCIES)[1](jnp.full((3, 2), jnp.nan))


@pytest.mark.slow
def test_second_derivatives_and_potentials_in_forward_mode_are_refused() -> None:
    apply, potentials = bound(), bound(read="potential")
    with pytest.raises(ValueError, match="first derivatives alone"):
        jax.hessian(lambda x: total(apply, {}, x))(LATENCIES[1])
    for jacobian in (jax.jacfwd, lambda f: jax.jit(jax.jacfwd(f))):
        with pytest.raises(ValueError, match=r"forward mode .* got 'potential'"):
            jacobian(lambda x: potentials({}, x))(LATENCIES[1])


@pytest.mark.parametrize("module", ["jax"])
def test_without_jax_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    for name in [name for name in sys.modules if name.startswith("gradients.jax")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"gradients.jax needs jax.*eventsim-snn\[jax\]"):
        importlib.import_module("gradients.jax")


# --- runs that are kept ---------------------------------------------------------------------------


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of samples of each run of a network, as they come."""
    sizes, run = [], Setting.run

    def counted(setting: Setting, latencies: Any, values: Any) -> Any:
        sizes.append(len(latencies[0]))
        return run(setting, latencies, values)

    monkeypatch.setattr(Setting, "run", counted)
    return sizes


@pytest.mark.slow
def test_a_derivative_runs_the_network_once_and_keeps_nothing(runs: list[int]) -> None:
    apply = gradients.jax.bind(network(), t_stop=T_STOP)
    loss = lambda *given: total(apply, *given)  # noqa: E731
    for function, samples in (
        (jax.grad(loss), [3]),
        (jax.jit(jax.grad(loss)), [3]),
        (jax.jacrev(apply), [3]),
        (jax.jacfwd(apply, argnums=1), [3]),
        (jax.vmap(jax.grad(loss), (None, 0)), [3]),
        (jax.jit(jax.grad(lambda p, x: loss(p, x) * loss(p, x + 0.5))), [3, 3]),
        (jax.jit(jax.grad(jax.checkpoint(loss))), [3]),
    ):
        runs.clear()
        jax.block_until_ready(function(apply.params, LATENCIES))
        assert runs == samples
        assert not apply._function._kept


def test_what_nobody_asks_for_is_forgotten_and_run_again_to_the_same_bits(runs: list[int]) -> None:
    apply = gradients.jax.bind(network(), t_stop=T_STOP)
    pulls = [jax.vjp(lambda x: apply({}, x), LATENCIES + 0.01 * k)[1] for k in range(10)]
    assert len(apply._function._kept) < len(pulls)
    runs.clear()
    first, again = (pulls[0](jnp.zeros((3, 2)).at[1].set(1.0)) for _ in range(2))
    assert runs == [3, 3]
    np.testing.assert_array_equal(first, again)


def test_samples_that_draw_are_members_alone() -> None:
    net = noisy()
    apply = gradients.jax.bind(net, t_stop=4.0)
    latencies = jnp.array([[0.1], [0.2], [0.3]])
    mapped = jax.vmap(lambda x: apply({}, x))(latencies)
    for each, sample in zip(mapped, latencies, strict=True):
        np.testing.assert_array_equal(each, apply({}, sample))
    batch = es.simulate(net, {"in": es.SpikeBatch.from_latencies(latencies)}, 4.0)
    np.testing.assert_array_equal(apply({}, latencies), batch.first_spikes("out"))


@pytest.mark.jit
def test_large_arrays_in_many_threads_wait_for_nobody() -> None:
    rng, net = np.random.default_rng(0), es.Network()
    net.add_input("in", 200)
    net.add_population("out", 100, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.connect("in", "out", weights=rng.uniform(0.0, 0.1, (200, 100)))
    apply = gradients.jax.bind(net, t_stop=3.0)
    slope = jax.jit(jax.grad(lambda params, x: total(apply, params, x)))
    latencies = rng.uniform(0.0, 1.0, (4, 200))
    expected, found = flat(slope(apply.params, latencies)), []

    def work() -> None:
        found.extend(flat(slope(apply.params, latencies)) for _ in range(5))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60.0)
    assert len(found) == 30
    for each in found:
        np.testing.assert_array_equal(each, expected)
