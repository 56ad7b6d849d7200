"""From a graph of NIR to a network."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import count
from pathlib import Path as FilePath
from typing import Any

from eventsim._support.files import FileError
from eventsim._support.validate import MOST, as_positive, shown
from eventsim.network import Network
from eventsim.nir.forms import Shape
from eventsim.nir.neurons import Group, Units
from eventsim.nir.nodes import EXPECTED, NEURONS, Graph, Node, chain, read_graph
from eventsim.nir.signals import (
    ONE,
    Path,
    is_plain,
    passed,
    shape_after,
    shape_before,
    source_path,
)

__all__ = ["NEVER", "Report", "load", "unused"]

NEVER = MOST  # interval of the generator of constants: one spike, at t = 0
ANALOGUE = ("CubaLI", "LI", "I")


class Report(tuple[str, ...]):
    """What became of each node of a graph: a tuple of a line for each, and printed as such.

    Examples
    --------
    >>> print(Report(["in (Input): input of 2", "out (Output): spikes of lif"]))
    in (Input): input of 2
    out (Output): spikes of lif
    """

    __slots__ = ()

    def __str__(self) -> str:
        """Return all lines."""
        return "\n".join(self)


def load(
    path_or_graph: Any,
    spike_area: float = 1.0,
    spike_width: float | None = None,
    time_unit: float = 1.0,
) -> tuple[Network, Report]:
    r"""Return the network that a NIR graph describes, in continuous time and exact.

    Parameters
    ----------
    path_or_graph : str, os.PathLike or nir.NIRGraph
        A file of NIR, or a graph.
    spike_area : float
        Area of the pulse that a spike stands for, in the graph's unit of time.  By NIR it is 1 (a
        Dirac pulse).  Tools with a clock differ, and no file says which it was written by: in
        snnTorch, Lava and SpikingJelly a spike is 1 for a step, so its area is the step; in Norse
        and jaxsnn it is added to a synaptic current that decays, so its area is ``tau_syn``.
    spike_width : float, optional
        Width of the pulse, for neurons without a synapse (LIF, IF, LI, I): such a neuron is driven
        by a current of ``spike_area / spike_width`` for this long, as in a tool with a clock of
        this step.  Default: a Dirac pulse, with which the potential jumps.
    time_unit : float
        The network's unit of time, in that of the graph.  NIR has seconds: 1e-3 makes times
        milliseconds.

    Returns
    -------
    network : Network
        An input for each Input, of its name; a population for each node of neurons.  A node within
        a graph ``g`` is called ``g.node``.  Neurons of images are numbered channel by channel, row
        by row.  The generator "bias", if there is one, has a single spike at t = 0.
    report : Report
        A line for each node: what became of it, by which factor, and what was assumed.

    Raises
    ------
    ValueError
        Before anything is built: if the file cannot be read or is no graph of NIR, if edges,
        shapes or parameters are not sound, or if a node is unknown or cannot be had in continuous
        time.  The message has the path, the node and the value.
    ImportError
        If the extra ``io`` is not installed.

    Notes
    -----
    NIR (Pedersen et al., 2024) has ``tau dv/dt = (v_leak - v) + r I``.  A spike of area A through a
    matrix W, (n_post, n_pre) there, becomes

    ============  ==========================================================================
    CubaLI(F)     a current ``r w_in A W / (tau_mem tau_syn)`` that decays with ``tau_syn``
    LI(F)         a jump of the potential by ``r A W / tau``
    I(F)          a jump of the potential by ``r A W``
    LI(F), I(F)   with a width: a current ``1 / width`` as large, which that ends after it
    ============  ==========================================================================

    and a bias b the constant current ``r b / tau`` (of I(F): ``r b``).  Before a synapse it builds
    up, ``r w_in b / tau_mem (1 - exp(-t / tau_syn))``: the generator "bias" sees to it.  LI, CubaLI
    and I never fire.  A run begins with v at ``v_leak``, where that is below the threshold, else at
    ``v_reset``, at which IF begins, too (and I at 0); `eventsim.simulate` takes other states.

    Examples
    --------
    >>> import nir
    >>> import numpy as np
    >>> one = np.ones(3)
    >>> graph = nir.NIRGraph.from_list(
    ...     nir.Affine(np.full((3, 2), 0.5), np.array([0.0, 0.5, 1.0])),
    ...     nir.CubaLIF(tau_syn=5e-3 * one, tau_mem=20e-3 * one, r=one, v_leak=0 * one,
    ...                 v_threshold=one),
    ... )
    >>> network, report = load(graph, spike_area=5e-3, time_unit=1e-3)
    >>> network
    Network(inputs={'input': 2, 'bias': 1}, generators=['bias'], populations={'cubalif': 3},
    synapses=9)
    >>> network.neurons["cubalif"].tau_mem
    20.0
    >>> network.projections["input", "cubalif"].weights
    array([[0.025, 0.025, 0.025],
           [0.025, 0.025, 0.025]])
    >>> for line in report:
    ...     print(line)
    input (Input): input of 2
    affine (Affine): weights and a bias, transposed, from (2,) to (3,)
    cubalif (CubaLIF): 3 neurons; weights times r w_in A / (tau_mem tau_syn) = 0.05; the bias builds
    up behind the synapse, by the generator 'bias'; begins at v_leak
    output (Output): spikes of cubalif
    """
    units = _read_units(spike_area, spike_width, time_unit)
    if not isinstance(path_or_graph, (str, os.PathLike)):
        return _loaded(path_or_graph, units)
    try:
        return _loaded(path_or_graph, units)
    except FileError:
        raise
    except ValueError as error:
        raise FileError(FilePath(path_or_graph), f"cannot be used: {error}", EXPECTED) from error


def _read_units(spike_area: object, spike_width: object, time_unit: object) -> Units:
    """Return checked units, of the network."""
    unit = as_positive(time_unit, "time_unit")
    area = as_positive(spike_area, "spike_area") / unit
    if spike_width is None:
        return Units(area, None, unit)
    return Units(area, as_positive(spike_width, "spike_width") / unit, unit)


def _loaded(source: Any, units: Units) -> tuple[Network, Report]:
    graph = _with_inputs(read_graph(source))
    if not any(node.kind in NEURONS for node in graph.nodes.values()):
        raise ValueError(f"the graph must have neurons, got {shown(list(graph.nodes))}")
    shapes = _shapes_of(graph)
    signals = _signals_of(graph, shapes)
    lines = {name: _described(graph, shapes, name) for name in graph.nodes}
    for name, node in graph.nodes.items():
        if node.kind == "Output" or not (_is_source(node) or graph.after[name]):
            lines[name] = _end(graph, name, signals[name])
    constants = unused("bias", graph.nodes)
    groups = _groups(graph, shapes, signals, units)
    lines |= {name: group.described(constants) for name, group in groups.items()}
    network = _built(graph, shapes, groups, constants)
    return network, Report(f"{n} ({node.kind}): {lines[n]}" for n, node in graph.nodes.items())


# --- the graph ------------------------------------------------------------------------------------


def _with_inputs(graph: Graph) -> Graph:
    """Return a graph in which inputs lead to all nodes to which nothing leads, as in NIR itself."""
    nodes, edges = dict(graph.nodes), list(graph.edges)
    for name, node in graph.nodes.items():
        if not graph.before[name] and node.kind == "Output":
            raise ValueError(f"something must lead to {node}, got no edge to it")
        if not graph.before[name] and node.kind != "Input":
            new = unused(f"input_{name}", nodes)
            nodes[new] = Node(new, "Input", {"shape": shape_before(node)})
            edges.append((new, name))
    return Graph(nodes, edges)


def unused(name: str, known: Iterable[str]) -> str:
    """Return a name that is not taken."""
    names = (name if k == 0 else f"{name}_{k}" for k in count())
    return next(new for new in names if new not in known)


def _is_source(node: Node) -> bool:
    return node.kind in NEURONS or node.kind == "Input"


def _shapes_of(graph: Graph) -> dict[str, Shape]:
    """Return the shape of what each node makes; all edges fit."""
    shapes: dict[str, Shape] = {}
    waiting = list(graph.nodes)
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            pre = next((pre for pre in graph.before[name] if pre in shapes), None)
            made = _shape_along(graph, shapes, pre, name)
            if made is not None:
                shapes[name] = made
                waiting += graph.after[name]
    for name, node in graph.nodes.items():
        if name not in shapes:
            raise ValueError(f"the shape of {node} must follow from the graph, got none")
    for pre, name in graph.edges:
        _shape_along(graph, shapes, pre, name)
    return shapes


def _shape_along(
    graph: Graph, shapes: Mapping[str, Shape], pre: str | None, name: str
) -> Shape | None:
    """Return the shape of what a node makes of what another one sends."""
    if pre is None:
        return shape_after(graph.nodes[name], None)
    try:
        return shape_after(graph.nodes[name], shapes[pre])
    except ValueError as error:
        raise ValueError(f"{chain((pre, name))}: {error}") from error


def _signals_of(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, list[Path]]:
    """Return what each node sends."""
    signals = {
        name: [source_path(name, math.prod(shapes[name]))]
        for name, node in graph.nodes.items()
        if _is_source(node)
    }
    needs = {
        name: [pre for pre in graph.before[name] if not _is_source(graph.nodes[pre])]
        for name in graph.nodes
        if name not in signals
    }
    for name in _in_order(needs, "a cycle must lead through neurons"):
        given = [path for pre in graph.before[name] for path in signals[pre]]
        signals[name] = passed(graph.nodes[name], given, shapes[graph.before[name][0]])
    return signals


def _in_order(needs: Mapping[str, Iterable[str]], message: str) -> Iterator[str]:
    """Yield names, each after those that it needs; ValueError if they need each other."""
    try:
        yield from tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise ValueError(f"{message}, got {chain(reversed(error.args[1]))}") from None


def _end(graph: Graph, name: str, signal: list[Path]) -> str:
    """Return what an output shows; ValueError if it is neither spikes nor a potential."""
    node = graph.nodes[name]
    plain = [path.source for path in signal if is_plain(path)]
    if len(signal) != 1 or len(plain) != 1:
        sources = [path.source or "a bias" for path in signal]
        raise ValueError(
            f"{node} must show the spikes of one node of neurons as they are, got weighted, "
            f"delayed or added ones of {sources}: a node of neurons must take them (LI, CubaLI)"
        )
    kind = graph.nodes[plain[0]].kind
    return f"{'potential' if kind in ANALOGUE else 'spikes'} of {plain[0]}"


def _described(graph: Graph, shapes: Mapping[str, Shape], name: str) -> str:
    """Return what becomes of a node without neurons."""
    node, made = graph.nodes[name], shapes[name]
    if node.kind == "Input":
        return f"input of {math.prod(made)}"
    given = shapes[graph.before[name][0]] if graph.before[name] else made
    does = {
        "Affine": "weights and a bias, transposed,", "Linear": "weights, transposed,",
        "Conv1d": "weights of a convolution", "Conv2d": "weights of a convolution",
        "SumPool2d": "sums", "AvgPool2d": "averages", "Scale": "factors of the weights",
        "Delay": "delays",
    }  # fmt: skip
    return f"{does.get(node.kind, 'the same values,')} from {given} to {made}"


# --- the network ----------------------------------------------------------------------------------


def _groups(
    graph: Graph,
    shapes: Mapping[str, Shape],
    signals: Mapping[str, list[Path]],
    units: Units,
) -> dict[str, Group]:
    """Return the neurons of each node, with all that leads to them."""
    groups = {
        name: Group(node, math.prod(shapes[name]), units)
        for name, node in graph.nodes.items()
        if node.kind in NEURONS
    }
    for place, (a, b) in enumerate(graph.edges):
        for path in signals[a] if b in groups else ():
            pre = graph.nodes.get(path.source)
            if pre is not None and pre.kind in ANALOGUE:
                raise ValueError(
                    f"{pre} never spikes, so that it can lead to an Output alone, got "
                    f"{chain(dict.fromkeys((pre.name, a, b)))}"
                )
            groups[b].add(path, place)
    return groups


def _built(
    graph: Graph, shapes: Mapping[str, Shape], groups: Mapping[str, Group], constants: str
) -> Network:
    """Return the network; what leads first from somewhere comes first."""
    order = list(dict.fromkeys([*(a for a, _ in graph.edges), *graph.nodes]))
    populations = _by_charges([name for name in order if name in groups], groups)
    wires = [(name, wire) for name in populations for wire in groups[name].wires]
    network = Network()
    for name in order:
        if graph.nodes[name].kind == "Input":
            network.add_input(name, math.prod(shapes[name]))
    if any(wire.source == ONE for _, wire in wires):
        network.add_regular(constants, 1, interval=NEVER)
    for name in populations:
        network.add_population(name, groups[name].n, groups[name].lif)
    for name, wire in sorted(wires, key=lambda pair: pair[1].place):
        network.connect(
            constants if wire.source == ONE else wire.source,
            name,
            weights=wire.weights,
            delays=wire.delays,
            receptor=wire.receptor,
        )
    return network


def _by_charges(names: list[str], groups: Mapping[str, Group]) -> list[str]:
    """Return the neurons so that each comes after those that charge it at the time of their spikes.

    Whether a neuron fires is then decided when all its charges of that time are there: neurons that
    are charged at the same time are asked in this order.
    """
    needs = {name: _causes(groups[name], groups) for name in names}
    message = (
        "neurons must not charge themselves at the very time of their spikes: a Delay must be "
        "among them, or a spike_width be given"
    )
    list(_in_order(needs, message))
    ordered: list[str] = []
    while len(ordered) < len(names):
        waiting = [name for name in names if name not in ordered]
        ordered.append(next(name for name in waiting if needs[name] <= set(ordered)))
    return ordered


def _causes(group: Group, groups: Mapping[str, Group]) -> set[str]:
    wires = group.wires if group.is_charged else []
    return {wire.source for wire in wires if wire.source in groups and wire.is_at_once}
