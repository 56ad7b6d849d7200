"""Derivatives of layers, through every way in which torch takes them."""

from __future__ import annotations

import copy
import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from torch.func import functional_call, grad, jacfwd, jacrev, stack_module_state, vmap  # noqa: E402

from gradients.torch import SpikingNetwork, functions  # noqa: E402
from tests.helpers.noisy import noisy  # noqa: E402
from tests.helpers.torch_layers import IN, latencies, layer, network, varied  # noqa: E402

# Of torch's own modules, which it imports when they are needed.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

EVERY = ("weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "rest", "reset")
READS: list[dict[str, Any]] = [
    {"read": "first_spikes"},
    {"read": "spikes", "n_spikes": 2, "output": "hidden", "silent": 9.0},
    {"read": "potential"},
    {"read": "potential", "at": [2.5, 0.5]},
]
by_read = pytest.mark.parametrize("options", READS, ids=lambda options: str(options))


def gives(own: SpikingNetwork, *names: str) -> Any:
    """The layer as a function of its latencies and parameters; nothing of it is silent."""
    names = names or tuple(name for name, _ in own.named_parameters())

    def function(*operands: Any) -> Any:
        n = len(own.setting.inputs)
        outputs = functional_call(own, dict(zip(names, operands[n:], strict=True)), operands[:n])
        return torch.where(torch.isinf(outputs), 0.0, outputs)

    return function


def parameters(own: SpikingNetwork) -> tuple[Any, ...]:
    return tuple(own.parameters())


def apart() -> Any:
    """Latencies far from each other: differences do not change the order of the spikes."""
    return torch.tensor([[0.05, 0.3, 0.1], [0.5, 0.9, 0.2]], dtype=torch.float64)


@by_read
def test_gradients_by_all_parameters_and_latencies_are_those_of_differences(options: Any) -> None:
    own = layer(learn=EVERY, **options)
    times = apart().requires_grad_()
    assert torch.autograd.gradcheck(gives(own), (times, *parameters(own)), fast_mode=True)


def of_several_spikes(kinds: tuple[str, ...]) -> SpikingNetwork:
    options = {"read": "spikes", "n_spikes": 3, "t_stop": 3.0}
    return SpikingNetwork(varied(), ("in", "other"), "mixed", learn=kinds, **options)


def test_gradients_of_sparse_shared_and_recurrent_synapses_are_those_of_differences() -> None:
    kinds = ("weights", "tau_syn", "threshold")
    own = of_several_spikes(kinds)
    rng = np.random.default_rng(1)
    inputs = [torch.tensor(rng.uniform(0.0, 0.5, (2, n))).requires_grad_() for n in (9, 2)]
    assert torch.autograd.gradcheck(gives(own), (*inputs, *parameters(own)), fast_mode=True)
    gives(own)(*inputs, *parameters(own)).sum().backward()
    assert all(each.grad.any() for each in (*inputs, *parameters(own)[:5]))


@pytest.mark.parametrize("options", READS[:2], ids=str)
def test_forward_mode_is_that_of_differences(options: Any) -> None:
    own = layer(learn=("weights", "delays", "tau_mem"), **options)
    operands = (apart().requires_grad_(), *parameters(own))
    assert torch.autograd.gradcheck(
        gives(own), operands, check_forward_ad=True, check_backward_ad=False, fast_mode=True
    )


@pytest.mark.parametrize("options", READS[:2], ids=str)
def test_jacobians_are_the_same_forward_and_backward(options: Any) -> None:
    own = layer(learn=("weights", "tau_syn"), **options)
    function, operands = gives(own), (latencies(), *parameters(own))
    places = tuple(range(len(operands)))
    forward, backward = (jac(function, places)(*operands) for jac in (jacfwd, jacrev))
    assert backward[0].any()
    for found, expected in zip(forward, backward, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_forward_mode_of_potentials_is_refused() -> None:
    own = layer(read="potential")
    with pytest.raises(RuntimeError, match="forward mode needs read='first_spikes' or 'spikes'"):
        jacfwd(own)(latencies())


SECOND = [
    lambda own, x: torch.autograd.grad(
        torch.autograd.grad(own(x).sum(), x, create_graph=True)[0].sum(), x
    ),
    lambda own, x: grad(lambda y: grad(lambda z: own(z).sum())(y).sum())(x.detach()),
    lambda own, x: torch.func.hessian(lambda z: own(z).sum())(x.detach()),
]


@pytest.mark.parametrize("twice", SECOND, ids=["create_graph", "grad of grad", "hessian"])
def test_second_derivatives_are_refused_by_name(twice: Any) -> None:
    with pytest.raises(RuntimeError, match="SpikingNetwork has no second derivatives"):
        twice(layer(), apart().requires_grad_())


# --- many at once ---------------------------------------------------------------------------------


def loss_of(own: SpikingNetwork) -> Any:
    def loss(params: Any, times: Any) -> Any:
        outputs = functional_call(own, params, (times,))
        return torch.where(torch.isinf(outputs), 0.0, outputs).square().sum()

    return loss


def ensemble(own: SpikingNetwork, n: int) -> list[SpikingNetwork]:
    others = [copy.deepcopy(own) for _ in range(n)]
    with torch.no_grad():
        for k, each in enumerate(others):
            for parameter in each.parameters():
                parameter.mul_(1.0 + 0.02 * k)
    return others


def assert_same(found: Any, expected: Any) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-13)


@by_read
def test_gradients_of_each_sample_are_those_of_samples_alone(options: Any) -> None:
    own = layer(learn=("weights", "delays", "tau_mem"), **options)
    params = dict(own.named_parameters())
    each = vmap(grad(loss_of(own)), (None, 0))(params, latencies())
    for k, sample in enumerate(latencies()):
        alone = grad(loss_of(own))(params, sample)
        assert_same({name: value[k] for name, value in each.items()}, alone)


def test_a_projection_without_synapses_has_a_gradient_without_entries() -> None:
    net = network()
    net.connect("out", "hidden", weights=sparse.csr_array((2, 4)), delays=0.1)
    own = SpikingNetwork(net, learn=("weights", "delays"), t_stop=3.0)
    params = dict(own.named_parameters())
    each = vmap(grad(loss_of(own)), (None, 0))(params, latencies())
    assert each["weights.out->hidden"].shape == (4, 0)
    own(latencies())[:3].sum().backward()
    assert own.weights["out", "hidden"].grad.shape == (0,)


@by_read
def test_an_ensemble_is_its_networks_one_by_one(options: Any) -> None:
    own = layer(learn=("weights", "tau_mem"), **options)
    members = ensemble(own, 3)
    stacked, _ = stack_module_state(members)
    outputs = vmap(lambda params: functional_call(own, params, (latencies(),)))(stacked)
    each = vmap(grad(loss_of(own)), (0, None))(stacked, latencies())
    for k, member in enumerate(members):
        torch.testing.assert_close(outputs[k], member(latencies()), rtol=0, atol=0)
        alone = grad(loss_of(own))(dict(member.named_parameters()), latencies())
        assert_same({name: value[k] for name, value in each.items()}, alone)


def test_maps_within_maps_and_over_other_axes() -> None:
    own = layer(learn=("weights", "delays"))
    stacked, _ = stack_module_state(ensemble(own, 2))
    loss = grad(loss_of(own))
    inner = vmap(vmap(loss, (None, 0)), (0, None))(stacked, latencies())
    outer = vmap(vmap(loss, (0, None)), (None, 0))(stacked, latencies())
    together = vmap(loss, (0, None))(stacked, latencies())
    for name, value in together.items():
        torch.testing.assert_close(inner[name].sum(1), value, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(outer[name].sum(0), value, rtol=1e-10, atol=1e-13)
    columns = vmap(own, in_dims=1, out_dims=1)(latencies().reshape(2, 2, 3))
    torch.testing.assert_close(columns, own(latencies()).reshape(2, 2, 2))
    both = vmap(vmap(own))(latencies().reshape(2, 2, 3))
    torch.testing.assert_close(both, columns)


def test_jacobians_of_each_member_are_those_of_members_alone() -> None:
    """Maps over cotangents and tangents lie within maps over networks and samples."""
    own = layer(learn=("weights",))
    members = ensemble(own, 3)
    stacked, _ = stack_module_state(members)
    for jac in (jacrev, jacfwd):
        each = vmap(jac(gives_sum(own)), (0, None))(stacked, latencies())
        for k, member in enumerate(members):
            alone = jac(gives_sum(own))(dict(member.named_parameters()), latencies())
            assert_same({name: value[k] for name, value in each.items()}, alone)
        samples = vmap(jac(own))(latencies()[:2])
        for k in range(2):
            torch.testing.assert_close(samples[k], jac(own)(latencies()[k]))
    whole = jacrev(lambda x: vmap(own)(x))(latencies()[:2])
    torch.testing.assert_close(whole, jacrev(own)(latencies()[:2]))


def gives_sum(own: SpikingNetwork) -> Any:
    def function(params: Any, times: Any) -> Any:
        outputs = functional_call(own, params, (times,))
        return torch.where(torch.isinf(outputs), 0.0, outputs).sum(dim=0)

    return function


def test_a_map_can_be_differentiated_from_outside() -> None:
    own = layer()
    stacked, _ = stack_module_state(ensemble(own, 2))
    times = latencies().requires_grad_()
    outputs = vmap(lambda p, x: functional_call(own, p, (x,)), (0, None))(stacked, times)
    outputs[torch.isfinite(outputs)].sum().backward()
    expected = torch.zeros_like(times)
    for k in range(2):
        params = {name: value[k] for name, value in stacked.items()}
        one = latencies().requires_grad_()
        found = functional_call(own, params, (one,))
        found[torch.isfinite(found)].sum().backward()
        expected += one.grad
    torch.testing.assert_close(times.grad, expected, rtol=1e-10, atol=1e-13)


# --- what is kept ---------------------------------------------------------------------------------


def test_nothing_runs_twice_and_nothing_is_kept_longer_than_needed(monkeypatch: Any) -> None:
    own, runs = layer(learn=("weights", "delays")), []
    simulate = functions.core.simulate
    monkeypatch.setattr(
        functions.core, "simulate", lambda *args, **kw: runs.append(1) or simulate(*args, **kw)
    )
    gc.collect()
    before = len(functions._RUNS)
    outputs = own(latencies())
    assert len(functions._RUNS) == before + 1
    outputs[:3].sum().backward()
    own(latencies())
    with torch.no_grad():
        own(latencies())
    vmap(grad(loss_of(own)), (None, 0))(dict(own.named_parameters()), latencies())
    del outputs
    gc.collect()
    assert len(runs) == 4
    assert len(functions._RUNS) == before


def test_where_what_was_kept_is_a_copy_the_way_back_is_the_same() -> None:
    own, moved = layer(), layer()
    own(latencies())[:3].sum().backward()
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda tensor: tensor):
        outputs = moved(latencies())
    outputs[:3].sum().backward()
    assert torch.equal(moved.weights[IN].grad, own.weights[IN].grad)


def test_what_changes_in_place_after_the_run_is_not_in_its_gradient() -> None:
    """Runs share no memory with parameters, whatever the form of these."""
    gradients = []
    for factor in (1.0, 3.0):
        own = of_several_spikes(("weights",))
        rng = np.random.default_rng(1)
        outputs = own(*(torch.tensor(rng.uniform(0.0, 0.5, (2, n))) for n in (9, 2)))
        for parameter in own.parameters():
            parameter.data.mul_(factor)
        outputs[torch.isfinite(outputs)].sum().backward()
        gradients.append([parameter.grad for parameter in own.parameters()])
    for found, expected in zip(*gradients, strict=True):
        assert torch.equal(found, expected)
        assert expected.any()


def test_a_checkpoint_gives_the_same_gradients() -> None:
    own, again = layer(), layer()
    own(latencies())[:3].sum().backward()
    outputs = torch.utils.checkpoint.checkpoint(again, latencies(), use_reentrant=False)
    outputs[:3].sum().backward()
    assert torch.equal(again.weights[IN].grad, own.weights[IN].grad)


# --- compiled -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("options", READS[:3], ids=str)
def test_a_compiled_layer_is_one_graph_with_the_same_gradients(options: Any) -> None:
    own, other = (layer(learn=("weights", "delays", "tau_mem"), **options) for _ in range(2))
    whole = torch.compile(other, fullgraph=True, backend="aot_eager")
    for times in (latencies(), latencies()[:2], latencies().repeat(3, 1)):
        pair = [times.clone().requires_grad_() for _ in range(2)]
        outputs = [own(pair[0]), whole(pair[1])]
        torch.testing.assert_close(*outputs, rtol=0, atol=0)
        for each in outputs:
            each[torch.isfinite(each)].square().sum().backward()
        torch.testing.assert_close(pair[1].grad, pair[0].grad, rtol=1e-12, atol=1e-15)
    for one, two in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(two.grad, one.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
def test_a_compiled_layer_follows_a_state_that_it_is_given() -> None:
    own = layer()
    whole = torch.compile(own, fullgraph=True, backend="aot_eager")
    whole(latencies())
    later = SpikingNetwork(network().replace(delays={IN: 0.5}), t_stop=3.0)
    own.load_state_dict(later.state_dict())
    torch.testing.assert_close(whole(latencies()), later(latencies()), rtol=0, atol=0)


@pytest.mark.slow
def test_a_compiled_map_is_the_map() -> None:
    own = layer()
    whole = torch.compile(lambda x: vmap(own)(x), fullgraph=True, backend="aot_eager")
    found = whole(latencies())
    torch.testing.assert_close(found, own(latencies()), rtol=0, atol=0)


@pytest.mark.slow
def test_the_operators_keep_the_rules_of_torch() -> None:
    own = layer(learn=("weights", "delays"))
    tensors = [each.detach()[None] for each in (latencies(), *own._values())]
    leaves = [each.clone().requires_grad_() for each in tensors]
    torch.library.opcheck(functions.run_op, (own.setting.name, leaves))
    ticket, outputs = functions.run_op(own.setting.name, tensors)
    slopes = [torch.ones_like(outputs)]
    torch.library.opcheck(functions.pull_op, (own.setting.name, ticket, slopes, tensors, [0, 2]))


@pytest.mark.slow
def test_compiled_second_derivatives_are_refused() -> None:
    own = layer()
    operands = [each[None].clone().requires_grad_() for each in (apart(), *own._values())]
    _, outputs = functions.run_op(own.setting.name, operands)
    (slope,) = torch.autograd.grad(outputs.sum(), operands[0], create_graph=True)
    with pytest.raises(RuntimeError, match="SpikingNetwork has no second derivatives"):
        slope.sum().backward()


# --- drawn ----------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=max(3, settings.default.max_examples // 12))
def test_gradients_of_drawn_layers_are_those_of_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = READS[rng.integers(len(READS))]
    net = network()
    values = {key: rng.uniform(0.5, 4.0, p.weights.shape) for key, p in net.projections.items()}
    kinds = tuple(rng.permutation(EVERY)[: rng.integers(1, 5)])
    own = SpikingNetwork(net.replace(weights=values), learn=kinds, t_stop=3.0, **options)
    times = torch.tensor(rng.uniform(0.0, 1.0, (2, 3)))
    times[torch.tensor(rng.uniform(size=(2, 3)) < 0.2)] = torch.inf
    directions = [torch.tensor(rng.normal(size=p.shape)) for p in own.parameters()]
    function, params = gives(own), parameters(own)

    def along(step: float) -> Any:
        moved = [p + step * d for p, d in zip(params, directions, strict=True)]
        return function(times, *moved).detach()

    slopes = jacrev(function, tuple(range(1, len(params) + 1)))(times, *params)
    exact = sum(
        (j.reshape(*j.shape[: j.ndim - d.ndim], -1) @ d.reshape(-1))
        for j, d in zip(slopes, directions, strict=True)
    )
    steps = [(along(h) - along(-h)) / (2.0 * h) for h in (1e-5, 5e-6)]
    is_smooth = torch.isclose(*steps, rtol=1e-4, atol=1e-6)  # no spike comes or goes
    torch.testing.assert_close(steps[1][is_smooth], exact.detach()[is_smooth], rtol=1e-4, atol=1e-5)
    assert is_smooth.double().mean() > 0.5


# --- inputs that are drawn ------------------------------------------------------------------------


def test_members_draw_as_they_do_alone() -> None:
    own, times = SpikingNetwork(noisy(), t_stop=4.0), latencies()[:3, :1]
    alone = torch.stack([own(x) for x in times])
    torch.testing.assert_close(vmap(own)(times), alone, rtol=0, atol=0)
    whole = torch.compile(lambda x: vmap(own)(x), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(whole(times), alone, rtol=0, atol=0)
    assert not torch.equal(own(times), alone)


def test_members_that_draw_have_the_gradients_that_they_have_alone() -> None:
    own, times = SpikingNetwork(noisy(), t_stop=4.0), latencies()[:3, :1]
    params = dict(own.named_parameters())
    each = vmap(grad(loss_of(own)), (None, 0))(params, times)
    for k, x in enumerate(times):
        alone = grad(loss_of(own))(params, x)
        assert any(slopes.any() for slopes in alone.values())
        for name, slopes in alone.items():
            torch.testing.assert_close(each[name][k], slopes, rtol=0, atol=0)
