"""The scenario mnist: what is run, and what is reported."""

from __future__ import annotations

from pathlib import Path

from scenarios.datasets import images
from scenarios.mnist.config import MnistOptions
from scenarios.mnist.study import DataSet, Published, train_and_report
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report

__all__ = ["DATA", "run"]

DATA = DataSet(
    title="MNIST",
    load=images.mnist,
    classes=tuple("0123456789"),
    published={
        ("multi", True): Published("98.43 ± 0.05 %", 0.9843, tau_i=0.8),
        ("multi", False): Published("98.23 ± 0.07 %", 0.9823, spikes=1.5),
        ("single", True): Published("97.99 ± 0.06 %", 0.9799),
        ("single", False): Published("97.96 ± 0.08 %", 0.9796, spikes=0.6),
    },
)


def run(config: MnistOptions, folder: Path, progress: Progress) -> Report:
    """Train the networks that the options ask for; return the table and the pictures."""
    return train_and_report(DATA, config, folder, progress)
