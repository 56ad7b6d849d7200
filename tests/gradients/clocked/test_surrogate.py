"""Clocked neurons: against the publications' equations written out, and against plain autograd."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradients.clocked import (
    LIFNeuron,
    LIFReadout,
    LIFUnit,
    SpikeDerivative,
    clocked_lif,
    fired_spikes,
)

RESETS = ["zero", "subtract"]
KINDS = ["constant", "fired", "fast_sigmoid", "arctan", "silent"]

# Multiples of 1/8 and decays of few bits: the arithmetic is exact, and potentials often equal the
# threshold.
drives = st.lists(
    st.lists(st.integers(-4, 12).map(lambda k: k / 8), min_size=2, max_size=2),
    min_size=1,
    max_size=10,
).map(np.array)
decays = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
rests = st.sampled_from([0.0, 1.0, 2.0, math.inf])


def step(x: float) -> float:
    """Θ of the publications' listings: 0 at 0."""
    return 1.0 if x > 0.0 else 0.0


def by_gerum(inputs: Any, w_input: float, w_leak: float, threshold: float) -> Any:
    """Gerum & Schilling, Eqs. 9-10."""
    V, spikes, potentials = 0.0, [], []
    for x in inputs:
        V = w_input * x + (1.0 - w_leak) * V * step(threshold - V)
        spikes.append(step(V - threshold))
        potentials.append(V)
    return spikes, potentials


def by_chowdhury(drive: Any, tau_m: float, threshold: float) -> list[float]:
    """Chowdhury, Lee & Roy, Algorithm 2, hidden layers."""
    u, spikes = 0.0, []
    for weighted_input in drive:
        u = u + weighted_input
        if u > threshold:
            o, u = 1.0, 0.0
        else:
            o, u = 0.0, math.exp(-1.0 / tau_m) * u
        spikes.append(o)
    return spikes


def by_loop(
    drive: Any, decay: float, threshold: float, reset: str, at_threshold: bool, rest: float
) -> Any:
    """One neuron, as the docstring of `clocked_lif` has it."""
    v, wait, spikes, potentials = 0.0, 0.0, [], []
    for x in drive:
        v = 0.0 if wait > 0.0 else decay * v + x
        spike = v > threshold
        wait = rest if spike else wait - 1.0
        spikes.append(float(spike))
        potentials.append(v)
        if spike or (at_threshold and v == threshold):
            v = v - threshold if reset == "subtract" else 0.0
    return spikes, potentials


def through_autograd(
    drive: Any,
    decay: Any,
    *,
    threshold: float,
    refractory: float,
    reset: str,
    reset_at_threshold: bool,
    derivative: SpikeDerivative,
) -> Any:
    """The same in PyTorch operations, each with its own derivative; only that of Θ is replaced."""
    V, spikes, potentials = torch.zeros_like(drive[0]), [], []
    wait = torch.zeros_like(drive[0])
    for x in drive:
        free = (wait <= 0.0).to(drive.dtype)
        V = free * (decay * V + x)
        distance = (V - threshold).detach()
        fired = (distance > 0.0).to(drive.dtype)
        spikes.append(fired + free * (V - V.detach()) * derivative(distance))
        potentials.append(V)
        hit = (distance >= 0.0) if reset_at_threshold else (distance > 0.0)
        left = V - threshold if reset == "subtract" else torch.zeros_like(V)
        V = torch.where(hit, left, V)
        wait = torch.where(fired > 0.0, torch.full_like(wait, refractory), wait - 1.0)
    return torch.stack(spikes), torch.stack(potentials)


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# --- the dynamics


@given(
    st.lists(st.integers(-4, 12).map(lambda k: k / 8), min_size=1, max_size=12),
    st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_a_unit_follows_gerum_and_schilling_to_the_letter(inputs, w_input, w_leak):
    unit = LIFUnit(w_input, w_leak).double()
    spikes, potentials = unit.run(torch.tensor(inputs, dtype=torch.float64)[:, None])
    expected = by_gerum(inputs, w_input, w_leak, 1.0)
    assert spikes.flatten().tolist() == expected[0]
    assert potentials.flatten().tolist() == expected[1]


@given(
    st.lists(st.integers(-4, 12).map(lambda k: k / 8), min_size=1, max_size=12),
    st.sampled_from([1.0 / math.log(2.0), 30.0, 100.0, math.inf]),
)
def test_a_neuron_follows_algorithm_2_of_chowdhury_lee_and_roy(drive, tau_m):
    neuron = LIFNeuron(tau_m)
    spikes = neuron(torch.tensor(drive, dtype=torch.float64)[:, None])
    assert spikes.flatten().tolist() == by_chowdhury(drive, tau_m, 1.0)


def test_a_potential_that_equals_the_threshold_is_no_spike_and_is_reset_by_gerum_alone():
    drive = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    unit, neuron = LIFUnit(1.0, 0.0).double(), LIFNeuron(math.inf)
    assert unit.run(drive)[0].flatten().tolist() == [0.0, 0.0]
    assert unit.run(drive)[1].flatten().tolist() == [1.0, 0.5]
    assert neuron.run(drive)[0].flatten().tolist() == [0.0, 1.0]
    assert neuron.run(drive)[1].flatten().tolist() == [1.0, 1.5]


def test_a_readout_decays_as_algorithm_2_has_its_last_layer():
    drive = doubles(7, 3)
    U = np.zeros(3)
    for k, potential in enumerate(LIFReadout(5.0)(drive).numpy()):
        U = math.exp(-1.0 / 5.0) * U + drive[k].numpy()
        np.testing.assert_allclose(potential, U, rtol=1e-14)


@given(drives, decays, st.sampled_from(RESETS), st.booleans(), rests)
def test_all_rules_are_those_of_a_plain_loop(drive, decay, reset, at_threshold, rest):
    spikes, potentials = clocked_lif(
        torch.tensor(drive), decay, reset=reset, reset_at_threshold=at_threshold, refractory=rest
    )
    for n in range(drive.shape[1]):
        expected = by_loop(drive[:, n], decay, 1.0, reset, at_threshold, rest)
        assert spikes[:, n].tolist() == expected[0]
        assert potentials[:, n].tolist() == expected[1]


def test_every_neuron_may_have_its_own_decay_threshold_and_refractory_period():
    drive = doubles(40, 1, 3).abs()
    decay, threshold, rest = [0.5, 0.9, 1.0], [0.7, math.inf, 2.0], [0.0, 1.0, math.inf]
    spikes, potentials = clocked_lif(
        drive, torch.tensor(decay), threshold=torch.tensor(threshold), refractory=torch.tensor(rest)
    )
    for n in range(3):
        alone = clocked_lif(drive[..., n], torch.tensor(decay[n]), threshold=threshold[n],
                            refractory=rest[n])  # fmt: skip
        assert torch.equal(spikes[..., n], alone[0])
        assert torch.equal(potentials[..., n], alone[1])
    assert spikes.sum(0).flatten().tolist()[1:] == [0.0, 1.0]


@given(drives, decays, st.sampled_from(RESETS), st.integers(-3, 3))
def test_scaling_drive_and_threshold_by_a_power_of_two_leaves_the_spikes(
    drive, decay, reset, power
):
    scale = 2.0**power
    ours = clocked_lif(torch.tensor(drive), decay, reset=reset)
    scaled = clocked_lif(torch.tensor(scale * drive), decay, reset=reset, threshold=scale)
    assert torch.equal(ours[0], scaled[0])
    assert torch.equal(scale * ours[1], scaled[1])


@given(drives, drives, decays, st.sampled_from(RESETS), rests)
def test_what_comes_later_changes_nothing_before(drive, more, decay, reset, rest):
    short = clocked_lif(torch.tensor(drive), decay, reset=reset, refractory=rest)
    longer = torch.tensor(np.concatenate([drive, more]))
    for a, b in zip(short, clocked_lif(longer, decay, reset=reset, refractory=rest), strict=True):
        assert torch.equal(a, b[: len(drive)])


# --- the gradients


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("at_threshold", "rest"), [(False, 0.0), (True, 0.0), (False, 2.0)])
def test_the_gradient_is_that_of_autograd_through_a_plain_loop(kind, reset, at_threshold, rest):
    derivative = SpikeDerivative(kind, 1.7)
    weights = doubles(2, 25, 4, 3, seed=1)
    found = []
    for run in (clocked_lif, through_autograd):
        drive = doubles(25, 4, 3).mul(0.8).round(decimals=1).requires_grad_()  # with ties
        decay = torch.tensor([0.5, 0.9, 1.0], dtype=torch.float64, requires_grad=True)
        outputs = run(
            drive, decay, threshold=1.1, reset=reset, refractory=rest,
            reset_at_threshold=at_threshold, derivative=derivative,
        )  # fmt: skip
        assert outputs[0].sum() > 10
        sum((w * out).sum() for w, out in zip(weights, outputs, strict=True)).backward()
        found.append((drive.grad, decay.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("rest", [0.0, 2.0, math.inf])
def test_potentials_have_the_derivatives_of_finite_differences(reset, rest):
    """Between the changes of its spikes the potential is smooth, and this is its true gradient."""
    drive = doubles(12, 2).abs().requires_grad_()
    decay = torch.tensor([0.6, 0.95], dtype=torch.float64, requires_grad=True)

    def potentials(drive, decay):
        return clocked_lif(drive, decay, reset=reset, refractory=rest)[1]

    assert potentials(drive, decay).gt(1.0).any()
    assert torch.autograd.gradcheck(potentials, (drive, decay), eps=1e-7, atol=1e-6)


def factors(potentials: Any, t: int, n: int, w_leak: float, threshold: float) -> float:
    """(1 - w_leak)^n times the product of Θ2(V_thresh - V_{t-i}) over i = 1 ... n."""
    kept = [step(threshold - potentials[t - i]) for i in range(1, n + 1)]
    return (1.0 - w_leak) ** n * math.prod(kept)


@pytest.mark.parametrize("w_leak", [0.0, 0.1, 0.4])
def test_the_derivatives_of_a_spike_are_equations_19_32_and_33_of_gerum_and_schilling(w_leak):
    rng = np.random.default_rng(0)
    x, w_input = rng.uniform(0.0, 1.5, 14), 0.5
    unit = LIFUnit(w_input, w_leak).double()
    w_leak = unit.w_leak.item()  # as it was rounded
    potentials = by_gerum(x, w_input, w_leak, 1.0)[1]
    for t in range(len(x)):
        inputs = torch.tensor(x, requires_grad=True)
        unit.zero_grad()
        unit(inputs[:, None])[t].sum().backward()
        by_inputs, by_w_input, by_w_leak = np.zeros(len(x)), x[t], 0.0
        by_inputs[t] = w_input
        for n in range(1, t + 1):
            passed = factors(potentials, t, n, w_leak, 1.0)
            by_inputs[t - n] = w_input * passed  # Eq. 19
            by_w_input += x[t - n] * passed  # Eq. 32
            by_w_leak -= potentials[t - n] * passed / (1.0 - w_leak)  # Eq. 33
        np.testing.assert_allclose(inputs.grad, by_inputs, rtol=1e-12, atol=0)
        np.testing.assert_allclose(unit.w_input.grad, by_w_input, rtol=1e-12)
        np.testing.assert_allclose(unit.w_leak.grad, by_w_leak, rtol=1e-12, atol=0)


def test_no_gradient_goes_back_beyond_a_spike():
    """Fig. 4: the error reaches what led to the spike, not what led to the one before."""
    inputs = torch.ones(6, 1, requires_grad=True)
    unit = LIFUnit(0.5, 0.1)
    spikes = unit(inputs)
    assert spikes.flatten().tolist() == [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    spikes[5].sum().backward()
    assert (inputs.grad.flatten() > 0.0).tolist() == [False, False, False, True, True, True]


@pytest.mark.parametrize("shape", [(), (3, 1), (4,), (3, 4)])
def test_leak_and_weight_are_trained_for_each_kind_or_each_neuron(shape):
    """Parameters that neurons share have the sum of the gradients of these neurons."""
    inputs = doubles(20, 5, 3, 4).abs()
    shared = LIFUnit(torch.full(shape, 0.6), torch.full(shape, 0.2)).double()
    each = LIFUnit(torch.full((3, 4), 0.6), torch.full((3, 4), 0.2)).double()
    weights = doubles(20, 5, 3, 4, seed=1)
    for unit in (shared, each):
        (weights * unit(inputs)).sum().backward()
    for name in ("w_input", "w_leak"):
        own = getattr(each, name).grad
        assert own.abs().min() > 0.0
        torch.testing.assert_close(getattr(shared, name).grad, own.sum_to_size(shape))


def test_with_the_silent_derivative_nothing_is_learned_from_spikes():
    unit = LIFUnit(0.6, 0.1, derivative=SpikeDerivative("silent"))
    unit(torch.ones(10, 1)).sum().backward()
    assert unit.w_input.grad == 0.0
    assert unit.w_leak.grad == 0.0


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_the_derivative_of_a_neuron_is_equation_5_of_chowdhury_lee_and_roy(epsilon):
    neuron = LIFNeuron(30.0, threshold=2.0, epsilon=epsilon)
    drive = torch.tensor([[2.5], [1.0]], dtype=torch.float64, requires_grad=True)
    spikes = neuron(drive)
    assert spikes.flatten().tolist() == [1.0, 0.0]
    spikes.sum().backward()
    assert drive.grad.flatten().tolist() == [1.0 / (2.0 + epsilon), 0.0]


@pytest.mark.parametrize("kind", ["fast_sigmoid", "arctan"])
def test_a_smooth_derivative_is_even_and_highest_at_the_threshold(kind):
    x = torch.linspace(-3.0, 3.0, 61, dtype=torch.float64)
    y = SpikeDerivative(kind, 3.0)(x)
    torch.testing.assert_close(y, y.flip(0))
    assert y.argmax() == 30
    assert (y[31:] < y[30:-1]).all()


def test_the_arctan_derivative_is_that_of_a_function_from_0_to_1():
    x = torch.linspace(-400.0, 400.0, 400_001, dtype=torch.float64)
    assert torch.trapezoid(SpikeDerivative("arctan", 2.0)(x), x) == pytest.approx(1.0, abs=2e-3)


def test_an_autocast_or_half_precision_drive_keeps_its_type():
    spikes, potentials = clocked_lif(torch.ones(3, 2, dtype=torch.bfloat16), torch.tensor(0.5))
    assert spikes.dtype == potentials.dtype == torch.bfloat16


# --- against snnTorch


@pytest.mark.peers("snntorch")
@pytest.mark.parametrize(("reset", "beta"), [("zero", 0.8), ("zero", 1.0), ("subtract", 1.0)])
@pytest.mark.parametrize(("ours", "theirs"), [("fast_sigmoid", "fast_sigmoid"), ("arctan", "atan")])
def test_snntorch_agrees_where_the_models_coincide(reset, beta, ours, theirs):
    """Its soft reset takes the threshold off after the decay: the same without a decay only."""
    import snntorch
    from snntorch import surrogate

    cell = snntorch.Leaky(
        beta=beta, reset_mechanism=reset, spike_grad=getattr(surrogate, theirs)(3.0)
    )
    weights, found = doubles(2, 30, 5).float(), []
    for peer in (False, True):
        drive = doubles(30, 5, seed=1).abs().float().requires_grad_()
        if peer:
            membrane, steps = torch.zeros(5), []
            for x in drive:
                spike, membrane = cell(x, membrane)
                steps.append((spike, membrane))
            spikes, potentials = map(torch.stack, zip(*steps, strict=True))
        else:
            spikes, potentials = clocked_lif(
                drive, beta, reset=reset, derivative=SpikeDerivative(ours, 3.0)
            )
        ((weights[0] * spikes).sum() + (weights[1] * potentials).sum()).backward()
        found.append((spikes.detach(), potentials.detach(), drive.grad))
    assert found[0][0].sum() > 10
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("function", [fired_spikes, lambda *given: clocked_lif(*given)[0]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_second_derivative_is_refused_not_wrong(function, dtype):
    x = torch.tensor([0.5, 0.2, 0.3, 0.4], dtype=dtype, requires_grad=True)
    (slope,) = torch.autograd.grad((function(3.0 * x, 0.9) * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


# --- bad arguments

BAD = [
    (lambda: SpikeDerivative("ramp"), r"kind.*'ramp'"),
    (lambda: SpikeDerivative("arctan", 0.0), r"scale.*0\.0"),
    (lambda: SpikeDerivative("arctan", math.nan), r"scale.*nan"),
    (lambda: clocked_lif(torch.ones(0, 2), 0.5), r"drive.*\(0, 2\)"),
    (lambda: clocked_lif(torch.tensor(1.0), 0.5), r"drive.*\(\)"),
    (lambda: clocked_lif(torch.ones(2), 0.5, threshold=-1.0), r"threshold.*-1\.0"),
    (lambda: clocked_lif(torch.ones(2), 0.5, threshold=math.nan), r"threshold.*nan"),
    (
        lambda: clocked_lif(torch.ones(2, 2), 0.5, threshold=torch.tensor([1.0, -2.0])),
        r"threshold.*-2\.0",
    ),
    (lambda: clocked_lif(torch.ones(2), 0.5, refractory=-3.0), r"refractory.*-3\.0"),
    (lambda: clocked_lif(torch.ones(2), 0.5, reset="hard"), r"reset.*'hard'"),
    (lambda: clocked_lif(torch.ones(2, dtype=torch.int64), 0.5), "floating type, got torch.int64"),
    (lambda: clocked_lif(torch.ones(2), math.nan), "decay must be finite, got nan"),
    (
        lambda: clocked_lif(torch.ones(2), 0.5, threshold=torch.ones(1, requires_grad=True)),
        "threshold must be a constant",
    ),
    (lambda: LIFUnit(1.0, 0.1, threshold=0.0), r"threshold.*0\.0"),
    (lambda: LIFNeuron(0.0), r"tau_m.*0\.0"),
    (lambda: LIFNeuron(math.nan), r"tau_m.*nan"),
    (lambda: LIFNeuron(30.0, threshold=0.0), r"threshold.*0\.0"),
    (lambda: LIFNeuron(30.0, threshold=math.inf), "threshold must be > 0 and finite, got inf"),
    (lambda: LIFNeuron(30.0, epsilon=-0.1), r"epsilon.*-0\.1"),
    (lambda: LIFReadout(-1.0), r"tau_m.*-1\.0"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_argument_is_an_error_that_quotes_it(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_without_torch_the_error_says_how_to_install_it():
    code = (
        "import sys; sys.modules['torch'] = None; import gradients\n"
        "try: import gradients.clocked\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "clocked neurons need torch" in done.stdout
    assert "pip install 'eventsim-snn[torch]'" in done.stdout
