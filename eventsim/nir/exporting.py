"""From a network to a graph of NIR."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from eventsim._support.extras import extra
from eventsim._support.files import replaced, writable
from eventsim._support.types import FloatArray, Key, Matrix
from eventsim._support.validate import as_positive, shown
from eventsim.convolution import Convolution
from eventsim.generators import Regular
from eventsim.model.neuron import LIF, tau_of
from eventsim.network import Network, Projection, require_whole
from eventsim.nir.forms import Shape, as_matrix, is_diagonal
from eventsim.nir.loading import NEVER, unused
from eventsim.nir.nodes import LARGEST

__all__ = ["export", "save"]

CURRENT, CHARGE, PULSE = "current", "charge", "pulse"  # how a spike reaches a neuron
ROUNDING = 2.0**-50  # of delays that are sums


def export(network: Network, dt: float | None = None, lossy: bool = False) -> Any:
    """Return the NIR graph that describes a network.

    Parameters
    ----------
    network : Network
        Of populations with one receptor.
    dt : float, optional
        Step of the tool with a clock that is to read the graph, in which a spike is 1 for a step:
        the graph is one for ``load(graph, spike_area=dt)``.  Neurons with ``tau_syn = inf`` need
        it: what arrives there must end after ``dt`` (``load(graph, dt, dt)``).  Default: a spike is
        a Dirac pulse of area 1, as NIR says.
    lossy : bool
        Whether to go on without what NIR has not: refractory periods, generators (they become
        inputs), constant currents that do not pass the synapse (they raise ``v_leak``), several
        synapses between two neurons (they become one), and where non-leaky neurons begin.

    Returns
    -------
    nir.NIRGraph
        With an Input for each input, a node of neurons for each population, of its name, and an
        Output for each population that leads to no other (or for all).  Times are those of the
        network.

    Raises
    ------
    ValueError
        Before any work: if NIR cannot say what the network is; the message names it.
    ImportError
        If the extra ``io`` is not installed.

    Notes
    -----
    ``load(export(network))`` has the same weights, delays and neurons, to the bit, and so the same
    spikes; with ``dt``, those of currents that decay are the same to rounding.  NIR has no sparse
    matrices: they come back dense, with zeros, but for those that connect neurons one to one.

    Examples
    --------
    >>> network = Network()
    >>> network.add_input("in", 2)
    >>> network.add_population("out", 3, LIF(tau_mem=20.0, tau_syn=5.0))
    >>> key = network.connect("in", "out", weights=np.full((2, 3), 0.5), delays=1.0)
    >>> graph = export(network)
    >>> {name: type(node).__name__ for name, node in graph.nodes.items()}
    {'in': 'Input', 'out': 'CubaLIF', 'in_out_delay': 'Delay', 'in_out': 'Linear',
    'output': 'Output'}
    >>> export(network.replace(neurons={"out": LIF(tau_mem=20.0, tau_syn=5.0, refractory=2.0)}))
    Traceback (most recent call last):
        ...
    ValueError: NIR has no refractory period, got 2.0 at 'out'; lossy=True goes on without it
    """
    with extra("io", "NIR needs"):
        import nir
    step = None if dt is None else as_positive(dt, "dt")
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    if not isinstance(lossy, bool):
        raise ValueError(f"lossy must be True or False, got {shown(lossy)}")
    require_whole(network, "a graph of NIR")
    if not network.populations:
        raise ValueError(f"network must have populations, got {shown(network)}")
    return _Exporter(network, step, lossy, nir).graph()


def save(
    path: str | os.PathLike[str], network: Network, dt: float | None = None, lossy: bool = False
) -> None:
    """Write the NIR graph of a network to a file, which is replaced as a whole.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its name is taken as it is.
    network, dt, lossy
        As for `export`.

    Raises
    ------
    ValueError
        As of `export`, if there can be no file of that name, or if HDF5 cannot have the name of an
        input or population.
    ImportError
        If the extra ``io`` is not installed.
    OSError
        If the system cannot write the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from eventsim.nir import load
    >>> network = Network()
    >>> network.add_input("in", 2)
    >>> network.add_population("out", 1, LIF(tau_mem=20.0, tau_syn=5.0))
    >>> key = network.connect("in", "out", weights=[[0.5], [0.25]])
    >>> path = Path(tempfile.mkdtemp()) / "network.nir"
    >>> save(path, network)
    >>> again, report = load(path)
    >>> again.is_same(network)
    True
    """
    with extra("io", "NIR needs"):
        import nir
    target = writable(path)
    graph = export(network, dt, lossy)
    for name in graph.nodes:
        if "/" in name or "\0" in name or name in ("", "."):
            raise ValueError(f"names in a file must have no '/', and not be '.', got {name!r}")
    content = io.BytesIO()
    nir.write(content, graph)
    with replaced(target) as file:
        file.write(content.getbuffer())


class _Way(NamedTuple):
    """A projection as it is written: the first of a pair, if spikes are pulses."""

    key: Key
    projection: Projection


class _Exporter:
    """Makes the nodes and edges of a network."""

    def __init__(self, network: Network, dt: float | None, lossy: bool, nir: Any) -> None:
        self._network, self._dt, self._lossy, self._nir = network, dt, lossy, nir
        self._nodes: dict[str, Any] = {}
        self._begins: dict[str, list[tuple[str, str]]] = {}
        self._ends: list[tuple[str, str]] = []

    def graph(self) -> Any:
        """Return the graph; whatever NIR has not is an error before a node is made."""
        network = self._network
        constants = [name for name in network.generators if self._is_constant(name)]
        for name in network.generators:
            if name not in constants:
                self._lose(f"generators, whose spikes are drawn, got {name!r}", "with an input")
        kinds = {name: self._kind(name, lif) for name, lif in network.neurons.items()}
        ways = self._ways(kinds, constants)
        biases: dict[str, FloatArray] = {}
        raised: dict[str, FloatArray] = {}
        for name, kind in kinds.items():
            bias, raised[name] = self._bias(name, kind, constants)
            biases |= {name: bias} if bias.any() else {}
        shapes = self._shapes(ways)
        sources = [name for name in network.inputs if name not in constants]
        for name in sources:
            self._nodes[name] = self._nir.Input({"input": np.array(shapes[name])})
        for name, kind in kinds.items():
            self._nodes[name] = self._neurons(name, kind, raised[name], shapes[name])
        self._begins = {name: [] for name in (*sources, *kinds)}
        self._write(ways, shapes, biases)
        self._add_outputs(shapes)
        edges = [edge for edges in self._begins.values() for edge in edges] + self._ends
        return self._nir.NIRGraph(self._nodes, edges, type_check=False)

    def _lose(self, what: str, how: str = "without it") -> None:
        """Raise a ValueError unless something may be lost."""
        if not self._lossy:
            raise ValueError(f"NIR has no {what}; lossy=True goes on {how}")

    def _kind(self, name: str, lif: LIF) -> str:
        """Return how spikes reach neurons; ValueError if NIR has no such neurons."""
        n = self._network.populations[name]
        if len(lif.receptors) > 1:
            raise ValueError(
                f"NIR has no neurons with several receptors, got {lif.receptors} at {name!r}"
            )
        if np.any(lif.is_pool):
            raise ValueError(f"NIR has no earliest-spike pools, got threshold 0 at {name!r}")
        if np.any(lif.refractory):
            longest = float(np.max(lif.refractory))
            self._lose(f"refractory period, got {longest} at {name!r}")
        values = lif.arrays(n)
        leaks = np.isfinite(values["tau_mem"])
        tau_syn = np.broadcast_to(tau_of(lif, lif.columns[0]), n)
        if np.any(leaks != leaks[0]):
            raise ValueError(
                f"tau_mem of {name!r} must be finite for all neurons or for none, got inf"
            )
        if np.any(np.isinf(tau_syn)) and not np.all(np.isinf(tau_syn)):
            raise ValueError(
                f"tau_syn of {name!r} must be inf for all neurons or for none, got inf"
            )
        kind = CHARGE if tau_syn[0] == 0.0 else PULSE if np.isinf(tau_syn[0]) else CURRENT
        if kind == CURRENT and not leaks[0]:
            raise ValueError(
                f"NIR has no neurons with a synapse but without a leak, got tau_mem inf at {name!r}"
            )
        if kind == PULSE and self._dt is None:
            raise ValueError(
                f"NIR has no currents that last, got tau_syn inf at {name!r}; with dt, those that "
                "end after dt are spikes"
            )
        if not leaks[0] and np.any(values["rest"] != self._begin(values)):
            self._lose(f"place where {name!r} begins, got rest {values['rest'][0]}")
        return kind

    @staticmethod
    def _begin(values: Mapping[str, FloatArray]) -> FloatArray:
        """Return where neurons without a leak begin in NIR."""
        never = np.all(np.isinf(values["threshold"]))
        return np.zeros_like(values["reset"]) if never else values["reset"]

    # --- what is there ---

    def _is_constant(self, name: str) -> bool:
        """Tell whether a generator is that by which constants build up behind synapses."""
        generator = self._network.generators[name]
        if not isinstance(generator, Regular) or generator.n != 1:
            return False
        ways = [p for p in self._network.projections.values() if p.pre == name]
        return (
            generator.interval[0] == NEVER
            and generator.first[0] == 0.0
            and all(isinstance(p.weights, np.ndarray) for p in ways)
            and all(isinstance(p.delays, float) and p.delays == 0.0 for p in ways)
            and all(self._has_synapse(p.post) for p in ways)
        )

    def _has_synapse(self, name: str) -> bool:
        """Tell whether currents decay at a population."""
        lif = self._network.neurons[name]
        tau = tau_of(lif, lif.columns[0])
        return bool(np.all(np.greater(tau, 0.0) & np.isfinite(tau)))

    def _ways(self, kinds: Mapping[str, str], constants: list[str]) -> list[_Way]:
        """Return all projections but those of constants; of a pair, which makes pulses, one."""
        ways = [
            _Way(*item) for item in self._network.projections.items() if item[0][0] not in constants
        ]
        made, used = [], set()
        for k, way in enumerate(ways):
            if k in used:
                continue
            made.append(way)
            if kinds[way.projection.post] == PULSE:
                later = (j for j in range(k + 1, len(ways)) if j not in used)
                match = next((j for j in later if self._ends_pulse(way, ways[j])), None)
                if match is None:
                    raise ValueError(
                        f"NIR has no currents that last: those of {way.key} must be taken back by "
                        f"a projection that is dt = {self._dt} later, got none"
                    )
                used.add(match)
        return made

    def _ends_pulse(self, way: _Way, other: _Way) -> bool:
        """Tell whether a projection takes back what another one gives, a step later."""
        p, q = way.projection, other.projection
        if (p.pre, p.post, type(p.weights)) != (q.pre, q.post, type(q.weights)):
            return False
        lag, of_p, of_q = self._dt, p.delay_values, q.delay_values
        same_form = [a.shape for a in _structure(p)] == [a.shape for a in _structure(q)]
        return (
            lag is not None
            and same_form
            and all(map(np.array_equal, _structure(p), _structure(q)))
            and np.array_equal(p.values, -q.values)
            and np.array_equal(np.add(of_p, lag), of_q)
        )

    def _bias(self, name: str, kind: str, constants: list[str]) -> tuple[FloatArray, FloatArray]:
        """Return the bias (n,) before the synapse, and by how much it raises ``v_leak``."""
        n = self._network.populations[name]
        values = self._network.neurons[name].arrays(n)
        bias, built = values["bias"], np.zeros(n)
        for key, projection in self._network.projections.items():
            if key[0] in constants and projection.post == name:
                built = built - projection.values
        if kind != CURRENT:
            return bias / self._bias_factor(kind, values), np.zeros(n)
        at_once = bias - built
        if at_once.any():
            most = at_once[np.argmax(np.abs(at_once))]
            what = f"constant current that does not pass the synapse, got {most} at {name!r}"
            self._lose(what, "with another v_leak, where runs begin")
        return built / self._bias_factor(kind, values), values["tau_mem"] * at_once

    # --- neurons ---

    def _gain(self, kind: str, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return the parameters with which weights are the same in NIR."""
        area = 1.0 if self._dt is None else self._dt
        leaks, one = np.isfinite(values["tau_mem"][0]), np.ones_like(values["tau_mem"])
        r = values["tau_mem"] if leaks else one
        if kind == CURRENT:
            return {"r": r, "w_in": values["tau_syn"][:, 0] / area}
        return {"r": r if kind == PULSE else r / area}

    def _bias_factor(self, kind: str, values: Mapping[str, FloatArray]) -> FloatArray:
        own = self._gain(kind, values)
        gain = own["r"] * own.get("w_in", 1.0)
        return gain / values["tau_mem"] if np.isfinite(values["tau_mem"][0]) else gain

    def _neurons(self, name: str, kind: str, raised: FloatArray, shape: Shape) -> Any:
        """Return the node of a population."""
        n = self._network.populations[name]
        values = self._network.neurons[name].arrays(n)
        leaks, fires = (
            np.isfinite(values["tau_mem"][0]),
            bool(np.any(np.isfinite(values["threshold"]))),
        )
        own = self._gain(kind, values)
        if leaks:
            own |= {"tau_mem" if kind == CURRENT else "tau": values["tau_mem"]}
            own["v_leak"] = values["rest"] + raised
        if kind == CURRENT:
            own["tau_syn"] = values["tau_syn"][:, 0]
        if fires:
            own |= {"v_threshold": values["threshold"], "v_reset": values["reset"]}
        prefix = "Cuba" if kind == CURRENT else ""
        called = f"{prefix}{'L' if leaks else ''}I{'F' if fires else ''}"
        return getattr(self._nir, called)(**{k: v.reshape(shape) for k, v in own.items()})

    # --- what is between them ---

    def _shapes(self, ways: list[_Way]) -> dict[str, Shape]:
        """Return the shapes of inputs and populations: those of images between convolutions."""
        sizes = {**self._network.inputs, **self._network.populations}
        found: dict[str, set[Shape]] = {name: set() for name in sizes}
        for _, projection in ways:
            conv = projection.weights
            if isinstance(conv, Convolution):
                found[projection.pre].add((conv.kernel.shape[1], *conv.image))
                found[projection.post].add(conv.output)
            else:
                found[projection.post].add((sizes[projection.post],))
        return {
            name: next(iter(shapes)) if len(shapes) == 1 else (sizes[name],)
            for name, shapes in found.items()
        }

    def _write(
        self, ways: list[_Way], shapes: Mapping[str, Shape], biases: dict[str, FloatArray]
    ) -> None:
        """Add the nodes between neurons, and the edges; each bias is part of one of the nodes."""
        for way in ways:
            p = way.projection
            before, after = self._delays(way)
            given, made = shapes[p.pre], shapes[p.post]
            bias = biases.get(p.post) if after is None else None
            node = self._between(way, given, made, bias)
            if bias is not None and node.bias.any():
                del biases[p.post]
            steps = []
            if before is not None:
                steps.append(("_delay", self._nir.Delay(before.reshape(given))))
            if len(given) > 1 and not isinstance(node, self._nir.Conv2d):
                flat = self._nir.Flatten({"input": np.array(given)}, start_dim=0, end_dim=-1)
                steps.append(("_flat", flat))
            steps.append(("", node))
            if after is not None:
                steps.append(("_late", self._nir.Delay(after.reshape(made))))
            self._chain(way, steps)
        for name, bias in biases.items():
            value = bias[np.argmax(np.abs(bias))]
            raise ValueError(
                f"a bias is part of a matrix in NIR, and none that could have it leads to "
                f"{name!r}, got a bias of {value}"
            )

    def _between(self, way: _Way, given: Shape, made: Shape, bias: FloatArray | None) -> Any:
        """Return the node of a projection, with the bias of its targets if it can have it."""
        form = way.projection.weights
        if isinstance(form, Convolution) and _shapes_of(form) == (given, made):
            return self._convolution(form, bias)
        if is_diagonal(form) and bias is None:
            return self._nir.Scale(way.projection.values.copy())
        weight = np.ascontiguousarray(self._dense(way.key, form).T)
        return self._nir.Linear(weight) if bias is None else self._nir.Affine(weight, bias)

    def _convolution(self, form: Convolution, bias: FloatArray | None) -> Any:
        by_channel = np.zeros((form.output[0], 1))
        if bias is not None and np.all((each := bias.reshape(form.output[0], -1)) == each[:, :1]):
            by_channel = each
        return self._nir.Conv2d(
            input_shape=form.image,
            weight=form.kernel.copy(),
            stride=(form.stride, form.stride),
            padding=(form.padding, form.padding),
            dilation=(1, 1),
            groups=1,
            bias=by_channel[:, 0].copy(),
        )

    def _dense(self, key: Key, form: Matrix | Convolution) -> FloatArray:
        """Return weights as a matrix."""
        if isinstance(form, np.ndarray):
            return form
        size = 8 * math.prod(form.shape)
        if size > LARGEST:
            raise ValueError(
                f"NIR has no sparse matrices, so {key} must take at most {LARGEST} bytes as a "
                f"dense one, got {size}"
            )
        matrix = as_matrix(form)
        if isinstance(matrix, np.ndarray):
            return matrix
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        if np.unique(rows * matrix.shape[1] + matrix.indices).size < matrix.nnz:
            what = f"multapses (several synapses between two neurons), got them in {key}"
            self._lose(what, "with their sums")
        return matrix.toarray()

    def _delays(self, way: _Way) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the delays of the sources, and of the targets, if there are any."""
        p = way.projection
        n_pre, n_post = p.weights.shape
        values = np.asarray(p.delay_values)
        if not values.any():
            return None, None
        if values.ndim == 0:
            return np.full(n_pre, float(values)), None
        rows, columns = _places(p)
        for places, n in ((rows, n_pre), (columns, n_post)):
            each = np.zeros(n)
            each[places] = values
            if np.array_equal(each[places], values):
                return (each, None) if places is rows else (None, each)
        if isinstance(p.weights, np.ndarray):
            matrix = values.reshape(p.weights.shape)
            after = matrix[0] - matrix[0].min()
            before = matrix[:, 0] - after[0]
            error = np.abs(before[:, None] + after - matrix).max()
            if before.min() >= 0.0 and error <= ROUNDING * values.max():
                return before, after
        raise ValueError(
            f"NIR has delays of neurons, not of synapses: those of {way.key} must be the same in "
            f"each row or in each column, or sums of such, got {shown(p.delays)}"
        )

    def _chain(self, way: _Way, steps: list[tuple[str, Any]]) -> None:
        """Add nodes that follow each other, from the source to the target of a projection."""
        base = "_".join(map(str, way.key))
        names = []
        for suffix, node in steps:
            names.append(unused(base + suffix, self._nodes))
            self._nodes[names[-1]] = node
        self._begins[way.projection.pre].append((way.projection.pre, names[0]))
        self._ends += pairwise([*names, way.projection.post])

    def _add_outputs(self, shapes: Mapping[str, Shape]) -> None:
        """Add outputs of the populations that lead to no other one, or of all."""
        names = list(self._network.populations)
        leading = {p.pre for p in self._network.projections.values() if p.pre != p.post}
        last = [name for name in names if name not in leading] or names
        for name in last:
            called = "output" if len(last) == 1 else f"output_{name}"
            new = unused(called, self._nodes)
            self._nodes[new] = self._nir.Output({"output": np.array(shapes[name])})
            self._begins[name].append((name, new))


def _shapes_of(form: Convolution) -> tuple[Shape, Shape]:
    return (form.kernel.shape[1], *form.image), form.output


def _structure(projection: Projection) -> list[Any]:
    """Return what says which synapses a projection has."""
    form = projection.weights
    if isinstance(form, Convolution):
        return [np.array([*form.image, form.stride, form.padding]), np.array(form.kernel.shape)]
    if isinstance(form, np.ndarray):
        return [np.array(form.shape)]
    return [form.indices, form.indptr]


def _places(projection: Projection) -> tuple[Any, Any]:
    """Return the row and the column of each weight of a matrix."""
    form = projection.weights
    if isinstance(form, sparse.csr_array):
        return np.repeat(np.arange(form.shape[0]), np.diff(form.indptr)), form.indices
    rows, columns = np.indices(form.shape)
    return rows.ravel(), columns.ravel()
