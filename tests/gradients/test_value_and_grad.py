"""`value_and_grad`: the value and the derivatives of every kind of loss, for runs and batches."""

from __future__ import annotations

import numpy as np
import pytest

import eventsim as es
import gradients
from eventsim.model.parameters import DIFFERENTIABLE
from gradients import Loss

LATENCIES = np.array([[0.0, 0.3, np.inf], [0.5, 0.1, 0.2], [0.2, np.inf, 0.7]])
LABELS = np.array([0, 1, 1])
T_STOP = 2.0


def network(readout: float = np.inf) -> es.Network:
    """3 inputs -> 4 hidden neurons -> 2 outputs."""
    rng = np.random.default_rng(3)
    net = es.Network()
    net.add_input("in", 3)
    net.add_population("hidden", 4, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.add_population("out", 2, es.LIF(tau_mem=2.0, tau_syn=1.0, threshold=readout))
    net.connect("in", "hidden", weights=rng.normal(1.5, 0.5, (3, 4)), delays=0.05)
    net.connect("hidden", "out", weights=rng.normal(1.0, 0.5, (4, 2)))
    return net


BATCH = {"in": es.SpikeBatch.from_latencies(LATENCIES)}


def membrane(result: es.BatchResult) -> Loss:
    value, slope = gradients.membrane_cross_entropy(
        result.potential("out"), LABELS, smoothing=0.1, norm_penalty=0.05
    )
    return Loss(value, potentials={"out": slope})


def revive(result: es.BatchResult) -> Loss:
    value, slope = gradients.spike_count_penalty(
        result.potential("hidden"),
        result.spike_counts("hidden"),
        threshold=1.0,
        condition=lambda counts: counts < 2,
    )
    return Loss(value, potentials={"hidden": slope})


def first_spikes(result: es.BatchResult) -> Loss:
    value, slope = gradients.first_spike_cross_entropy(
        result.first_spikes("out"), LABELS, tau0=0.3, gamma=0.2, t_silent=3.0, smoothing=0.1
    )
    return Loss(value, first_spikes={"out": slope})


def all_times(result: es.BatchResult) -> Loss:
    times = result.spikes["hidden"].times
    return Loss(float(np.sum(np.sin(times))), spike_times={"hidden": np.cos(times)})


def together(result: es.BatchResult) -> Loss:
    return membrane(result) + 0.5 * revive(result) + 0.1 * all_times(result)


LOSSES = [
    pytest.param(membrane, np.inf, id="membrane"),
    pytest.param(revive, np.inf, id="revive"),
    pytest.param(first_spikes, 0.5, id="first spikes"),
    pytest.param(all_times, np.inf, id="all spike times"),
    pytest.param(together, np.inf, id="together"),
]


@pytest.mark.parametrize(("loss", "readout"), LOSSES)
def test_the_gradient_is_that_of_central_differences(loss, readout: float) -> None:
    net = network(readout)
    value, gradient, _ = gradients.value_and_grad(net, BATCH, loss, T_STOP)

    def at(key, index, step: float) -> float:
        weights = net.projections[key].weights.copy()
        weights[index] += step
        return gradients.value_and_grad(net.replace(weights={key: weights}), BATCH, loss, T_STOP)[0]

    assert value == loss(es.simulate(net, BATCH, T_STOP)).value
    assert gradient.norm > 1e-3
    for key, slope in gradient.weights.items():
        for index in np.ndindex(slope.shape):
            difference = (at(key, index, 1e-6) - at(key, index, -1e-6)) / 2e-6
            assert slope[index] == pytest.approx(difference, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("wrt", [("delays", "tau_mem"), ["threshold"], {"input_times"}, None])
def test_it_differentiates_by_what_it_is_asked_to(wrt) -> None:
    net = network()
    _, found, result = gradients.value_and_grad(net, BATCH, membrane, T_STOP, wrt=wrt)
    expected = gradients.timing_backprop(result, potentials=membrane(result).potentials)
    names = wrt or DIFFERENTIABLE
    for name in names:
        theirs, ours = getattr(expected, name), getattr(found, name)
        assert ours.keys() == theirs.keys()
        for key, values in theirs.items():
            np.testing.assert_allclose(ours[key], values, rtol=1e-10, atol=1e-14)


def general(initial: float) -> tuple[es.Network, dict[str, es.State]]:
    """The network with receptors, rest and reset; each sample begins in a state of its own."""
    net = es.Network()
    net.add_input("in", 3)
    lif = es.LIF(2.0, {"exc": 1.0, "inh": 0.4}, rest=0.1, reset=-0.2)
    net.add_population("hidden", 4, lif)
    rng = np.random.default_rng(3)
    for receptor, sign in (("exc", 1.5), ("inh", -0.5)):
        weights = sign + rng.normal(0.0, 0.3, (3, 4))
        net.connect("in", "hidden", weights=weights, receptor=receptor)
    potential = np.linspace(-0.5, 0.5, 12).reshape(3, 4)
    potential[1, 2] += initial
    return net, {"hidden": es.State(potential, {"inh": 0.25})}


def test_it_differentiates_by_states_at_the_start_and_by_receptors() -> None:
    net, begun = general(0.0)
    wrt = ("tau_syn", "rest", "reset", "initial")
    run = {"loss": all_times, "t_stop": T_STOP, "wrt": wrt}
    _, found, result = gradients.value_and_grad(net, BATCH, initial=begun, **run)
    assert result.spike_counts("hidden").sum() > 10
    assert found.weights == {}
    assert found.rest["hidden"].shape == found.tau_syn["hidden"]["inh"].shape == (4,)
    assert found.initial["hidden"].current["exc"].shape == (3, 4)
    up, down = (
        gradients.value_and_grad(net, BATCH, initial=general(step)[1], **run)[0]
        for step in (1e-6, -1e-6)
    )
    exact = found.initial["hidden"].potential[1, 2]
    assert abs(exact) > 1e-3
    assert exact == pytest.approx((up - down) / 2e-6, rel=1e-6)
    for values, kind in ((found.rest["hidden"], "rest"), (found.reset["hidden"], "reset")):
        params = net.parameters([kind])[kind]["hidden"]
        ends = []
        for step in (1e-6, -1e-6):
            moved = net.replace({kind: {"hidden": params + step * np.eye(4)[0]}})
            ends.append(gradients.value_and_grad(moved, BATCH, initial=begun, **run)[0])
        assert values[0] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_a_single_run_gives_a_single_result() -> None:
    stimulus = {"in": es.Spikes([0.0, 0.3], [0, 1])}

    def loss(result: es.Result) -> Loss:
        return Loss(result.potential("out").sum(), potentials={"out": np.ones(2)})

    value, gradient, result = gradients.value_and_grad(network(), stimulus, loss, T_STOP)
    assert isinstance(result, es.Result)
    assert value == pytest.approx(result.potential("out").sum())
    assert gradient.weights["hidden", "out"].shape == (4, 2)


def test_an_early_end_changes_no_loss_of_first_spikes() -> None:
    net = network(readout=0.5)
    whole = gradients.value_and_grad(net, BATCH, first_spikes, T_STOP)
    early = gradients.value_and_grad(net, BATCH, first_spikes, T_STOP, until_fired="out")
    assert early[2].record.time.size < whole[2].record.time.size
    assert early[0] == pytest.approx(whole[0], rel=1e-12)  # not by the same engine
    for key, slope in whole[1].weights.items():
        np.testing.assert_allclose(early[1].weights[key], slope, rtol=1e-12, atol=1e-15)


def test_the_number_of_threads_changes_no_bit() -> None:
    one, two = (
        gradients.value_and_grad(network(), BATCH, together, T_STOP, threads=n) for n in (1, 2)
    )
    assert one[0] == two[0]
    for key, slope in one[1].weights.items():
        np.testing.assert_array_equal(two[1].weights[key], slope)


def test_a_cap_on_spikes_is_passed_on() -> None:
    with pytest.raises(es.ActivityError, match="max_spikes = 1"):
        gradients.value_and_grad(network(), BATCH, membrane, T_STOP, max_spikes=1)


def test_training_lowers_the_loss() -> None:
    net, optimizer = network(), gradients.Adam(gradients.cosine(0.05, 30, warmup=3), clip_norm=5.0)
    weights = {key: projection.weights for key, projection in net.projections.items()}
    state, values = optimizer.init(weights), []
    for _ in range(30):
        value, gradient, _ = gradients.value_and_grad(
            net.replace(weights=weights), BATCH, membrane, T_STOP
        )
        weights, state = optimizer.update(weights, gradient.weights, state)
        values.append(value)
    assert values[-1] < 0.7 * values[0]
