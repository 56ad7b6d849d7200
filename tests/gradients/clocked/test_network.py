"""The clocked counterpart of a network: on the grid it is exact, off it it converges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import eventsim as es
from gradients.clocked import ClockedNetwork, SpikeDerivative

SIZES = {"hidden": 8, "out": 3}


def layered(seed: int = 0, delay: float = 0.0, **lif: float) -> es.Network:
    """5 inputs -> 8 hidden neurons -> 3 outputs that never fire; and from the inputs to these."""
    rng = np.random.default_rng(seed)
    network = es.Network()
    network.add_input("in", 5)
    network.add_population("hidden", 8, es.LIF(**{"tau_mem": 1.0, "tau_syn": 0.5} | lif))
    network.add_population("out", 3, es.LIF(0.7, 0.7, threshold=np.inf))
    network.connect("in", "hidden", weights=rng.normal(2.0, 1.0, (5, 8)))
    network.connect("hidden", "out", weights=rng.normal(0.0, 1.0, (8, 3)), delays=delay)
    network.connect("in", "out", weights=rng.normal(0.0, 1.0, (5, 3)), delays=delay)
    return network


def stimulus(n_samples: int = 6, seed: int = 0, grid: float | None = None) -> dict:
    """Each source fires four times in [0, 2), on multiples of ``grid`` if there is one."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.0, 2.0, (n_samples, 5, 4))
    if grid is not None:
        times = np.rint(times / grid) * grid
    samples, sources, _ = np.indices(times.shape)
    spikes = es.SpikeBatch(times.ravel(), sources.ravel(), samples.ravel(), n_samples)
    return {"in": spikes}


def on_grid(run, n_steps: int, time_step: float) -> np.ndarray:
    return np.minimum(np.arange(n_steps) * time_step, run.t_stop)


# --- on the grid it is the exact engine


@pytest.mark.parametrize(
    "lif",
    [
        {},
        {"tau_mem": 0.5},
        {"tau_mem": math.inf},
        {"tau_syn": math.inf},
        {"tau_mem": math.inf, "tau_syn": math.inf},
        {"bias": 0.3},
        {"bias": [0.1 * k for k in range(8)], "tau_mem": [0.5 + 0.1 * k for k in range(8)]},
    ],
)
def test_below_threshold_potentials_are_exact_at_every_step(lif):
    network = layered(delay=0.25, **lif, threshold=math.inf)
    spikes = stimulus(grid=0.125)
    run = ClockedNetwork(network, 0.125, dtype=torch.float64)(spikes, 3.0)
    exact = es.simulate(network, spikes, 3.0)
    times = on_grid(exact, 25, 0.125)
    for name in SIZES:
        assert run.spikes[name].sum() == 0.0
        expected = exact.potential(name, at=times).swapaxes(0, 1)
        np.testing.assert_allclose(run.potentials[name].detach(), expected, rtol=1e-12, atol=1e-12)


def by_loop(network: es.Network, spikes: dict, time_step: float, n_steps: int, reset: str):
    """One sample, one neuron after the other, with the recurrence of the module's docstring."""
    grid = np.zeros((n_steps, 5))
    for time, source in zip(spikes["in"].times, spikes["in"].indices, strict=True):
        if round(time / time_step) < n_steps:
            grid[round(time / time_step), source] += 1.0
    sent, potentials = {"in": grid}, {}
    for name, n in SIZES.items():
        neuron = network.neurons[name]
        a, b = 1.0 / neuron.tau_syn, 1.0 / neuron.tau_mem
        h = (math.exp(-a * time_step) - math.exp(-b * time_step)) / (b - a) if a != b else (
            time_step * math.exp(-a * time_step)
        )  # fmt: skip
        sent[name], potentials[name] = np.zeros((n_steps, n)), np.zeros((n_steps, n))
        for i in range(n):
            current = membrane = wait = 0.0
            for k in range(n_steps):
                membrane = membrane * math.exp(-b * time_step) + h * current
                membrane += neuron.bias * (1.0 - math.exp(-b * time_step)) / b if k else 0.0
                current *= math.exp(-a * time_step)
                for (pre, post), projection in network.projections.items():
                    if post == name:
                        current += sent[pre][k] @ projection.weights[:, i]
                if wait > 0.0:
                    membrane = 0.0
                potentials[name][k, i] = membrane
                wait -= 1.0
                if membrane > neuron.threshold:
                    sent[name][k, i] = 1.0
                    membrane = membrane - neuron.threshold if reset == "subtract" else 0.0
                    wait = round(neuron.refractory / time_step) if (
                        neuron.refractory < math.inf
                    ) else math.inf  # fmt: skip
    return sent, potentials


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("lif", [{}, {"refractory": 0.33, "bias": 0.4}, {"refractory": math.inf}])
def test_a_run_is_that_of_a_plain_loop(reset, lif):
    network, spikes = layered(**lif), stimulus()
    run = ClockedNetwork(network, 0.1, reset=reset, dtype=torch.float64)(spikes, 2.5)
    for k in range(6):
        sample = {"in": spikes["in"].sample(k)}
        sent, potentials = by_loop(network, sample, 0.1, 26, reset)
        assert sent["hidden"].sum() > 5
        for name in SIZES:
            np.testing.assert_array_equal(run.spikes[name][:, k].detach(), sent[name])
            np.testing.assert_allclose(
                run.potentials[name][:, k].detach(), potentials[name], rtol=1e-11, atol=1e-12
            )


def test_a_delay_is_so_many_steps():
    spikes = stimulus(grid=0.125)
    at_once, late = (
        ClockedNetwork(layered(delay=d), 0.125, dtype=torch.float64)(spikes, 3.0)
        for d in (0.0, 0.5)
    )
    assert torch.equal(at_once.spikes["hidden"], late.spikes["hidden"])
    assert late.potentials["out"][:5].eq(0.0).all()
    torch.testing.assert_close(late.potentials["out"][4:], at_once.potentials["out"][:-4])


def test_a_delay_longer_than_the_run_leaves_the_outputs_at_rest():
    run = ClockedNetwork(layered(delay=9.0), 0.1)(stimulus(), 2.0)
    assert run.spikes["hidden"].sum() > 0
    assert run.potentials["out"].eq(0.0).all()


def test_spikes_after_the_end_and_inputs_that_are_left_out_do_nothing():
    model = ClockedNetwork(layered(), 0.1)
    late = {"in": es.SpikeBatch([0.5, 7.0], [0, 1], [0, 0], 1)}
    early = {"in": es.SpikeBatch([0.5], [0], [0], 1)}
    for name in SIZES:
        ours, theirs = (model(given, 2.0).potentials[name] for given in (late, early))
        assert torch.equal(ours, theirs)
    assert model({}, 2.0).potentials["out"].eq(0.0).all()


def test_a_population_that_nothing_leads_to_fires_by_its_bias():
    network = es.Network()
    network.add_population("out", 2, es.LIF(bias=[0.5, 2.0]))
    run = ClockedNetwork(network, 0.01)({}, 3.0)
    exact = es.simulate(network, {}, 3.0).first_spikes("out")
    np.testing.assert_allclose(run.first_spikes("out")[0], exact, atol=0.011)


@given(st.integers(0, 1000), st.sampled_from(["zero", "subtract"]))
def test_each_sample_of_a_batch_runs_as_if_alone(seed, reset):
    model, spikes = ClockedNetwork(layered(seed), 0.1, reset=reset), stimulus(seed=seed)
    batch = model(spikes, 2.5)
    k = seed % 6
    alone = model({"in": spikes["in"][[k]]}, 2.5)
    for name in SIZES:
        torch.testing.assert_close(batch.potentials[name][:, k], alone.potentials[name][:, 0])


def test_the_last_step_is_the_nearest_to_the_end():
    model = ClockedNetwork(layered(), 0.1)
    assert [len(model(stimulus(), t).spikes["out"]) for t in (0.0, 0.04, 1.0, 2.97)] == [
        1,
        1,
        11,
        31,
    ]


# --- what it reports


def test_spike_times_and_first_spikes_are_those_of_the_grid():
    run = ClockedNetwork(layered(), 0.1)(stimulus(), 2.5)
    spikes = run.spike_times("hidden")
    assert len(spikes) == 6
    assert spikes.times.size == run.spikes["hidden"].sum()
    steps = np.rint(spikes.times / 0.1).astype(int)
    fired = run.spikes["hidden"].numpy(force=True)
    assert (fired[steps, spikes.samples, spikes.indices] == 1.0).all()
    first = np.full((6, 8), np.inf)
    np.minimum.at(first, (spikes.samples, spikes.indices), spikes.times)
    np.testing.assert_array_equal(run.first_spikes("hidden"), first)
    assert np.isinf(run.first_spikes("out")).all()


def test_the_network_can_be_had_back_with_its_present_weights():
    network = layered()
    model = ClockedNetwork(network, 0.1, dtype=torch.float64)
    assert list(model.weights) == ["in->hidden", "hidden->out", "in->out"]
    with torch.no_grad():
        model.weights["in->out"] += 1.0
    for key, projection in model.exact().projections.items():
        more = 1.0 if key == ("in", "out") else 0.0
        np.testing.assert_array_equal(projection.weights, network.projections[key].weights + more)


def test_the_state_of_a_model_is_its_weights():
    model = ClockedNetwork(layered(0), 0.1)
    model.load_state_dict(ClockedNetwork(layered(1), 0.1).state_dict())
    other = ClockedNetwork(layered(1), 0.1)
    assert torch.equal(
        model(stimulus(), 2.0).spikes["hidden"], other(stimulus(), 2.0).spikes["hidden"]
    )
    assert set(model.state_dict()) == {f"weights.{name}" for name in model.weights}


# --- towards the exact engine


@pytest.mark.slow
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_first_spikes_converge_to_the_exact_ones_in_proportion_to_the_step(reset):
    network, spikes = layered(3), stimulus(40)
    exact = es.simulate(network, spikes, 2.0).first_spikes("hidden")
    steps, errors = [0.02, 0.01, 0.005, 0.0025], []
    for time_step in steps:
        model = ClockedNetwork(network, time_step, reset=reset, dtype=torch.float64)
        found = model(spikes, 2.0).first_spikes("hidden")
        both = np.isfinite(found) & np.isfinite(exact)
        assert np.mean(np.isfinite(found) == np.isfinite(exact)) > 0.97
        errors.append(np.median(np.abs(found - exact)[both]))
    order = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(1.0, abs=0.15)
    assert errors[-1] < 0.0025


@pytest.mark.parametrize("lif", [{"threshold": math.inf}, {"refractory": math.inf}])
def test_weights_onto_a_readout_have_the_exact_gradient_where_the_spikes_are_on_the_grid(lif):
    """The output potential is linear in them: no derivative of a spike comes in."""
    network, spikes = layered(**lif), stimulus(grid=0.125)
    model = ClockedNetwork(network, 0.125, dtype=torch.float64)
    run = model(spikes, 3.0)
    run.potentials["out"][-1].sum().backward()
    exact = es.simulate(network, spikes, 3.0)
    import gradients

    ones = {"out": np.ones((6, 3))}
    expected = gradients.timing_backprop(exact, potentials=ones, wrt=["weights"]).weights
    np.testing.assert_allclose(
        model.weights["in->out"].grad, expected["in", "out"], rtol=1e-10, atol=1e-12
    )


def test_the_gradient_is_the_derivative_of_the_loss_where_no_neuron_fires():
    network, silent = layered(threshold=50.0), SpikeDerivative("silent")
    model = ClockedNetwork(network, 0.1, derivative=silent, dtype=torch.float64)

    def loss(*weights: torch.Tensor) -> torch.Tensor:
        given = dict(zip((f"weights.{name}" for name in model.weights), weights, strict=True))
        run = torch.func.functional_call(model, given, (stimulus(2), 2.0))
        assert run.spikes["hidden"].sum() == 0
        return run.potentials["hidden"][-1].square().sum() + run.potentials["out"].sum()

    assert torch.autograd.gradcheck(loss, tuple(model.weights.values()))


def test_a_neuron_that_has_fired_for_good_has_no_gradient_from_later_steps():
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("out", 1, es.LIF(1.0, 1.0, refractory=math.inf))
    network.connect("in", "out", weights=[[4.0]])
    model = ClockedNetwork(network, 0.1, derivative=SpikeDerivative("constant"))
    run = model({"in": es.SpikeBatch.from_latencies([[0.0]])}, 2.0)
    first = int(run.spikes["out"][:, 0, 0].argmax())
    run.spikes["out"][first + 1 :].sum().backward()
    assert run.spikes["out"].sum() == 1.0
    assert model.weights["in->out"].grad.item() == 0.0


# --- names


def wired(*wires: tuple[str, ...], populations: tuple[str, ...] = ("b",)) -> es.Network:
    """A network of one neuron per group, and a weight of its own for each (pre, post, name)."""
    network = es.Network()
    network.add_input("a", 1)
    for name in populations:
        network.add_population(name, 1, es.LIF())
    for k, (pre, post, *name) in enumerate(wires):
        network.connect(pre, post, weights=[[1.0 + k]], name=name[0] if name else None)
    return network


def test_projections_of_similar_keys_have_parameters_of_their_own():
    """The second unnamed projection has the number 1, which another one has for its name."""
    network = wired(("a", "b"), ("a", "b"), ("a", "b", "1"), ("a", "b", "%31"), ("a", "b", "01"))
    model = ClockedNetwork(network, 0.1, dtype=torch.float64)
    assert list(model.state_dict()) == [
        f"weights.{name}" for name in ("a->b", "a->b->1", "a->b->%31", "a->b->%2531", "a->b->%301")
    ]
    again = model.exact().projections
    assert [(key, p.weights[0, 0]) for key, p in again.items()] == [
        (("a", "b"), 1.0), (("a", "b", 1), 2.0), (("a", "b", "1"), 3.0), (("a", "b", "%31"), 4.0),
        (("a", "b", "01"), 5.0),
    ]  # fmt: skip
    arrived = model({"a": es.SpikeBatch.from_latencies([[0.0]])}, 0.1).potentials["b"][-1, 0, 0]
    alone = ClockedNetwork(wired(("a", "b")), 0.1, dtype=torch.float64)
    one = alone({"a": es.SpikeBatch.from_latencies([[0.0]])}, 0.1).potentials["b"][-1, 0, 0]
    torch.testing.assert_close(arrived, 15.0 * one)


def test_names_that_hold_an_arrow_are_told_apart():
    network = wired(
        ("a", "b->c"), ("a->b", "c"), ("a", "b", "c"), ("a", "b-%3Ec"), ("a-", "b"), ("a", ">b"),
        populations=("b->c", "c", "b", "b-%3Ec", "a->b", "a-", ">b"),
    )  # fmt: skip
    names = list(ClockedNetwork(network, 0.1).state_dict())
    assert names == [
        f"weights.{name}"
        for name in ("a->b-%3Ec", "a-%3Eb->c", "a->b->c", "a->b-%253Ec", "a-->b", "a->>b")
    ]


@pytest.mark.parametrize("name", ["keys", "training", "", "->", "%", "weights"])
def test_a_population_may_have_any_name_without_a_dot(name):
    network = es.Network()
    network.add_input("a", 1)
    network.add_population(name, 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    network.connect("a", name, weights=[[4.0]])
    run = ClockedNetwork(network, 0.1)({"a": es.SpikeBatch.from_latencies([[0.0]])}, 1.0)
    assert run.first_spikes(name) == pytest.approx(0.4)


# --- what it refuses


def recurrent() -> es.Network:
    network = layered()
    network.connect("out", "hidden", weights=np.zeros((3, 8)))
    return network


def with_weights(**connection) -> es.Network:
    network = es.Network()
    network.add_input("in", 5)
    network.add_population("p", 2, es.LIF())
    network.connect("in", "p", **connection)
    return network


def convolutional() -> es.Network:
    network = es.Network()
    network.add_input("in", 9)
    network.add_population("p", 4, es.LIF())
    network.connect("in", "p", weights=es.Convolution(np.ones((1, 1, 2, 2)), (3, 3)))
    return network


def dotted() -> es.Network:
    network = es.Network()
    network.add_population("a.b", 1, es.LIF())
    return network


def pooled() -> es.Network:
    network = es.Network()
    network.add_population("pool", 1, es.LIF.earliest())
    return network


def of_neurons(neuron: es.LIF) -> es.Network:
    network = es.Network()
    network.add_population("p", 2, neuron)
    return network


BAD = [
    (lambda: ClockedNetwork(of_neurons(es.LIF(rest=[0.0, 0.25])), 0.1), r"rest of 'p'.*0\.25"),
    (lambda: ClockedNetwork(of_neurons(es.LIF(reset=-0.25)), 0.1), r"reset of 'p'.*-0\.25"),
    (lambda: ClockedNetwork(of_neurons(es.LIF(tau_syn=0.0)), 0.1), r"tau_syn of 'p'.*got 0\.0"),
    (
        lambda: ClockedNetwork(of_neurons(es.LIF(tau_syn={"exc": 1.0, "inh": 2.5})), 0.1),
        r"tau_syn of 'p'.*'inh': 2\.5",
    ),
    (
        lambda: ClockedNetwork(recurrent(), 0.1),
        r"feed-forward.*hidden -> out -> hidden|out -> hidden",
    ),
    (lambda: ClockedNetwork(with_weights(weights=sparse.csr_array(np.eye(5, 2))), 0.1), r"dense"),
    (lambda: ClockedNetwork(convolutional(), 0.1), r"dense.*Convolution"),
    (
        lambda: ClockedNetwork(with_weights(weights=np.ones((5, 2)), delays=np.ones((5, 2))), 0.1),
        r"delays of \('in', 'p'\)",
    ),
    (lambda: ClockedNetwork(dotted(), 0.1), r"dot.*'a\.b'"),
    (lambda: ClockedNetwork(pooled(), 0.1), r"threshold.*'pool'.*0\.0"),
    (lambda: ClockedNetwork(layered(), 0.0), r"time_step.*0\.0"),
    (lambda: ClockedNetwork(layered(), math.inf), r"time_step.*inf"),
    (lambda: ClockedNetwork(layered(), 0.1, reset="hard"), r"reset.*'hard'"),
    (lambda: ClockedNetwork("net", 0.1), r"network.*'net'"),
    (lambda: ClockedNetwork(layered(), 0.1)(stimulus(), -1.0), r"t_stop.*-1\.0"),
    (lambda: ClockedNetwork(layered(), 0.1)(stimulus(), math.inf), r"t_stop.*inf"),
    (lambda: ClockedNetwork(layered(), 0.1)({"ear": stimulus()["in"]}, 1.0), r"'ear'"),
    (lambda: ClockedNetwork(layered(), 0.1)({"in": [0.5]}, 1.0), r"\[0\.5\]"),
    (
        lambda: ClockedNetwork(layered(), 0.1)({"in": es.SpikeBatch([0.1], [5], [0], 1)}, 1.0),
        r"must be < 5, got 5",
    ),
    (lambda: ClockedNetwork(layered(), 0.1)(stimulus(), 1.0).first_spikes("x"), r"'x'"),
    (lambda: ClockedNetwork(layered(), 0.1)(stimulus(), 1.0).spike_times("x"), r"'x'"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_argument_is_an_error_that_quotes_it(call, message):
    with pytest.raises(ValueError, match=message):
        call()
