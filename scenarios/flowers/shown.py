"""What the networks of `network` do with some test images, for the pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from scenarios.flowers.figures import Presentation
from scenarios.flowers.network import presented
from scenarios.flowers.task import FlowerTask
from scenarios.running.torch_learner import load_params
from scenarios.running.training import Params

__all__ = ["loaded", "present", "well_and_middling"]


def loaded(task: FlowerTask, params: Params) -> FlowerTask:
    """Give a network trained parameters; return its task."""
    load_params(task.model, params)
    return task


def present(task: FlowerTask, rows: Sequence[int]) -> list[Presentation]:
    """Return what a network does with the chosen test images."""
    task.model.eval()
    batch = task.test[np.array(rows)]
    with torch.no_grad():
        response = task.model.respond(task.columns(batch))
    probabilities = response.logits.softmax(dim=-1)
    return [
        Presentation(
            batch.images[k],
            int(batch.labels[k]),
            *(tensor[:, k].cpu().numpy()
              for tensor in (response.potentials, response.spikes, response.memory, probabilities)),
        )
        for k in range(len(batch))
    ]  # fmt: skip


def well_and_middling(task: FlowerTask) -> list[int]:
    """Return the test image whose label gets the highest probability, and that of the median."""
    task.model.eval()
    with torch.no_grad():
        of_label = np.concatenate([
            presented(response.logits).cpu().numpy()[np.arange(len(batch)), batch.labels]
            for batch, response in task.responses()
        ])  # fmt: skip
    order = np.argsort(of_label)
    return [int(order[-1]), int(order[len(order) // 2])]
