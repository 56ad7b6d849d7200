"""`SpikingNetwork`: what a user of torch expects of a layer."""

from __future__ import annotations

import copy
import io
import math
import multiprocessing
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

import eventsim as es  # noqa: E402
import gradients  # noqa: E402
from gradients.torch import SpikingNetwork  # noqa: E402
from tests.helpers.torch_layers import (  # noqa: E402
    HIDDEN,
    IN,
    latencies,
    layer,
    network,
    varied,
)

EVERY = ("weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "rest", "reset")


def batch(times: Any) -> dict[str, es.SpikeBatch]:
    return {"in": es.SpikeBatch.from_latencies(times.numpy())}


# --- what is returned -----------------------------------------------------------------------------


def test_first_spikes_are_those_of_a_run() -> None:
    times = layer()(latencies()).detach().numpy()
    expected = es.simulate(network(), batch(latencies()), 3.0).first_spikes("out")
    np.testing.assert_array_equal(times, expected)
    assert np.isinf(times[3]).all()
    assert np.isfinite(times[:3]).all()


def test_spikes_are_the_first_ones_of_each_neuron_in_order() -> None:
    times = layer(output="hidden", read="spikes", n_spikes=3)(latencies()).detach().numpy()
    result = es.simulate(network(), batch(latencies()), 3.0)
    for sample, neuron in np.ndindex(4, 4):
        spikes = result[sample].spikes["hidden"]
        own = spikes.times[spikes.indices == neuron][:3]
        np.testing.assert_array_equal(times[sample, neuron, : own.size], own)
        assert np.isinf(times[sample, neuron, own.size :]).all()
    assert np.isfinite(times[:, :, 1]).any()
    assert np.isinf(times[:, :, 2]).any()


@pytest.mark.parametrize("at", [None, 1.5, [0.5, 3.0, 0.0]])
def test_potentials_are_those_of_a_run(at: Any) -> None:
    found = layer(read="potential", at=at)(latencies()).detach().numpy()
    expected = es.simulate(network(), batch(latencies()), 3.0).potential("out", at=at)
    np.testing.assert_array_equal(found, expected)


def test_any_leading_axes_are_those_of_what_is_returned() -> None:
    own = layer()
    expected = own(latencies())
    torch.testing.assert_close(own(latencies().reshape(2, 2, 3)), expected.reshape(2, 2, 2))
    torch.testing.assert_close(own(latencies()[1]), expected[1])
    assert own(latencies()[:0]).shape == (0, 2)


def test_no_samples_have_no_gradient() -> None:
    own = layer()
    own(latencies()[:0]).sum().backward()
    assert not own.weights[IN].grad.any()


def test_several_inputs_and_outputs_come_and_go_in_order() -> None:
    rng = np.random.default_rng(0)
    first, second = (torch.tensor(rng.uniform(0.0, 0.5, (3, n))) for n in (9, 2))
    own = SpikingNetwork(varied(), ("in", "other"), ("mixed", "image"), t_stop=2.0)
    mixed, image = own(first, second)
    trains = {"in": first, "other": second}
    stimulus = {name: es.SpikeBatch.from_latencies(x.numpy()) for name, x in trains.items()}
    result = es.simulate(varied(), stimulus, 2.0)
    np.testing.assert_array_equal(mixed.detach().numpy(), result.first_spikes("mixed"))
    np.testing.assert_array_equal(image.detach().numpy(), result.first_spikes("image"))
    (alone,) = SpikingNetwork(varied(), ["other", "in"], ["image"], t_stop=2.0)(second, first)
    torch.testing.assert_close(alone, image)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_type_is_that_of_the_latencies_and_gradients_have_their_own(dtype: Any) -> None:
    own = layer().float()
    given = latencies(dtype).requires_grad_()
    times = own(given)
    assert times.dtype == dtype
    times[:3].sum().backward()
    assert own.weights[IN].grad.dtype == torch.float32
    assert given.grad.dtype == dtype


def test_it_stands_among_other_layers_of_single_precision() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 3), torch.nn.Sigmoid(), layer(silent=3.0), torch.nn.Linear(2, 2)
    )
    loss = model(torch.randn(6, 5)).square().mean()
    loss.backward()
    gradient = [parameter.grad for parameter in model.parameters()]
    assert all(torch.isfinite(each).all() and each.any() for each in gradient)


# --- silence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [None, 7.0, -1.0])
def test_silent_neurons_have_the_value_that_stands_for_them_and_no_gradient(silent: Any) -> None:
    own, given = layer(silent=silent), latencies().requires_grad_()
    times = own(given)
    assert (times[3] == (math.inf if silent is None else silent)).all()
    times.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in own.parameters())
    assert not given.grad[3].any()
    assert not given.grad[torch.isinf(given)].any()
    alone = layer()
    alone(latencies()[:3]).square().sum().backward()
    torch.testing.assert_close(own.weights[IN].grad, alone.weights[IN].grad, rtol=1e-12, atol=0)


def test_a_gradient_that_is_none_by_a_spike_is_an_error_that_names_the_output() -> None:
    with pytest.raises(ValueError, match="gradient by the output 'out' must be finite, got nan"):
        (layer()(latencies()) * math.nan).sum().backward()


# --- training -------------------------------------------------------------------------------------


def test_steps_of_torch_are_those_of_our_optimizer() -> None:
    """Two steps of Adam on weights, delays and time constants, to rounding."""
    kinds = ("weights", "delays", "tau_mem")
    loss = gradients.FirstSpikeCrossEntropy("out", tau0=0.3, wake=0.0)
    labels = np.array([0, 1, 1])
    net, adam = network(), gradients.Adam(lr=0.01)
    params = net.parameters(kinds)
    memory = adam.init(params)
    own = layer(learn=kinds, constrained=False)
    optimizer = torch.optim.Adam(own.parameters(), lr=0.01)
    for _ in range(2):
        _, gradient, _ = gradients.value_and_grad(
            net.replace(params), batch(latencies()[:3]), loss.of(labels), 3.0, wrt=kinds
        )
        params, memory = adam.update(params, gradient, memory)
        optimizer.zero_grad()
        times = own(latencies()[:3])
        torch.nn.functional.cross_entropy(-times / 0.3, torch.from_numpy(labels)).backward()
        optimizer.step()
    for kind in kinds:
        for key, value in params[kind].items():
            found = getattr(own, kind)[key].detach().numpy()
            np.testing.assert_allclose(found, value, rtol=1e-12)
    moved = np.abs(params["delays"][IN] - network().parameters(("delays",))["delays"][IN])
    assert moved > 1e-3


def test_no_step_leads_delays_or_time_constants_out_of_their_range() -> None:
    own = layer(learn=("delays", "tau_mem", "tau_syn"))
    optimizer = torch.optim.SGD(own.parameters(), lr=50.0)
    for _ in range(4):
        optimizer.zero_grad()
        times = own(latencies())
        torch.where(torch.isfinite(times), times, 0.0).sum().backward()
        optimizer.step()
    assert all((value > 0.0).all() for value in own.delays.values())
    assert all((value > 0.0).all() for value in own.tau_mem.values())


def test_a_step_out_of_range_is_an_error_that_names_it_where_nothing_constrains() -> None:
    own = layer(learn="delays", constrained=False)
    with torch.no_grad():
        own.delays[IN].fill_(-0.25)
    with pytest.raises(ValueError, match=r"delays must be >= 0, got -0\.25"):
        own(latencies())


def test_frozen_parameters_have_no_gradient_and_change_no_other() -> None:
    own, frozen = layer(learn=EVERY), layer(learn=EVERY)
    frozen.requires_grad_(False)
    frozen.weights.requires_grad_(True)
    for each in (own, frozen):
        each(latencies())[:3].sum().backward()
    torch.testing.assert_close(frozen.weights[IN].grad, own.weights[IN].grad, rtol=1e-12, atol=0)
    others = [p for name, p in frozen.named_parameters() if not name.startswith("weights")]
    assert all(parameter.grad is None for parameter in others)


def test_the_network_has_the_values_of_the_parameters() -> None:
    own = layer(learn=EVERY)
    with torch.no_grad():
        own.weights[IN].mul_(1.5)
    own.tau_mem["out"] = [2.0, 3.0]
    net = own.network
    np.testing.assert_array_equal(
        net.projections[IN].weights, 1.5 * network().projections[IN].weights
    )
    np.testing.assert_allclose(net.neurons["out"].tau_mem, [2.0, 3.0], rtol=1e-15)
    expected = es.simulate(net, batch(latencies()), 3.0).first_spikes("out")
    np.testing.assert_array_equal(own(latencies()).detach().numpy(), expected)


def test_what_is_added_to_the_network_later_is_not_in_the_layer() -> None:
    net = network()
    own = SpikingNetwork(net, t_stop=3.0)
    net.connect("out", "hidden", weights=np.full((2, 4), 3.0), delays=0.1)
    torch.testing.assert_close(own(latencies()), layer()(latencies()))


# --- copies and files -----------------------------------------------------------------------------


def changed() -> SpikingNetwork:
    own = layer(learn=("weights", "tau_mem"))
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.mul_(1.125)
    return own


def as_pickle(own: Any) -> Any:
    return pickle.loads(pickle.dumps(own))


def as_file(own: Any) -> Any:
    file = io.BytesIO()
    torch.save(own, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, as_pickle, as_file])
def test_a_copy_is_the_same_layer_with_parameters_of_its_own(copied: Any) -> None:
    own = changed()
    other = copied(own)
    torch.testing.assert_close(other(latencies()), own(latencies()), rtol=0, atol=0)
    other(latencies())[:3].sum().backward()
    assert other.weights[IN].grad is not None
    assert own.weights[IN].grad is None
    assert repr(other) == repr(own)


def test_a_state_dict_goes_through_a_file_of_weights_alone() -> None:
    own, file = changed(), io.BytesIO()
    torch.save(own.state_dict(), file)
    file.seek(0)
    other = layer(learn=("weights", "tau_mem"))
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other(latencies()), own(latencies()), rtol=0, atol=0)


def test_two_states_of_the_same_layer_are_the_same_to_the_bit() -> None:
    first, second = changed().state_dict(), changed().state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_state_dict_brings_what_is_no_parameter() -> None:
    own = layer()
    delays = {IN: 0.4}
    neurons = {"out": es.LIF(tau_mem=1.7, tau_syn=0.5, refractory=0.3)}
    later = SpikingNetwork(network().replace(delays=delays, neurons=neurons), t_stop=3.0)
    assert not torch.equal(later(latencies()), own(latencies()))
    own.load_state_dict(later.state_dict())
    torch.testing.assert_close(own(latencies()), later(latencies()), rtol=0, atol=0)


def test_a_state_dict_of_another_network_is_refused() -> None:
    other = SpikingNetwork(varied(), output="image", t_stop=3.0)
    with pytest.raises(ValueError, match=r"the state must be that of Network\(inputs={'in': 3}"):
        layer().load_state_dict(other.state_dict())


def test_a_diverged_layer_can_still_be_saved() -> None:
    own = layer()
    with torch.no_grad():
        own.weights[IN].fill_(math.nan)
    assert torch.isnan(own.state_dict()["weights.in->hidden"]).all()


class Encoded(torch.utils.data.Dataset):
    """Latencies as a layer turns them into others, in whatever process."""

    def __init__(self) -> None:
        self.layer = layer()

    def __len__(self) -> int:
        return 16

    def __getitem__(self, k: int) -> Any:
        with torch.no_grad():
            return self.layer(latencies()[k % 3].repeat(300, 1))


def loaded(context: str, workers: int) -> Any:
    options = {"multiprocessing_context": context, "timeout": 120} if workers else {}
    loader = torch.utils.data.DataLoader(Encoded(), batch_size=4, num_workers=workers, **options)
    return torch.cat(list(loader))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")  # of JAX, where other tests have it
@pytest.mark.jit
@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_a_loader_get_the_same(context: str) -> None:
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"processes cannot be made by {context}")
    expected = loaded(context, 0)
    es.simulate(network(), batch(latencies().repeat(2000, 1)), 3.0, threads=2)  # with helpers
    assert torch.equal(loaded(context, 2 if context == "fork" else 1), expected)


# --- errors ---------------------------------------------------------------------------------------

INF = math.inf
BAD: list[tuple[dict[str, Any], str]] = [
    ({"net": 1}, "net must be an eventsim.Network, got 1"),
    ({"input": "nix"}, r"input must be one of \['in'\], got 'nix'"),
    ({"input": "hidden"}, "input must be one of .* got 'hidden'"),
    ({"input": ()}, r"input must name at least one, each once, got \(\)"),
    ({"output": "in"}, "output must be one of .* got 'in'"),
    ({"output": ("out", "out")}, r"output must name at least one, each once, got \('out', 'out'\)"),
    ({"output": 3}, "output must hold some of .* got 3"),
    ({"learn": "weight"}, r"learn must hold some of .* got \('weight',\)"),
    ({"learn": ("refractory",)}, "learn must hold some of .* got .*refractory"),
    ({"t_stop": -1.0}, r"t_stop must be >= 0 and finite, got -1\.0"),
    ({"t_stop": INF}, "t_stop must be >= 0 and finite, got inf"),
    ({"read": "spike"}, "read must be one of first_spikes, spikes, potential, got 'spike'"),
    ({"at": 1.0}, r"at must be None unless read='potential', got 1\.0"),
    ({"read": "potential", "at": 3.5}, r"at must be in \[0, t_stop\] = \[0, 3\.0\], got 3\.5"),
    ({"read": "potential", "at": [0.0, math.nan]}, "at must be in .* got nan"),
    ({"read": "potential", "at": []}, r"at must be a time or \(n_times,\), got shape \(0,\)"),
    ({"read": "potential", "silent": 1.0}, r"silent must be None with read='potential', got 1\.0"),
    ({"read": "spikes"}, "n_spikes must be an integer >= 1, got None"),
    ({"n_spikes": 2}, "n_spikes must be None unless read='spikes', got 2"),
    ({"silent": math.nan}, "silent must not be NaN, got nan"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_option_is_an_error_that_quotes_it(options: dict[str, Any], message: str) -> None:
    given = {"net": network(), "t_stop": 3.0, **options}
    with pytest.raises(ValueError, match=message):
        SpikingNetwork(**given)


def test_what_must_stay_positive_must_be_so_at_first() -> None:
    net = network().replace(delays={IN: 0.0})
    with pytest.raises(ValueError, match=r"delays of 'in->hidden' must be > 0, .* got 0\.0"):
        SpikingNetwork(net, learn="delays", t_stop=3.0)
    SpikingNetwork(net, learn="delays", t_stop=3.0, constrained=False)


def test_names_that_torch_cannot_give_are_refused() -> None:
    for name in ("L2.3", "training"):
        net = es.Network()
        net.add_population(name, 1, es.LIF())
        net.add_input("in", 1)
        net.connect("in", name, weights=[[1.0]])
        with pytest.raises(ValueError, match=f"tau_mem must be of .* got {name!r}"):
            SpikingNetwork(net, output=name, learn="tau_mem", constrained=False, t_stop=1.0)


WRONG: list[tuple[Any, str]] = [
    ((), r"latencies must be given for \('in',\), got 0 tensors"),
    (([[0.0] * 3],), r"latencies of 'in' must be a Tensor, got \[\[0\.0"),
    ((torch.zeros(2, 3, dtype=torch.int64),), "must be dense floats, got torch.int64"),
    ((torch.zeros(2, 3).to_sparse(),), "must be dense floats, got torch.float32, torch.sparse_coo"),
    ((torch.zeros(2, 4),), r"latencies of 'in' must be \(\.\.\., 3\), .* got \(2, 4\)"),
    ((torch.tensor(0.0),), r"latencies of 'in' must be \(\.\.\., 3\), .* got \(\)"),
    ((torch.tensor([0.0, -0.5, 0.0]),), r"latencies of 'in' must be >= 0, .* got -0\.5"),
    ((torch.tensor([0.0, math.nan, 0.0]),), "latencies of 'in' must be >= 0, .* got nan"),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_latencies_are_an_error_that_quotes_them(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer()(*given)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(5, 4), r"weights of 'in->hidden' must have shape \(3, 4\), got \(5, 4\)"),
        (torch.full((3, 4), math.nan), "weights of 'in->hidden' must be finite, got nan"),
    ],
)
def test_wrong_values_of_parameters_are_named(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        torch.func.functional_call(layer(), {"weights.in->hidden": value}, (latencies(),))


@pytest.mark.parametrize("state", [None, torch.zeros(5), torch.zeros(5, dtype=torch.uint8)])
def test_a_state_that_is_none_is_refused_and_changes_nothing(state: Any) -> None:
    own = layer()
    with pytest.raises(ValueError, match=r"extra.state"):
        own.load_state_dict({**own.state_dict(), "_extra_state": state})
    torch.testing.assert_close(own(latencies()), layer()(latencies()), rtol=0, atol=0)


def test_an_engine_that_there_is_not_is_named_before_anything_runs() -> None:
    with pytest.raises(ValueError, match=r"engine must be one of .* got 'fast'"):
        layer(engine="fast")(latencies())


def test_inputs_must_have_the_same_samples() -> None:
    own = SpikingNetwork(varied(), ("in", "other"), "mixed", t_stop=1.0)
    with pytest.raises(ValueError, match=r"latencies of 'other' must be .* got \(2, 2\)"):
        own(torch.zeros(3, 9), torch.zeros(2, 2))


def test_keys_and_values_of_parameters_are_checked() -> None:
    own = layer()
    with pytest.raises(ValueError, match=r"key must be one of .* got 'out'"):
        own.weights["out"]
    with pytest.raises(ValueError, match=r"must have shape \(3, 4\), got \(2,\)"):
        own.weights[IN] = [1.0, 2.0]
    assert own.weights.keys() == [IN, HIDDEN] == list(own.weights)
    assert len(own.weights) == 2


@pytest.mark.slow
def test_without_torch_the_error_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import gradients\n"
        "try: import gradients.torch\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "gradients.torch needs torch" in done.stdout
    assert "pip install 'eventsim-snn[torch]'" in done.stdout
