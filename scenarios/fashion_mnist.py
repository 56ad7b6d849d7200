"""
Pieces of clothing by multi-spike temporal coding: the network of the scenario mnist, other images.

Published: nothing; Yamamoto, Sakemi & Aihara train on MNIST only, so the table has no numbers to
compare with.  Network, codes, losses, recipes and options are those of the scenario mnist
(`eventsim info mnist`); `--published` is the paper's protocol, applied to Fashion-MNIST.

  eventsim run fashion_mnist                      a few epochs, one network
  eventsim run fashion_mnist --full               100 epochs, three networks
  eventsim run fashion_mnist --rows               multi- and single-spike, leaky and non-leaky
  eventsim run fashion_mnist --sweep tau          tau_I from 0.2 to 6.4, multi and single
"""

from __future__ import annotations

from pathlib import Path

from scenarios.console.progress import Progress
from scenarios.datasets import images
from scenarios.report import Report
from scenarios.studies.readout.config import Config
from scenarios.studies.readout.runs import DataSet, train_and_report

__all__ = ["DATA", "Config", "run"]

DATA = DataSet(
    title="Fashion-MNIST",
    load=images.fashion_mnist,
    classes=("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker",
             "bag", "ankle boot"),
    published={},
)  # fmt: skip


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Train the networks that the options ask for; return the table and the pictures."""
    return train_and_report(DATA, config, folder, progress)
