"""Graphs of NIR as plain values: read from files or objects, checked, with nested graphs unfolded.

A file is not believed: what leads elsewhere (links, external data) and what promises more memory
than a file of its size could need is refused, and nothing of ``metadata`` is looked at.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eventsim._support.extras import extra
from eventsim._support.files import FileError
from eventsim._support.types import FloatArray
from eventsim._support.validate import as_count, as_floats, require, shown

__all__ = ["EXPECTED", "LARGEST", "NEURONS", "Graph", "Node", "chain", "read_graph"]

EXPECTED = "a file with a NIR graph, as nir.write makes it"
DEEPEST = 32  # groups within groups
LARGEST = 2**31  # bytes of all arrays of a file
HEAP_OBJECT = struct.Struct("<H6xQ")  # of HDF5: number and size
REQUIRED = object()

_GEOMETRY = dict.fromkeys(("weight", "stride", "padding", "dilation", "groups", "bias"), REQUIRED)
_CONVOLUTION = {"input_shape": None, **_GEOMETRY}
_POOL = dict.fromkeys(("kernel_size", "stride", "padding"), REQUIRED)
_LEAKY = dict.fromkeys(("tau", "r", "v_leak"), REQUIRED)
_CURRENT = {**dict.fromkeys(("tau_mem", "tau_syn", "r", "v_leak"), REQUIRED), "w_in": 1.0}
_FIRING = {"v_threshold": REQUIRED, "v_reset": 0.0}

NEURONS: Mapping[str, Mapping[str, Any]] = {
    "CubaLIF": _CURRENT | _FIRING,
    "CubaLI": _CURRENT,
    "LIF": _LEAKY | _FIRING,
    "LI": _LEAKY,
    "IF": {"r": REQUIRED, **_FIRING},
    "I": {"r": REQUIRED},
}
"""Parameters of the neurons, with their defaults."""

FIELDS: Mapping[str, Mapping[str, Any]] = {
    **NEURONS,
    "Input": {"shape": None},
    "Output": {"shape": None},
    "Identity": {"shape": None},
    "Affine": {"weight": REQUIRED, "bias": REQUIRED},
    "Linear": {"weight": REQUIRED},
    "Scale": {"scale": REQUIRED},
    "Delay": {"delay": REQUIRED},
    "Flatten": {"start_dim": 1, "end_dim": -1, "input_type": None},
    "Conv1d": _CONVOLUTION,
    "Conv2d": _CONVOLUTION,
    "SumPool2d": _POOL,
    "AvgPool2d": _POOL,
}


class Node(NamedTuple):
    """A node of a graph: its name, its type in NIR, and its fields."""

    name: str
    kind: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        """Return name and type, as errors have them."""
        return f"{self.name!r} ({self.kind})"

    def floats(self, field: str) -> FloatArray:
        """Return numbers; ValueError if one is NaN or, but for thresholds, infinite."""
        called = f"{field} of {self}"
        values = as_floats(self.fields[field], called)
        good = ~np.isnan(values) if field == "v_threshold" else np.isfinite(values)
        require(good, values, f"{called} must be finite")
        return values

    def positive(self, field: str) -> FloatArray:
        """Return numbers; ValueError unless all are > 0."""
        values = self.floats(field)
        require(values > 0.0, values, f"{field} of {self} must be > 0")
        return values

    def weight(self, least: int) -> FloatArray:
        """Return the weights, of so many dimensions or more."""
        weight = self.floats("weight")
        if weight.ndim < least or 0 in weight.shape:
            raise ValueError(
                f"weight of {self} must have {least} dimensions or more, none of them 0, got shape "
                f"{weight.shape}"
            )
        return weight

    def counts(self, field: str, n: int, least: int = 1) -> tuple[int, ...]:
        """Return n whole numbers, of which there may be one for all."""
        called, given = f"{field} of {self}", np.asarray(self.fields[field])
        if given.shape not in ((), (1,), (n,)):
            raise ValueError(f"{called} must be {n} whole numbers, got shape {given.shape}")
        each = np.broadcast_to(given, (n,)).tolist()
        return tuple(as_count(number, called, least) for number in each)

    def shape(self, field: str) -> tuple[int, ...] | None:
        """Return a shape, if one is given."""
        given = self.fields[field]
        if given is None:
            return None
        sizes = np.atleast_1d(np.asarray(given))
        if sizes.ndim != 1:
            raise ValueError(f"{field} of {self} must be a shape, got {shown(given)}")
        return tuple(as_count(size, f"{field} of {self}") for size in sizes.tolist())


@dataclass(frozen=True)
class Graph:
    """Nodes by name, and edges in the order in which they were given; nothing is nested."""

    nodes: dict[str, Node]
    edges: list[tuple[str, str]]

    @cached_property
    def before(self) -> dict[str, list[str]]:
        """The nodes that lead to each."""
        return self._ends(1, 0)

    @cached_property
    def after(self) -> dict[str, list[str]]:
        """The nodes to which each leads."""
        return self._ends(0, 1)

    def _ends(self, of: int, end: int) -> dict[str, list[str]]:
        ends: dict[str, list[str]] = {name: [] for name in self.nodes}
        for edge in self.edges:
            ends[edge[of]].append(edge[end])
        return ends


def chain(names: Iterable[str]) -> str:
    """Return how nodes follow each other, for a message."""
    return " -> ".join(map(repr, names))


def read_graph(source: Any) -> Graph:
    """Return the graph of a file, or of a ``nir.NIRGraph``.

    Raises
    ------
    ValueError
        If it is none, or malformed.
    """
    with extra("io", "NIR needs"):
        import nir
    if isinstance(source, nir.NIRGraph):
        return _unfolded(_of_object(source))
    return _unfolded(_of_file(source))


# --- graphs within graphs -------------------------------------------------------------------------


def _unfolded(root: Mapping[str, Any]) -> Graph:
    """Return a graph in which the nodes of those within it have dotted names."""
    graph = Graph({}, [])
    _unfold(root, "", graph)
    _check_ends(graph)
    return graph


def _unfold(content: Mapping[str, Any], prefix: str, graph: Graph) -> None:
    """Add the nodes and edges of a graph, and of those within it."""
    where = f"the graph {prefix[:-1]!r}" if prefix else "the graph"
    nodes, edges = content.get("nodes"), content.get("edges")
    if not isinstance(nodes, Mapping) or edges is None:
        raise ValueError(f"{where} must have nodes and edges, got {shown(sorted(content))}")
    pairs = _as_edges(edges, nodes, where)
    for name, fields in nodes.items():
        if _kind_of(fields, f"{prefix}{name}") == "NIRGraph":
            _unfold(fields, f"{prefix}{name}.", graph)
        else:
            _add(graph, _as_node(f"{prefix}{name}", fields, is_inner=bool(prefix)))
    for a, b in pairs:
        begin = _port(nodes, a, "Output", f"{prefix}{a}")
        graph.edges.append((begin, _port(nodes, b, "Input", f"{prefix}{b}")))


def _add(graph: Graph, node: Node) -> None:
    if node.name in graph.nodes:
        raise ValueError(f"nodes must have different names, got two of the name {node.name!r}")
    graph.nodes[node.name] = node


def _port(nodes: Mapping[str, Any], name: str, kind: str, full: str) -> str:
    """Return the node at which an edge ends: of a graph, its only input or output."""
    if _kind_of(nodes[name], full) != "NIRGraph":
        return full
    inner = nodes[name].get("nodes")
    inner = inner if isinstance(inner, Mapping) else {}
    ports = [key for key, fields in inner.items() if _kind_of(fields, f"{full}.{key}") == kind]
    if len(ports) != 1:
        raise ValueError(
            f"the graph {full!r}, to or from which an edge leads, must have one {kind}, got {ports}"
        )
    return f"{full}.{ports[0]}"


def _kind_of(fields: Any, name: str) -> str:
    kind = fields.get("type") if isinstance(fields, Mapping) else None
    if not isinstance(kind, str):
        raise ValueError(f"the node {name!r} must have a type, got {shown(kind)}")
    return kind


def _as_node(name: str, given: Mapping[str, Any], *, is_inner: bool) -> Node:
    """Return a node with all fields that its type has."""
    kind = _kind_of(given, name)
    if kind == "Threshold":
        raise ValueError(
            f"node {name!r} (Threshold) makes spikes of values at each step of a clock: in "
            "continuous time there is no such thing; use a neuron (IF, LIF, CubaLIF)"
        )
    if kind not in FIELDS or kind == "Identity":
        known = ", ".join(k for k in FIELDS if k != "Identity")
        raise ValueError(f"node {name!r} must be of a known type ({known}), got {shown(kind)}")
    defaults = FIELDS[kind]
    fields = {key: value for key, value in given.items() if key not in ("type", "metadata")}
    unknown = sorted(fields.keys() - defaults)
    if unknown:
        raise ValueError(f"node {name!r} ({kind}) must have no other fields, got {unknown}")
    missing = [key for key, value in defaults.items() if value is REQUIRED and key not in fields]
    if missing:
        raise ValueError(f"node {name!r} ({kind}) must have {missing}, got {sorted(fields)}")
    if is_inner and kind in ("Input", "Output"):
        kind = "Identity"
    return Node(name, kind, {**defaults, **fields})


def _as_edges(edges: Any, nodes: Mapping[str, Any], where: str) -> list[tuple[str, str]]:
    """Return edges between nodes that there are, each once."""
    pairs: list[tuple[str, str]] = []
    for edge in _listed(edges):
        pair = tuple(_text(end) for end in _listed(edge))
        if len(pair) != 2:
            raise ValueError(f"edges of {where} must be pairs of names, got {shown(edge)}")
        for end in pair:
            if end not in nodes:
                raise ValueError(
                    f"edges of {where} must lead from node to node, got {pair}: there is no "
                    f"{end!r} among {shown(list(nodes))}"
                )
        pairs.append((str(pair[0]), str(pair[1])))
    double = [pair for pair, times in Counter(pairs).items() if times > 1]
    if double:
        raise ValueError(f"edges of {where} must be given once, got {double[0]} twice")
    return pairs


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, np.ndarray, set)) else [value]


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _check_ends(graph: Graph) -> None:
    """Raise a ValueError if an edge leads to an input, or away from an output."""
    for a, b in graph.edges:
        if graph.nodes[b].kind == "Input":
            raise ValueError(f"nothing may lead to an input, got {chain((a, b))}")
        if graph.nodes[a].kind == "Output":
            raise ValueError(f"nothing may follow an output, got {chain((a, b))}")


# --- objects and files ----------------------------------------------------------------------------


def _of_object(graph: Any) -> dict[str, Any]:
    """Return nodes and edges of a ``nir.NIRGraph``, as a file has them."""
    nodes: dict[str, Any] = {}
    for name, node in dict(graph.nodes).items():
        if isinstance(node, type(graph)):
            nodes[str(name)] = _of_object(node)
            continue
        try:
            nodes[str(name)] = node.to_dict()
        except Exception as error:  # whatever a foreign object raises
            raise ValueError(f"node {str(name)!r} must be one of NIR: {error}") from error
    return {"type": "NIRGraph", "nodes": nodes, "edges": graph.edges}


def _of_file(path: Any) -> Mapping[str, Any]:
    """Return nodes and edges of a file."""
    with extra("io", "NIR needs"):
        import h5py
    try:
        place = Path(os.fspath(path))
        is_file = place.is_file()
    except (TypeError, ValueError, OSError):
        raise ValueError(
            f"path_or_graph must be the name of a file or a nir.NIRGraph, got {shown(path)}"
        ) from None
    if not is_file:
        raise FileError(place, "is no file", EXPECTED)
    try:
        if _has_endless_heap(place):
            raise FileError(place, "has a damaged heap of texts", EXPECTED)
        with h5py.File(place, "r") as file:
            content = dict(_contents(file, DEEPEST, [LARGEST]))
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeError) as error:
        raise FileError(place, f"cannot be read as HDF5: {error}", EXPECTED) from error
    root = content.get("node")
    if not isinstance(root, Mapping) or _kind_of(root, "node") != "NIRGraph":
        found = root.get("type") if isinstance(root, Mapping) else sorted(content)
        raise ValueError(f"it must hold a NIRGraph, got {shown(found)}")
    return root


def _has_endless_heap(path: Path) -> bool:
    """Tell whether HDF5 would look for the end of its texts for ever.

    They lie in collections of objects: each has a number, 0 for what is free, and a size, by which
    the library (2.0) goes on to the next one.
    """
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for heap in re.finditer(rb"GCOL\x01\x00{3}(.{8})", content, re.DOTALL):
            place, end = heap.end(), heap.start() + int.from_bytes(heap[1], "little")
            while place + HEAP_OBJECT.size <= min(end, len(content)):
                number, size = HEAP_OBJECT.unpack_from(content, place)
                if not number and size < HEAP_OBJECT.size:
                    return True
                place += -(-size // 8) * 8 + HEAP_OBJECT.size if number else size
    return False


def _contents(group: Any, depth: int, room: list[int]) -> Iterator[tuple[str, Any]]:
    """Yield what a group of a file holds, but for metadata."""
    import h5py

    if depth == 0:
        raise ValueError(f"its groups must not be nested more than {DEEPEST} deep")
    for name in group:
        if name == "metadata":
            continue
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"it must hold all that it names, got a link {name!r}")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield name, dict(_contents(item, depth - 1, room))
        elif isinstance(item, h5py.Dataset):
            yield name, _values(item, room)


def _values(item: Any, room: list[int]) -> Any:
    """Return the values of a dataset; texts as such."""
    if item.is_virtual or item.external or item.shape is None:
        raise ValueError(f"it must hold its values itself, got {shown(item.name)}")
    room[0] -= item.size * item.dtype.itemsize
    if room[0] < 0:
        raise ValueError(f"it must hold at most {LARGEST} bytes, got more in {shown(item.name)}")
    return _text(item[()])
