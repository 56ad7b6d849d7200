"""Options of the scenario `flowers`: which networks, and how they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from scenarios.extras import require
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    Fraction,
    Options,
    Positive,
    Range,
    Rate,
    Seed,
    option,
)

__all__ = ["NETWORKS", "FlowersOptions"]

NETWORKS = ("1", "2")
Derivative = Literal["constant", "fast_sigmoid"]


@dataclass(frozen=True)
class FlowersOptions(Options):
    """A time step is a column of an image."""

    network: Literal["both", "1", "2"] = option(
        "Which to train: 1 (LIF units of three sorts), 2 (dense layer, LIF units with parameters "
        "of their own), or both.",
        "both",
    )
    derivative: Derivative = option(
        "Of a spike: constant (1, the publication's) or fast_sigmoid (falls off around the "
        "threshold).",
        "constant",
    )
    control: bool = option("Train each network also with the derivative of a spike set to 0.", True)
    full: bool = option("Many epochs, five networks of each kind.", False)
    epochs: Epochs = option("Passes over the training images, at most.", 45, full=150)
    patience: Epochs = option("Stop after so many epochs without a better test accuracy.", 30)
    seeds: Count = option("Number of networks of each kind.", 2, full=5)
    seed: Seed = option("The first seed; the others follow.", 0)
    batch_size: BatchSize = option("Images in a minibatch.", network_1=32, network_2=32)
    learning_rate: Rate = option(
        "Of Adam, for LSTM and dense layers behind the LIF units; falls to 0 as a cosine.",
        network_1=5e-3,
        network_2=5e-3,
    )
    unit_rate: Rate = option(
        "The same for LIF units and the dense layer before them.", network_1=5e-3, network_2=2e-4
    )
    dropout: Fraction = option(
        "Part of the outputs of LSTM and dense layer that training leaves out.",
        network_1=0.1,
        network_2=0.1,
    )
    w_input: Positive = option(
        "Initial input weight of the LIF units.", network_1=0.5, network_2=0.5
    )
    w_leak: Annotated[float, Range(0, 1)] = option(
        "Initial leak of the LIF units.", network_1=0.2, network_2=0.5
    )
    gain: Positive = option(
        "Scales the initial weights of the dense layer before the LIF units.", 1.0, network_2=4.0
    )
    shift: Annotated[int, Range(0, 79)] = option(
        "Rows and columns by which training images are moved at random, at most.",
        network_1=4,
        network_2=4,
    )
    flip: bool = option(
        "Mirror half of the training images left to right.", network_1=True, network_2=True
    )
    test_share: Annotated[float, Range(0, 1, "()")] = option(
        "Part of the images of each class that are for tests.", 0.2
    )
    split_seed: Seed = option("Of the draw of these images.", 0)
    device: str = option(
        'Where to train: "auto" is a GPU if there is one; else as PyTorch calls it.', "auto"
    )
    data_dir: str | None = option(
        "Folder with images.npy.xz and labels.npz.",
        unset="that of the variable EVENTSIM_DATA",
    )

    def require(self) -> None:
        """Check that PyTorch is there, that it can use the device, and what draws the page."""
        require("torch", ("torch",), "the scenario flowers")
        require("plot", ("plotly",), "the page with interactive figures")
        from scenarios.running.torch_learner import device  # late: it needs the extra

        device(self.device)

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks to train."""
        return NETWORKS if self.network == "both" else (self.network,)

    def recipe(self, network: str) -> FlowersOptions:
        """Return the settings of one of the networks."""
        return self.chosen_for(f"network_{network}")
