"""PyTorch modules in the one training loop: their gradients, optimizers and schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scenarios.extras import require
from scenarios.running.checkpoint import check_like
from scenarios.running.training import Learner, Metrics, Params

require("torch", ("torch",), "this scenario")

import torch  # noqa: E402

__all__ = ["TorchLearner", "TorchTask", "device", "load_params"]

SEEDS = 2**63


class TorchTask(Protocol):
    """What a scenario gives to the loop: a module with its initial weights, and its data."""

    @property
    def model(self) -> torch.nn.Module:
        """What is trained, on its device."""

    @property
    def n_train(self) -> int:
        """Number of training samples."""

    def loss(
        self, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[torch.Tensor, Metrics]:
        """Return the mean loss over some training samples, and means of what else is of interest.

        The module is in training mode.  What is drawn is drawn from ``rng``, or by PyTorch, whose
        generators the loop seeds before each minibatch.
        """

    def evaluate(self) -> Metrics:
        """Return metrics of the held-out samples; the module is in evaluation mode."""


@dataclass
class TorchLearner(Learner):
    """A PyTorch module that learns from the gradient of its task's loss.

    Parameters
    ----------
    task : TorchTask
        Module and data.
    optimizer : torch.optim.Optimizer
        Over the parameters of the module.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Of the learning rate, told about each minibatch.

    Notes
    -----
    A killed run resumes with the same bits on the same processor.  A GPU may add up in another
    order; what was trained on one can be resumed and reported without it.
    """

    task: TorchTask
    optimizer: torch.optim.Optimizer
    scheduler: Any = None

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return self.task.n_train

    def start(self, rng: np.random.Generator) -> None:
        """Keep the parameters that the module has; seed what its evaluation may draw."""
        torch.manual_seed(int(rng.integers(SEEDS)))

    def learn(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Metrics:
        """Take one step of the optimizer; return the loss and the metrics of the task.

        Raises
        ------
        FloatingPointError
            If the loss or its gradient is no number: the step is not taken.
        """
        torch.manual_seed(int(rng.integers(SEEDS)))
        self.task.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss, metrics = self.task.loss(rows, rng)
        value = float(loss.detach())
        loss.backward()
        _check_finite(value, self.task.model)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        return {"loss": value, **metrics}

    def evaluate(self) -> Metrics:
        """Return the metrics of the held-out samples."""
        self.task.model.eval()
        with torch.no_grad():
            return self.task.evaluate()

    def state(self) -> tuple[Params, Mapping[str, Any]]:
        """Return copies of parameters and buffers, and what optimizer and schedule remember."""
        return _arrays(self.task.model.state_dict()), {
            "rates": np.array([group["lr"] for group in self.optimizer.param_groups]),
            "schedule": self._schedule(),
            "memory": _memory(self.optimizer),
        }

    def load(self, params: Params, optimizer: Mapping[str, Any]) -> None:
        """Take a state that `state` returned."""
        expected, remembered = self.state()
        memory = optimizer.get("memory", {})
        usual = {
            name: one for name, one in _memory(_twin(self.optimizer)).items() if name in memory
        }
        check_like(params, _zeros(expected), "params")
        check_like(optimizer, _zeros({**remembered, "memory": usual}), "optimizer")
        load_params(self.task.model, params)
        self._load_memory(memory)
        for group, rate in zip(self.optimizer.param_groups, optimizer["rates"], strict=True):
            group["lr"] = float(rate)
        if self.scheduler is not None:
            numbers = {
                name: np.asarray(one).tolist() for name, one in optimizer["schedule"].items()
            }
            self.scheduler.load_state_dict(numbers)

    def _schedule(self) -> dict[str, Any]:
        """Return the numbers of the schedule; all else of it is as it was made."""
        state = {} if self.scheduler is None else self.scheduler.state_dict()
        return {name: np.asarray(one) for name, one in state.items() if _is_number(one)}

    def _load_memory(self, memory: Mapping[str, Any]) -> None:
        """Give the optimizer what it remembered of each parameter: copies of the arrays."""
        state = self.optimizer.state_dict()
        state["state"] = {
            int(number): {name: torch.tensor(array) for name, array in arrays.items()}
            for number, arrays in memory.items()
        }
        self.optimizer.load_state_dict(state)


def _arrays(tensors: Mapping[str, torch.Tensor]) -> Params:
    return {
        name: torch.as_tensor(tensor).detach().cpu().numpy().copy()
        for name, tensor in tensors.items()
        if tensor is not None
    }


def _memory(optimizer: torch.optim.Optimizer) -> dict[str, Params]:
    """Return what an optimizer remembers of each parameter, by its number."""
    state = optimizer.state_dict()["state"]
    return {str(number): _arrays(tensors) for number, tensors in state.items()}


def _twin(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Return an optimizer of the same kind that has taken a step: it remembers all it ever will."""
    groups = [
        {**group, "params": [torch.zeros_like(p) for p in group["params"]]}
        for group in optimizer.param_groups
    ]
    twin = type(optimizer)(groups)
    for group in groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    twin.step()
    return twin


def _zeros(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return zeros in the place of all numbers."""
    return {
        name: _zeros(one) if isinstance(one, Mapping) else np.zeros_like(one)
        for name, one in tree.items()
    }


def _is_number(value: Any) -> bool:
    """Tell whether this is a number, or a list of such."""
    each = value if isinstance(value, list) else [value]
    return all(isinstance(one, (bool, int, float)) for one in each)


def load_params(model: torch.nn.Module, params: Params) -> None:
    """Give a module the parameters and buffers of a trained one: copies of the arrays."""
    model.load_state_dict({name: torch.tensor(array) for name, array in params.items()})


def device(name: str) -> torch.device:
    """Return a device by name; "auto" is the GPU if there is one.

    Raises
    ------
    ValueError
        If there is no such device here.

    Examples
    --------
    >>> device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        one = torch.ones(1, device=name)
        one.item()  # a device of shapes alone has no values
        return one.device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device must be one that PyTorch can use, got {name!r}: {error}"
        ) from error


def _check_finite(loss: float, model: torch.nn.Module) -> None:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise FloatingPointError(
            f"the loss of a minibatch must be finite, and its gradient: got {loss}, with a "
            f"gradient of norm {norm}; a lower learning rate may help, in a new run"
        )
