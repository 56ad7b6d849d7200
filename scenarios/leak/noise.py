"""Signed Poisson spikes of images, clean and with noise (Chowdhury, Lee & Roy 2020, Algorithm 1).

Images are brought to zero mean and scaled to [-1, 1].  Algorithm 1 says that a pixel x gives a
spike when x exceeds a uniform random number, which for numbers in [0, 1] would silence the half of
all pixels that is negative.  We read it as Lee et al. (2020), whose protocol the publication
follows: a pixel gives a spike of its own sign when |x| exceeds a random number in [0, 1], anew at
each step.

Noise is drawn anew at each step, too, for each pixel and channel:

- scenario 1 adds it to the pixel, before the comparison, so spikes remain -1, 0 or 1;
- scenario 2 adds it to the spike, after the comparison, so inputs become real numbers.

Gaussian noise is normal with standard deviation s.  Impulse noise of strength q hits a pixel with
probability q: in scenario 1 it takes it to one end of its range, -1 or 1 (salt and pepper), in
scenario 2 it adds the width of that range, -2 or 2; either with probability 1/2.

In scenario 1 the noise needs no draw of its own.  Steps are independent, so what counts is the
probability of a spike of either sign, and noise does nothing but change it: E[clip(x + ξ, 0, 1)],
which is known in closed form (`rates`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from eventsim._support.validate import as_count, check_choice

__all__ = ["KINDS", "SCENARIOS", "SEVERITIES", "Noise", "input_spikes", "normalised", "rates"]

KINDS, SCENARIOS, SEVERITIES = ("gaussian", "impulse"), (1, 2), tuple(range(1, 9))
# The publication has no numbers, and those of Hendrycks & Dietterich (2019: 0.08 to 0.38 and 3 to
# 27 %) are for noise that stays: ours is drawn anew at each step and averages out over a run.  So
# deviations rise by 10**0.2 to six times the brightest pixel, impulses until few pixels are left.
STRENGTHS = {
    "gaussian": (0.25, 0.4, 0.63, 1.0, 1.6, 2.5, 4.0, 6.3),
    "impulse": (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 0.95),
}
IMPULSE = 2.0  # that is added to a spike: the width of the range of pixels
LEVELS = 2**16  # rates are rounded to one part in so many

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Noise:
    """A noise of the inputs.

    Attributes
    ----------
    kind : {"gaussian", "impulse"}
        Its distribution.
    scenario : {1, 2}
        Whether it is added to the pixels or to the spikes.
    severity : int
        From 1 to 8.

    Examples
    --------
    >>> Noise("impulse", 1, 5).strength
    0.5
    """

    kind: str
    scenario: int
    severity: int

    def __post_init__(self) -> None:
        """Check the three."""
        check_choice(self.kind, KINDS, "kind")
        if self.scenario not in SCENARIOS:
            raise ValueError(f"scenario must be 1 or 2, got {self.scenario!r}")
        if as_count(self.severity, "severity") not in SEVERITIES:
            raise ValueError(
                f"severity must lie in {SEVERITIES[0]} to {SEVERITIES[-1]}, got {self.severity!r}"
            )

    @property
    def strength(self) -> float:
        """Standard deviation, or probability of an impulse."""
        return STRENGTHS[self.kind][self.severity - 1]


def normalised(images: NDArray[np.uint8]) -> Floats:
    """Bring each image to zero mean over pixels and channels, and scale it to [-1, 1].

    Parameters
    ----------
    images : (n_samples, height, width, n_channels) ndarray of uint8
        An image of one colour becomes 0 everywhere.

    Returns
    -------
    ndarray of float32
        Of the same shape; the largest absolute value of each image is 1.

    Examples
    --------
    >>> normalised(np.array([0, 100, 50, 50], np.uint8).reshape(1, 2, 2, 1)).ravel()
    array([-1.,  1.,  0.,  0.], dtype=float32)
    """
    values = images.astype(np.float32)
    values -= values.mean(axis=(1, 2, 3), keepdims=True)
    largest = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    values /= np.where(largest > 0.0, largest, np.float32(1.0))
    return values


def rates(pixels: Floats, noise: Noise | None = None) -> tuple[Floats, Floats]:
    """Return the probabilities of a positive and of a negative spike, at each step.

    Parameters
    ----------
    pixels : ndarray of float32
        Values in [-1, 1].
    noise : Noise, optional
        Of scenario 1 changes them; of scenario 2 does not.

    Returns
    -------
    positive, negative : ndarrays of float32
        Their sum is at most 1.

    Notes
    -----
    With noise ξ, P(+) = P(x + ξ > U) = E[clip(x + ξ, 0, 1)] for a uniform U.  For a normal ξ,
    with a = -x/s and b = (1 - x)/s: x (Φ(b) - Φ(a)) + s (φ(a) - φ(b)) + 1 - Φ(b).

    Examples
    --------
    >>> rates(np.float32([0.5, -0.25]))
    (array([0.5, 0. ], dtype=float32), array([0.  , 0.25], dtype=float32))
    >>> rates(np.float32([0.5, -0.25]), Noise("impulse", 1, 5))
    (array([0.5 , 0.25], dtype=float32), array([0.25 , 0.375], dtype=float32))
    """
    pixels = np.asarray(pixels, np.float32)
    if noise is None or noise.scenario == 2:
        return np.maximum(pixels, 0.0), np.maximum(-pixels, 0.0)
    one_sided = _impulse if noise.kind == "impulse" else _gaussian
    return one_sided(pixels, noise.strength), one_sided(-pixels, noise.strength)


def _impulse(pixels: Floats, probability: float) -> Floats:
    return np.float32(1.0 - probability) * np.maximum(pixels, 0.0) + np.float32(0.5 * probability)


def _gaussian(pixels: Floats, deviation: float) -> Floats:
    s = np.float32(deviation)
    a, b = -pixels / s, (1.0 - pixels) / s
    below, above = ndtr(a), ndtr(-b)
    inside = pixels * (1.0 - below - above) + s * (_density(a) - _density(b))
    return np.clip(inside + above, np.float32(0.0), np.float32(1.0)).astype(np.float32)


def _density(z: Floats) -> Floats:
    scale = np.float32(1.0 / math.sqrt(2.0 * math.pi))
    return scale * np.exp(np.float32(-0.5) * z * z)


def input_spikes(
    pixels: Floats,
    n_steps: int,
    rng: np.random.Generator,
    *,
    noise: Noise | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Draw the input of a network.

    Parameters
    ----------
    pixels : (n_samples, height, width, n_channels) ndarray
        Images as `normalised` returns them.
    n_steps : int
        Steps.
    rng : numpy.random.Generator
        Where the randomness comes from; on a GPU it seeds a generator there.
    noise : Noise, optional
        Default: none.
    device, dtype : torch.device, torch.dtype
        Of the result.

    Returns
    -------
    (n_steps, n_samples, n_channels, height, width) tensor
        With the channels last in memory.

    Examples
    --------
    >>> pixels = np.float32([[[[1.0], [-1.0], [0.0]]]])
    >>> input_spikes(pixels, 3, np.random.default_rng(0))[:, 0, 0, 0]
    tensor([[ 1., -1.,  0.],
            [ 1., -1.,  0.],
            [ 1., -1.,  0.]])
    """
    as_count(n_steps, "n_steps")
    shape = (n_steps, *pixels.shape)
    device = torch.device(device)
    draw = _draw if device.type == "cpu" else _draw_on_device
    spikes = draw(shape, *rates(pixels, noise), rng, device).to(dtype)
    if noise is not None and noise.scenario == 2:
        spikes += _disturbance(shape, noise, rng).to(device, dtype)
    return spikes.permute(0, 1, 4, 2, 3)


def _draw(
    shape: tuple[int, ...],
    positive: Floats,
    negative: Floats,
    rng: np.random.Generator,
    device: torch.device,
) -> torch.Tensor:
    """Compare the rates with the same 16 random bits: from below, and from above."""
    n = math.prod(shape)
    bits = rng.integers(2**64 - 1, size=-(-n // 4), dtype=np.uint64, endpoint=True)
    numbers = bits.view(np.uint16)[:n].reshape(shape)
    spikes = (numbers < _as_level(positive)).view(np.int8)
    np.invert(numbers, out=numbers)
    spikes -= (numbers < _as_level(negative)).view(np.int8)
    return torch.from_numpy(spikes).to(device)


def _as_level(rate: Floats) -> NDArray[np.uint16]:
    return np.minimum(np.rint(rate * LEVELS), LEVELS - 1).astype(np.uint16)


def _draw_on_device(
    shape: tuple[int, ...],
    positive: Floats,
    negative: Floats,
    rng: np.random.Generator,
    device: torch.device,
) -> torch.Tensor:
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    uniform = torch.rand(shape, generator=generator, device=device)
    up, down = (torch.from_numpy(rate).to(device) for rate in (positive, negative))
    return (uniform < up).to(torch.int8) - (1.0 - uniform <= down).to(torch.int8)


def _disturbance(shape: tuple[int, ...], noise: Noise, rng: np.random.Generator) -> torch.Tensor:
    """Return what scenario 2 adds to the spikes."""
    if noise.kind == "gaussian":
        values = rng.standard_normal(shape, np.float32)
        values *= np.float32(noise.strength)
        return torch.from_numpy(values)
    half = np.full(shape[1:], 0.5 * noise.strength, np.float32)
    return IMPULSE * _draw(shape, half, half, rng, torch.device("cpu"))
