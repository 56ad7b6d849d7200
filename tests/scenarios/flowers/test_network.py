"""LIF units between dense layer, LSTM and softmax: shapes, parameter counts, who learns."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from gradients.clocked import SpikeDerivative  # noqa: E402
from scenarios.flowers.network import (  # noqa: E402
    FlowerNetwork,
    channel_network,
    presented,
    unit_network,
)

NETWORKS = {"1": channel_network, "2": unit_network}
OPTIONS = {"w_input": 0.8, "w_leak": 0.2, "dropout": 0.25}
N_ROWS = 5


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def columns():
    return torch.rand(7, 4, 3, N_ROWS, generator=torch.Generator().manual_seed(1))


def network(name, **options) -> FlowerNetwork:
    return NETWORKS[name](N_ROWS, **{**OPTIONS, **options}).eval()


def test_network_1_has_the_parameters_of_table_1():
    counts = channel_network(400, **OPTIONS).n_parameters()
    assert counts == {"lif": 6, "lstm": 147_720, "head.dense": 930, "head.classes": 310}


def test_network_2_has_the_parameters_of_table_2():
    counts = unit_network(400, **OPTIONS).n_parameters()
    assert counts == {"dense": 1_441_200, "lif": 2400, "lstm": 147_720, "head.dense": 930,
                      "head.classes": 310}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layers_count_all_that_is_trained(name):
    model = network(name)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert sum(model.n_parameters().values()) == trained


@pytest.mark.parametrize("name", NETWORKS)
def test_all_that_a_network_does_has_the_documented_shape(name, columns):
    response = network(name).respond(columns)
    assert response.potentials.shape == response.spikes.shape == columns.shape
    assert response.memory.shape == (7, 4, 30)
    assert response.logits.shape == (7, 4, 10)
    assert set(response.spikes.unique().tolist()) <= {0.0, 1.0}


def naive_lif(drive, w_input, w_leak):
    """Eq. 9 and 10, pixel by pixel."""
    spikes = np.zeros_like(drive)
    for place in np.ndindex(drive.shape[1:]):
        potential = 0.0
        for step in range(len(drive)):
            kept = potential if potential < 1.0 else 0.0
            potential = w_input[place[1:]] * drive[(step, *place)]
            potential += (1.0 - w_leak[place[1:]]) * kept
            spikes[(step, *place)] = potential > 1.0
    return spikes


def test_the_units_of_a_colour_share_their_parameters(columns):
    model = network("1")
    with torch.no_grad():
        model.lif.w_input.copy_(torch.tensor([[0.4], [0.9], [1.7]]))
        model.lif.w_leak.copy_(torch.tensor([[0.0], [0.3], [0.8]]))
    w_input, w_leak = (np.repeat(w.detach().numpy(), N_ROWS, axis=1)
                       for w in (model.lif.w_input, model.lif.w_leak))  # fmt: skip
    expected = naive_lif(columns.numpy(), w_input, w_leak)
    np.testing.assert_array_equal(model.respond(columns).spikes.detach().numpy(), expected)
    assert 0.0 < expected.mean() < 1.0


def test_each_unit_of_network_2_gets_a_weighted_sum_of_the_column(columns):
    model = network("2")
    with torch.no_grad():
        model.lif.w_input.copy_(torch.rand(3, N_ROWS) + 1.0)
        model.lif.w_leak.copy_(torch.rand(3, N_ROWS))
        model.dense.bias.fill_(0.3)
    weights, bias = (p.detach().numpy() for p in (model.dense.weight, model.dense.bias))
    flat = columns.numpy().reshape(7, 4, -1)
    drive = np.einsum("tbi,oi->tbo", flat, weights) + bias
    expected = naive_lif(drive.reshape(7, 4, 3, N_ROWS), model.lif.w_input.detach().numpy(),
                         model.lif.w_leak.detach().numpy())  # fmt: skip
    np.testing.assert_array_equal(model.respond(columns).spikes.detach().numpy(), expected)
    assert 0.0 < expected.mean() < 1.0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_knows_nothing_of_later_columns(name, columns):
    model = network(name)
    later = columns.clone()
    later[4:] = 1.0 - later[4:]
    one, two = model(columns), model(later)
    torch.testing.assert_close(one[:4], two[:4], rtol=0, atol=0)
    assert not torch.equal(one[4:], two[4:])


@pytest.mark.parametrize("name", NETWORKS)
def test_an_image_is_named_as_if_it_were_alone(name, columns):
    model = network(name)
    torch.testing.assert_close(model(columns)[:, 2:3], model(columns[:, 2:3]))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_reaches_what_is_before_the_units(name, columns):
    model = network(name)
    model(columns)[-1, :, 3].sum().backward()
    before = [p for key, p in model.named_parameters() if key.startswith(("lif", "dense"))]
    assert all(p.grad.abs().sum() > 0 for p in before)


@pytest.mark.parametrize("name", NETWORKS)
def test_in_the_control_no_gradient_reaches_what_is_before_the_units(name, columns):
    model = network(name, derivative=SpikeDerivative("silent"))
    model(columns)[-1, :, 3].sum().backward()
    for key, parameter in model.named_parameters():
        if key.startswith(("lif", "dense")):
            assert parameter.grad.count_nonzero() == 0
        elif parameter.requires_grad:
            assert parameter.grad.count_nonzero() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_control_does_the_same_before_it_learns(name, columns):
    logits = []
    for kind in ("constant", "silent"):
        torch.manual_seed(3)
        logits.append(network(name, derivative=SpikeDerivative(kind))(columns))
    assert torch.equal(*logits)


def test_dropout_is_there_in_training_alone(columns):
    model = network("1", dropout=0.5)
    assert torch.equal(model(columns), model(columns))
    model.train()
    assert not torch.equal(model(columns), model(columns))


def test_initial_weights_are_those_of_keras():
    lstm = channel_network(64, **OPTIONS).head.lstm
    limit = (6.0 / (192 + 120)) ** 0.5
    assert 0.98 * limit < lstm.weight_ih_l0.abs().max() <= limit
    recurrent = lstm.weight_hh_l0.detach()
    torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(30), rtol=0, atol=1e-5)
    bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach().reshape(4, 30)
    assert bias.mean(dim=1).tolist() == [0.0, 1.0, 0.0, 0.0]


def test_the_gain_scales_the_dense_layer():
    torch.manual_seed(5)
    one = unit_network(N_ROWS, **OPTIONS).dense.weight
    torch.manual_seed(5)
    torch.testing.assert_close(unit_network(N_ROWS, gain=3.0, **OPTIONS).dense.weight, 3.0 * one)


def test_the_presented_probability_is_the_mean_of_the_softmax():
    logits = np.random.default_rng(0).normal(size=(6, 2, 10))
    each = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(presented(torch.tensor(logits)).numpy(), each.mean(axis=0))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_image_without_rows_is_refused(name):
    with pytest.raises(ValueError, match="n_rows must be an integer >= 1, got 0"):
        NETWORKS[name](0, **OPTIONS)
