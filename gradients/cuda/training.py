"""Training on the device: parameters, optimiser, training set and all buffers stay there."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import ArrayLike, NDArray

from eventsim._types import IntArray, Key
from eventsim._validate import as_indices, require
from eventsim.cuda.device import (
    MOST_THREADS,
    clear,
    device_obstacle,
    empty,
    grid_for,
    is_out_of_memory,
    of_blocks,
    out_of_memory,
    quietly,
    to_device,
    zeros,
)
from eventsim.cuda.graph import Recording
from eventsim.cuda.plan import device_layers, write_weights
from eventsim.cuda.result import bytes_per_sample, lacks_room, make_room
from eventsim.cuda.run import DeviceRun
from eventsim.cuda.samples import DeviceSpikes, Minibatch
from eventsim.layered import CapReachedError
from eventsim.network import Network
from eventsim.spikes import SpikeBatch
from gradients.cuda.functions import activity_error
from gradients.cuda.layers import DeviceSweep, new_copies
from gradients.cuda.losses import N_TOTALS, Term, check_terms, read_labels
from gradients.cuda.optimizers import NO_NUMBER, NO_ROOM, DeviceOptimizer
from gradients.layer_sweep import Wanted
from gradients.optimizers import LARGEST, SGD, Adam

__all__ = ["Trainer"]

BY_WEIGHTS = Wanted(neurons=False, arrivals=False)


# --- kernels --------------------------------------------------------------------------------------


@cuda.jit(cache=True)
def choose_labels(given, rows, labels):
    """Choose the labels of the samples ``rows``: a thread each."""
    for k in range(cuda.grid(1), labels.size, cuda.gridsize(1)):
        labels[k] = given[rows[k]]


@cuda.jit(cache=True)
def take_part(whole, rows, columns, scale, part):
    """Copy some rows and columns of a matrix, scaled: a thread per value; all flat."""
    width, n = whole.shape[1], columns.size
    for c in range(cuda.grid(1), part.size, cuda.gridsize(1)):
        i, j = c // n, c % n
        if rows[i] < whole.shape[0] and columns[j] < width:
            part[c] = whole[rows[i], columns[j]] * scale


@cuda.jit(cache=True)
def give_part(part, rows, columns, scale, whole):
    """Write them, scaled, where they were taken from: a thread per value."""
    width, n = whole.shape[1], columns.size
    for c in range(cuda.grid(1), part.size, cuda.gridsize(1)):
        i, j = c // n, c % n
        if rows[i] < whole.shape[0] and columns[j] < width:
            whole[rows[i], columns[j]] = part[c] * scale


@cuda.jit(cache=True)
def summarise_step(totals, obstacle, counts, n_layers, report):
    """Write the totals, the obstacle, and the spikes of each layer: one block."""
    sums = cuda.shared.array(MOST_THREADS, np.int64)
    n = counts.size // n_layers
    for layer in range(n_layers):
        value = 0
        for k in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            value += counts[layer * n + k]
        sums[cuda.threadIdx.x] = value
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            total = 0
            for t in range(cuda.blockDim.x):
                total += sums[t]
            report[totals.size + 1 + layer] = total
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        for i in range(totals.size):
            report[i] = totals[i]
        report[totals.size] = obstacle[0]


# --- the host -------------------------------------------------------------------------------------


class Trainer:
    """A network whose weights are trained on the device.

    A step chooses a minibatch there, runs it, evaluates the loss, sweeps back and moves the
    weights; the host says which samples, and reads a few numbers.

    Parameters
    ----------
    network : Network
        Feed-forward; its weights are where training starts.
    spikes : dict of str -> SpikeBatch or DeviceSpikes
        Training samples of every input.
    labels : (n_samples,) array of int64
        Their classes; an array on the device is not copied.
    terms : sequence of Potentials, FirstSpikes or DeadNeurons
        Their sum is the loss: what a right answer is, then penalties.
    t_stop : float
        End of each run.
    optimizer : Adam or SGD, optional
        How the weights move; default: ``Adam()``.
    part : Network, optional
        The same network with fewer neurons in some populations: each step then trains a choice of
        neurons (dropout).  Weights from a population that is not complete are scaled up.
    jitter : float
        Standard deviation of noise on the input times, which stay in [0, t_stop].  It is drawn on
        the device, from a seed for each step.
    precision : {"float64", "float32"}
        Of all that is kept on the device.
    max_spikes : int
        Cap on the spikes of a population in a sample.
    graph : bool
        Record the launches of a step once, and replay them as a CUDA graph.  For networks whose
        populations are all-to-all.

    Raises
    ------
    ValueError
        If something does not fit together.
    RuntimeError
        If there is no device.

    Notes
    -----
    The same bits in every run on the same kind of device.  `state` and `load` speak the format of
    `gradients.Adam`, so training can go on elsewhere.

    Examples
    --------
    >>> import eventsim as es
    >>> from gradients import Adam
    >>> from gradients.cuda import Potentials
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 2, es.LIF(threshold=np.inf))
    >>> key = net.connect("in", "out", weights=np.zeros((2, 2)))
    >>> spikes = es.SpikeBatch.from_latencies([[0.0, 0.5], [0.5, 0.0]])
    >>> loss = [Potentials("out")]
    >>> trainer = Trainer(net, {"in": spikes}, [0, 1], loss, 1.0, optimizer=Adam(0.1))
    >>> trainer.step([0, 1])["loss"]
    0.693147
    >>> trainer.step([0, 1])["accuracy"]
    1.0
    """

    def __init__(
        self,
        network: Network,
        spikes: Mapping[str, SpikeBatch | DeviceSpikes],
        labels: ArrayLike,
        terms: Sequence[Term],
        t_stop: float,
        *,
        optimizer: Adam | SGD | None = None,
        part: Network | None = None,
        jitter: float = 0.0,
        precision: str = "float64",
        max_spikes: int = 10_000_000,
        graph: bool = False,
    ) -> None:
        obstacle = device_obstacle()
        if obstacle:
            raise RuntimeError(obstacle)
        check_terms(terms)
        if not 0.0 <= jitter < math.inf:
            raise ValueError(f"jitter must be >= 0 and finite, got {jitter!r}")
        self.network, self.part, self.terms = network, part or network, terms
        self.t_stop, self.jitter, self.max_spikes = t_stop, jitter, max_spikes
        self.dtype, self.graph = np.dtype(precision), graph
        if graph and any(layer.fan > 1 for layer in device_layers(self.part)):
            raise ValueError("graph must be False for a network that is not all-to-all, got True")
        self.spikes = {
            name: given if isinstance(given, DeviceSpikes)
            else DeviceSpikes.of(given, precision=precision)
            for name, given in spikes.items()
        }  # fmt: skip
        self._check_inputs()
        self.n_samples = len(next(iter(self.spikes.values())))
        self._read_labels(labels)
        weights = {key: p.like(p.values) for key, p in network.projections.items()}
        if any(not isinstance(value, np.ndarray) for value in weights.values()):
            raise ValueError(
                "weights must be dense matrices or kernels to be trained on the device"
            )
        self.optimizer = DeviceOptimizer(optimizer or Adam(), weights, self.dtype)
        self._subset = None if part is None else _Subset(network, part, self.optimizer)
        self._programs: dict[int, _Program] = {}

    def _check_inputs(self) -> None:
        if self.spikes.keys() != self.network.inputs.keys():
            raise ValueError(
                f"spikes must be given of the inputs {list(self.network.inputs)}, "
                f"got those of {list(self.spikes)}"
            )
        lengths = {len(given) for given in self.spikes.values()}
        if len(lengths) != 1:
            raise ValueError(f"all inputs must have as many samples, got {sorted(lengths)}")
        if self.jitter and len(self.spikes) > 1:
            raise ValueError(
                f"jitter must be 0 with more than one input, got {self.jitter} for "
                f"{list(self.spikes)}"
            )
        if any(given.dtype != self.dtype for given in self.spikes.values()):
            raise ValueError(f"spikes must be of precision {self.dtype}, as the training")

    def _read_labels(self, labels: Any) -> None:
        """Keep the labels on the device."""
        n_classes = self.network.populations[self.terms[0].population]
        self.labels = read_labels(labels, self.n_samples, n_classes)

    @property
    def weights(self) -> dict[Key, Any]:
        """The weights of every projection: device arrays, which the next step changes."""
        return self.optimizer.params

    @property
    def gradient(self) -> dict[Key, Any]:
        """The gradient of the last step, likewise."""
        return self.optimizer.grads

    def state(self) -> tuple[dict[Key, NDArray[np.float64]], dict[str, Any]]:
        """Return weights and the optimiser's state on the host, as `Adam.update` returns them."""
        return self.optimizer.on_host()

    def load(self, params: Mapping[Key, NDArray[Any]], state: Mapping[str, Any]) -> None:
        """Take what `state` returned."""
        self.optimizer.load(params, state)

    def step(
        self, rows: ArrayLike, *, kept: Mapping[str, IntArray] | None = None, seed: int = 0
    ) -> dict[str, float]:
        """Train on some samples; return what is known about them.

        Parameters
        ----------
        rows : (n,) array_like of int
            Samples; each number of them has buffers of its own.
        kept : dict of str -> (n_kept,) ndarray of int, optional
            With ``part``: the neurons that take part, of the populations that are not complete.
        seed : int
            Of the jitter.

        Returns
        -------
        dict of str -> float
            "loss", "accuracy" and "silent_labels" (means over the minibatch), and "spikes in NAME",
            the mean number of spikes of a sample in each population.

        Raises
        ------
        ValueError
            If samples or neurons are out of range, or a gradient is not finite or beyond 1e150;
            the weights then stay as they were.
        ActivityError
            If a sample exceeds ``max_spikes``.
        MemoryError
            If the minibatch is too large for the device.
        """
        rows = as_indices(rows, "rows")
        if rows.ndim != 1 or rows.size == 0:
            raise ValueError(f"rows must be (n,), n >= 1, got shape {rows.shape}")
        require(rows < self.n_samples, rows, f"rows must be < {self.n_samples}")
        if self._subset is not None:
            self._subset.choose(kept or {})
        elif kept:
            raise ValueError(f"kept needs the network of a part, got {sorted(kept)}")
        self.optimizer.prepare()
        with quietly():
            while True:
                program = self._program(rows.size)
                report = program.run(rows, seed)
                if report[N_TOTALS] != NO_ROOM:
                    break
                self._enlarge(program, rows)
                del program  # its buffers make room for the larger ones
                self._forget_programs()
        if report[N_TOTALS] == NO_NUMBER:
            raise ValueError(f"gradient must be finite and at most {LARGEST}, got another")
        self.optimizer.steps += 1
        return self._named(report, rows.size)

    def _named(self, report: NDArray[np.float64], n: int) -> dict[str, float]:
        names = [layer.plan.population for layer in device_layers(self.part)]
        spikes = report[N_TOTALS + 1 :] / n
        found = dict(zip(("loss", "accuracy", "silent_labels"), report.tolist(), strict=False))
        pairs = zip(names, spikes.tolist(), strict=True)
        return found | {f"spikes in {name}": value for name, value in pairs}

    def _program(self, n: int) -> _Program:
        """Return the buffers for minibatches of n samples."""
        if n not in self._programs:
            try:
                self._programs[n] = _Program(self, n)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
        if n not in self._programs:
            # The error is gone now, and with it what its frames held on the device.
            if self._programs or make_room():
                self._forget_programs()
                return self._program(n)
            raise out_of_memory("a step of training", n * self._bytes_per_sample(), n)
        return self._programs[n]

    def _bytes_per_sample(self) -> float:
        layers = device_layers(self.part)
        inputs = max(given.room for given in self.spikes.values())
        widest = max(layer.plan.n for layer in layers)
        return bytes_per_sample(self.part, inputs, layers, 8 * widest)

    def _enlarge(self, program: _Program, rows: IntArray) -> None:
        """Make larger buffers; raise an ActivityError if a sample has too many spikes."""
        try:
            lacks_room(program.run_, self.max_spikes)
        except CapReachedError as reached:
            weights = self.weights if self._subset is None else self._subset.params
            k, minibatches = reached.sample, program.minibatches.items()
            given = {name: minibatch.sample(k) for name, minibatch in minibatches}
            raise activity_error(
                self.part, weights, given, int(rows[k]), self.t_stop, self.max_spikes
            ) from None

    def _forget_programs(self) -> None:
        """Free their buffers; a recording refers to its program, so a cycle has to be found."""
        self._programs.clear()
        gc.collect()


class _Program:
    """The launches of a step on minibatches of one size, with their buffers."""

    def __init__(self, trainer: Trainer, n: int) -> None:
        self.trainer, network = trainer, trainer.part
        self.minibatches = {
            name: Minibatch(given, n, network.inputs[name], trainer.jitter, trainer.t_stop)
            for name, given in trainer.spikes.items()
        }
        inputs = {name: minibatch.cause for name, minibatch in self.minibatches.items()}
        self.run_ = DeviceRun(network, inputs, n, trainer.t_stop, trainer.dtype)
        self.copies = new_copies(network, n, BY_WEIGHTS, trainer.dtype)
        self.sweep = DeviceSweep(self.run_, self.copies, BY_WEIGHTS)
        self.terms = [term.bind(self.sweep) for term in trainer.terms]
        layers = device_layers(network)
        self.tables = [zeros(layer.plan.table_size, trainer.dtype) for layer in layers]
        self.rows, self.labels = empty(n + 1, np.int64), empty(n, np.int64)
        self.totals = empty(N_TOTALS)
        self.report = empty(N_TOTALS + 1 + len(layers))
        self.recording: Recording | None = None
        self.was_run = False

    def run(self, rows: IntArray, seed: int) -> NDArray[np.float64]:
        """Do a step; return the report."""
        self.rows.copy_to_device(np.append(rows, seed))
        if self.trainer.graph and self.was_run:
            self.recording = self.recording or Recording(self.launch)
            self.recording.replay()
        else:
            self.launch()
            self.was_run = True
        report: NDArray[np.float64] = self.report.copy_to_host()
        return report

    def launch(self) -> None:
        """Launch all kernels of a step."""
        trainer, subset, counters = self.trainer, self.trainer._subset, self.run_.counters
        params, grads = trainer.optimizer.params, trainer.optimizer.grads
        for minibatch in self.minibatches.values():
            minibatch.choose(self.rows)
        choose_labels[grid_for(self.labels.size)](trainer.labels, self.rows, self.labels)
        if subset is not None:
            subset.take()
            params, grads = subset.params, subset.grads
        self._write_tables(params)
        self.run_.advance(self.tables, trainer.max_spikes)
        self.sweep.clear()
        for term in self.terms:
            term.launch(self.labels, self.totals)
        self.sweep.over_all()
        for copy in self.copies:
            for s in copy.layer.plan.synapses:
                copy.add_up(s.key, _flat(grads[s.key]))
        if subset is not None:
            subset.give()
        trainer.optimizer.move(counters.missing)
        summarise_step[of_blocks(1, MOST_THREADS)](
            self.totals, counters.missing, counters.all_spikes, len(self.tables), self.report
        )

    def _write_tables(self, params: Mapping[Key, Any]) -> None:
        for copy, table in zip(self.copies, self.tables, strict=True):
            for s in copy.layer.plan.synapses:
                values = _flat(params[s.key])
                places = copy.layer.places(s, values.size)
                write_weights[grid_for(values.size)](values, places, table)


def _flat(values: Any) -> Any:
    return values.reshape(values.size)


class _Subset:
    """The weights of a part of a network, and their gradient."""

    def __init__(self, network: Network, part: Network, optimizer: DeviceOptimizer) -> None:
        if part.projections.keys() != network.projections.keys():
            raise ValueError(
                f"part must have the projections {list(network.projections)}, "
                f"got {list(part.projections)}"
            )
        self.optimizer, dtype = optimizer, optimizer.dtype
        sizes, some = {**network.inputs, **network.populations}, {**part.inputs, **part.populations}
        self.sizes = {name: (some[name], n) for name, n in sizes.items()}
        self.numbers = {name: to_device(np.arange(n)) for name, (n, _) in self.sizes.items()}
        self.params, self.grads, self.scales = {}, {}, {}
        for key, p in part.projections.items():
            if p.like(p.values).ndim != 2:
                raise ValueError(f"the weights of {key} must be a matrix, with a part")
            self.params[key], self.grads[key] = (empty(p.weights.shape, dtype) for _ in range(2))
            n_kept, n = self.sizes[p.pre]
            self.scales[key] = n / n_kept
        self.projections = part.projections

    def choose(self, kept: Mapping[str, IntArray]) -> None:
        """Choose the neurons that take part."""
        for name, (n_kept, n) in self.sizes.items():
            if n_kept == n:
                continue
            numbers = as_indices(kept.get(name, []), f"kept[{name!r}]")
            if numbers.shape != (n_kept,):
                raise ValueError(f"kept[{name!r}] must be ({n_kept},), got {numbers.shape}")
            require(numbers < n, numbers, f"kept[{name!r}] must be < {n}")
            if np.unique(numbers).size < n_kept:
                raise ValueError(f"kept[{name!r}] must be different numbers, got {numbers}")
            self.numbers[name].copy_to_device(numbers)

    def take(self) -> None:
        """Copy the weights of the part."""
        for key, p in self.projections.items():
            take_part[grid_for(self.params[key].size)](
                self.optimizer.params[key], self.numbers[p.pre], self.numbers[p.post],
                self.scales[key], _flat(self.params[key]),
            )  # fmt: skip

    def give(self) -> None:
        """Write the gradient by all weights; that by others than the part's is 0."""
        clear(*self.optimizer.grads.values())
        for key, p in self.projections.items():
            give_part[grid_for(self.grads[key].size)](
                _flat(self.grads[key]), self.numbers[p.pre], self.numbers[p.post],
                self.scales[key], self.optimizer.grads[key],
            )  # fmt: skip
