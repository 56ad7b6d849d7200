"""What keeps training on first spikes alive: silent labels are told of, and can be woken."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse

import eventsim as es
import gradients
from gradients import FirstSpikeCrossEntropy, SilentLabelsWarning
from gradients.losses.first_spike import leading_to

LATENCIES = np.array([[0.0, 0.1], [0.1, 0.0], [0.3, 0.2]])
LABELS = np.array([0, 1, 0])
BATCH = {"in": es.SpikeBatch.from_latencies(LATENCIES)}
T_STOP = 3.0


def network(scale: float = 1.0) -> es.Network:
    """Dense weights, sparse ones and a kernel; of the outputs neuron 1 alone fires."""
    net = es.Network()
    net.add_input("in", 2)
    net.add_population("hidden", 3, es.LIF(tau_mem=1.0, tau_syn=1.0))
    net.add_population("out", 2, es.LIF(tau_mem=1.0, tau_syn=1.0, refractory=np.inf))
    net.add_population("aside", 1, es.LIF())
    some = sparse.csr_array(([6.0, 6.0, 0.1], ([0, 1, 0], [0, 1, 2])), shape=(2, 3))
    net.connect("in", "hidden", weights=scale * some)
    net.connect("in", "hidden", weights=es.Convolution(0.01 * np.ones((3, 1, 1, 2)), (1, 2)))
    net.connect("hidden", "out", weights=scale * np.array([[0.1, 9.0], [0.1, 9.0], [0.1, 9.0]]))
    net.connect("hidden", "aside", weights=np.zeros((3, 1)))
    return net


def step(wake: float | None, scale: float = 1.0) -> gradients.Gradient:
    loss = FirstSpikeCrossEntropy("out", tau0=0.2, wake=wake)
    return gradients.value_and_grad(network(scale), BATCH, loss.of(LABELS), T_STOP)[1]


def test_silent_labels_are_told_of_once_a_call_where_it_was_made() -> None:
    with pytest.warns(SilentLabelsWarning, match="in 2 of 3 samples .* 'out' does not") as told:
        step(None)
    assert len(told) == 1
    assert told[0].filename == __file__


def test_they_are_told_of_in_the_same_place_by_a_sum_and_by_a_loss_alone() -> None:
    loss = FirstSpikeCrossEntropy("out", tau0=0.2)
    both = loss + 0.1 * gradients.SpikeCountPenalty("hidden")
    result = es.simulate(network(), BATCH, T_STOP)
    for each in (loss, both):
        with pytest.warns(SilentLabelsWarning) as told:
            each(result, LABELS)
        assert [one.filename for one in told] == [__file__]


@pytest.mark.parametrize("wake", [0.0, 0.5])
def test_who_says_what_to_do_about_silence_hears_nothing(wake: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(wake)


def test_silent_neurons_of_samples_with_silent_labels_are_pushed() -> None:
    plain, woken = step(0.0), step(0.6)
    pushes = {key: woken.weights[key] - plain.weights[key] for key in plain.weights}
    # Two of three samples have a silent label, 0, and in both the last hidden neuron is silent.
    np.testing.assert_allclose(pushes["hidden", "out"], [[-0.4, 0.0]] * 3, rtol=1e-14)
    np.testing.assert_allclose(pushes["in", "hidden"].toarray(), [[0, 0, -0.4], [0] * 3])
    assert not pushes["in", "hidden", 1].any()  # neurons share a kernel
    assert not pushes["hidden", "aside"].any()  # leads to no output


def test_the_loss_and_other_derivatives_are_those_without_a_push() -> None:
    loss = FirstSpikeCrossEntropy("out", tau0=0.2, wake=0.5)
    result = es.simulate(network(), BATCH, T_STOP)
    woken = loss(result, LABELS)
    plain = FirstSpikeCrossEntropy("out", tau0=0.2, wake=0.0)(result, LABELS)
    assert (woken.value, woken.metrics) == (plain.value, plain.metrics)
    assert woken.metrics["silent_labels"] == pytest.approx(2 / 3)
    np.testing.assert_array_equal(woken.first_spikes["out"], plain.first_spikes["out"])


def test_a_push_scales_and_adds_with_its_loss() -> None:
    result = es.simulate(network(), BATCH, T_STOP)
    loss = FirstSpikeCrossEntropy("out", tau0=0.2, wake=0.5)
    once, thrice = loss(result, LABELS).incoming, (loss + 2.0 * loss)(result, LABELS).incoming
    assert once.keys() == {"out", "hidden"}
    for name, push in once.items():
        np.testing.assert_allclose(thrice[name], 3.0 * push)


def test_nothing_is_pushed_while_all_labels_fire() -> None:
    net = network().replace(weights={("hidden", "out"): np.full((3, 2), 9.0)})
    loss = FirstSpikeCrossEntropy("out", tau0=0.2, wake=0.5)
    assert not loss(es.simulate(net, BATCH, T_STOP), LABELS).incoming


def test_a_silent_network_is_woken() -> None:
    """From weights at which nothing fires, and the exact gradient is 0."""
    net, adam = network(scale=0.01), gradients.Adam(0.2, clip_norm=10.0)
    params = net.parameters()
    state = adam.init(params)
    loss = FirstSpikeCrossEntropy("out", tau0=0.2, wake=0.5)
    for _ in range(30):
        _, gradient, result = gradients.value_and_grad(
            net.replace(params), BATCH, loss.of(LABELS), T_STOP, until_fired="out"
        )
        params, state = adam.update(params, gradient, state)
    assert loss(result, LABELS).metrics["silent_labels"] == 0.0


def test_spikes_lead_to_outputs_through_any_number_of_layers() -> None:
    net = es.Network()
    net.add_input("in", 1)
    for name in "abcd":
        net.add_population(name, 1, es.LIF())
    for pre, post in (("in", "a"), ("a", "b"), ("b", "a"), ("b", "c"), ("c", "c"), ("c", "d")):
        net.connect(pre, post, weights=[[1.0]])
    assert leading_to(net, "c") == {"a", "b", "c"}


def test_a_push_onto_nobody_is_refused() -> None:
    def loss(_: object) -> gradients.Loss:
        return gradients.Loss(1.0, incoming={"nobody": np.zeros(1)})

    with pytest.raises(ValueError, match=r"incoming must name one of .* got 'nobody'"):
        gradients.value_and_grad(network(), BATCH, loss, T_STOP)
