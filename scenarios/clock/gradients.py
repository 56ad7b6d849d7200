"""The angle between surrogate and exact gradients: same network, same data, same loss.

Two things are different in a surrogate gradient: time goes in steps, and a spike has a derivative
by the potential that it does not have.  The first vanishes as the steps become smaller, the second
does not.  It says how much the loss would change if a spike were *added* where the potential is
near the threshold, while the exact gradient says how it changes as the spike is *moved*.  For one
spike at time f and a potential that is read at T, the one is proportional to the kernel h(T - f)
that the spike leaves behind, the other to the slope of this kernel, h'(T - f), over that of the
potential at the spike.  So they agree about late spikes, and point in opposite directions for
those early ones whose kernel has passed its peak at T.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scenarios.extras import require
from scenarios.networks.clocked_task import DERIVATIVES
from scenarios.networks.feed_forward import Classification, Labelled
from scenarios.networks.readout import ReadoutNetwork, of_outputs
from scenarios.running.training import Params, Step

require("torch", ("torch",), "this scenario")

import torch  # noqa: E402

from gradients.clocked import ClockedNetwork, SpikeDerivative  # noqa: E402

__all__ = ["SLOPES", "Angles", "cosine", "measure", "surrogate_gradient"]

SLOPES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
STEEP = ("fast_sigmoid", "arctan")


def surrogate_gradient(
    model: ReadoutNetwork,
    weights: Params,
    samples: Labelled,
    n_steps: int,
    derivative: SpikeDerivative,
) -> Step:
    """Return the model's loss in its clocked network, and its gradient there.

    Parameters
    ----------
    model, weights : ReadoutNetwork, dict of str -> ndarray
        The network.
    samples : (SpikeBatch, labels)
        Input spikes and classes.
    n_steps : int
        Steps up to the time ``model.t_stop``, at which the potentials are read.
    derivative : SpikeDerivative
        Of a spike by the potential.
    """
    spikes, labels = samples
    clocked = ClockedNetwork(
        model.network(weights), model.t_stop / n_steps, derivative=derivative, dtype=torch.float64
    )
    outputs = clocked({"in": spikes}, model.t_stop).potentials["out"][-1]
    loss, slope = of_outputs(model.loss).of_potentials(outputs.detach().numpy(), labels)
    outputs.backward(torch.from_numpy(slope))
    slopes = {name: clocked.weights[name].grad.numpy() for name in weights}
    return Step(slopes, {"loss": loss})


def cosine(a: Params, b: Params, names: Sequence[str]) -> float | None:
    """Return the cosine of the angle between two gradients; None if one of them is 0.

    Examples
    --------
    >>> right, up = {"w": np.array([1.0, 0.0])}, {"w": np.array([1.0, 1.0])}
    >>> cosine(right, up, ["w"])
    0.7071
    """
    x, y = (np.concatenate([each[name].ravel() for name in names]) for each in (a, b))
    sizes = [np.abs(each).max(initial=0.0) for each in (x, y)]
    if 0.0 in sizes:
        return None
    x, y = x / sizes[0], y / sizes[1]  # or squares of small numbers would be 0
    return float(x @ y) / float(np.linalg.norm(x) * np.linalg.norm(y))


@dataclass(frozen=True, eq=False)
class Angles:
    """What is measured with each minibatch.

    Attributes
    ----------
    task : Classification
        Network and data.
    weights : dict of str -> ndarray
        The weights at which gradients are compared.
    steps : sequence of int
        Numbers of steps.
    slope_steps : int
        Number of steps with which the steepness is varied.
    batch_size : int
        Samples in a minibatch.
    """

    task: Classification[ReadoutNetwork]
    weights: Params
    steps: Sequence[int]
    slope_steps: int
    batch_size: int


def measure(angles: Angles, seed: int) -> dict[str, Any]:
    """Return the cosines of one minibatch, drawn with a seed.

    Returns
    -------
    dict
        "records": for each derivative and number of steps the cosine by the weights of each
        connection and of all together, and the loss on the clock; "loss": the exact one; "between":
        the cosine of the exact gradients of this minibatch and of another one.
    """
    rng = np.random.default_rng([seed, 2])
    size = min(angles.batch_size, angles.task.n_train // 2)
    rows = rng.permutation(angles.task.n_train)[: 2 * size]
    samples, other = (angles.task.batch(part) for part in (rows[:size], rows[size:]))
    model, weights = angles.task.model, angles.weights
    exact = model.step(weights, *samples)
    records = []
    for n_steps, derivative in _measured(angles):
        found = surrogate_gradient(model, weights, samples, n_steps, derivative)
        what = {"kind": derivative.kind, "scale": derivative.scale, "steps": n_steps}
        records.append({**what, **found.metrics, **_cosines(found.gradients, exact.gradients)})
    return {
        "records": records,
        "loss": exact.metrics["loss"],
        "between": _cosines(model.step(weights, *other).gradients, exact.gradients),
    }


def _measured(angles: Angles) -> Iterator[tuple[int, SpikeDerivative]]:
    for n_steps in angles.steps:
        for derivative in DERIVATIVES.values():
            yield n_steps, derivative
    for kind in STEEP:
        for scale in SLOPES:
            yield angles.slope_steps, SpikeDerivative(kind, scale)  # type: ignore[arg-type]


def _cosines(a: Params, b: Params) -> Mapping[str, float | None]:
    return {**{name: cosine(a, b, [name]) for name in a}, "all": cosine(a, b, list(a))}
