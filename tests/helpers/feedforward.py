"""Random feed-forward networks in batches: what the layered engine is tested on.

A recipe is drawn, which shrinks and prints; its numbers come from a seed, so layers may be wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import scipy.sparse
from hypothesis import strategies as st

import eventsim as es
from tests.helpers.models import Model, in_order
from tests.helpers.strategies import decimals

Image = tuple[int, int, int]

SMALL = (1, 2, 3, 6)
# Loops are compiled for each number of receptors, which takes long.
SEVERAL = (2, 3) if numba.config.DISABLE_JIT else (2,)
WIDE = (3, 31, 32, 33, 70, 130)
BIASES = (0.0, 0.0, 0.2, -0.3, 3.1)
FLAT: tuple[Image, ...] = ((1, 1, 1), (3, 1, 1), (7, 1, 1))
IMAGES: tuple[Image, ...] = ((1, 1, 1), (3, 1, 1), (1, 3, 3), (2, 4, 4))


@dataclass(frozen=True)
class Cells:
    """Neurons of one population: each takes the parameters at its place, over and over again.

    ``further`` are the rates of further receptors.
    """

    rates: tuple[tuple[float, float], ...]  # alpha, beta
    threshold: tuple[float, ...] = (1.0,)
    refractory: tuple[float, ...] = (0.0,)
    bias: tuple[float, ...] = (0.0,)
    rest: tuple[float, ...] = (0.0,)
    reset: tuple[float, ...] = (0.0,)
    further: tuple[tuple[float, ...], ...] = ()

    def lif(self, n: int) -> es.LIF:
        def each(values: tuple[float, ...]) -> np.ndarray:
            return np.resize(np.array(values), n)

        first, beta = zip(*self.rates, strict=True)
        with np.errstate(divide="ignore"):
            tau_mem, *tau_syn = (1.0 / each(rates) for rates in (beta, first, *self.further))
        named = {f"r{r}": values for r, values in enumerate(tau_syn)}
        return es.LIF(
            tau_mem,
            named if self.further else tau_syn[0],
            each(self.threshold),
            each(self.refractory),
            each(self.bias),
            each(self.rest),
            each(self.reset),
        )


@dataclass(frozen=True)
class Wires:
    """One projection from group ``pre`` (inputs first): a matrix."""

    pre: int
    sparse: bool = False
    each_delay: bool = False
    delay: float = 0.0
    receptor: int = 0  # modulo their number


@dataclass(frozen=True)
class Window:
    """A convolution from group ``pre``, or a pool without channels of its own."""

    pre: int
    channels: int  # 0: a pool of earliest spikes
    extent: int
    stride: int
    padding: int = 0
    delay: float = 0.0
    receptor: int = 0


@dataclass(frozen=True)
class Population:
    """``n`` neurons, or those of the window's image, and what leads to them."""

    n: int
    cells: Cells
    wires: tuple[Wires, ...]
    window: Window | None = None


@dataclass(frozen=True)
class Recipe:
    """All that makes a `Model`."""

    inputs: tuple[Image, ...]
    populations: tuple[Population, ...]
    n_spikes: tuple[int, ...]  # of each sample and input
    on_grid: bool
    t_stop: float
    seed: int
    begins: str = "at rest"  # or: in a "common" state, or one of "each" sample

    def model(self) -> Model:
        rng = np.random.default_rng(self.seed)
        network, images = es.Network(), []
        for k, image in enumerate(self.inputs):
            network.add_input(f"in{k}", int(np.prod(image)))
            images.append((f"in{k}", image))
        for k, population in enumerate(self.populations):
            image = _shape(images, population)
            name, n = f"p{k}", int(np.prod(image))
            network.add_population(name, n, _neurons(population, n))
            for wires in population.wires:
                pre, size = images[wires.pre][0], int(np.prod(images[wires.pre][1]))
                receptor = _receptor(network.neurons[name], wires.receptor)
                drawn = _drawn_wires(rng, wires, size, n)
                network.connect(pre, name, **drawn, receptor=receptor)
            if population.window is not None:
                pre, before = images[population.window.pre]
                receptor = _receptor(network.neurons[name], population.window.receptor)
                drawn = _drawn_window(rng, population.window, before)
                network.connect(pre, name, **drawn, receptor=receptor)
            images.append((name, image))
        stimulus = {
            name: _train(rng, int(np.prod(image)), self.n_spikes, self.on_grid, self.t_stop)
            for name, image in images[: len(self.inputs)]
        }
        initial = {
            name: _drawn_state(rng, lif, network.populations[name], self)
            for name, lif in network.neurons.items()
            if self.begins != "at rest" and not np.any(lif.is_pool)
        }
        return Model(network, stimulus, self.t_stop, initial or None)


def _receptor(lif: es.LIF, number: int) -> str | None:
    return lif.receptors[number % len(lif.receptors)] if lif.receptors else None


def _drawn_state(rng: np.random.Generator, lif: es.LIF, n: int, recipe: Recipe) -> es.State:
    shape = (len(recipe.n_spikes), n) if recipe.begins == "each" else (n,)
    potential = np.minimum(lif.threshold, 1.0) - np.round(rng.uniform(0.05, 1.5, shape), 3)
    currents = {r: np.round(rng.normal(0.0, 1.5, shape), 3) for r in lif.receptors or ("",)}
    return es.State(potential, currents if lif.receptors else currents[""])


def _shape(images: list[tuple[str, Image]], population: Population) -> Image:
    window = population.window
    if window is None:
        return population.n, 1, 1
    channels, height, width = images[window.pre][1]
    rows, columns = (
        (size + 2 * window.padding - window.extent) // window.stride + 1 for size in (height, width)
    )
    return window.channels or channels, rows, columns


def _neurons(population: Population, n: int) -> es.LIF:
    window = population.window
    is_pool = window is not None and window.channels == 0
    return es.LIF.earliest() if is_pool else population.cells.lif(n)


def _weights(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    """Weights with which some neurons fire; their last digit keeps spikes off the grid."""
    drawn = 8.0 / fan_in + 2.0 / np.sqrt(fan_in) * rng.normal(size=shape)
    return np.round(drawn, 3) + 0.00037


def _drawn_wires(rng: np.random.Generator, wires: Wires, n_pre: int, n_post: int) -> dict[str, Any]:
    weights: Any = _weights(rng, (n_pre, n_post), n_pre)
    delays: Any = np.round(rng.uniform(0.0, 1.0, weights.shape), 2) + wires.delay
    if wires.sparse:
        there = np.flatnonzero(rng.random(weights.size) < 0.6)
        row, column = np.divmod(there, n_post)
        weights, delays = (
            scipy.sparse.csr_array((m.ravel()[there], (row, column)), shape=(n_pre, n_post))
            for m in (weights, delays)
        )
    return {"weights": weights, "delays": delays if wires.each_delay else wires.delay}


def _drawn_window(rng: np.random.Generator, window: Window, before: Image) -> dict[str, Any]:
    if window.channels == 0:
        return {"weights": es.pooling(before, window.extent, window.stride)}
    shape = (window.channels, before[0], window.extent, window.extent)
    kernel = _weights(rng, shape, int(np.prod(shape[1:])))
    convolution = es.Convolution(kernel, before[1:], window.stride, window.padding)
    return {"weights": convolution, "delays": window.delay}


def _train(
    rng: np.random.Generator, n: int, n_spikes: tuple[int, ...], on_grid: bool, t_stop: float
) -> es.SpikeBatch:
    size = sum(n_spikes)
    times = rng.uniform(0.0, t_stop + 0.2, size)
    if on_grid:
        times = np.round(4.0 * times) / 4.0
    samples = np.repeat(np.arange(len(n_spikes)), n_spikes)
    return es.SpikeBatch(times, rng.integers(0, n, size), samples, len(n_spikes))


def layers_of(n_in: int, n: int, seed: int = 4, samples: int = 3, **lif: Any) -> Model:
    """in -> p -> out, all to all, three samples; no two input spikes come at once."""
    rng = np.random.default_rng(seed)
    network = es.Network()
    network.add_input("in", n_in)
    network.add_population("p", n, es.LIF(**lif))
    network.add_population("out", 3, es.LIF())
    network.connect("in", "p", weights=rng.normal(8.0 / n_in, 4.0 / np.sqrt(n_in), (n_in, n)))
    network.connect("p", "out", weights=rng.normal(1.0, 1.0, (n, 3)) * 8.0 / n, delays=0.1)
    return Model(
        network, {"in": es.SpikeBatch.from_latencies(rng.uniform(0, 2, (samples, n_in)))}, 3.0
    )


def busy(n: int, form: str = "dense", tau_mem: Any = 1.0) -> Model:
    """Biased and refractory neurons side by side, several spikes and releases in one interval.

    Their synapses are "dense", "sparse", or have "delays" of their own.
    """
    rng = np.random.default_rng(n)
    network = es.Network()
    network.add_input("in", 4)
    lif = es.LIF(
        tau_mem,
        refractory=np.resize([0.0, 0.2, 0.9, np.inf, 0.05], n),
        bias=np.resize([0.0, 0.3, 0.0, 2.0, 1.5, -0.2, 0.0], n),
    )
    network.add_population("p", n, lif)
    network.add_population("out", 2, es.LIF(threshold=[np.inf, 1.0], refractory=0.1))
    weights = rng.normal(4.0, 1.5, (4, n))
    given = scipy.sparse.csr_array(weights) if form == "sparse" else weights
    delays = rng.uniform(0.0, 1.0, (4, n)) if form == "delays" else 0.1
    network.connect("in", "p", weights=given, delays=delays)
    network.connect("in", "p", weights=-0.3 * weights, delays=0.7)
    network.connect("p", "out", weights=rng.normal(3.0, 3.0, (n, 2)) / n, delays=0.1)
    return Model(network, {"in": es.SpikeBatch.from_latencies(rng.uniform(0, 2, (3, 4)))}, 2.6)


# --- strategies -----------------------------------------------------------------------------------


def rates() -> st.SearchStrategy[tuple[float, float]]:
    """(alpha, beta): apart, equal, a factor of two apart, next to it, or with a limit of 0."""
    pairs = [
        (2.0, 1.0), (1.0, 2.0), (1.0, 1.0), (2.0, 0.8), (0.7, 1.9), (0.0, 1.0), (1.0, 0.0),
        (0.0, 0.0), (2.0, 1.0 + 1e-12), (1.5, 1.5 * (1.0 - 1e-15)),
    ]  # fmt: skip
    return st.sampled_from(pairs)


def some(values: st.SearchStrategy[Any], at_most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    """One value for all, or several that alternate."""
    one = values.map(lambda value: (value,))
    return st.one_of(one, st.lists(values, min_size=1, max_size=at_most).map(tuple))


def cells(
    biases: tuple[float, ...] = BIASES, n_receptors: int = 1, levels: tuple[float, ...] = (0.0,)
) -> st.SearchStrategy[Cells]:
    """Neurons alike or not; a bias may drive them above the threshold, infinity is a readout."""
    alphas = some(rates().map(lambda pair: pair[0]))
    return st.builds(
        Cells,
        some(rates()),
        some(st.sampled_from([1.0, 0.7, 1.4, np.inf])),
        some(st.sampled_from([0.0, 0.0, 0.3, 1.1, np.inf])),
        some(st.sampled_from(biases)),
        some(st.sampled_from(levels)),
        some(st.sampled_from(levels)),
        st.tuples(*[alphas] * (n_receptors - 1)),
    )


def wires(n_groups: int, n_receptors: int = 1) -> st.SearchStrategy[Wires]:
    delays = st.one_of(st.just(0.0), st.just(0.25), decimals(0.0, 1.0, 2))
    pre, receptor = st.integers(0, n_groups - 1), st.integers(0, n_receptors - 1)
    return st.builds(Wires, pre, st.booleans(), st.booleans(), delays, receptor)


def windows(
    groups: list[Image], widths: tuple[int, ...], n_receptors: int = 1
) -> st.SearchStrategy[Window]:
    """Convolutions and pools on an image of more than one pixel, also with a rest at its edge."""
    fitting = [
        (pre, extent, stride, padding)
        for pre, (_, height, width) in enumerate(groups)
        for extent in range(1, min(height, width, 4) + 1 if height > 1 else 0)
        for stride in range(1, extent + 1)
        for padding in range(extent)
    ]

    def window(
        fit: tuple[int, int, int, int], channels: int, delay: float, receptor: int
    ) -> Window:
        pre, extent, stride, padding = fit
        if channels == 0:
            unpadded = [f for f in fitting if f[3] == 0]
            pre, extent, stride, padding = unpadded[sum(fit) % len(unpadded)]
            delay = 0.0
        return Window(pre, channels, extent, stride, padding, delay, receptor)

    return st.builds(
        window,
        st.sampled_from(fitting),
        st.sampled_from((0, *widths)),
        st.sampled_from([0.0, 0.25]),
        st.integers(0, n_receptors - 1),
    )


@st.composite
def recipes(
    draw: st.DrawFn,
    widths: tuple[int, ...] = SMALL,
    t_stops: tuple[float, ...] = (2.51234, 2.51234, 2.51234, 2.51234, 0.1, 0.0),
    biases: tuple[float, ...] = BIASES,
    images: tuple[Image, ...] = IMAGES,
    receptors: tuple[int, ...] = (1,),
    levels: tuple[float, ...] = (0.0,),
    begins: tuple[str, ...] = ("at rest",),
) -> Recipe:
    """One to three populations, each led to by inputs and by any populations before it.

    ``levels`` are potentials of rest and reset.
    """
    groups: list[Image] = draw(st.lists(st.sampled_from(images), min_size=1, max_size=2))
    n_inputs, populations = len(groups), []
    for _ in range(draw(st.sampled_from([1, 2, 2, 3]))):
        n_receptors = draw(st.sampled_from(receptors))
        n_wires = draw(st.sampled_from([1, 1, 2, 3, 0]))
        window = None
        if max(height for _, height, _ in groups) > 1 and draw(st.booleans()):
            window = draw(windows(groups, widths, n_receptors))
            n_wires = draw(st.sampled_from([0, 0, 1])) if window.channels else 0
        population = Population(
            draw(st.sampled_from(widths)),
            draw(cells(biases, n_receptors, levels)),
            tuple(draw(wires(len(groups), n_receptors)) for _ in range(n_wires)),
            window,
        )
        populations.append(population)
        groups.append(_shape([("", group) for group in groups], population))
    counts = st.sampled_from([12, 7, 18, 0, 2])
    return Recipe(
        tuple(groups[:n_inputs]),
        tuple(populations),
        tuple(draw(st.lists(counts, min_size=1, max_size=4))),
        draw(st.booleans()),
        draw(st.sampled_from(t_stops)),
        draw(st.integers(0, 2**16)),
        draw(st.sampled_from(begins)),
    )


def general(
    widths: tuple[int, ...] = SMALL, receptors: tuple[int, ...] = SEVERAL, **options: Any
) -> st.SearchStrategy[Recipe]:
    """As `recipes`, of neurons with several receptors that begin in any state."""
    begins = ("at rest", "common", "each")
    options = {"levels": (0.0, -0.3, 0.2), "begins": begins} | options
    return recipes(widths, receptors=receptors, **options)


# --- losses ---------------------------------------------------------------------------------------

KINDS = ("weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "input_times")
EVERY = (*KINDS, "rest", "reset", "initial")


def cotangents(result: es.BatchResult) -> dict[str, Any]:
    """Derivatives of sum a(k, i, o) t + sum b(k, i) V_i(t_stop).

    The sums are over samples k, neurons i and their o-th spikes: the order of the spikes of
    different neurons does not matter.
    """
    order = in_order(result)
    neuron, sample = result.record.neuron[order], result.samples[order]
    fresh = np.ones(order.size, dtype=bool)
    fresh[1:] = (np.diff(neuron) != 0) | (np.diff(sample) != 0)
    place = np.arange(order.size)
    ordinal = place - np.maximum.accumulate(np.where(fresh, place, 0))
    by_time = np.empty(order.size)
    by_time[order] = np.sin(1.0 + 3.0 * neuron + 7.0 * ordinal + 11.0 * sample)
    spike_times, potentials = {}, {}
    for k, (name, n) in enumerate(result.network.populations.items()):
        spike_times[name] = by_time[result.positions(name)]
        potentials[name] = np.cos(2.0 + k + 5.0 * np.arange(len(result) * n)).reshape(-1, n)
    return {"spike_times": spike_times, "potentials": potentials}


def loss(result: es.BatchResult) -> float:
    """The loss of the `cotangents`."""
    given = cotangents(result)
    total = 0.0
    for name in result.network.populations:
        total += float(np.sum(given["spike_times"][name] * result.spikes[name].times))
        total += float(np.sum(given["potentials"][name] * result.potential(name)))
    return total


def dense(value: Any) -> np.ndarray:
    return value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)


def leaves(by_key: Mapping[Any, Any]) -> dict[tuple[Any, ...], Any]:
    """The arrays of one kind of derivative, by key, receptor, and part of a state."""
    found: dict[tuple[Any, ...], Any] = {}
    for key, value in by_key.items():
        if isinstance(value, es.State):
            value = {"potential": value.potential, "current": value.current}
        if isinstance(value, Mapping):
            found |= {(key, *path): leaf for path, leaf in leaves(value).items()}
        else:
            found[key,] = value
    return found


def assert_same_gradient(
    found: Any, expected: Any, rtol: float = 1e-10, kinds: tuple[str, ...] = EVERY
) -> None:
    """All kinds of derivatives, relative to the largest of their kind (of 1, if that is larger)."""
    for kind in kinds:
        ours, theirs = (leaves(getattr(gradient, kind)) for gradient in (found, expected))
        assert list(ours) == list(theirs), kind
        sizes = [float(np.abs(dense(value)).max(initial=0.0)) for value in theirs.values()]
        scale = max([1.0, *sizes])
        for key, value in theirs.items():
            for form in (float, np.ndarray, scipy.sparse.csr_array):
                assert isinstance(ours[key], form) == isinstance(value, form), (kind, key)
            assert np.shape(ours[key]) == np.shape(value), (kind, key)
            np.testing.assert_allclose(
                dense(ours[key]), dense(value), rtol=0.0, atol=rtol * scale, err_msg=f"{kind} {key}"
            )


def assert_identical_gradient(found: Any, expected: Any, kinds: tuple[str, ...] = EVERY) -> None:
    """Bit for bit."""
    for kind in kinds:
        ours, theirs = (leaves(getattr(gradient, kind)) for gradient in (found, expected))
        assert list(ours) == list(theirs), kind
        for key, value in theirs.items():
            np.testing.assert_array_equal(dense(ours[key]), dense(value), err_msg=f"{kind} {key}")
