"""The same network trained with surrogate gradients in snnTorch (Lee et al. 2023, Fig. 5).

A clocked network: time goes in steps, and the derivative of a spike, which is zero or infinite, is
replaced by that of something smooth.  Initial weights, minibatches and optimiser are those of the
exact run; only the gradient and, as in the publication, the loss differ (spike count or spike rate:
first spike times cannot be differentiated here).

Needs the extra "peers" (torch and snntorch); they are imported when they are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from scenarios.classifier import Classification
from scenarios.extras import require
from scenarios.progress import Progress
from scenarios.training import Metrics, Params, Settings, Step, fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VARIANTS", "SurrogateTask", "figure", "require_peers", "train"]

VARIANTS = {
    "fast sigmoid, count loss": ("fast_sigmoid", "ce_count_loss"),
    "fast sigmoid, rate loss": ("fast_sigmoid", "ce_rate_loss"),
    "straight-through, count loss": ("straight_through_estimator", "ce_count_loss"),
    "straight-through, rate loss": ("straight_through_estimator", "ce_rate_loss"),
}
METHODS = {"fast sigmoid": {"linestyle": "-"}, "straight-through": {"linestyle": "--"}}
LOSSES = {"count loss": {"color": "#E69F00"}, "rate loss": {"color": "#009E73"}}


def require_peers() -> None:
    """Check that torch and snntorch can be imported; the error says how to install them."""
    require("peers", ("torch", "snntorch"), "the comparison with surrogate gradients")


@dataclass(frozen=True, eq=False)
class SurrogateTask:
    """A `training.Task`: the network of a `Classification`, clocked, with surrogate gradients.

    Attributes
    ----------
    exact : Classification
        Data, initial weights and time constants.
    surrogate, loss : str
        Names in ``snntorch.surrogate`` and ``snntorch.functional``.
    time_step, duration : float
        Of the clock, in units of the synaptic time constant.
    """

    exact: Classification
    surrogate: str
    loss: str
    time_step: float = 0.1
    duration: float = 2.5

    def __post_init__(self) -> None:
        """Build the neurons and put the input spikes on the grid."""
        require_peers()
        import snntorch
        from snntorch import functional, surrogate

        neuron, dt = self.exact.model.neuron, self.time_step
        cell = snntorch.Synaptic(
            alpha=math.exp(-dt / _scalar(neuron.tau_syn)),
            beta=math.exp(-dt / _scalar(neuron.tau_mem)),
            threshold=_scalar(neuron.threshold),
            spike_grad=getattr(surrogate, self.surrogate)(),
            reset_mechanism="zero",
        )
        object.__setattr__(self, "_cell", cell)
        object.__setattr__(self, "_loss", getattr(functional, self.loss)())
        object.__setattr__(self, "_train", self._gridded(self.exact.train[0]))
        object.__setattr__(self, "_test", self._gridded(self.exact.test[0]))

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return self.exact.n_train

    def initial(self, rng: np.random.Generator) -> Params:
        """Draw the same initial weights as the exact run."""
        return self.exact.initial(rng)

    def step(
        self,
        params: Params,
        rows: NDArray[np.int64],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Step:
        """Return loss and surrogate gradient over some training samples."""
        import torch

        weights = [
            torch.tensor(w, dtype=torch.float32, requires_grad=True) for w in params.values()
        ]
        labels = self.exact.train[1][rows]
        spikes = self._outputs(weights, self._train[:, rows])  # type: ignore[attr-defined]
        loss = self._loss(spikes, torch.from_numpy(labels)).sum()  # type: ignore[attr-defined]
        loss.backward()
        gradients = {
            name: weight.grad.numpy().astype(np.float64)
            for name, weight in zip(params, weights, strict=True)
        }
        return Step(gradients, {"loss": float(loss.detach()), "accuracy": _right(spikes, labels)})

    def evaluate(self, params: Params) -> Metrics:
        """Return loss and accuracy (most output spikes) over the test samples."""
        import torch

        labels = self.exact.test[1]
        with torch.no_grad():
            weights = [torch.tensor(w, dtype=torch.float32) for w in params.values()]
            spikes = self._outputs(weights, self._test)  # type: ignore[attr-defined]
            loss = self._loss(spikes, torch.from_numpy(labels)).sum()  # type: ignore[attr-defined]
        return {"test_loss": float(loss), "test_accuracy": _right(spikes, labels)}

    def _gridded(self, batch: es.SpikeBatch) -> Any:
        """Return input spikes as (n_steps, n_samples, n_inputs), each in its nearest step."""
        import torch

        shape = (round(self.duration / self.time_step), len(batch), self.exact.model.sizes[0])
        grid = torch.zeros(shape)
        steps = np.rint(batch.times / self.time_step).astype(np.int64)
        inside = steps < shape[0]
        grid[steps[inside], batch.samples[inside], batch.indices[inside]] = 1.0
        return grid

    def _outputs(self, weights: Sequence[Any], inputs: Any) -> Any:
        """Run the layers over all steps; return the output spikes (n_steps, n_samples, n_classes).

        A spike adds its weight to the current, and the current times the step to the potential, as
        in the exact model; snnTorch adds the current itself, hence the factor on the weights.
        """
        import torch

        cell = self._cell  # type: ignore[attr-defined]
        n_steps, n_samples, _ = inputs.shape
        drive = inputs @ (weights[0] * self.time_step)
        states = [[torch.zeros(n_samples, w.shape[1])] * 2 for w in weights]
        outputs = []
        for k in range(n_steps):
            spikes, *states[0] = cell(drive[k], *states[0])
            for layer in range(1, len(weights)):
                arriving = spikes @ (weights[layer] * self.time_step)
                spikes, *states[layer] = cell(arriving, *states[layer])
            outputs.append(spikes)
        return torch.stack(outputs)


def train(
    exact: Classification, settings: Settings, folder: Path, progress: Progress
) -> dict[str, list[dict[str, float]]]:
    """Train every variant with the settings of the exact run; return their histories by name."""
    histories = {}
    with _one_thread():
        for name, (surrogate, loss) in VARIANTS.items():
            task = SurrogateTask(exact, surrogate, loss)
            place = folder / "surrogate" / name.replace(", ", "-").replace(" ", "-")
            state = fit(task, settings, folder=place, progress=progress.named(f"snnTorch, {name}"))
            histories[name] = state.history
    return histories


def figure(
    exact: Sequence[Mapping[str, float]], surrogates: Mapping[str, Sequence[Mapping[str, float]]]
) -> Figure:
    """Draw loss and test accuracy against epochs: the exact gradient and the surrogates.

    The losses are different functions (of first spike times, spike counts or rates), but all are
    cross-entropies over three classes that start near log 3 = 1.10.
    """
    from scenarios.figures import new_figure

    plot, (left, right) = new_figure(10, 4.0, 2)
    last = max(history[-1]["epoch"] for history in surrogates.values())
    shown = [record for record in exact if record["epoch"] <= last]
    bold: dict[str, Any] = {"color": "black", "linewidth": 2.0}
    curves: dict[str, tuple[list[Mapping[str, float]], dict[str, Any]]] = {
        "exact gradient, first spikes": (shown, bold)
    }
    for name, history in surrogates.items():
        method, loss = name.split(", ")
        curves[name] = (list(history), {**METHODS[method], **LOSSES[loss]})
    for name, (history, options) in curves.items():
        key = "test_cross_entropy" if name.startswith("exact") else "test_loss"
        epochs = [record["epoch"] for record in history]
        left.plot(epochs, [record[key] for record in history], label=name, **options)
        right.plot(epochs, [100 * record["test_accuracy"] for record in history], **options)
    left.axhline(math.log(3), color="0.8", linewidth=1, linestyle=":")
    left.set(xlabel="epoch", ylabel="test cross-entropy (starts near log 3)", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(20, 101))
    left.legend(frameon=False, fontsize=8)
    return plot


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: its operations here are so small that more threads slow it down."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _scalar(value: Any) -> float:
    return float(np.asarray(value).reshape(-1)[0])


def _right(spikes: Any, labels: NDArray[np.int64]) -> float:
    return float(np.mean(spikes.detach().sum(0).argmax(1).numpy() == labels))
