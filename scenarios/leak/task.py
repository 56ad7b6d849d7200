"""Images, seen as Poisson spikes, that a network of LIF neurons learns to tell apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from scenarios.datasets.labelled_images import LabelledImages, mirrored, shifted
from scenarios.leak.config import LeakOptions
from scenarios.leak.network import PRECISIONS, SpikingNetwork, best_precision, read_layers
from scenarios.leak.noise import Noise, input_spikes, normalised
from scenarios.running.torch_learner import TorchLearner, device
from scenarios.running.training import Metrics, in_chunks

__all__ = ["LeakTask", "build", "learner"]

N_CLASSES = 10
PORTION = 25  # images that are tested at a time: more of them do not fit into caches
TEST_SEED = 2020  # of the spikes of test images: the same ones after each epoch, for all networks
MIRRORED = ("cifar10",)  # data sets whose images stay what they are in a mirror
MILESTONES, FACTOR = (70 / 150, 100 / 150), 0.2  # of the learning rate


@dataclass(eq=False)
class LeakTask:
    """A network and its images.

    Attributes
    ----------
    model : SpikingNetwork
        What is trained.
    train, test : LabelledImages
        What is learnt, and what is held out.
    steps : int
        Time steps of a run.
    dtype : torch.dtype
        Of the arithmetic of the synapses.
    shift : int
        Pixels by which training images are moved, at most.
    mirrored : bool
        Whether half of the training images are seen in a mirror.
    """

    model: SpikingNetwork
    train: LabelledImages
    test: LabelledImages
    steps: int
    dtype: torch.dtype = torch.float32
    shift: int = 0
    mirrored: bool = False

    @property
    def n_train(self) -> int:
        """Number of training images."""
        return len(self.train)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    def loss(
        self, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[torch.Tensor, Metrics]:
        """Return half of the sum of squared errors (Eq. 5), mean over some training images."""
        some = self.train[rows]
        images = mirrored(some.images, rng) if self.mirrored else some.images
        images = shifted(images, self.shift, rng) if self.shift else images
        answers = self.answers(self.model(self.spikes(images, rng)))
        errors = self.squared_errors(answers, some.labels)
        right = (answers.argmax(1).cpu().numpy() == some.labels).mean()
        return 0.5 * errors.mean(), {"sse": float(errors.detach().mean()), "accuracy": float(right)}

    def evaluate(self) -> Metrics:
        """Return accuracy and sum of squared errors of the test images."""
        right, errors = [], []
        for images, labels, rng in self.portions():
            answers = self.answers(self.model(self.spikes(images, rng)))
            right.append(answers.argmax(1).cpu().numpy() == labels)
            errors.append(self.squared_errors(answers, labels).cpu().numpy())
        sse = float(np.concatenate(errors).mean())
        accuracy = float(np.concatenate(right).mean())
        return {"test_accuracy": accuracy, "test_sse": sse, "test_loss": 0.5 * sse}

    def portions(
        self,
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], np.random.Generator]]:
        """Yield the test images, with their labels and a generator, a portion at a time."""
        for rows in in_chunks(len(self.test), PORTION):
            some = self.test[rows]
            yield some.images, some.labels, np.random.default_rng([TEST_SEED, rows.start])

    def spikes(
        self, images: NDArray[np.uint8], rng: np.random.Generator, noise: Noise | None = None
    ) -> torch.Tensor:
        """Return the input spikes of images."""
        return input_spikes(
            normalised(images),
            self.steps,
            rng,
            noise=noise,
            device=self.device,
            dtype=self.dtype,
        )

    def answers(self, potentials: torch.Tensor) -> torch.Tensor:
        """Return the prediction U[T] / T of each output (n_samples, n_classes)."""
        return potentials[-1] / self.steps

    def squared_errors(self, answers: torch.Tensor, labels: NDArray[np.int64]) -> torch.Tensor:
        """Return the sum of squared errors of each image (n_samples,)."""
        wanted = functional.one_hot(torch.from_numpy(labels).to(answers.device), N_CLASSES)
        return (answers - wanted).square().sum(1)


def build(
    config: LeakOptions, tau_m: float, parts: dict[str, LabelledImages], seed: int
) -> LeakTask:
    """Return a network with its initial weights, and its images.

    Raises
    ------
    ValueError
        If the network does not fit on the images, there are fewer images than the options ask for,
        or there is no such device.
    """
    recipe, where = config.chosen, device(config.device)
    train = parts["train"].first(recipe.n_train, "n_train")
    test = parts["test"].first(recipe.n_test, "n_test")
    parts["test"].first(recipe.n_noisy, "n_noisy")
    height, width, channels = train.images.shape[1:]
    layers = read_layers(recipe.network, (channels, height, width))
    if layers[-1].after != (N_CLASSES,) or not any(layer.fires for layer in layers):
        raise ValueError(
            f"network must have a layer that fires and end with {N_CLASSES}, got {recipe.network!r}"
        )
    model = SpikingNetwork(layers, tau_m, gain=recipe.gain, dropout=recipe.dropout, seed=seed)
    precision = best_precision(where) if config.precision == "auto" else config.precision
    return LeakTask(
        model.to(where),
        train,
        test,
        recipe.steps,
        PRECISIONS[precision],
        recipe.shift,
        config.data in MIRRORED,
    )


def learner(config: LeakOptions, task: LeakTask) -> TorchLearner:
    """Return a network with its optimizer: Adam, whose rate falls in two steps."""
    recipe = config.chosen
    total = recipe.epochs * math.ceil(task.n_train / recipe.batch_size)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=recipe.learning_rate)
    milestones = [round(part * total) for part in MILESTONES]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, FACTOR)
    return TorchLearner(task, optimizer, schedule)
