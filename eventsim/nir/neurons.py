"""Neurons of NIR as those of a network: parameters, and factors of weights and biases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from eventsim._support.types import BoolArray, FloatArray, Matrix
from eventsim.convolution import Convolution
from eventsim.model.neuron import LIF
from eventsim.nir.nodes import Node
from eventsim.nir.signals import ONE, Path, wired

__all__ = ["Group", "Units", "Wire"]

WEIGHTED, LASTING = "spikes", "lasting"  # receptors of neurons that have two
BITS = 50


class Units(NamedTuple):
    """What a spike stands for, in the network's unit of time, and that unit in the graph's."""

    area: float
    width: float | None
    time: float


class Wire(NamedTuple):
    """Synapses onto a population, of a source or, of a constant, of `ONE`.

    ``place`` is that of the edge along which they come, among all.
    """

    source: str
    weights: Matrix | Convolution
    delays: float | Matrix
    place: float = math.inf
    receptor: str | None = None

    @property
    def is_at_once(self) -> bool:
        """Whether a charge arrives at the very time of its spike."""
        delays = self.delays
        values = delays.data if isinstance(delays, sparse.csr_array) else delays
        return bool(np.any(np.equal(values, 0.0)))


class Group:
    """The neurons of a node, and the synapses onto them.

    Parameters
    ----------
    node : Node
        The node.
    n : int
        Number of its neurons.
    units : Units
        What a spike stands for.
    """

    def __init__(self, node: Node, n: int, units: Units) -> None:
        """Start without a synapse."""
        self.node, self.n, self._units = node, n, units
        self._has_synapse = node.kind.startswith("Cuba")
        self._constants: list[tuple[FloatArray, FloatArray]] = []
        self._wires: list[Wire] = []

    @property
    def is_charged(self) -> bool:
        """Whether its potentials jump with each spike."""
        return not self._has_synapse and self._units.width is None

    def add(self, path: Path, place: int) -> None:
        """Add what comes along a path and, at the end of it, an edge."""
        if path.source == ONE:
            values, delays = wired(path, self._bias_factor)
            each = delays if isinstance(delays, float) else _as_dense(delays)
            lags = np.broadcast_to(each, (1, self.n)).reshape(-1) / self._units.time
            self._constants.append((_as_dense(values).reshape(-1), lags))
            return
        weights, delays = wired(path, self._factor)
        delays = _with_values(delays, lambda lag: lag / self._units.time)
        self._wires.append(Wire(path.source, weights, delays, place))
        width = self._units.width
        if not self._has_synapse and width is not None:
            against, _ = wired(path, -self._factor)
            later = _with_values(delays, lambda lag: lag + width)
            self._wires.append(Wire(path.source, against, later, place))

    @property
    def wires(self) -> list[Wire]:
        """All synapses, those of constants at the end."""
        main = WEIGHTED if self._lasts else None
        lasting = LASTING if self._lasts else None
        wires = [wire._replace(receptor=main) for wire in self._wires]
        if self._has_synapse and self._built_up.any():
            wires.append(Wire(ONE, -self._built_up[None], 0.0, receptor=main))
        for values, lags in self._late:
            delays = float(lags[0]) if np.all(lags == lags[0]) else lags[None]
            wires.append(Wire(ONE, values[None], delays, receptor=lasting))
            if self._has_synapse:
                wires.append(Wire(ONE, -values[None], delays, receptor=main))
        return wires

    @property
    def lif(self) -> LIF:
        """Parameters of the neurons."""
        own = {name: _unrepeated(values) for name, values in self._parameters().items()}
        main = own.pop("tau_syn")
        tau_syn = {WEIGHTED: main, LASTING: np.inf} if self._lasts else main
        try:
            return LIF(tau_syn=tau_syn, **own)
        except ValueError as error:
            raise ValueError(f"{self.node} must be neurons that there can be: {error}") from error

    def described(self, constants: str) -> str:
        """Return what becomes of the node."""
        symbols = "r w_in A / (tau_mem tau_syn)" if self._has_synapse else "r A / tau"
        symbols = "r A" if self.node.kind in ("IF", "I") else symbols
        if not self._has_synapse and self._units.width is not None:
            symbols += " / width"
        low, high = self._factor.min(), self._factor.max()
        text = f"{self.n} neurons; weights times {symbols} = {low:.6g}"
        text += "" if low == high else f" to {high:.6g}"
        if self.is_charged:
            text += ", with which a spike moves v at once"
        if self._has_synapse and self._units.width is not None:
            text += ", of any width of a spike"
        if self._has_synapse and self._built_up.any():
            text += f"; the bias builds up behind the synapse, by the generator {constants!r}"
        if self._late:
            text += f"; delayed biases begin with the generator {constants!r}"
        leak = "v_leak" in self.node.fields and np.any(self._begins_at_leak())
        begin = "v_leak" if leak else "0" if self.node.kind == "I" else "v_reset"
        return f"{text}; begins at {begin}"

    def _values(self, field: str) -> FloatArray:
        return np.broadcast_to(self.node.floats(field).reshape(-1), (self.n,))

    def _times(self, field: str) -> FloatArray:
        self.node.positive(field)
        return self._values(field) / self._units.time

    @property
    def _factor(self) -> FloatArray:
        """What weights are multiplied by."""
        r, area, width = self._values("r"), self._units.area, self._units.width
        if self._has_synapse:
            gain = r * self._values("w_in") * area
            return gain / (self._times("tau_mem") * self._times("tau_syn"))
        width = 1.0 if width is None else width
        if "tau" in self.node.fields:
            return r * area / (self._times("tau") * width)
        return r * self._units.time * area / width

    @property
    def _bias_factor(self) -> FloatArray:
        """What a bias is multiplied by."""
        r = self._values("r")
        if self._has_synapse:
            return r * self._values("w_in") / self._times("tau_mem")
        return r / self._times("tau") if "tau" in self.node.fields else r * self._units.time

    @property
    def _built_up(self) -> FloatArray:
        """The constants from t = 0 on."""
        total = np.zeros(self.n)
        for values, lags in self._constants:
            total = total + np.where(lags == 0.0, values, 0.0)
        return _rounded(total) if self._has_synapse else total

    @property
    def _late(self) -> list[tuple[FloatArray, FloatArray]]:
        """The constants from later times on, and these."""
        late = [(np.where(d > 0.0, v, 0.0), d) for v, d in self._constants]
        return [(values, lags) for values, lags in late if values.any()]

    @property
    def _lasts(self) -> bool:
        """Whether a second receptor is needed, for what lasts."""
        return bool(self._late) and (self._has_synapse or self.is_charged)

    def _begins_at_leak(self) -> BoolArray:
        """Tell which neurons do not surpass their threshold there."""
        if "v_threshold" not in self.node.fields:
            return np.full(self.n, True)
        return self._values("v_leak") < self._values("v_threshold")

    def _parameters(self) -> dict[str, FloatArray]:
        """Return the parameters of the neurons (n,), by their names here."""
        nothing, never = np.zeros(self.n), np.full(self.n, np.inf)
        fires = "v_threshold" in self.node.fields
        tau = next((self._times(k) for k in ("tau_mem", "tau") if k in self.node.fields), never)
        reset = self._values("v_reset") if fires else nothing
        rest, bias = reset, self._built_up
        if "v_leak" in self.node.fields:
            leak, at_leak = self._values("v_leak"), self._begins_at_leak()
            rest = np.where(at_leak, leak, reset)
            bias = bias + np.where(at_leak, 0.0, (leak - reset) / tau)
        synapse = self._times("tau_syn") if self._has_synapse else never
        return {
            "tau_mem": tau,
            "tau_syn": nothing if self.is_charged else synapse,
            "threshold": self._values("v_threshold") if fires else never,
            "bias": bias,
            "rest": rest,
            "reset": reset if fires else rest,
        }


def _rounded(values: FloatArray) -> FloatArray:
    """Return values with the last digits cut, which the conversion has rounded anyway.

    So there is a bias of NIR for each of them, from which it comes back to the bit.
    """
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(mantissa, BITS)), exponent - BITS)


def _as_dense(matrix: Any) -> FloatArray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def _unrepeated(values: FloatArray) -> Any:
    """Return the one number that all neurons have, if they have."""
    return float(values[0]) if np.all(values == values[0]) else values


def _with_values(delays: float | Matrix, change: Callable[[Any], Any]) -> float | Matrix:
    """Return changed delays, in the same form."""
    if isinstance(delays, sparse.csr_array):
        entries = change(delays.data), delays.indices, delays.indptr
        return sparse.csr_array(entries, shape=delays.shape)
    return change(delays) if isinstance(delays, np.ndarray) else float(change(delays))
