"""LIF units in deep networks that name flowers: the two architectures of Gerum & Schilling.

An image is fed column by column, the left one first; each time step has one column of each colour.

    network 1 (Table 1)    column of each colour ─▶ LIF units of three sorts ─────────────┐
    network 2 (Table 2)    column ─▶ dense layer ─▶ LIF units, each with own parameters ──┴─▶ head
    head                   LSTM (30) ─▶ dropout ─▶ dense (30) ─▶ dropout ─▶ softmax (10), each step

LSTM, dense layers, dropout and automatic differentiation are PyTorch's; initial weights are drawn
as Keras does, which the publication used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from eventsim._support.validate import as_count
from gradients.clocked import LIFUnit, SpikeDerivative

__all__ = ["FlowerNetwork", "Response", "channel_network", "presented", "unit_network"]

N_CHANNELS, N_CLASSES, N_HIDDEN = 3, 10, 30
STRAIGHT_THROUGH = SpikeDerivative("constant", 1.0)


class Response(NamedTuple):
    """What a network does with a batch of images.

    Attributes
    ----------
    potentials, spikes : (n_steps, batch, 3, n_rows) tensors
        Of the LIF units.
    memory : (n_steps, batch, 30) tensor
        Outputs of the LSTM units.
    logits : (n_steps, batch, 10) tensor
        Of the classes, before the softmax.
    """

    potentials: torch.Tensor
    spikes: torch.Tensor
    memory: torch.Tensor
    logits: torch.Tensor


class Head(nn.Module):
    """What names the class at each time step: LSTM, dense layer, softmax (here: its logits)."""

    def __init__(self, n_inputs: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_inputs, N_HIDDEN)
        self.dense = _dense(N_HIDDEN, N_HIDDEN)
        self.classes = _dense(N_HIDDEN, N_CLASSES)
        self.dropout = nn.Dropout(dropout)
        _as_keras(self.lstm)

    def forward(self, spikes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs of the LSTM units and the logits, of spikes (n_steps, batch, n)."""
        memory = self.lstm(spikes)[0]
        return memory, self.classes(self.dropout(self.dense(self.dropout(memory))))


class FlowerNetwork(nn.Module):
    """LIF units between an optional dense layer and a head.

    Parameters
    ----------
    lif : LIFUnit
        Of the shape (3, 1) or (3, n_rows).
    n_rows : int
        Rows of an image.
    dropout : float
        Part of the LSTM's and of the dense layer's outputs that training leaves out.
    dense : Linear, optional
        Mixes the 3 n_rows values of a column.
    """

    def __init__(
        self, lif: LIFUnit, n_rows: int, dropout: float, dense: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.dense, self.lif = dense, lif
        self.head = Head(N_CHANNELS * n_rows, dropout)

    def forward(self, columns: torch.Tensor) -> torch.Tensor:
        """Return the logits (n_steps, batch, 10) of images (n_steps, batch, 3, n_rows)."""
        return self.respond(columns).logits

    def respond(self, columns: torch.Tensor) -> Response:
        """Return all that the network does with images (n_steps, batch, 3, n_rows)."""
        if self.dense is not None:
            columns = self.dense(columns.flatten(2)).view_as(columns)
        spikes, potentials = self.lif.run(columns)
        return Response(potentials, spikes, *self.head(spikes.flatten(2)))

    def n_parameters(self) -> dict[str, int]:
        """Return the number of trained parameters, by layer."""
        layers = {"dense": self.dense, "lif": self.lif, "lstm": self.head.lstm,
                  "head.dense": self.head.dense, "head.classes": self.head.classes}  # fmt: skip
        return {
            name: sum(p.numel() for p in layer.parameters() if p.requires_grad)
            for name, layer in layers.items()
            if layer is not None
        }


def channel_network(
    n_rows: int,
    *,
    w_input: float,
    w_leak: float,
    dropout: float,
    derivative: SpikeDerivative = STRAIGHT_THROUGH,
) -> FlowerNetwork:
    """Return network 1: one sort of LIF unit for each colour, six trained parameters (Table 1).

    Parameters
    ----------
    n_rows : int
        Rows of an image.
    w_input, w_leak : float
        Initial input weight and leak of the LIF units.
    dropout : float
        See `FlowerNetwork`.
    derivative : SpikeDerivative
        Of a spike of the LIF units.

    Examples
    --------
    >>> network = channel_network(400, w_input=0.5, w_leak=0.1, dropout=0.5)
    >>> network.n_parameters()
    {'lif': 6, 'lstm': 147720, 'head.dense': 930, 'head.classes': 310}
    """
    lif = _lif((N_CHANNELS, 1), w_input, w_leak, derivative)
    return FlowerNetwork(lif, as_count(n_rows, "n_rows"), dropout)


def unit_network(
    n_rows: int,
    *,
    w_input: float,
    w_leak: float,
    dropout: float,
    gain: float = 1.0,
    derivative: SpikeDerivative = STRAIGHT_THROUGH,
) -> FlowerNetwork:
    """Return network 2: a dense layer, and LIF units with parameters of their own (Table 2).

    Parameters
    ----------
    n_rows, w_input, w_leak, dropout, derivative
        As for `channel_network`; there are as many LIF units as values in a column.
    gain : float
        Scales the initial weights of the dense layer.

    Examples
    --------
    >>> network = unit_network(400, w_input=0.5, w_leak=0.1, dropout=0.5)
    >>> network.n_parameters()
    {'dense': 1441200, 'lif': 2400, 'lstm': 147720, 'head.dense': 930, 'head.classes': 310}
    """
    n = N_CHANNELS * as_count(n_rows, "n_rows")
    lif = _lif((N_CHANNELS, n_rows), w_input, w_leak, derivative)
    return FlowerNetwork(lif, n_rows, dropout, _dense(n, n, gain))


def presented(logits: torch.Tensor) -> torch.Tensor:
    """Return the probability of each class, averaged over the presentation of an image.

    Parameters
    ----------
    logits : (n_steps, batch, 10) tensor
        Of a network.

    Returns
    -------
    (batch, 10) tensor
        Its entry for the correct label is the publication's accuracy of one image.

    Examples
    --------
    >>> presented(torch.tensor([[[0.0, 0.0]], [[0.0, 100.0]]]))
    tensor([[0.2500, 0.7500]])
    """
    return logits.softmax(dim=-1).mean(dim=0)


def _lif(
    shape: tuple[int, int], w_input: float, w_leak: float, derivative: SpikeDerivative
) -> LIFUnit:
    return LIFUnit(torch.full(shape, w_input), torch.full(shape, w_leak), derivative=derivative)


def _dense(n_inputs: int, n_outputs: int, gain: float = 1.0) -> nn.Linear:
    layer = nn.Linear(n_inputs, n_outputs)
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _as_keras(lstm: nn.LSTM) -> None:
    """Draw initial weights as Keras does, and train one of PyTorch's two biases, as it has one."""
    nn.init.xavier_uniform_(lstm.weight_ih_l0)
    nn.init.orthogonal_(lstm.weight_hh_l0)
    nn.init.zeros_(lstm.bias_ih_l0)
    nn.init.zeros_(lstm.bias_hh_l0).requires_grad_(False)
    with torch.no_grad():
        lstm.bias_ih_l0[N_HIDDEN : 2 * N_HIDDEN] = 1.0  # of the forget gate
