"""Every public function, given nonsense: a result, or an error that says what is wrong with what.

The table holds a good call of every public function, class and method.  In each example one or two
of its arguments give way to values out of a pool of nonsense.  What comes of it is a result, or a
ValueError, a TypeError or a public exception whose message names an argument and shows its value:
no other exception, no warning, no end of the process.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import decimal
import fractions
import inspect
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import eventsim as es
import gradients
from eventsim._support.validate import shown

PACKAGES = (es, gradients, es.csv, es.nest, es.sonata)
KEY = ("in", "out")


# --- good calls -----------------------------------------------------------------------------------


def net() -> es.Network:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("out", 3, es.LIF(tau_mem=1.0, tau_syn=1.0))
    network.connect("in", "out", weights=np.full((2, 3), 4.0))
    return network


def noisy() -> es.Network:
    network = net()
    network.add_poisson("ext", 2, rate=3.0)
    network.add_population("lasting", 2, es.LIF(tau_syn=math.inf))
    return network


NET = net()
FIRST_SPIKES = gradients.FirstSpikeCrossEntropy("out", tau0=0.2, wake=0.5)
SPIKES = es.Spikes([0.0, 0.25], [0, 1])


@cache
def result() -> es.Result:
    return es.simulate(NET, {"in": SPIKES}, 1.0)


@cache
def batch() -> es.BatchResult:
    return es.simulate(NET, [{"in": SPIKES}, {}, {"in": SPIKES}], 1.0)


@cache
def graph() -> es.CausalityGraph:
    return result().causality()


@cache
def tables() -> tuple[Any, Any]:
    return result().to_dataframe(), batch().to_dataframe()


@cache
def trains() -> tuple[Any, Any]:
    return result().to_neo("ms"), batch().to_neo("ms")


def convolution() -> es.Convolution:
    return es.Convolution(np.ones((1, 1, 2, 2)), (3, 3))


def ones() -> np.ndarray:
    return np.ones(len(result().spikes["out"]))


def kernels() -> gradients.SRM:
    return gradients.SRM(np.zeros_like, np.ones_like, np.zeros_like, np.zeros_like)


def parameters() -> dict[str, Any]:
    return {"params": {"w": np.zeros(2)}, "grads": {"w": np.ones(2)}, "threads": 1}


def memory(*names: str) -> dict[str, Any]:
    return {"step": 1, **{name: {"w": np.ones(2)} for name in names}}


def loss(_: Any) -> gradients.Loss:
    return gradients.Loss(1.0, potentials={"out": np.zeros(3)})


class Quantity:
    """Numbers with a unit, like astropy's."""

    def __init__(self, value: Any, unit: str = "ms") -> None:
        self.value, self.unit = np.asarray(value), unit

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return self.value

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return f"<Quantity {self.value} {self.unit}>"

    def to_value(self, unit: str) -> Any:
        return self.value * {"ms": 1.0, "us": 1000.0}[unit]


class Call(NamedTuple):
    """What is called, and how to make good arguments for it, by name."""

    function: Callable[..., Any]
    arguments: Callable[[], dict[str, Any]]


def in_a_folder(function: Callable[[Any], Any], path: Any) -> Any:
    """Call a function of the name of a file in a folder of its own, which holds one of each."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, content in files().items():
            Path(name).write_bytes(content)
        return function(path)


@cache
def files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        NET.save(f"{folder}/net.npz")
        es.csv.write_spikes(f"{folder}/spikes.csv", {"in": SPIKES})
        es.sonata.write_spikes(f"{folder}/spikes.h5", {"in": SPIKES}, unit="ms")
        Path(folder, "spikes.gdf").write_text("1\t103\n")
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def of(make: Callable[[], Any], method: str, **arguments: Any) -> Call:
    """Return the call of a method of what ``make`` returns."""
    return Call(lambda **changed: getattr(make(), method)(**changed), lambda: arguments)


def drawing(make: Callable[[], Any], method: str, **arguments: Any) -> Call:
    """Return the call of a method that draws."""

    def draw(**changed: Any) -> Any:
        try:
            return getattr(make(), method)(**changed)
        finally:
            plt.close("all")

    return Call(draw, lambda: {**arguments, "unit": "ms", "ax": Figure().subplots()})


NEURON = {
    "tau_mem": 1.0, "tau_syn": {"exc": [1.0, 2.0], "inh": 0.5}, "threshold": 1.0,
    "refractory": 0.1, "bias": 0.0, "rest": -0.5, "reset": [0.0, 0.5],
}  # fmt: skip
STATE = {"potential": [0.1, 0.2, 0.3], "current": {"exc": 0.5}}
INITIAL = {"out": es.State(0.25, [0.1, 0.2, 0.3])}
SEARCH = {
    "current": 4.0, "potential": 0.0, "alpha": 1.0, "beta": 1.0, "threshold": 1.0, "bias": 0.0,
    "t_max": 1.0, "axis": None,
}  # fmt: skip
RUN = {
    "network": NET, "stimulus": {"in": SPIKES}, "t_stop": 1.0, "engine": "auto",
    "initial": INITIAL, "until_fired": "out", "max_spikes": 100, "resume": None, "history": True,
    "record": None, "threads": 1, "comm": None,
}  # fmt: skip
DRAWN = {"n_pre": 2, "n_post": 2, "weights": 1.0, "delays": 0.5, "seed": 1}
STREAM = {k: v for k, v in RUN.items() if k not in ("until_fired", "history")} | {"chunk": 0.5}
UNIT = {"current": [0.5, 1.0], "w_input": 0.5, "w_leak": 0.1, "threshold": 1.0}
DIRECTION = {
    "weights": {KEY: np.ones((2, 3))}, "delays": {KEY: 1.0}, "input_times": {"in": [0.0, 1.0]},
    "tau_mem": {"out": 1.0}, "tau_syn": {"out": np.ones(3)}, "threshold": {"out": 1.0},
    "bias": {"out": 0.5}, "rest": {"out": 0.5}, "reset": {"out": np.ones(3)}, "initial": INITIAL,
}  # fmt: skip

TABLE: dict[str, Call] = {
    "eventsim.LIF": Call(es.LIF, lambda: NEURON),
    "eventsim.LIF.from_nest": Call(
        es.LIF.from_nest, lambda: {"model": "iaf_psc_exp", "params": {"tau_m": 20.0, "V_th": -50.0}}
    ),
    "eventsim.LIF.arrays": of(es.LIF, "arrays", n=3),
    "eventsim.State": Call(es.State, lambda: STATE),
    "eventsim.Steps": Call(es.Steps, lambda: {"times": [0.0, 1.0], "values": [2.0, 3.0]}),
    "eventsim.in_unit": Call(es.in_unit, lambda: {"value": Quantity([0.5, 1.0]), "unit": "us"}),
    "eventsim.operations": Call(es.operations, lambda: {"result": batch()}),
    "eventsim.first_crossing": Call(es.first_crossing, lambda: SEARCH),
    "eventsim.simulate": Call(es.simulate, lambda: RUN),
    "eventsim.stream": Call(lambda **given: next(es.stream(**given)), lambda: STREAM),
    "eventsim.pooling": Call(
        es.pooling, lambda: {"image": (1, 4, 4), "window": 2, "stride": 1, "padding": 1}
    ),
    "eventsim.Convolution": Call(
        es.Convolution,
        lambda: {"kernel": np.ones((1, 1, 2, 2)), "image": (3, 3), "stride": 1, "padding": 1},
    ),
    "eventsim.Convolution.with_kernel": of(
        convolution, "with_kernel", kernel=np.zeros((1, 1, 2, 2))
    ),
    "eventsim.Network": Call(es.Network, lambda: {"part": (0, 2)}),
    "eventsim.Network.add_input": of(net, "add_input", name="more", n=2),
    "eventsim.Network.add_poisson": of(net, "add_poisson", name="more", n=2, rate=[1, 2], seed=3),
    "eventsim.Network.add_regular": of(
        net, "add_regular", name="more", n=2, interval=0.5, first=[0.0, 0.25]
    ),
    "eventsim.Network.add_step_current": of(
        noisy, "add_step_current", name="more", post="lasting", amplitudes=es.Steps([0.5], [1.0]),
        receptor=None,
    ),
    "eventsim.Network.draw": of(noisy, "draw", name="ext", t_stop=1.0, t_start=0.5, sample=1),
    "eventsim.Network.add_population": of(net, "add_population", name="more", n=2, neuron=es.LIF()),
    "eventsim.Network.connect": of(
        net, "connect", pre="in", post="out", synapses=None, weights=np.ones((2, 3)), delays=0.5,
        receptor=None, name="again",
    ),
    "eventsim.fixed_probability": Call(
        es.fixed_probability, lambda: {**DRAWN, "p": 0.5, "allow_self": True}
    ),
    "eventsim.fixed_indegree": Call(
        es.fixed_indegree,
        lambda: {**DRAWN, "indegree": 2, "allow_self": True, "allow_multapses": True},
    ),
    "eventsim.fixed_outdegree": Call(
        es.fixed_outdegree,
        lambda: {**DRAWN, "outdegree": 2, "allow_self": True, "allow_multapses": True},
    ),
    "eventsim.fixed_total_number": Call(
        es.fixed_total_number, lambda: {**DRAWN, "n": 4, "allow_self": True}
    ),
    "eventsim.one_to_one": Call(es.one_to_one, lambda: DRAWN),
    "eventsim.Network.parameters": of(net, "parameters", kinds=("weights", "bias")),
    "eventsim.Network.replace": of(
        noisy,
        "replace",
        parameters={"weights": {KEY: np.ones((2, 3))}, "bias": {"out": 0.5}},
        weights={},
        delays={KEY: 0.5},
        neurons={"out": es.LIF()},
        rates={"ext": [1.0, 2.0]},
    ),
    "eventsim.Network.is_same": of(net, "is_same", other=NET),
    "eventsim.Network.save": Call(
        lambda path: in_a_folder(NET.save, path), lambda: {"path": "new.npz"}
    ),
    "eventsim.Network.load": Call(
        lambda path: in_a_folder(es.Network.load, path), lambda: {"path": "net.npz"}
    ),
    "eventsim.csv.write_spikes": Call(
        lambda path, spikes: in_a_folder(lambda name: es.csv.write_spikes(name, spikes), path),
        lambda: {"path": "new.csv", "spikes": {"in": SPIKES}},
    ),
    "eventsim.csv.read_spikes": Call(
        lambda path, population: in_a_folder(
            lambda name: es.csv.read_spikes(name, population), path
        ),
        lambda: {"path": "spikes.csv", "population": "in"},
    ),
    "eventsim.nest.read_spikes": Call(
        lambda paths, populations, unit, resolution: in_a_folder(
            lambda names: es.nest.read_spikes(names, populations, unit=unit, resolution=resolution),
            paths,
        ),
        lambda: {
            "paths": ["spikes.gdf"], "populations": {"in": [1, 2]}, "unit": "ms", "resolution": 0.1,
        },
    ),
    "eventsim.sonata.write_spikes": Call(
        lambda path, spikes, unit: in_a_folder(
            lambda name: es.sonata.write_spikes(name, spikes, unit=unit), path
        ),
        lambda: {"path": "new.h5", "spikes": {"in": SPIKES}, "unit": "ms"},
    ),
    "eventsim.sonata.read_spikes": Call(
        lambda path, unit, population: in_a_folder(
            lambda name: es.sonata.read_spikes(name, unit=unit, population=population), path
        ),
        lambda: {"path": "spikes.h5", "unit": "ms", "population": "in"},
    ),
    "eventsim.Network.neurons_of": of(net, "neurons_of", population="out"),
    "eventsim.Network.sources_of": of(net, "sources_of", name="in"),
    "eventsim.Spikes": Call(es.Spikes, lambda: {"times": [0.5, 0.25], "indices": [0, 1]}),
    "eventsim.SpikeBatch": Call(
        es.SpikeBatch,
        lambda: {"times": [0.5, 0.25], "indices": [0, 1], "samples": [1, 0], "n_samples": 2},
    ),
    "eventsim.SpikeBatch.from_latencies": Call(
        es.SpikeBatch.from_latencies, lambda: {"latencies": [[0.5, math.inf]]}
    ),
    "eventsim.SpikeBatch.from_sorted": Call(
        es.SpikeBatch.from_sorted,
        lambda: {
            "times": np.array([0.25, 0.5]),
            "indices": np.array([1, 0]),
            "offsets": np.array([0, 2]),
        },
    ),
    "eventsim.SpikeBatch.from_samples": Call(
        es.SpikeBatch.from_samples, lambda: {"samples": [SPIKES, SPIKES]}
    ),
    "eventsim.Spikes.from_dataframe": Call(
        es.Spikes.from_dataframe,
        lambda: {"frame": tables()[0], "population": "out"},
    ),
    "eventsim.Spikes.from_neo": Call(
        es.Spikes.from_neo,
        lambda: {"source": trains()[0], "unit": "us", "population": "out"},
    ),
    "eventsim.SpikeBatch.from_dataframe": Call(
        es.SpikeBatch.from_dataframe,
        lambda: {"frame": tables()[1], "n_samples": 3, "population": "out"},
    ),
    "eventsim.SpikeBatch.from_neo": Call(
        es.SpikeBatch.from_neo,
        lambda: {"source": trains()[1], "unit": "us", "population": "out"},
    ),
    "eventsim.SpikeBatch.__getitem__": of(
        lambda: batch().stimulus.trains["in"], "__getitem__", which=[0, 2]
    ),
    "eventsim.SpikeBatch.sample": of(lambda: batch().stimulus.trains["in"], "sample", k=1),
    "eventsim.BatchResult.__getitem__": of(batch, "__getitem__", which=1),
    "eventsim.BatchResult.potential": of(
        batch, "potential", population="out", at=[0.5, 0.25], neurons=[0]
    ),
    "eventsim.BatchResult.current": of(
        batch, "current", population="out", at=0.5, receptor=None, neurons=[1, 0]
    ),
    "eventsim.BatchResult.first_spikes": of(batch, "first_spikes", population="out"),
    "eventsim.BatchResult.first_positions": of(batch, "first_positions", population="out"),
    "eventsim.BatchResult.spike_counts": of(batch, "spike_counts", population="out"),
    "eventsim.BatchResult.positions": of(batch, "positions", population="out"),
    "eventsim.BatchResult.ended_when_fired": of(batch, "ended_when_fired", population="out"),
    "eventsim.BatchResult.to_neo": of(batch, "to_neo", unit="ms"),
    "eventsim.Result.to_neo": of(result, "to_neo", unit="ms"),
    "eventsim.BatchResult.states_at_end": of(batch, "states_at_end"),
    "eventsim.BatchResult.all_spikes": of(batch, "all_spikes", k=1),
    "eventsim.Result.potential": of(
        result, "potential", population="out", at=[0.5, 0.25], neurons=[0]
    ),
    "eventsim.Result.current": of(
        result, "current", population="out", at=0.5, receptor=None, neurons=[1, 0]
    ),
    "eventsim.Result.first_spikes": of(result, "first_spikes", population="out"),
    "eventsim.Result.spike_counts": of(result, "spike_counts", population="out"),
    "eventsim.CausalityGraph.from_spikes": Call(
        es.CausalityGraph.from_spikes,
        lambda: {
            "network": NET,
            "stimulus": {"in": SPIKES},
            "spikes": result().spikes,
            "t_stop": 1.0,
            "initial": INITIAL,
        },
    ),
    "eventsim.CausalityGraph.from_networkx": Call(
        es.CausalityGraph.from_networkx, lambda: {"dag": graph().to_networkx()}
    ),
    "eventsim.Result.plot_raster": drawing(result, "plot_raster", populations=["out", "in"]),
    "eventsim.Result.plot_potential": drawing(
        result, "plot_potential", population="out", neurons=[1, 0]
    ),
    "eventsim.CausalityGraph.plot": drawing(graph, "plot"),
    "eventsim.CausalityGraph.equations": of(graph, "equations", neurons=[0, 2], times=[0.5, 1.0]),
    "gradients.Adam": Call(
        gradients.Adam,
        lambda: {
            "lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "clip_norm": 1.0,
        },
    ),
    "gradients.Adam.init": of(gradients.Adam, "init", params={"w": np.zeros(2)}),
    "gradients.Adam.update": of(
        gradients.Adam, "update", **parameters(), state=memory("mean", "square")
    ),
    "gradients.SGD": Call(
        gradients.SGD,
        lambda: {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "clip_norm": 1.0},
    ),
    "gradients.SGD.init": of(lambda: gradients.SGD(0.1), "init", params={"w": np.zeros(2)}),
    "gradients.SGD.update": of(
        lambda: gradients.SGD(0.1), "update", **parameters(), state=memory("mean")
    ),
    "gradients.constant": Call(gradients.constant, lambda: {"lr": 0.1}),
    "gradients.constant.__call__": of(lambda: gradients.constant(0.1), "__call__", step=3),
    "gradients.cosine": Call(
        gradients.cosine, lambda: {"lr": 0.1, "n_steps": 5, "final": 0.01, "warmup": 2}
    ),
    "gradients.cosine.__call__": of(lambda: gradients.cosine(0.1, 5), "__call__", step=3),
    "gradients.step_decay": Call(
        gradients.step_decay, lambda: {"lr": 0.1, "factor": 0.5, "every": 2}
    ),
    "gradients.step_decay.__call__": of(
        lambda: gradients.step_decay(0.1, 0.5, 2), "__call__", step=3
    ),
    "gradients.dead_neurons": Call(gradients.dead_neurons, lambda: {"fraction": 0.5}),
    "gradients.dead_neurons.__call__": of(gradients.dead_neurons, "__call__", counts=[[0, 1]]),
    "gradients.spike_count_penalty": Call(
        gradients.spike_count_penalty,
        lambda: {
            "potentials": np.zeros((2, 3)),
            "counts": np.zeros((2, 3), dtype=int),
            "threshold": [1.0, 2.0, 3.0],
            "condition": gradients.dead_neurons(),
        },
    ),
    "gradients.first_spike_cross_entropy": Call(
        gradients.first_spike_cross_entropy,
        lambda: {
            "times": [[0.5, math.inf]], "labels": [1], "tau0": 0.2, "tau1": 1.0, "gamma": 0.1,
            "t_silent": 1.0, "smoothing": 0.1,
        },
    ),
    "gradients.FirstSpikeCrossEntropy": Call(
        gradients.FirstSpikeCrossEntropy,
        lambda: {
            "population": "out", "tau0": 0.2, "t_silent": 1.0, "tau1": 1.0, "gamma": 0.1,
            "smoothing": 0.1, "wake": 0.5,
        },
    ),
    "gradients.FirstSpikeCrossEntropy.__call__": of(
        lambda: FIRST_SPIKES, "__call__", result=result(), labels=[1]
    ),
    "gradients.FirstSpikeCrossEntropy.check": of(
        lambda: FIRST_SPIKES, "check", network=NET, labels=np.array([1])
    ),
    "gradients.FirstSpikeCrossEntropy.until": of(
        lambda: FIRST_SPIKES, "until", t_stop=1.0
    ),
    "gradients.FirstSpikeCrossEntropy.of_times": of(
        lambda: gradients.FirstSpikeCrossEntropy("out", 0.2, 1.0), "of_times",
        times=[[0.5, math.inf]], labels=[1],
    ),
    "gradients.MembraneCrossEntropy": Call(
        gradients.MembraneCrossEntropy,
        lambda: {"population": "out", "smoothing": 0.1, "norm_penalty": 0.1},
    ),
    "gradients.MembraneCrossEntropy.__call__": of(
        lambda: gradients.MembraneCrossEntropy("out"), "__call__", result=result(), labels=[1]
    ),
    "gradients.MembraneCrossEntropy.check": of(
        lambda: gradients.MembraneCrossEntropy("out"), "check", network=NET, labels=np.array([1])
    ),
    "gradients.MembraneCrossEntropy.of_potentials": of(
        lambda: gradients.MembraneCrossEntropy("out"), "of_potentials",
        potentials=[[0.5, 0.0]], labels=[1],
    ),
    "gradients.SpikeCountPenalty": Call(
        gradients.SpikeCountPenalty,
        lambda: {"population": "out", "condition": gradients.dead_neurons()},
    ),
    "gradients.SpikeCountPenalty.__call__": of(
        lambda: gradients.SpikeCountPenalty("out"), "__call__", result=result(), labels=[1]
    ),
    "gradients.SpikeCountPenalty.check": of(
        lambda: gradients.SpikeCountPenalty("out"), "check", network=NET, labels=np.array([1])
    ),
    "gradients.membrane_cross_entropy": Call(
        gradients.membrane_cross_entropy,
        lambda: {
            "potentials": [[0.5, 0.0]], "labels": [1], "smoothing": 0.1, "norm_penalty": 0.1,
        },
    ),
    "gradients.firing_rate": Call(gradients.firing_rate, lambda: UNIT),
    "gradients.threshold_current": Call(
        gradients.threshold_current, lambda: {"w_input": 0.5, "w_leak": [0.1], "threshold": 1.0}
    ),
    "gradients.SRM": Call(gradients.SRM, lambda: dict(zip(SRM, kernels_of(), strict=True))),
    "gradients.jacobian": Call(
        gradients.jacobian, lambda: {"graph": graph(), "wrt": "delays", "kernels": kernels()}
    ),
    "gradients.forward_propagation": Call(
        gradients.forward_propagation,
        lambda: {
            "graph": graph(), "wrt": "weights", "spikes": [0, 1], "columns": [0], "kernels": None,
        },
    ),
    "gradients.jvp": Call(gradients.jvp, lambda: {"result": result(), **DIRECTION}),
    "gradients.timing_backprop": Call(
        gradients.timing_backprop,
        lambda: {
            "result": result(),
            "spike_times": {"out": ones()},
            "first_spikes": {"out": np.zeros(3)},
            "potentials": {"out": np.zeros(3)},
            "potentials_at": 0.5,
            "integrals": {"out": (np.zeros(3), 0.0, 0.5)},
            "wrt": ("weights", "delays"),
            "threads": 1,
        },
    ),
    "gradients.value_and_grad": Call(
        gradients.value_and_grad,
        lambda: {
            "network": NET, "stimulus": {"in": SPIKES}, "loss": loss, "t_stop": 1.0,
            "wrt": ["weights"], "engine": "auto", "initial": INITIAL, "until_fired": None,
            "max_spikes": 100, "threads": 1, "shards": None, "executor": None,
        },
    ),
    "gradients.Loss": Call(
        gradients.Loss,
        lambda: {
            "value": 1.0, "first_spikes": {"out": np.zeros(3)}, "spike_times": {},
            "potentials": {"out": [0.0]}, "metrics": {"accuracy": 0.5}, "incoming": {},
        },
    ),
    "gradients.Loss.__mul__": of(lambda: gradients.Loss(1.0), "__mul__", factor=0.5),
    "gradients.Gradient": Call(
        lambda **fields: gradients.Gradient(**fields).norm,
        lambda: {name: {} for name in inspect.signature(gradients.Gradient).parameters},
    ),
}  # fmt: skip
SRM = tuple(inspect.signature(gradients.SRM).parameters)

# Records: the library makes them, and they hold what they are given.
RECORDS = {
    "eventsim.ActivityError", "eventsim.BatchResult", "eventsim.CausalityGraph",
    "eventsim.EventCounts", "eventsim.Operations", "eventsim.Projection",
    "eventsim.Projection.like", "eventsim.RankError", "eventsim.RecordedSpikes",
    "eventsim.Result", "eventsim.Synapse", "eventsim.Synapses",
    "gradients.Jacobian", "gradients.SilentLabelsWarning",
}  # fmt: skip

# What errors call some arguments.
ALIASES = {
    "grads": "gradient", "k": "sample", "which": "sample", "n": "size", "path": "file",
    "paths": "path",
}  # fmt: skip


def kernels_of() -> list[Callable[..., Any]]:
    return [getattr(kernels(), name) for name in SRM]


def public_callables() -> Iterator[tuple[str, Any]]:
    for package in PACKAGES:
        for name in package.__all__:
            value = getattr(package, name)
            yield f"{package.__name__}.{name}", value
            if inspect.isclass(value):
                yield from methods_of(f"{package.__name__}.{name}", value)


def methods_of(name: str, value: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods that a class has of its own, if they take arguments."""
    for method in vars(value):
        called = method in ("__call__", "__getitem__")
        function = getattr(value, method)
        if (called or not method.startswith("_")) and (
            inspect.isfunction(function) or inspect.ismethod(function)
        ):
            bound = inspect.ismethod(function)
            if len(inspect.signature(function).parameters) > (0 if bound else 1):
                yield f"{name}.{method}", function


@pytest.mark.parametrize(("name", "function"), list(public_callables()))
def test_the_table_holds_every_public_callable_and_all_its_arguments(
    name: str, function: Any
) -> None:
    if name in RECORDS:
        return
    wanted = set(inspect.signature(function).parameters) - {"self", "argument"}
    assert set(TABLE[name].arguments()) == wanted


@pytest.mark.parametrize("name", TABLE)
def test_the_calls_of_the_table_are_good(name: str) -> None:
    TABLE[name].function(**TABLE[name].arguments())


@pytest.mark.parametrize("name", TABLE)
def test_signatures_can_be_read(name: str) -> None:
    """Types stand there by their names, not written out."""
    assert len(str(inspect.signature(TABLE[name].function))) < 1000


# --- nonsense -------------------------------------------------------------------------------------


class Hostile:
    """An object none of whose methods does what it should."""

    def refuse(self, *_: object, **__: object) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __array__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = refuse
    __float__ = __int__ = __index__ = __getattr__ = __getitem__ = __contains__ = __lt__ = refuse


class Array(np.ndarray):
    """Numbers with a unit."""

    units = "ms"


def with_unit(*values: float) -> Array:
    return np.array(values).view(Array)


def nested() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


HUGE = 10**9

POOL: list[Callable[[], Any]] = [
    lambda value=value: value
    for value in (
        None, True, False, "", "weights", "in", "\ud800", "a" * 500, b"", b"out", 0, 1, -1, 7,
        10**30, 2**63, 2**31, 10**5000, 0.0, -0.0, 0.5, 1e300, -1e300, 5e-324, math.nan, math.inf,
        -math.inf, 1j, Ellipsis, NotImplemented, (), (1, 2), ("in", "out"), (None,), frozenset(),
        slice(0, 1), slice("a", None), range(2), [], [[]], [0.0], [-1], [0.5, math.nan], ["a"],
        [None], [[1.0], [1.0, 2.0]], [True, False], [10**30], [2**63], {}, {"out": None},
        {"in": "out"}, {"out": [1.0]}, {"w": [math.nan, 1.0]}, {KEY: "a"}, {1: 2}, {None: {}},
        {"out": {}}, {"step": -1}, {"step": 0.5, "mean": 3}, [("out", 1.0)], [{}], [{"in": 3}],
        {"mean": {"w": [1.0, 1.0]}}, {"out": (1, 2)}, {"in": SPIKES, "on": SPIKES}, SPIKES,
        decimal.Decimal("0.5"), fractions.Fraction(1, 2), dt.date(2000, 1, 1),
        dt.timedelta(1), np.datetime64("2000-01-01"), np.timedelta64(1, "s"), np.float32(0.5),
        np.longdouble(10) ** 400, np.bool_(True), np.str_("out"), np.uint64(2**63 + 1), NET,
    )
]  # fmt: skip
POOL += [
    Hostile,
    nested,
    set,
    object,
    lambda: (x for x in [1, 2]),
    lambda: {"out": Hostile()},
    lambda: [Hostile()],
    lambda: with_unit(0.5),
    lambda: with_unit(0.5)[0:1].reshape(()),
    lambda: [with_unit(0.5), 1.0],
    lambda: np.ma.masked_array([0.5, 1.0], [False, True]),
    lambda: np.ma.masked_array([0.5, 1.0]),
    lambda: np.array(0.5),
    lambda: np.array(3),
    lambda: np.array("out"),
    lambda: np.array([]),
    lambda: np.array([], dtype=object),
    lambda: np.ones((1, 1, 1, 1, 1)),
    lambda: np.ones((2, 3), dtype=complex),
    lambda: np.ones((2, 3), dtype=bool),
    lambda: np.ones((2, 3), dtype=object),
    lambda: np.ones((2, 3), dtype=np.float16),
    lambda: np.ones(2, dtype="f8,i4"),
    lambda: np.ones(2, dtype=">f8"),
    lambda: np.array([1.0, 2.0])[::-1],
    lambda: np.array([[math.nan] * 3] * 2),
    lambda: np.array([2**63 + 1], dtype=np.uint64),
    lambda: np.array([-1, 5]),
    lambda: np.array(["2000", "2001"], dtype="M8[Y]"),
    lambda: np.broadcast_to(1.0, (HUGE, HUGE)),
    lambda: np.broadcast_to(1, (HUGE, HUGE)),
    lambda: np.broadcast_to(1.0, (HUGE * HUGE,)),
    lambda: np.broadcast_to(1, (HUGE * HUGE,)),
    lambda: {"out": np.broadcast_to(1.0, (HUGE, HUGE))},
]


def evidence(value: Any, depth: int = 3) -> Iterator[str]:
    """Yield the texts by which a message may show a value: whole, in part, or by its shape."""
    yield shown(value)
    if isinstance(value, str):  # the name of a file begins a message as it is
        yield value
    if isinstance(value, (float, int, np.generic)):
        yield from numbers(value)
    if isinstance(value, np.ndarray):
        yield from (str(value.shape), value.dtype.name, str(value.strides))
        if value.size < 100:
            for part in value.ravel().tolist():
                yield from (shown(part), *numbers(part))
    elif depth and isinstance(value, Mapping):
        for key, part in value.items():
            yield shown(key)
            yield from evidence(part, depth - 1)
    elif depth and isinstance(value, (list, tuple, range)):
        yield from (str((len(value),)), "(1, 0)")
        for part in value[:9]:
            yield from evidence(part, depth - 1)
    elif isinstance(value, es.Spikes):
        yield from (str(value.times.shape), *map(str, value.indices.tolist()))


def numbers(value: Any) -> Iterator[str]:
    yield "()"
    try:
        yield repr(float(value))
        yield repr(int(value))
    except (TypeError, ValueError, OverflowError):
        return


def explains(message: str, arguments: dict[str, Any]) -> bool:
    """Tell whether a message names an argument, and shows what was given for one."""
    named = any(name in message or ALIASES.get(name, name) in message for name in arguments)
    return named and any(
        text in message for value in arguments.values() for text in evidence(value)
    )


EXPECTED = (ValueError, TypeError, es.ActivityError)
BY_SAMPLE = ("__getitem__", "sample", "all_spikes")


def complaint(name: str, changes: dict[str, Any], never: bool = False) -> str:
    """Return what is wrong with the error of a call with some arguments changed; "": nothing.

    ``never``: there should be one.
    """
    arguments = {**TABLE[name].arguments(), **changes}
    expected = (*EXPECTED, IndexError) if name.endswith(BY_SAMPLE) else EXPECTED
    try:
        TABLE[name].function(**arguments)
    except expected as error:
        return "" if explains(str(error), arguments) else repr(error)
    return f"{shown(changes)} is accepted" if never else ""


# What no argument of any function may be.
NEVER: list[Callable[[], Any]] = [
    lambda value=value: value
    for value in (True, b"", b"out", 1j, 10**30, Ellipsis, slice("a", None), dt.date(2000, 1, 1))
]
NEVER += [
    Hostile,
    object,
    nested,
    lambda: (x for x in [1, 2]),
    lambda: with_unit(0.5),
    lambda: [with_unit(0.5), 1.0],
    lambda: np.ma.masked_array([0.5, 1.0], [False, True]),
    lambda: np.ones((2, 3), dtype=complex),
    lambda: np.ones(2, dtype=object),
    lambda: np.ones(2, dtype="f8,i4"),
    lambda: np.array(["2000", "2001"], dtype="M8[Y]"),
    lambda: np.broadcast_to(1.0, (HUGE, HUGE)),
]


def of_pint(value: Any) -> Any:
    pint = pytest.importorskip("pint", reason="values of pint")
    return value * pint.get_application_registry().ms


def of_quantities(value: Any) -> Any:
    quantities = pytest.importorskip("quantities", reason="values of quantities")
    return value * quantities.ms


def in_a_deque(value: Any) -> Any:
    return collections.deque([of_quantities(value)])


def replaced(value: Any, by: Callable[[Any], Any], depth: int = 4) -> Iterator[Any]:
    """Yield a value again and again, each time with a unit at another number or array in it."""
    if isinstance(value, (float, int, np.ndarray)) and not isinstance(value, bool):
        yield by(value)
    elif depth and isinstance(value, dict):
        for key, part in value.items():
            yield from ({**value, key: new} for new in replaced(part, by, depth - 1))
    elif depth and type(value) in (list, tuple):
        for k, part in enumerate(value):
            for new in replaced(part, by, depth - 1):
                yield type(value)((*value[:k], new, *value[k + 1 :]))


@pytest.mark.parametrize("by", [of_pint, of_quantities, in_a_deque, Quantity])
@pytest.mark.parametrize("name", TABLE)
def test_a_number_with_a_unit_is_refused_wherever_it_stands_and_the_unit_is_named(
    name: str, by: Callable[[Any], Any]
) -> None:
    for arguments in replaced(TABLE[name].arguments(), by):
        with pytest.raises(ValueError, match=r"\bms\b|millisecond"):
            TABLE[name].function(**arguments)


# Flags may be True, and a seed an integer of any size.
SPECIAL = {"allow_self": bool, "allow_multapses": bool, "history": bool, "seed": int}


@pytest.mark.parametrize("name", sorted(TABLE.keys() - {"gradients.Gradient"}))
def test_what_no_argument_may_be_is_refused_for_each(name: str) -> None:
    cases = itertools.product(TABLE[name].arguments(), NEVER)
    given = ((argument, make()) for argument, make in cases)
    refused = (
        complaint(name, {argument: value}, never=True)
        for argument, value in given
        if type(value) is not SPECIAL.get(argument)
    )
    assert not list(filter(None, refused))


@st.composite
def nonsense(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """Return a name of the table, and the place in the pool of the value of some arguments."""
    name = draw(st.sampled_from([name for name in TABLE if TABLE[name].arguments()]))
    chosen = st.sampled_from(sorted(TABLE[name].arguments()))
    places = st.integers(0, len(POOL) - 1)
    return name, draw(st.dictionaries(chosen, places, min_size=1, max_size=2))


@given(nonsense())
@settings(max_examples=5 * settings().max_examples)
def test_nonsense_is_an_error_that_names_the_argument_and_shows_the_value(
    case: tuple[str, dict[str, int]],
) -> None:
    name, places = case
    changes = {argument: POOL[place]() for argument, place in places.items()}
    note(f"{name}: {', '.join(f'{k} = {shown(v)}' for k, v in changes.items())}")
    assert not complaint(name, changes)
