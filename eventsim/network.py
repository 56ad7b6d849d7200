"""What is connected: inputs, populations and the projections between them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from eventsim import storage
from eventsim._support.types import FloatArray, Int32Array, IntArray, Key, Matrix, MatrixLike
from eventsim._support.validate import (
    LEAST,
    MOST_NUMBERED,
    as_count,
    as_floats,
    as_mapping,
    as_names,
    as_nonnegative,
    check_choice,
    check_name,
    mapping_or_empty,
    require,
    require_size,
    shown,
)
from eventsim.connecting import Synapses
from eventsim.convolution import Convolution
from eventsim.generators import (
    Generator,
    Poisson,
    Regular,
    StepCurrent,
    Steps,
    draw_until,
    nothing_drawn,
    read_rates,
    skip_until,
)
from eventsim.model.jumps import CHARGE
from eventsim.model.neuron import LIF, by_receptor, check_size, tau_of
from eventsim.model.parameters import DELAYS, NEURON, SYNAPSE, WEIGHTS
from eventsim.ranks import WHOLE, Part, are_same, as_part, digest_of, own_range
from eventsim.spikes import Spikes

__all__ = ["Network", "Projection"]

# What can be trained.
BY_PROJECTION = tuple(p.name for p in SYNAPSE if p.differentiable)
BY_POPULATION = tuple(p.name for p in NEURON if p.differentiable)
PARAMETERS = (*BY_PROJECTION, *BY_POPULATION)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The synapses from one group of sources to one population.

    Attributes
    ----------
    pre, post : str
        Names of the input or population it comes from and of the population it leads to.
    weights : (n_pre, n_post) ndarray, scipy.sparse.csr_array or Convolution
        Current that a spike adds; an absent sparse entry is no synapse, a dense zero is one.
    delays : float or same shape and sparsity as ``weights``
        Time from a spike to its arrival, >= 0.
    receptor : int
        Number of the current of the targets to which it adds; -1: it adds to the potential.

    Examples
    --------
    >>> net = Network()
    >>> net.add_population("ring", 2, LIF())
    >>> key = net.connect("ring", "ring", weights=[[0.0, 1.0], [1.0, 0.0]], delays=0.5)
    >>> net.projections[key].delays
    0.5
    """

    pre: str
    post: str
    weights: Matrix | Convolution
    delays: float | Matrix
    receptor: int = 0

    def __post_init__(self) -> None:
        """Guard the arrays: their indices were checked, and are used as they are."""
        for array in (*_arrays_of(self.weights), *_arrays_of(self.delays)):
            array.flags.writeable = False

    def __reduce__(self) -> tuple[type[Projection], tuple[Any, ...]]:
        """Return how to make the same projection again, in another process, as well guarded."""
        return type(self), (self.pre, self.post, self.weights, self.delays, self.receptor)

    @property
    def values(self) -> FloatArray:
        """Weights as a flat array: row by row; of a sparse matrix the entries, or the kernel."""
        return _flat(self.weights)

    @property
    def delay_values(self) -> float | FloatArray:
        """Delays in the order of `values`, or the scalar."""
        return self.delays if isinstance(self.delays, float) else _flat(self.delays)

    @property
    def delay_span(self) -> tuple[float, float]:
        """The shortest and the longest delay; (inf, 0) without synapses."""
        delays = self.delay_values
        if isinstance(delays, float):
            return (delays, delays) if self.values.size else (np.inf, 0.0)
        return float(delays.min(initial=np.inf)), float(delays.max(initial=0.0))

    @property
    def given(self) -> list[object]:
        """All that it is, as values and arrays."""
        form, delays = self.weights, self.delays
        what: list[object] = [self.pre, self.post, self.receptor, form.shape, *_arrays_of(form)]
        if isinstance(form, Convolution):
            what += [form.image, form.stride, form.padding]
        return [*what, *([delays] if isinstance(delays, float) else _arrays_of(delays))]

    @property
    def digest(self) -> str:
        """A short text that differs if anything here does."""
        return digest_of(*self.given)

    def like(self, values: FloatArray) -> Matrix:
        """Return flat ``values`` (one per weight) in the form of the weights, or of the kernel."""
        form = self.weights
        if isinstance(form, Convolution):
            return values.reshape(form.kernel.shape)
        if isinstance(form, np.ndarray):
            return values.reshape(form.shape)
        structure = form.indices.copy(), form.indptr.copy()
        return sparse.csr_array((values, *structure), shape=form.shape)


class Version:
    """What a network is at a moment: what others derive from it is kept by it, and dies with it."""

    __slots__ = ("__weakref__",)


class _Whole(NamedTuple):
    """What is known of all synapses of a projection where only some of them are kept."""

    delay_span: tuple[float, float]
    digest: str


_DIGESTS: WeakKeyDictionary[Version, str] = WeakKeyDictionary()


class Network:
    """A network of LIF populations: feed-forward, recurrent, or any mixture.

    Inputs and populations are added by name, then connected.  The arrays given are never changed;
    `replace` makes a network of the same structure with other values.

    Parameters
    ----------
    part : (int, int), optional
        ``(rank, size)``: keep only the synapses onto the neurons of one of ``size`` processes that
        run the network together (`simulate` with ``comm``): of n neurons of a population those from
        ``n rank // size`` to ``n (rank + 1) // size``.  All that is given is checked, and sizes,
        names and numbers are those of the whole.  Weights become sparse, delays cannot be replaced,
        and whatever needs the other synapses is refused.

    Raises
    ------
    ValueError
        If ``part`` is no such pair.

    Examples
    --------
    >>> net = Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 1, LIF(tau_mem=2.0, tau_syn=1.0))
    >>> net.connect("in", "out", weights=[[0.5], [1.5]], delays=0.1)
    ('in', 'out')
    >>> net
    Network(inputs={'in': 2}, populations={'out': 1}, synapses=2)
    """

    def __init__(self, part: Part = WHOLE) -> None:
        """Start without any input or population."""
        self._part = as_part(part)
        self._wholes: dict[Key, _Whole] = {}
        self._inputs: dict[str, int] = {}
        self._generators: dict[str, Generator] = {}
        self._neurons: dict[str, tuple[int, LIF]] = {}
        self._projections: dict[Key, Projection] = {}
        self._version, self._structure = Version(), Version()

    @property
    def part(self) -> tuple[int, int]:
        """Number of the part whose synapses are kept, and of how many; (0, 1): all."""
        return self._part

    @property
    def inputs(self) -> Mapping[str, int]:
        """Number of sources of each input, by name: of those with given spikes, and generators."""
        return MappingProxyType(self._inputs)

    @property
    def generators(self) -> Mapping[str, Generator]:
        """Inputs whose spikes are drawn, by name."""
        return MappingProxyType(self._generators)

    @property
    def populations(self) -> Mapping[str, int]:
        """Number of neurons of each population, by name."""
        return MappingProxyType({name: n for name, (n, _) in self._neurons.items()})

    @property
    def neurons(self) -> Mapping[str, LIF]:
        """Neuron parameters of each population, by name."""
        return MappingProxyType({name: neuron for name, (_, neuron) in self._neurons.items()})

    @property
    def projections(self) -> Mapping[Key, Projection]:
        """Projections by the key that `connect` returned."""
        return MappingProxyType(self._projections)

    @property
    def pools(self) -> Mapping[str, set[str]]:
        """Populations with earliest-spike pools, and which of them lead to each."""
        pools = {k for k, (_, lif) in self._neurons.items() if np.any(lif.is_pool)}
        causes: dict[str, set[str]] = {name: set() for name in pools}
        for projection in self._projections.values():
            if projection.pre in pools and projection.post in pools:
                causes[projection.post].add(projection.pre)
        return causes

    @property
    def pool_ranks(self) -> Mapping[str, int]:
        """Largest number of pools in a row, each set off by the one before, that end in a pool."""
        causes = self.pools
        ranks = dict.fromkeys(causes, 1)
        for _ in range(len(causes) - 1):  # longer rows have a pool twice
            ranks = {
                k: 1 + max((ranks[pre] for pre in pres), default=0) for k, pres in causes.items()
            }
        return ranks

    @property
    def n_synapses(self) -> int:
        """Number of synapses that are kept; those of convolutions are not listed for it."""
        return sum(_n_synapses(p.weights) for p in self._projections.values())

    def add_input(self, name: str, n: int) -> None:
        """Add ``n`` input sources, whose spikes are given to `simulate`.

        Parameters
        ----------
        name : str
            A new name.
        n : int
            Number of sources, >= 1.

        Raises
        ------
        ValueError
            If the name is taken or no string, or ``n`` is no integer >= 1; a network has less than
            2**31 sources and neurons.
        """
        self._check_new(name)
        self._inputs[name] = self._checked_size(n, f"size of input {name!r}")
        self._changed()

    def add_poisson(self, name: str, n: int, *, rate: ArrayLike | Steps, seed: int = 0) -> None:
        """Add ``n`` sources, each of which fires as a Poisson process of its own.

        Their spikes are drawn by `simulate`; `draw` returns the same ones.  They are a function of
        the seed, the name, the source, the number of the sample and the number of the spike, and of
        the rate: not of the engine, nor of the pieces or the batch of a run.

        Parameters
        ----------
        name : str
            A new name.
        n : int
            Number of sources, >= 1.
        rate : float, (n,) array_like or Steps
            Expected spikes per unit of time, >= 0.  `replace` changes it; in a run that goes on,
            from where the last piece ended.
        seed : int
            In [0, 2**64).  Generators of different names are independent, whatever their seeds.

        Raises
        ------
        ValueError
            As of `add_input`, or if the rates are negative, not finite, or of another shape.

        Examples
        --------
        >>> net = Network()
        >>> net.add_poisson("ext", 2, rate=[3.0, 0.5], seed=1)
        >>> net.draw("ext", t_stop=5.0)
        Spikes(18 spikes)
        """
        self._check_new(name)
        n = self._checked_size(n, f"size of input {name!r}")
        seed = as_count(seed, "seed", least=0, most=2**64 - 1)
        self._add_generator(name, Poisson(name, n, read_rates(rate, n, "rate"), seed))

    def add_regular(
        self, name: str, n: int, *, interval: ArrayLike, first: ArrayLike = 0.0
    ) -> None:
        """Add ``n`` sources, each of which fires at ``first`` and after every ``interval``.

        Parameters
        ----------
        name : str
            A new name.
        n : int
            Number of sources, >= 1.
        interval : float or (n,) array_like
            Time from spike to spike, > 0.
        first : float or (n,) array_like
            Time of the first spike, >= 0.

        Raises
        ------
        ValueError
            As of `add_input`, or if the times are out of range or of another shape.

        Examples
        --------
        >>> net = Network()
        >>> net.add_regular("clock", 2, interval=0.5, first=[0.0, 0.2])
        >>> net.draw("clock", t_stop=1.0).times
        array([0. , 0.2, 0.5, 0.7, 1. ])
        """
        self._check_new(name)
        n = self._checked_size(n, f"size of input {name!r}")
        intervals, firsts = _per_source(interval, n, "interval"), _per_source(first, n, "first")
        require_size(intervals, "interval", least=LEAST)
        require(intervals > 0.0, intervals, "interval must be > 0")
        require(firsts >= 0.0, firsts, "first must be >= 0")
        times = np.broadcast_to(intervals, n), np.broadcast_to(firsts, n)
        self._add_generator(name, Regular(*times))

    def add_step_current(
        self, name: str, post: str, amplitudes: Steps, *, receptor: str | None = None
    ) -> Key:
        """Add an input that drives a population by a current, constant from step to step.

        It has a source for each step, whose spike comes at the step and adds what the current
        changes by.  So the weights of its projection are the differences of the amplitudes, the
        first from 0, and a derivative by an amplitude is that by its own weight minus that by the
        next one.

        Parameters
        ----------
        name : str
            A new name.
        post : str
            The population.
        amplitudes : Steps
            Current from each time on, (n_steps,) for all neurons or (n_steps, n_post).
        receptor : str, optional
            Name of the receptor of ``post`` to which it is added, of an infinite time constant;
            default: the first one.

        Returns
        -------
        tuple
            The key of the projection.

        Raises
        ------
        ValueError
            Unknown names, amplitudes of another shape, or a receptor whose currents decay.

        Examples
        --------
        >>> net = Network()
        >>> net.add_population("out", 1, LIF(tau_mem=1.0, tau_syn=np.inf, threshold=1.0))
        >>> net.add_step_current("step", "out", Steps([1.0, 3.0], [0.5, 0.2]))
        ('step', 'out')
        >>> net.projections["step", "out"].weights
        array([[ 0.5], [-0.3]])
        """
        check_name(post, self._neurons, "post must be one of")
        if not isinstance(amplitudes, Steps):
            raise ValueError(f"amplitudes must be eventsim.Steps, got {shown(amplitudes)}")
        n_post, _ = self._neurons[post]
        values = amplitudes.values
        if values.shape[1:] not in ((), (n_post,)):
            raise ValueError(
                f"amplitudes must have values (n_steps,) or (n_steps, {n_post}), got {values.shape}"
            )
        increments = np.diff(values.reshape(len(values), -1), axis=0, prepend=0.0)
        require_size(increments, "steps of the amplitudes")
        weights = np.broadcast_to(increments, (len(values), n_post))
        return self._add_steps(name, post, amplitudes.times, weights, receptor=receptor)

    def _add_steps(
        self,
        name: str,
        post: str,
        times: ArrayLike,
        weights: ArrayLike,
        delays: float | MatrixLike = 0.0,
        receptor: str | None = None,
    ) -> Key:
        """Add a step current, given the weight of each step."""
        self._check_new(name)
        check_name(post, self._neurons, "post must be one of")
        steps = Steps(times, weights)
        neuron = self._neurons[post][1]
        number = _receptor_number(neuron, receptor, post)
        _check_lasting(neuron, number, f"the receptor of the step current {name!r}")
        self._checked_size(steps.times.size, f"size of input {name!r}")
        self._add_generator(name, StepCurrent(steps.times, (name, post)))
        return self.connect(name, post, weights=steps.values, delays=delays, receptor=receptor)

    def draw(
        self, name: str, t_stop: float, *, t_start: float | None = None, sample: int = 0
    ) -> Spikes:
        """Return the spikes of a generator, the same ones that `simulate` draws.

        Parameters
        ----------
        name : str
            Of an input added by `add_poisson`, `add_regular` or `add_step_current`.
        t_stop : float
            Spikes up to this time are returned, inclusive.
        t_start : float, optional
            If given, only those that are later than this time.
        sample : int
            Of which sample of a batch; a single run is number 0.

        Returns
        -------
        Spikes
            With the present rates from t = 0 on.

        Raises
        ------
        ValueError
            If there is no such generator, or more than 1e9 spikes can be expected.

        Examples
        --------
        >>> net = Network()
        >>> net.add_poisson("ext", 3, rate=2.0)
        >>> net.add_population("out", 1, LIF(tau_mem=2.0, tau_syn=1.0))
        >>> key = net.connect("ext", "out", weights=np.ones((3, 1)))
        >>> from eventsim import simulate
        >>> drawn = simulate(net, {}, t_stop=5.0).stimulus.trains["ext"]
        >>> np.array_equal(drawn.times, net.draw("ext", 5.0).times)
        True
        """
        check_name(name, self._generators, "name must be one of the generators")
        t_stop = _as_time(t_stop, "t_stop")
        number = as_count(sample, "sample", least=0, most=MOST_NUMBERED)
        chosen, drawn = {name: self._generators[name]}, nothing_drawn(np.array([number]))
        if t_start is not None:
            t_start = _as_time(t_start, "t_start")
            require(t_start < t_stop, t_start, f"t_start must be < t_stop = {t_stop}")
            drawn = skip_until(chosen, drawn, t_start, "t_start")
        trains, _ = draw_until(chosen, drawn, t_stop)
        return trains[name].sample(0)

    def add_population(self, name: str, n: int, neuron: LIF) -> None:
        """Add ``n`` neurons.

        Parameters
        ----------
        name : str
            A new name.
        n : int
            Number of neurons, >= 1.
        neuron : LIF
            Their parameters, scalars or (n,) arrays.

        Raises
        ------
        ValueError
            As of `add_input`, or if ``neuron`` is no `LIF` of ``n`` neurons.
        """
        self._check_new(name)
        n = self._checked_size(n, f"size of population {name!r}")
        _check_neuron(neuron, n, "neuron")
        self._neurons[name] = (n, neuron)
        self._changed()

    def connect(
        self,
        pre: str,
        post: str,
        synapses: Synapses | None = None,
        *,
        weights: MatrixLike | Convolution | None = None,
        delays: float | MatrixLike | None = None,
        receptor: str | None = None,
        name: str | None = None,
    ) -> Key:
        """Connect an input or population to a population.

        Parameters
        ----------
        pre, post : str
            Where the synapses come from and lead to (the same population: recurrent; a neuron may
            be connected to itself).
        synapses : Synapses, optional
            Those that a rule has drawn (`fixed_indegree` and its like), in the place of ``weights``
            and ``delays``.
        weights : (n_pre, n_post) array_like, scipy.sparse matrix or Convolution
            Current added by an arriving spike (potential, at a receptor without a current); any
            sign.  Several entries of a sparse matrix at one place are several synapses (a
            multapse), each with its own weight, delay and gradient.  What is given is copied:
            changing it afterwards changes nothing here.
        delays : float, or same shape (and sparsity) as ``weights``
            Time from spike to arrival, >= 0 (default: 0); one for all synapses of a convolution,
            and 0 onto an earliest-spike pool.  > 0 of charges (receptors without a current) from a
            population to itself, or to one that was added before it.
        receptor : str, optional
            Name of the receptor of ``post`` whose current it adds to; default: the first one.
        name : str, optional
            Tells apart several projections between the same two.

        Returns
        -------
        tuple
            The projection's key in `projections` and in gradients: ``(pre, post)``, or
            ``(pre, post, name)``; a further unnamed projection gets a number for its name.

        Raises
        ------
        ValueError
            Unknown names, shapes that do not fit, values that are not finite, negative delays.
        """
        sources = {**self._inputs, **self._neurons}
        check_name(pre, sources, "pre must be one of the inputs and populations")
        check_name(post, self._neurons, "post must be one of")
        key = self._new_key(pre, post, name)
        n_pre = self._inputs[pre] if pre in self._inputs else self._neurons[pre][0]
        shape = (n_pre, self._neurons[post][0])
        if synapses is None:
            form = _checked_weights(weights, shape)
            lags = _checked_delays(0.0 if delays is None else delays, form)
        else:
            form, lags = _checked_synapses(synapses, shape, weights=weights, delays=delays)
        _check_pool(self._neurons[post][1], lags, post)
        number = _receptor_number(self._neurons[post][1], receptor, post)
        projection = Projection(pre, post, form, lags, number)
        self._check_charges(key, projection)
        if self._part != WHOLE:
            self._wholes[key] = _Whole(projection.delay_span, projection.digest)
            projection = _onto(projection, own_range(shape[1], self._part))
        self._projections[key] = projection
        self._changed()
        return key

    def parameters(self, kinds: Iterable[str] | None = ("weights",)) -> dict[str, dict[Any, Any]]:
        """Return a tree of parameters: what optimizers move, and `replace` takes.

        Parameters
        ----------
        kinds : iterable of str, or None
            Which ones: "weights" and "delays", by projection, and "tau_mem", "tau_syn",
            "threshold", "bias", "rest" and "reset", by population; None: all.

        Returns
        -------
        dict of str -> dict
            By kind and key: copies of the weights (of a convolution its kernel) and delays, in
            their form, and arrays (n,) of the parameters of neurons.  A gradient has the same
            form.  Take out of it what is not to be trained.

        Raises
        ------
        ValueError
            If there is no such kind.

        Examples
        --------
        >>> net = Network()
        >>> net.add_input("in", 1)
        >>> net.add_population("out", 2, LIF(tau_mem=2.0))
        >>> key = net.connect("in", "out", weights=[[0.5, 1.0]])
        >>> params = net.parameters(("weights", "tau_mem"))
        >>> params
        {'weights': {('in', 'out'): array([[0.5, 1. ]])}, 'tau_mem': {'out': array([2., 2.])}}
        >>> net.replace(params).neurons["out"].tau_mem
        array([2., 2.])
        """
        chosen = PARAMETERS if kinds is None else as_names(kinds, PARAMETERS, "kinds")
        return {kind: self._parameters(kind) for kind in chosen}

    def _parameters(self, kind: str) -> dict[Any, Any]:
        if kind in BY_PROJECTION:
            return {key: _copy_of(getattr(p, kind)) for key, p in self._projections.items()}
        return {name: _values_of(lif, n, kind) for name, (n, lif) in self._neurons.items()}

    def replace(
        self,
        parameters: Mapping[str, Mapping[Any, Any]] | None = None,
        *,
        weights: Mapping[Key, MatrixLike | Convolution] | None = None,
        delays: Mapping[Key, float | MatrixLike] | None = None,
        neurons: Mapping[str, LIF] | None = None,
        rates: Mapping[str, ArrayLike | Steps] | None = None,
    ) -> Network:
        """Return a network of the same structure with other values.

        Parameters
        ----------
        parameters : dict of str -> dict, optional
            New values by kind and key, as `parameters` returns them: any part of that tree.
        weights : dict of key -> array or Convolution, optional
            New weights of the named projections; dense stays dense, sparse keeps its entries, a
            convolution takes an array of its kernel's shape, or a convolution that differs in its
            kernel alone.
        delays : dict of key -> float or array, optional
            New delays of the named projections.
        neurons : dict of str -> LIF, optional
            New parameters of the named populations; those of ``parameters`` take their place.
        rates : dict of str -> float, array or Steps, optional
            New rates of the named Poisson inputs, as for `add_poisson`.

        Returns
        -------
        Network
            Shares everything that did not change.

        Raises
        ------
        ValueError
            Unknown keys, or values that do not fit the structure: an optimizer that moves delays
            or time constants may carry them out of their range.
        """
        tree = _read_tree(parameters, weights=weights, delays=delays)
        neurons = mapping_or_empty(neurons, "neurons")
        new = self._copy()
        for key, value in tree["weights"].items():
            old = new._projection(key, "weights")
            new._projections[key] = replace(old, weights=_like(old.weights, value, key))
            if key in new._wholes:
                new._wholes[key] = new._wholes[key]._replace(digest="")  # others have theirs
        if tree["delays"]:
            require_whole(self, "another delay")
        for key, value in tree["delays"].items():
            old = new._projection(key, "delays")
            new._projections[key] = replace(old, delays=_checked_delays(value, old.weights))
        for name, neuron in neurons.items():
            new._set_neuron(name, neuron, "neurons")
        for kind in BY_POPULATION:
            for name, value in tree[kind].items():
                check_name(name, self._neurons, f"{kind} must name one of")
                neuron = new._neurons[name][1]
                own = {kind: _merged(neuron, kind, value)}
                new._set_neuron(name, replace(neuron, **own), kind)
        for name, rate in mapping_or_empty(rates, "rates").items():
            new._set_rates(name, rate)
        for key, p in new._projections.items():
            _check_pool(new._neurons[p.post][1], p.delays, p.post)
            new._check_charges(key, p)
        new._check_step_currents()
        if neurons or any(tree[kind] for kind in PARAMETERS if kind != "weights"):
            new._changed()
        return new

    def _check_charges(self, key: Key, projection: Projection) -> None:
        """Raise a ValueError if charges could come back at the very time of the spike.

        Neurons that are charged at one time are asked in the order of their numbers, so what is
        passed on to later ones comes in time.
        """
        order = list(self._neurons)
        if projection.receptor != CHARGE or projection.pre not in order:
            return
        if order.index(projection.pre) >= order.index(projection.post):
            values = projection.delay_values
            require(np.greater(values, 0.0), values, f"delays of charges {key} must be > 0")

    def _check_step_currents(self) -> None:
        """Raise a ValueError if the current of a step would decay."""
        for name, generator in self._generators.items():
            if isinstance(generator, StepCurrent):
                projection = self._projections[generator.key]
                neuron = self._neurons[projection.post][1]
                called = f"neurons: the receptor of the step current {name!r}"
                _check_lasting(neuron, projection.receptor, called)

    def _set_rates(self, name: str, rate: ArrayLike | Steps) -> None:
        known = {k: g for k, g in self._generators.items() if isinstance(g, Poisson)}
        check_name(name, known, "rates must name Poisson inputs, out of")
        rates = read_rates(rate, known[name].n, f"rates[{name!r}]")
        self._generators[name] = Poisson(name, known[name].n, rates, known[name].seed)

    def _set_neuron(self, name: str, neuron: LIF, argument: str) -> None:
        check_name(name, self._neurons, f"{argument} must name one of")
        n = self._neurons[name][0]
        _check_neuron(neuron, n, f"{argument}[{name!r}]")
        old = self._neurons[name][1]
        if (neuron.receptors, neuron.columns) != (old.receptors, old.columns):
            raise ValueError(
                f"{argument}[{name!r}] must have the receptors {old.tau_syn}, with a current or "
                f"without, got {neuron.tau_syn}"
            )
        self._neurons[name] = (n, neuron)

    def snapshot(self) -> Network:
        """Return a network that shares all that this one is now, and no later addition to it."""
        new = self._copy()
        new._version = self._version
        return new

    __copy__ = snapshot

    def is_same(self, other: Network) -> bool:
        """Tell whether two networks are the same to the bit: one built again is.

        Rates do not count: they say what is drawn, not what it does.  What both share is not
        looked at; the rest takes a comparison of all arrays.
        """
        if not isinstance(other, Network):
            raise ValueError(f"other must be an eventsim.Network, got {shown(other)}")
        return self._version is other._version or (
            self._part == other._part
            and list(self._inputs.items()) == list(other._inputs.items())
            and self._generators.keys() == other._generators.keys()
            and list(self._neurons) == list(other._neurons)
            and list(self._projections) == list(other._projections)
            and all(self._has_same_neurons(name, other) for name in self._neurons)
            and all(self._has_same_synapses(key, other) for key in self._projections)
        )

    def _has_same_neurons(self, name: str, other: Network) -> bool:
        ours, theirs = self._neurons[name], other._neurons[name]
        return ours == theirs or are_same(_all_of(*ours), _all_of(*theirs))

    def _has_same_synapses(self, key: Key, other: Network) -> bool:
        """Tell whether a projection is the same, with the synapses that are kept elsewhere."""
        ours, theirs = self._projections[key], other._projections[key]
        whole = self._wholes.get(key)
        is_known = whole is None or whole.digest != ""
        return ours is theirs or (
            is_known and whole == other._wholes.get(key) and are_same(ours.given, theirs.given)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, an ``.npz`` archive without pickle; `load` reads it.

        The file holds everything: sizes, neurons, weights, delays, and generators with rates and
        seeds.  It takes the place of an older one at once, so an interruption leaves that as it
        was.

        Parameters
        ----------
        path : str or os.PathLike
            The file; its name is taken as it is.

        Raises
        ------
        ValueError
            If ``path`` is no name of a file, or its folder does not exist; or if the network keeps
            the synapses of a part alone: no other process, and no other number of them, could use
            the file.
        OSError
            If the system cannot write the file.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> net = Network()
        >>> net.add_population("ring", 2, LIF(tau_mem=2.0))
        >>> key = net.connect("ring", "ring", weights=[[0.0, 1.5], [1.5, 0.0]], delays=0.5)
        >>> path = Path(tempfile.mkdtemp()) / "ring.npz"
        >>> net.save(path)
        >>> Network.load(path)
        Network(inputs={}, populations={'ring': 2}, synapses=4)
        >>> Network.load(path).is_same(net)
        True
        """
        require_whole(self, "a file")
        storage.write(path, self._calls())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """Read a network from a file that `save` wrote: the same one, to the bit.

        Nothing in the file is evaluated, and all that it holds is checked as if it were given to
        the methods of a network.

        Parameters
        ----------
        path : str or os.PathLike
            The file.

        Returns
        -------
        Network
            With inputs, populations and projections in the order in which they were added.

        Raises
        ------
        ValueError
            With path and reason, if the file cannot be read, is damaged, is no network, holds what
            no network can have, or is of a later version of the format.

        Examples
        --------
        >>> Network.load("none.npz")
        Traceback (most recent call last):
            ...
        eventsim._support.files.FileError: none.npz cannot be read: No such file or directory; ...
        """
        network = cls()
        with storage.reading(path) as calls:
            for name, arguments in calls:
                network._call(name, arguments)
        return network

    def _call(self, name: str, arguments: dict[str, Any]) -> None:
        """Call a method that adds something, by its name in a file."""
        check_choice(name, _ADDING, "a call")
        try:
            given = inspect.signature(_ADDING[name]).bind(self, **arguments)
        except TypeError as error:
            raise ValueError(f"the call {name} has the arguments of another: {error}") from None
        _ADDING[name](*given.args, **given.kwargs)

    def _calls(self) -> Iterator[storage.Call]:
        """Yield the calls that build the network again: what is connected is there by then.

        A step current is added together with its projection.
        """
        for name, (n, neuron) in self._neurons.items():
            yield "add_population", {"name": name, "n": n, "neuron": neuron}
        waiting = list(self._inputs)
        for key, projection in self._projections.items():
            if projection.pre in waiting:
                due = waiting.index(projection.pre) + 1
                yield from self._calls_for_inputs(waiting[:due])
                del waiting[:due]
            yield self._call_for_projection(key, projection)
        yield from self._calls_for_inputs(waiting)

    def _calls_for_inputs(self, names: list[str]) -> Iterator[storage.Call]:
        for name in names:
            size, generator = {"name": name, "n": self._inputs[name]}, self._generators.get(name)
            if generator is None:
                yield "add_input", size
            elif isinstance(generator, Poisson):
                yield "add_poisson", {**size, "rate": generator.rates, "seed": generator.seed}
            elif isinstance(generator, Regular):
                interval, first = map(_unrepeated, (generator.interval, generator.first))
                yield "add_regular", {**size, "interval": interval, "first": first}

    def _call_for_projection(self, key: Key, projection: Projection) -> storage.Call:
        pre, post, *rest = key
        weights, delays = projection.weights, projection.delays
        receptor = _receptor_name(self._neurons[post][1], projection.receptor)
        given: dict[str, Any] = {"post": post, "receptor": receptor}
        generator = self._generators.get(pre)
        if isinstance(generator, StepCurrent) and generator.key == key:
            steps = {"times": generator.times, "weights": weights, "delays": delays}
            return "add_steps", {"name": pre, **given, **steps}
        given |= {"pre": pre, "name": next((name for name in rest if isinstance(name, str)), None)}
        if isinstance(weights, sparse.csr_array):
            return "connect", {**given, "synapses": Synapses(weights, delays)}
        return "connect", {**given, "weights": weights, "delays": delays}

    def neurons_of(self, population: str, argument: str = "population") -> slice:
        """Return which neurons, numbered through all populations, a population has.

        Raises
        ------
        ValueError
            If there is no such population; the message names the caller's ``argument``.
        """
        check_name(population, self._neurons, f"{argument} must name one of the populations")
        return _part_of(self.populations, population)

    def sources_of(self, name: str) -> slice:
        """Return which sources, numbered through all inputs, an input has.

        Raises
        ------
        ValueError
            If there is no such input.
        """
        check_name(name, self._inputs, "name must be one of the inputs")
        return _part_of(self._inputs, name)

    @property
    def delay_spans(self) -> dict[Key, tuple[float, float]]:
        """The shortest and the longest delay of each projection, of all synapses, kept or not."""
        return {
            key: self._wholes.get(key, projection).delay_span
            for key, projection in self._projections.items()
        }

    @property
    def digest(self) -> str:
        """A short text that differs if anything that was given does; of parts it is the same."""
        known = _DIGESTS.get(self._version)
        if known is None:
            neurons = [(name, *_all_of(n, lif)) for name, (n, lif) in self._neurons.items()]
            synapses = [
                (key, self._wholes.get(key, projection).digest)
                for key, projection in self._projections.items()
            ]
            drawn = [(name, g.given) for name, g in self._generators.items()]
            known = _DIGESTS[self._version] = digest_of(self._inputs, drawn, neurons, synapses)
        return known

    @property
    def version(self) -> Version:
        """All that the network is now; another one after every change."""
        return self._version

    @property
    def structure(self) -> Version:
        """All but the weights; networks of `replace` that differ only in these share it."""
        return self._structure

    def _changed(self) -> None:
        """Be another network from now on, to all that derive something from it."""
        self._version, self._structure = Version(), Version()

    def _copy(self) -> Network:
        new = Network(self._part)
        new._wholes = dict(self._wholes)
        new._inputs = dict(self._inputs)
        new._generators = dict(self._generators)
        new._neurons = dict(self._neurons)
        new._projections = dict(self._projections)
        new._structure = self._structure
        return new

    def _projection(self, key: Key, argument: str) -> Projection:
        check_name(key, self._projections, f"{argument} must name one of")
        return self._projections[key]

    def _add_generator(self, name: str, generator: Generator) -> None:
        self._inputs[name], self._generators[name] = generator.n, generator
        self._changed()

    def _checked_size(self, n: int, name: str) -> int:
        """Return the size of a new group; all sources and neurons are numbered by 32 bits."""
        taken = sum(self._inputs.values()) + sum(n for n, _ in self._neurons.values())
        return as_count(n, name, most=MOST_NUMBERED - taken)

    def _check_new(self, name: str) -> None:
        if not isinstance(name, str):
            raise ValueError(f"name must be a string, got {shown(name)}")
        if name in self._inputs or name in self._neurons:
            raise ValueError(f"name must be new, but {name!r} exists; got {shown(name)}")

    def _new_key(self, pre: str, post: str, name: str | None) -> Key:
        if name is not None:
            if not isinstance(name, str):
                raise ValueError(f"name must be a string, or None, got {shown(name)}")
            key = (pre, post, name)
            if key in self._projections:
                raise ValueError(f"name must be new for {pre!r} -> {post!r}, got {shown(name)}")
            return key
        if (pre, post) not in self._projections:
            return (pre, post)
        number = 1
        while (pre, post, number) in self._projections:
            number += 1
        return (pre, post, number)

    def __repr__(self) -> str:
        """Return the sizes."""
        drawn = f"generators={list(self._generators)}, " if self._generators else ""
        return (
            f"Network(inputs={dict(self.inputs)}, {drawn}populations={dict(self.populations)}, "
            f"synapses={self.n_synapses})"
        )


# By their names in files.
_ADDING: dict[str, Callable[..., Any]] = {
    "add_input": Network.add_input,
    "add_poisson": Network.add_poisson,
    "add_regular": Network.add_regular,
    "add_steps": Network._add_steps,
    "add_population": Network.add_population,
    "connect": Network.connect,
}


def require_whole(network: Network, purpose: str) -> None:
    """Raise a ValueError if a network keeps only the synapses of a part."""
    if network.part != WHOLE:
        raise ValueError(
            f"{purpose} needs all synapses of a network, got one that keeps those of part "
            f"{network.part} alone"
        )


def _part_of(sizes: Mapping[str, int], name: str) -> slice:
    """Return the numbers of a group, if those of all groups follow each other."""
    start = 0
    for other, n in sizes.items():
        if other == name:
            break
        start += n
    return slice(start, start + sizes[name])


def _read_tree(parameters: Any, **others: Any) -> dict[str, Mapping[Any, Any]]:
    """Return the parameters to replace, by every kind: those of a tree, and others by keyword."""
    given = mapping_or_empty(parameters, "parameters")
    as_names(given, PARAMETERS, "parameters")
    tree = {kind: as_mapping(given.get(kind, {}), kind) for kind in PARAMETERS}
    for kind, values in others.items():
        more = mapping_or_empty(values, kind)
        if tree[kind] and more:
            raise ValueError(
                f"{kind} must be given once, got them beside parameters: {shown(more)}"
            )
        tree[kind] = tree[kind] or more
    return tree


def _merged(old: LIF, kind: str, value: Any) -> Any:
    """Return the new value of a parameter; receptors that are not named keep theirs."""
    if not (isinstance(value, Mapping) and old.receptors):
        return value
    for receptor in value:
        check_name(receptor, dict.fromkeys(old.receptors), f"{kind} must name receptors, out of")
    return {**cast("Mapping[str, Any]", old.tau_syn), **value}


def _values_of(lif: LIF, n: int, kind: str) -> FloatArray | dict[str, FloatArray]:
    """Return a copy of a parameter (n,); of receptors with names by these."""
    values = lif.arrays(n)[kind]
    return by_receptor(lif, values.copy()) if kind == "tau_syn" else values.copy()


def _copy_of(values: float | Matrix | Convolution) -> float | Matrix:
    """Return a copy of weights or delays; of a convolution that of its kernel."""
    if isinstance(values, float):
        return values
    return values.kernel.copy() if isinstance(values, Convolution) else values.copy()


def _flat(weights: Matrix | Convolution) -> FloatArray:
    if isinstance(weights, Convolution):
        return weights.kernel.reshape(-1)
    return weights.reshape(-1) if isinstance(weights, np.ndarray) else weights.data


def _all_of(n: int, neuron: LIF) -> list[object]:
    """Return all that n neurons are, as values and arrays."""
    return [n, neuron.receptors, neuron.columns, *neuron.arrays(n).items()]


def _arrays_of(values: float | Matrix | Convolution) -> tuple[NDArray[Any], ...]:
    """Return the arrays that weights or delays consist of."""
    if isinstance(values, float):
        return ()
    if isinstance(values, Convolution):
        return (values.kernel,)
    if isinstance(values, np.ndarray):
        return (values,)
    return values.data, values.indices, values.indptr


def _n_synapses(weights: Matrix | Convolution) -> int:
    if isinstance(weights, Convolution):
        return weights.n_synapses
    return _flat(weights).size


def _onto(projection: Projection, own: tuple[int, int]) -> Projection:
    """Return the synapses onto the neurons ``range(*own)``; a convolution shares all it has."""
    weights, delays = projection.weights, projection.delays
    if isinstance(weights, Convolution):
        return projection
    low, high = own
    if isinstance(weights, np.ndarray):
        n_pre = weights.shape[0]
        places = (np.arange(n_pre)[:, np.newaxis] * weights.shape[1] + np.arange(low, high)).ravel()
        indices, start = np.tile(np.arange(low, high), n_pre), np.arange(n_pre + 1) * (high - low)
    else:
        places = np.flatnonzero((weights.indices >= low) & (weights.indices < high))
        indices, start = weights.indices[places], np.searchsorted(places, weights.indptr)
    index = np.int32 if places.size <= MOST_NUMBERED else np.int64
    structure = indices.astype(index), start.astype(index)
    kept = sparse.csr_array((_flat(weights)[places], *structure), shape=weights.shape)
    if not isinstance(delays, float):
        delays = sparse.csr_array((_flat(delays)[places], *structure), shape=weights.shape)
    return replace(projection, weights=kept, delays=delays)


def _check_pool(neuron: LIF, delays: float | Matrix, post: str) -> None:
    values = delays if isinstance(delays, float) else _flat(delays)
    if np.any(neuron.is_pool):
        require(np.equal(values, 0.0), values, f"delays onto the pool {post!r} must be 0")


def _receptor_number(neuron: LIF, receptor: str | None, post: str) -> int:
    if receptor is None:
        return neuron.columns[0]
    known = dict.fromkeys(neuron.receptors)
    check_name(receptor, known, f"receptor must be one of those of {post!r},")
    return neuron.columns[neuron.receptors.index(receptor)]


def _receptor_name(neuron: LIF, number: int) -> str | None:
    """Return the first receptor with a current; those of one `CHARGE` are all the same."""
    return neuron.receptors[neuron.columns.index(number)] if neuron.receptors else None


def _check_lasting(neuron: LIF, number: int, called: str) -> None:
    """Raise a ValueError unless currents of a receptor do not decay."""
    times = tau_of(neuron, number)
    require(np.isinf(times), times, f"{called} must have tau_syn = inf")


def _per_source(values: ArrayLike, n: int, name: str) -> FloatArray:
    """Return a copy of one number for all of n sources, or of (n,)."""
    array = as_floats(values, name)
    if array.shape not in ((), (n,)):
        raise ValueError(f"{name} must be () or ({n},), got shape {array.shape}")
    require_size(array, name)
    return array.copy()


def _unrepeated(values: FloatArray) -> FloatArray:
    """Return the one number that all sources have, if it is kept once for all of them."""
    return values[:1].reshape(()) if values.strides == (0,) else values


def _as_time(value: float, name: str) -> float:
    t = as_nonnegative(value, name)
    require_size(t, name)
    return t


def _check_neuron(neuron: LIF, n: int, name: str) -> None:
    if not isinstance(neuron, LIF):
        raise ValueError(f"{name} must be an eventsim.LIF, got {shown(neuron)}")
    check_size(neuron, n)


def checked_matrix(matrix: MatrixLike, shape: tuple[int, ...], name: str) -> Matrix:
    """Return a copy of a finite matrix, dense or CSR."""
    if sparse.issparse(matrix):
        return _checked_sparse(cast("sparse.sparray", matrix), shape, name)
    dense = np.array(as_floats(matrix, name))
    _check_shape(dense.shape, shape, name)
    require_size(dense, name)
    return dense


def _checked_sparse(matrix: sparse.sparray, shape: tuple[int, ...], name: str) -> sparse.csr_array:
    """Return a CSR copy, all of whose indices are within the shape."""
    _check_shape(matrix.shape, shape, name)
    if matrix.dtype.kind not in "uif":
        raise ValueError(f"{name} must be real numbers, got a sparse matrix of {matrix.dtype}")
    try:
        rows = _by_rows(_sound(type(matrix)(matrix)))  # checks leave notes in what they look at
        _sound(rows).prune()
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(
            f"{name} must be a sound sparse matrix, got one that is not: {error}"
        ) from None
    rows.data = rows.data.astype(np.float64, copy=False)  # that of the matrix would add multapses
    require_size(rows.data, name)
    return rows


def _sound(matrix: Any) -> Any:
    """Return a sparse matrix if its indices are sound: else its conversion would read anywhere."""
    if matrix.format == "coo":
        for numbers, n in zip(matrix.coords, matrix.shape, strict=True):
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < n:
                raise ValueError(f"its coordinates must be in [0, {n})")
    if hasattr(matrix, "check_format"):
        if np.any(matrix.indptr[1:] < matrix.indptr[:-1]):
            raise ValueError("index pointer values must form a non-decreasing sequence")
        matrix.check_format(full_check=True)
    return matrix


def _check_shape(given: tuple[int, ...], shape: tuple[int, ...], name: str) -> None:
    if given != shape:
        raise ValueError(f"{name} must have shape (n_pre, n_post) = {shape}, got {given}")


def _by_rows(matrix: sparse.sparray | sparse.spmatrix) -> sparse.csr_array:
    """Return a copy of a sparse matrix as CSR, with several entries at one place if it has them.

    They are synapses of their own (a multapse), in the order in which they are given.
    """
    index = np.int32 if matrix.nnz <= MOST_NUMBERED else np.int64
    if matrix.format == "csr" and matrix.has_sorted_indices:
        data, indices, start = matrix.data.copy(), matrix.indices, matrix.indptr
    else:
        entries = matrix.tocoo()
        row, col = (numbers.astype(index, copy=False) for numbers in entries.coords)
        by_column = _order(col, entries.shape[1])
        order = by_column[_order(row[by_column], entries.shape[0])]
        counts = np.bincount(row, minlength=entries.shape[0])
        data, indices, start = entries.data[order], col[order], np.append(0, np.cumsum(counts))
    # Both of one type: sparse arrays widen the narrower one.
    structure = indices.astype(index), start.astype(index)
    return sparse.csr_array((data, *structure), shape=matrix.shape)


def _order(numbers: Int32Array | IntArray, n: int) -> Int32Array | IntArray:
    """Return what sorts numbers below n, stably, by counting: a fifth of the time of `argsort`."""
    ends = np.arange(numbers.size + 1, dtype=numbers.dtype)
    entries = np.zeros(numbers.size, dtype=np.int8), numbers, ends
    return sparse.csr_array(entries, shape=(numbers.size, n)).tocsc().indices


def _checked_synapses(
    synapses: Synapses, shape: tuple[int, int], **others: Any
) -> tuple[Matrix | Convolution, float | Matrix]:
    """Return weights and delays that share the arrays of what was drawn.

    What somebody can write to, made by hand or in another process, is copied as all that is given.
    """
    if not isinstance(synapses, Synapses):
        raise ValueError(f"synapses must be eventsim.Synapses, got {shown(synapses)}")
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"{name} must be left out beside synapses, got {shown(value)}")
    weights, delays = synapses.weights, synapses.delays
    if not (_is_kept(weights) and (isinstance(delays, float) or _is_kept(delays))):
        form = _checked_weights(weights, shape)
        return form, _checked_delays(delays, form)
    _check_shape(weights.shape, shape, "synapses")
    try:
        weights = _sound(sparse.csr_array(weights))
    except ValueError as error:
        raise ValueError(f"synapses must be sound: {error}") from None
    if not weights.has_sorted_indices:
        raise ValueError("synapses must have the targets of each row in ascending order")
    WEIGHTS.require(weights.data)
    if isinstance(delays, float):
        DELAYS.require(delays)
        return weights, delays
    check_same_form(delays, weights, "delays of synapses")
    DELAYS.require(delays.data)
    return weights, _on_entries_of(weights, delays)


def _is_kept(matrix: object) -> bool:
    """Tell whether a network can keep a matrix without a copy."""
    return (
        isinstance(matrix, sparse.csr_array)
        and matrix.dtype == np.float64
        and not any(array.flags.writeable for array in _arrays_of(matrix))
    )


def _on_entries_of(old: Matrix, new: Matrix) -> Matrix:
    """Return the values of ``new`` on the indices of ``old``, which are equal to its own."""
    if isinstance(new, np.ndarray) or isinstance(old, np.ndarray):
        return new
    return sparse.csr_array((new.data, old.indices, old.indptr), shape=old.shape)


def _checked_weights(
    weights: MatrixLike | Convolution | None, shape: tuple[int, int]
) -> Matrix | Convolution:
    if weights is None:
        raise ValueError("weights must be given, or synapses, got None")
    if not isinstance(weights, Convolution):
        return checked_matrix(weights, shape, "weights")
    if weights.shape != shape:
        raise ValueError(
            f"the convolution must connect (n_pre, n_post) = {shape} neurons, got {weights.shape}"
        )
    WEIGHTS.require(weights.kernel)
    return weights


def _like(
    old: Matrix | Convolution, value: MatrixLike | Convolution, key: Key
) -> Matrix | Convolution:
    """Return new weights of the form of the ``old`` ones."""
    if isinstance(old, Convolution):
        new = old.with_kernel(_kernel_of(value, old, key))
        WEIGHTS.require(new.kernel)
        return new
    if isinstance(value, Convolution):
        raise ValueError(f"weights of {key} must be a matrix like the old ones, got {shown(value)}")
    matrix = checked_matrix(value, old.shape, "weights")
    check_same_form(matrix, old, f"weights of {key}")
    return _on_entries_of(old, matrix)


def _kernel_of(value: MatrixLike | Convolution, old: Convolution, key: Key) -> ArrayLike:
    """Return a kernel, or that of a convolution, whose geometry must be that of the ``old`` one."""
    if not isinstance(value, Convolution):
        return value
    for name in ("image", "stride", "padding"):
        given, kept = getattr(value, name), getattr(old, name)
        if given != kept:
            raise ValueError(
                f"weights of {key} must keep the {name} {kept} of the convolution, got {given}"
            )
    return value.kernel


def _checked_delays(delays: float | MatrixLike, weights: Matrix | Convolution) -> float | Matrix:
    checked: float | Matrix
    values: float | FloatArray
    dense = None if sparse.issparse(delays) else as_floats(delays, "delays")
    if dense is not None and dense.ndim == 0:
        checked = values = float(dense)
    elif isinstance(weights, Convolution):
        raise ValueError(f"delays of a convolution must be a single number, got {shown(delays)}")
    else:
        matrix = checked_matrix(delays, weights.shape, "delays")
        check_same_form(matrix, weights, "delays")
        checked = _on_entries_of(weights, matrix)
        values = _flat(checked)
    DELAYS.require(values)
    return checked


def check_same_form(new: Matrix, old: Matrix, name: str) -> None:
    """Raise a ValueError unless ``new`` is dense or sparse as ``old`` is, with the same entries."""
    if sparse.issparse(new) != sparse.issparse(old):
        kinds = {True: "sparse", False: "dense"}
        raise ValueError(
            f"{name} must be {kinds[sparse.issparse(old)]} like the weights, "
            f"got {kinds[sparse.issparse(new)]}"
        )
    if isinstance(new, np.ndarray) or isinstance(old, np.ndarray):
        return
    if not (np.array_equal(new.indptr, old.indptr) and np.array_equal(new.indices, old.indices)):
        raise ValueError(f"{name} must have the {old.nnz} entries of the weights, got {new.nnz}")
