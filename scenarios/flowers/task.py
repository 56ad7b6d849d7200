"""The networks of `network` in the training loop: loss, accuracies, when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from eventsim._support.validate import as_count
from scenarios.datasets.flower_images import as_columns
from scenarios.datasets.labelled_images import LabelledImages, mirrored, shifted
from scenarios.flowers.network import FlowerNetwork, Response, presented
from scenarios.flowers.report import best
from scenarios.running.training import Metrics, in_chunks

__all__ = ["FlowerTask", "no_better"]

PORTION = 400  # images that are evaluated at a time


@dataclass(frozen=True, eq=False)
class FlowerTask:
    """A `torch_learner.TorchTask`: a network, the images it learns from and those it is tested on.

    The loss is the cross-entropy of the label at each time step, averaged over the steps.
    ``accuracy`` is the publication's, the probability of the correct label averaged over the
    presentation of the image; ``argmax`` is how often the class that is most probable on that
    average is the correct one, and ``spikes`` how many spikes a LIF unit fires in a step.

    Attributes
    ----------
    model : FlowerNetwork
        The network.
    train, test : LabelledImages
        The images.
    shift : int
        Rows and columns by which training images are moved at random, at most; what is moved out
        at one side comes in as copies of the edge at the other.
    flip : bool
        Whether half of the training images, chosen at random, are mirrored left to right.
    """

    model: FlowerNetwork
    train: LabelledImages
    test: LabelledImages
    shift: int = 0
    flip: bool = False

    @property
    def n_train(self) -> int:
        """Number of training images."""
        return len(self.train)

    def loss(
        self, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[torch.Tensor, Metrics]:
        """Return loss and accuracies of some training images."""
        batch = self.train[rows]
        if self.shift or self.flip:
            images = shifted(batch.images, self.shift, rng, border="edge")
            images = mirrored(images, rng) if self.flip else images
            batch = LabelledImages(images, batch.labels)
        response = self.model.respond(self.columns(batch))
        labels = self._labels(batch)
        loss = _cross_entropy(response.logits, labels)
        return loss, {**_accuracies(response.logits.detach(), labels),
                      "spikes": float(response.spikes.detach().mean())}  # fmt: skip

    def evaluate(self) -> Metrics:
        """Return loss, accuracies and spikes of the test images, under names with "test_"."""
        sums: dict[str, float] = {}
        for batch, response in self.responses():
            labels = self._labels(batch)
            metrics = {
                "loss": float(_cross_entropy(response.logits, labels)),
                "spikes": float(response.spikes.mean()),
                **_accuracies(response.logits, labels),
            }
            for name, value in metrics.items():
                sums[name] = sums.get(name, 0.0) + value * len(batch)
        return {f"test_{name}": total / len(self.test) for name, total in sums.items()}

    def responses(self) -> Iterator[tuple[LabelledImages, Response]]:
        """Yield the test images, portion by portion, with what the network does with them."""
        for portion in in_chunks(len(self.test), PORTION):
            batch = self.test[portion]
            yield batch, self.model.respond(self.columns(batch))

    def columns(self, batch: LabelledImages) -> torch.Tensor:
        """Return images as the network takes them: (columns, n, 3, rows), on its device."""
        return torch.from_numpy(as_columns(batch.images)).to(self._device)

    def _labels(self, batch: LabelledImages) -> torch.Tensor:
        return torch.from_numpy(batch.labels).to(self._device)

    @property
    def _device(self) -> torch.device:
        return self.model.lif.w_input.device


def no_better(patience: int) -> Callable[[Sequence[Metrics]], bool]:
    """Return what ends a training after so many epochs without a better test accuracy.

    Parameters
    ----------
    patience : int
        Epochs (the publication: 30).

    Examples
    --------
    >>> history = [{"test_accuracy": accuracy} for accuracy in (0.1, 0.4, 0.3, 0.4)]
    >>> no_better(2)(history), no_better(3)(history)
    (True, False)
    """
    as_count(patience, "patience")

    def stop(history: Sequence[Metrics]) -> bool:
        return len(history) - 1 - best(history) >= patience

    return stop


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean over steps and images of minus the logarithm of the label's probability."""
    every_step = labels.expand(logits.shape[:2])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), every_step.flatten())


def _accuracies(logits: torch.Tensor, labels: torch.Tensor) -> Metrics:
    probabilities = presented(logits)
    of_label = probabilities.gather(1, labels[:, None])
    right = probabilities.argmax(dim=1) == labels
    return {"accuracy": float(of_label.mean()), "argmax": float(right.float().mean())}
