"""Options of the scenario `flowers`: which networks, and how they are trained."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
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
)

__all__ = ["NETWORKS", "Config", "Recipe"]

NETWORKS = ("1", "2")
Derivative = Literal["constant", "fast_sigmoid"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    batch_size : int
        Images in a minibatch.
    learning_rate, unit_rate : float
        Of Adam: of LSTM and dense layers behind the LIF units; of LIF units and what is before.
        Both fall to 0 as a cosine.
    dropout : float
        Part of the LSTM's and of the dense layer's outputs that training leaves out.
    w_input, w_leak : float
        Initial input weight and leak of the LIF units.
    gain : float
        Scales the initial weights of the dense layer before the LIF units.
    shift : int
        Rows and columns by which training images are moved at random, at most.
    flip : bool
        Whether half of the training images are mirrored left to right.
    """

    batch_size: int = 32
    learning_rate: float = 5e-3
    unit_rate: float = 5e-3
    dropout: float = 0.1
    w_input: float = 0.5
    w_leak: float = 0.2
    gain: float = 1.0
    shift: int = 4
    flip: bool = True


RECIPES = {"1": Recipe(), "2": Recipe(unit_rate=2e-4, w_leak=0.5, gain=4.0)}
CHOICES = tuple(field.name for field in fields(Recipe))


@dataclass(frozen=True)
class Config(Options):
    """Settings; a time step is a column of an image.

    Attributes
    ----------
    network
        Which to train: 1 (LIF units of three sorts), 2 (dense layer, LIF units with parameters of
        their own), or both.
    derivative
        Of a spike: constant (1, the publication's) or fast_sigmoid (falls off around the
        threshold).
    control
        Train each network also with the derivative of a spike set to 0.
    full
        Many epochs, five networks of each kind.
    epochs
        Passes over the training images, at most [45; 150 with --full].
    patience
        Stop after so many epochs without a better test accuracy.
    seeds
        Number of networks of each kind [2; 5 with --full].
    seed
        The first seed; the others follow.
    batch_size
        Images in a minibatch [32].
    learning_rate
        Of Adam, for LSTM and dense layers behind the LIF units; falls to 0 as a cosine [0.005].
    unit_rate
        The same for LIF units and the dense layer before them [0.005; network 2: 0.0002].
    dropout
        Part of the outputs of LSTM and dense layer that training leaves out [0.1].
    w_input
        Initial input weight of the LIF units [0.5].
    w_leak
        Initial leak of the LIF units [0.2; network 2: 0.5].
    gain
        Scales the initial weights of the dense layer before the LIF units [4].
    shift
        Rows and columns by which training images are moved at random, at most [4].
    flip
        Mirror half of the training images left to right [True].
    test_share
        Part of the images of each class that are for tests.
    split_seed
        Of the draw of these images.
    device
        Where to train: "auto" is a GPU if there is one; else as PyTorch calls it.
    data_dir
        Folder with images.npy.xz and labels.npz [that of the variable EVENTSIM_DATA].
    """

    network: Literal["both", "1", "2"] = "both"
    derivative: Derivative = "constant"
    control: bool = True
    full: bool = False
    epochs: Epochs | None = None
    patience: Epochs = 30
    seeds: Count | None = None
    seed: Seed = 0
    batch_size: BatchSize | None = None
    learning_rate: Rate | None = None
    unit_rate: Rate | None = None
    dropout: Fraction | None = None
    w_input: Positive | None = None
    w_leak: Annotated[float, Range(0, 1)] | None = None
    gain: Positive | None = None
    shift: Annotated[int, Range(0, 79)] | None = None
    flip: bool | None = None
    test_share: Annotated[float, Range(0, 1, "()")] = 0.2
    split_seed: Seed = 0
    device: str = "auto"
    data_dir: str | None = None

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

    @property
    def n_seeds(self) -> int:
        """Number of networks of each kind."""
        return self.seeds if self.seeds is not None else (5 if self.full else 2)

    @property
    def n_epochs(self) -> int:
        """Number of epochs, at most."""
        return self.epochs if self.epochs is not None else (150 if self.full else 45)

    def recipe(self, network: str) -> Recipe:
        """Return the preset of a network, with what the user chose."""
        chosen = {name: getattr(self, name) for name in CHOICES}
        return replace(RECIPES[network], **{k: v for k, v in chosen.items() if v is not None})
