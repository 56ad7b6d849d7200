"""The scenario fashion_mnist: what is run, and what is reported."""

from __future__ import annotations

from pathlib import Path

from scenarios.datasets import images
from scenarios.fashion_mnist.config import FashionMnistOptions
from scenarios.mnist.study import DataSet, train_and_report
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report

__all__ = ["DATA", "run"]

DATA = DataSet(
    title="Fashion-MNIST",
    load=images.fashion_mnist,
    classes=("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker",
             "bag", "ankle boot"),
    published={},
)  # fmt: skip


def run(config: FashionMnistOptions, folder: Path, progress: Progress) -> Report:
    """Train the networks that the options ask for; return the table and the pictures."""
    return train_and_report(DATA, config, folder, progress)
