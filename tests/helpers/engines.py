"""The engines, what each of them can run, and networks drawn for one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import reject
from hypothesis import strategies as st

import eventsim as es
from eventsim._engines.windows.host import window_width
from tests.helpers import cases
from tests.helpers.feedforward import BIASES, FLAT, IMAGES, Recipe, recipes
from tests.helpers.models import Model
from tests.helpers.naive import Case, Neuron
from tests.helpers.strategies import any_networks, begun, networks, spike_trains

ENGINES = ("scheduler", "windows", "layered")
# On a device or its simulator: small networks only.
CUDA = pytest.param("cuda", marks=pytest.mark.cuda)
LAYERS = ("layered", CUDA)

each_engine = pytest.mark.parametrize("engine", ENGINES)
each_engine_and_cuda = pytest.mark.parametrize("engine", [*ENGINES, CUDA])


def made_for(engine: str, case: Case, shortest: float = 0.25) -> Case:
    """The case without what an engine cannot do.

    For windows, synapses between neurons take at least ``shortest``; for layers, they lead to
    neurons of larger numbers, and charges take a moment to arrive.
    """
    neurons, synapses = case.neurons, case.synapses
    if engine == "windows":
        synapses = tuple(
            s if s.pre < 0 else s._replace(delay=max(s.delay, shortest)) for s in synapses
        )
    if engine in ("layered", "cuda"):
        synapses = tuple(s for s in synapses if s.pre < s.post)
        neurons = tuple(
            replace(n, alpha=tuple(map(finite, n.alphas))) if math.inf in n.alphas else n
            for n in neurons
        )
    return replace(case, neurons=neurons, synapses=synapses)


def finite(rate: float) -> float:
    return 5.0 if math.isinf(rate) else rate


def can_run(engine: str, case: Case) -> bool:
    """Whether an engine takes a case as it is."""
    return made_for(engine, case, math.ulp(0.0)) == case


def built_for(engine: str, case: Case) -> cases.Built:
    """The network of a case that was `made_for` an engine."""
    if engine in ("layered", "cuda"):
        return cases.build_apart(case)
    built = cases.build_any(case)
    if engine == "windows" and math.isinf(window_width(built.network)):
        reject()  # windows need a delay or a time constant
    return built


def run(engine: str, case: Case, **options: Any) -> es.Result:
    """Run a case that was `made_for` an engine."""
    return built_for(engine, case).run(engine=engine, **options)


@dataclass(frozen=True)
class Batch:
    """A case with more than one train of input: a `Recipe` for networks with loops.

    ``starts`` has the neurons of each sample, if these begin in states of their own.
    """

    engine: str
    case: Case
    trains: tuple[tuple[tuple[int, float], ...], ...]
    starts: tuple[tuple[Neuron, ...], ...] = ()

    def model(self) -> Model:
        built = built_for(self.engine, self.case)
        spikes = [cases.spikes_of(train) for train in self.trains]
        initial = built.initial
        if self.starts:
            each = [replace(built, case=replace(self.case, neurons=n)) for n in self.starts]
            initial = side_by_side([own.initial for own in each])
        stimulus = {cases.IN: es.SpikeBatch.from_samples(spikes)}
        return Model(built.network, stimulus, self.case.t_stop, initial)


def side_by_side(each: list[dict[str, es.State]]) -> dict[str, es.State]:
    """The states of all samples as those of a batch; every sample has a state of everything."""

    def stacked(values: list[Any]) -> Any:
        if isinstance(values[0], Mapping):
            return {key: stacked([one[key] for one in values]) for key in values[0]}
        return np.stack(values)

    return {
        name: es.State(
            stacked([one[name].potential for one in each]),
            stacked([one[name].current for one in each]),
        )
        for name in each[0]
    }


@st.composite
def batches(draw: st.DrawFn, engine: str, bias: bool = True, images: bool = True) -> Recipe | Batch:
    """What an engine can run, with one to four trains of input, some of them empty."""
    if engine == "layered" and not (bias and draw(st.integers(0, 3)) == 3):
        groups = IMAGES if images else FLAT
        return draw(recipes(biases=BIASES if bias else (0.0,), images=groups))
    return draw(looped(engine, any_networks() if bias else networks(bias=False), bias))


@st.composite
def looped(
    draw: st.DrawFn, engine: str, case_of: st.SearchStrategy[Case], anywhere: bool = True
) -> Batch:
    """A drawn case with one to four trains of input; now and then each begins in its own state."""
    case = made_for(engine, draw(case_of))
    others = draw(st.lists(spike_trains(case.n_sources, case.t_stop), max_size=3))
    trains = (case.inputs, *others)
    starts = ()
    if anywhere and draw(st.booleans()):
        each = st.tuples(*(begun(neuron) for neuron in case.neurons))
        starts = tuple(draw(each) for _ in trains)
    return Batch(engine, case, trains, starts)


def model_for(data: st.DataObject, engine: str, **options: bool) -> tuple[Model, es.BatchResult]:
    """A drawn model and its run, which ends."""
    model = data.draw(batches(engine, **options)).model()
    with cases.drawn_again_if_endless():
        return model, model.run(engine, max_spikes=cases.MANY_SPIKES)


def excitable(engine: str) -> es.Network:
    """A network that fires a little for its first input, and on and on for its second."""
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("a", 3, es.LIF(tau_mem=20.0, tau_syn=5.0))
    network.add_population("b", 2, es.LIF(tau_mem=10.0, tau_syn=5.0))
    network.connect("in", "a", weights=[[0.3, 0.6, 0.5], [200.0, 400.0, 100.0]], delays=0.5)
    network.connect("a", "b", weights=np.full((3, 2), 0.3), delays=0.25)
    if engine != "layered":
        network.connect("b", "a", weights=np.full((2, 3), -0.01), delays=1.0)
    return network
