"""Networks of clocked LIF neurons: Algorithm 2 neuron by neuron, and their notation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from scenarios.leak import network as leak_network  # noqa: E402
from scenarios.leak.config import PAPER, PAPER_SVHN  # noqa: E402
from scenarios.leak.network import SpikingNetwork, best_precision, read_layers  # noqa: E402

SMALL = "3C3-2P-4C3-5FC-2"
IMAGE = (2, 4, 6)


def input_of(n_steps=7, n_samples=3, shape=IMAGE, seed=0):
    spikes = np.random.default_rng(seed).integers(-1, 2, (n_steps, n_samples, *shape))
    return torch.from_numpy(spikes.astype(np.float32))


def algorithm_2(network, spikes):
    """Run the network as the pseudo code is written: time outside, layers inside, NumPy."""
    weights = {name: w.detach().numpy().astype(float) for name, w in network.weights.items()}
    tau_decay = network.neuron.decay
    potentials, outputs = {}, []
    for now in spikes.numpy().astype(float):
        for layer in network.layers:
            if layer.kind == "pool":
                n, c, h, w = now.shape
                now = now.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))
                continue
            if layer.kind == "conv":
                summed = correlate(now, weights[layer.name])
            else:
                now = now.transpose(0, 2, 3, 1) if now.ndim == 4 else now
                summed = now.reshape(len(now), -1) @ weights[layer.name].T
            U = potentials.get(layer.name, 0.0)
            if layer.kind == "out":
                U = tau_decay * U + summed
            else:
                U = U + summed
                now = (U > 1.0).astype(float)
                U = np.where(U > 1.0, 0.0, tau_decay * U)
            potentials[layer.name] = U
        outputs.append(potentials["out"])
    return np.array(outputs)


def correlate(images, kernel):
    n, _, height, width = images.shape
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((n, len(kernel), height, width))
    for row in range(height):
        for column in range(width):
            patch = framed[:, :, row : row + 3, column : column + 3]
            out[:, :, row, column] = np.tensordot(patch, kernel, ([1, 2, 3], [1, 2, 3]))
    return out


@pytest.mark.parametrize("tau_m", [2.0, 30.0, math.inf])
def test_a_network_is_algorithm_2(tau_m):
    network = SpikingNetwork(read_layers(SMALL, IMAGE), tau_m, gain=2.0, seed=4)
    spikes = input_of()
    fired = {}
    potentials = network(spikes, watch=lambda p: fired.update({p.layer.name: p.spikes}))
    np.testing.assert_allclose(
        potentials.detach().numpy(), algorithm_2(network, spikes), rtol=1e-4, atol=1e-5
    )
    rates = [float(fired[name].detach().mean()) for name in ("conv1", "conv2", "fc1")]
    assert all(0.0 < rate < 1.0 for rate in rates), rates


def test_watching_shows_inputs_sums_and_spikes_of_each_layer():
    network = SpikingNetwork(read_layers(SMALL, IMAGE), 30.0, gain=2.0)
    seen = []
    network(input_of(), watch=seen.append)
    assert [passed.layer.name for passed in seen] == ["conv1", "conv2", "fc1", "out"]
    assert [tuple(passed.inputs.shape[2:]) for passed in seen] == [
        (2, 4, 6), (3, 2, 3), (4, 2, 3), (5,),
    ]  # fmt: skip
    assert [tuple(passed.drive.shape[2:]) for passed in seen] == [
        (3, 4, 6), (4, 2, 3), (5,), (2,),
    ]  # fmt: skip
    assert seen[-1].spikes is None
    assert torch.equal(seen[2].spikes, seen[3].inputs)


def test_gradients_reach_all_layers():
    network = SpikingNetwork(read_layers(SMALL, IMAGE), 30.0, gain=3.0, seed=1)
    network(input_of())[-1].square().sum().backward()
    for name, weight in network.weights.items():
        assert float(weight.grad.abs().sum()) > 0.0, name


def test_samples_do_not_feel_each_other():
    network = SpikingNetwork(read_layers(SMALL, IMAGE), 30.0, gain=2.0)
    spikes = input_of()
    together = network(spikes)
    for k in range(3):
        torch.testing.assert_close(network(spikes[:, k : k + 1])[:, 0], together[:, k])


def test_dropout_leaves_the_same_neurons_out_at_all_steps():
    network = SpikingNetwork(read_layers("6C3-2", (1, 8, 8)), math.inf, gain=2.0, dropout=0.5)
    ones = torch.ones(40, 2, 1, 8, 8)
    seen = {}
    network.train()
    network(ones, watch=lambda p: seen.update({p.layer.name: p}))
    fired, passed = seen["conv1"].spikes, seen["out"].inputs
    kept = passed.amax(0) > 0
    active = fired.amax(0) > 0
    assert 0.3 < float(kept[active].float().mean()) < 0.7
    torch.testing.assert_close(passed, 2.0 * fired * kept)
    network.eval()
    network(ones, watch=lambda p: seen.update({p.layer.name: p}))
    assert torch.equal(seen["conv1"].spikes, seen["out"].inputs)


def test_one_seed_gives_one_set_of_weights_whatever_the_leak():
    layers = read_layers(SMALL, IMAGE)
    one, two, other = (
        SpikingNetwork(layers, tau, seed=seed).state_dict()
        for tau, seed in ((30.0, 1), (math.inf, 1), (30.0, 2))
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_initial_weights_have_the_variance_asked_for():
    layers = read_layers("64C3-200FC-10", (3, 16, 16))
    weights = SpikingNetwork(layers, 30.0, gain=1.5).weights
    for name, gain, fan_in in (("conv1", 1.5, 27), ("fc1", 1.5, 64 * 256), ("out", 1.0, 200)):
        expected = gain * math.sqrt(2.0 / fan_in)
        assert float(weights[name].detach().std()) == pytest.approx(expected, rel=0.05)


def test_deep_layers_fire_from_the_start_at_the_published_size():
    layers = read_layers(PAPER, (3, 32, 32))
    network = SpikingNetwork(layers, 30.0, gain=2.0)
    rates = {}
    with torch.no_grad():
        spikes = input_of(12, 1, (3, 32, 32))
        network(spikes, watch=lambda p: rates.update({p.layer.name: p.spikes}))
    for name in list(rates)[:-1]:
        assert 0.02 < float(rates[name].mean()) < 0.5, name


def test_the_published_networks_are_read():
    layers = read_layers(PAPER, (3, 32, 32))
    assert [layer.after for layer in layers] == [
        (64, 32, 32), (64, 32, 32), (64, 16, 16), (128, 16, 16), (128, 16, 16), (128, 8, 8),
        (256, 8, 8), (256, 8, 8), (256, 8, 8), (256, 4, 4), (1024,), (10,),
    ]  # fmt: skip
    assert [layer.fires for layer in layers].count(True) == 8
    assert len(read_layers(PAPER_SVHN, (3, 32, 32))) == 8


@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3),
    st.sampled_from([1, 3, 5]),
)  # fmt: skip
def test_the_fan_out_of_a_convolution_is_that_of_its_borders(height, width, n_in, n_out, size):
    layer = read_layers(f"{n_out}C{size}-1", (n_in, height, width))[0]
    brute = np.zeros(layer.before, int)
    for channel, row, column in np.ndindex(*layer.before):
        reach = size // 2
        for to_row, to_column in np.ndindex(height, width):
            if abs(to_row - row) <= reach and abs(to_column - column) <= reach:
                brute[channel, row, column] += n_out
    np.testing.assert_array_equal(layer.fan_out(), brute)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("", "layer '' of network '': must be nCk, kP or nFC, and the last one n"),
        ("16C3", "layer '16C3' of network '16C3': must be nCk"),
        ("16C3-x-10", "layer 'x' of network"),
        ("0C3-10", "must be nCk, kP or nFC"),
        ("100000FC-10", "must be nCk, kP or nFC"),
        ("16C4-10", "a kernel must have an odd size, got 4"),
        ("3P-10", "windows must divide the image, got 32 x 32 pixels"),
        ("100FC-16C3-10", "layer '16C3' .*: must follow an image, got one of 100 neurons"),
        ("10-10", "layer '10' of network '10-10': must be"),
    ],
)
def test_a_network_that_cannot_be_is_refused(architecture, expected):
    with pytest.raises(ValueError, match=expected):
        read_layers(architecture, (3, 32, 32))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tau_m": 0.0}, "tau_m must be > 0 .*, got 0.0"),
        ({"tau_m": -3.0}, "tau_m must be > 0"),
        ({"gain": 0.0}, "gain must be > 0, got 0.0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
    ],
)
def test_bad_numbers_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        SpikingNetwork(read_layers(SMALL, IMAGE), **{"tau_m": 30.0, **options})


@pytest.mark.parametrize(
    ("features", "expected"),
    [({}, "float32"), ({"avx512bf16": True}, "bfloat16"), ({"avx512bf16": False}, "float32"),
     ({"amx-bf16": True}, "bfloat16")],
)  # fmt: skip
def test_bfloat16_is_chosen_where_the_processor_multiplies_it(monkeypatch, features, expected):
    monkeypatch.setattr(leak_network.binding, "get_host_cpu_features", lambda: features)
    assert best_precision(torch.device("cpu")) == expected
