"""Compiled LIF spikes: the recurrence step by step, in every type, layout and number of threads."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from gradients.clocked import (  # noqa: E402
    LIFNeuron,
    SpikeDerivative,
    clocked_lif,
    fired_spikes,
)
from gradients.clocked import spikes as module  # noqa: E402


def oracle(drive, above, decay, threshold, scale):
    """Algorithm 2 for one neuron, and its gradient, by plain loops over unrolled time."""
    spikes, potential = [], 0.0
    for now in drive:
        potential += now
        fires = potential > threshold
        spikes.append(1.0 if fires else 0.0)
        potential = 0.0 if fires else decay * potential
    gradient = []
    for step in range(len(drive)):  # of all later spikes, until the first reset
        total, factor = 0.0, 1.0
        for later in range(step, len(drive)):
            total += factor * above[later] * scale * spikes[later]
            if spikes[later]:
                break
            factor *= decay
        gradient.append(total)
    return spikes, gradient


drives = st.lists(st.floats(-2.0, 2.0, width=32), min_size=1, max_size=12)


@pytest.mark.slow
@settings(max_examples=50)
@given(drives, st.floats(0.0, 1.0), st.floats(0.25, 2.0), st.sampled_from(["float32", "float64"]))
def test_spikes_and_gradients_are_those_of_a_plain_loop(drive, decay, threshold, dtype):
    above = np.linspace(-1.0, 2.0, len(drive))
    tensor = torch.tensor(drive, dtype=getattr(torch, dtype), requires_grad=True)
    spikes = fired_spikes(tensor, decay, threshold=threshold, scale=1.5)
    (gradient,) = torch.autograd.grad(spikes, tensor, torch.tensor(above, dtype=tensor.dtype))
    expected, expected_gradient = oracle(drive, above, decay, threshold, 1.5)
    if spikes.tolist() != expected:  # a potential at the threshold, but for rounding
        assert near_threshold(drive, decay, threshold)
        return
    np.testing.assert_allclose(gradient.numpy(), expected_gradient, rtol=1e-5, atol=1e-6)


def near_threshold(drive, decay, threshold):
    potential, nearest = 0.0, math.inf
    for now in drive:
        potential += now
        nearest = min(nearest, abs(potential - threshold))
        potential = 0.0 if potential > threshold else decay * potential
    return nearest < 1e-5


def some_drive(dtype, shape=(9, 3, 4, 5, 6)):
    generator = torch.Generator().manual_seed(1)
    return (0.3 + 0.5 * torch.randn(shape, generator=generator)).to(dtype)


def run(drive, **options):
    drive = drive.detach().requires_grad_()
    spikes = fired_spikes(drive, 0.9, **options)
    weights = torch.linspace(-1.0, 1.0, drive.numel()).reshape(drive.shape).to(drive.dtype)
    return spikes.detach(), torch.autograd.grad((spikes * weights).sum(), drive)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_all_types_fire_as_clocked_lif_does_in_float32(dtype):
    drive = some_drive(dtype)
    spikes, gradient = run(drive)
    wide = drive.double() if dtype == torch.float64 else drive.float()
    wide.requires_grad_()
    expected = clocked_lif(wide, 0.9, derivative=SpikeDerivative("fired", 1.0))[0]
    assert spikes.dtype == gradient.dtype == dtype
    assert torch.equal(spikes.to(wide.dtype), expected.detach())
    weights = torch.linspace(-1.0, 1.0, drive.numel()).reshape(drive.shape).to(dtype)
    (by_drive,) = torch.autograd.grad((expected * weights).sum(), wide)
    tolerance = {torch.float64: 1e-6, torch.float32: 1e-6, torch.float16: 1e-3}.get(dtype, 8e-3)
    torch.testing.assert_close(gradient.to(wide.dtype), by_drive, rtol=tolerance, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_loops_are_the_loop_of_other_devices(monkeypatch, dtype):
    compiled = run(some_drive(dtype), threshold=0.8, scale=1.25)
    monkeypatch.setattr(module, "_is_compiled", lambda _: False)
    plain = run(some_drive(dtype), threshold=0.8, scale=1.25)
    assert torch.equal(compiled[0], plain[0])
    torch.testing.assert_close(compiled[1], plain[1], rtol=8e-3, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layout_in_memory_changes_nothing_and_is_kept(dtype):
    drive = some_drive(dtype)
    last = drive.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (9, 3))
    assert last.stride() != drive.stride()
    expected, found = run(drive), run(last)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert found[0].stride() == last.stride()


@pytest.mark.parametrize("view", ["every other step", "reversed axes", "one neuron of two"])
def test_views_with_gaps_are_taken(view):
    drive = some_drive(torch.float32, (8, 6, 4))
    views = {"every other step": drive[::2], "reversed axes": drive.permute(2, 1, 0),
             "one neuron of two": drive[..., ::2]}  # fmt: skip
    gaps = views[view]
    expected, found = run(gaps.contiguous()), run(gaps)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.jit
def test_the_number_of_threads_changes_no_bit():
    drive = some_drive(torch.bfloat16, (20, 40, 3000))
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(run(drive))
    torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_more_neurons_than_a_block_are_all_run(monkeypatch, dtype):
    drive = some_drive(dtype, (5, 103))
    expected = run(drive)
    monkeypatch.setattr(module, "BLOCK", 10)
    found = run(drive)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_potentials_are_not_rounded_to_the_type_of_the_drive():
    """In bfloat16, 1 + 1/512 is 1; a hundred such steps would never pass a threshold of 1.1."""
    drive = torch.full((130,), 1 / 512, dtype=torch.bfloat16)
    drive[0] = 1.0
    fires = fired_spikes(drive, 1.0, threshold=1.1).nonzero()[0].item()
    assert fires == math.floor(0.1 * 512) + 1


def test_bfloat16_is_rounded_as_pytorch_rounds():
    bits = np.random.default_rng(0).integers(0, 2**32, 3000, dtype=np.uint32)
    bits[:500] &= np.uint32(0xFFFF8000)  # halfway between two neighbours, or one of them
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    expected = torch.from_numpy(values).to(torch.bfloat16)
    rounded = np.array([module._rounded(value) for value in values], np.uint16)
    np.testing.assert_array_equal(rounded, expected.view(torch.int16).numpy().view(np.uint16))
    widened = np.array([module._widened(half) for half in rounded], np.float32)
    np.testing.assert_array_equal(widened, expected.float().numpy())


def test_the_neuron_takes_the_short_way_with_the_same_result():
    drive = some_drive(torch.float32)
    for reset, derivative in (("zero", None), ("subtract", None), ("zero", SpikeDerivative())):
        neuron = LIFNeuron(7.0, threshold=0.9, reset=reset, derivative=derivative)
        one, two = (drive.clone().requires_grad_() for _ in range(2))
        short, long = neuron(one), neuron.run(two)[0]
        assert torch.equal(short, long)
        short.square().sum().backward()
        long.square().sum().backward()
        torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.parametrize(
    ("drive", "options", "expected"),
    [
        (torch.zeros(0, 3), {}, r"drive must have at least one step, got shape \(0, 3\)"),
        (torch.tensor(1.0), {}, r"drive must have at least one step, got shape \(\)"),
        (torch.zeros(2, 3, dtype=torch.int32), {}, "floating type, got torch.int32"),
        (torch.zeros(2), {"decay": 1.5}, r"decay must lie in \[0, 1\], got 1.5"),
        (torch.zeros(2), {"decay": math.nan}, r"decay must lie in \[0, 1\], got nan"),
        (torch.zeros(2), {"threshold": 0.0}, "threshold must be > 0 and finite, got 0.0"),
        (torch.zeros(2), {"threshold": math.inf}, "threshold must be > 0 and finite, got inf"),
        (torch.zeros(2), {"scale": -1.0}, "scale must be > 0 and finite, got -1.0"),
    ],
)
def test_bad_arguments_are_refused(drive, options, expected):
    with pytest.raises(ValueError, match=expected):
        fired_spikes(drive, **{"decay": 0.5, **options})
