"""Training on the device: parameters, optimiser, training set and all buffers stay there."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventsim._engines.cuda.device import (
    device_obstacle,
    is_out_of_memory,
    out_of_memory,
    quietly,
)
from eventsim._engines.cuda.plan import device_layers
from eventsim._engines.cuda.result import bytes_per_sample, lacks_room, make_room
from eventsim._engines.cuda.samples import PRECISIONS, DeviceSpikes
from eventsim._engines.layered.capped import CapReachedError
from eventsim._support.types import IntArray, Key
from eventsim._support.validate import (
    as_count,
    as_indices,
    as_mapping,
    as_nonnegative,
    check_choice,
    mapping_or_empty,
    require,
    shown,
)
from eventsim.network import Network
from eventsim.spikes import SpikeBatch
from gradients.cuda.functions import activity_error
from gradients.cuda.losses import N_TOTALS, Term, check_terms, read_labels
from gradients.cuda.optimizers import NO_NUMBER, NO_ROOM, DeviceOptimizer
from gradients.cuda.part import Part
from gradients.cuda.program import Program
from gradients.optim.elementwise import LARGEST
from gradients.optim.optimizers import SGD, Adam

__all__ = ["Trainer"]


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
        for name, given in (("network", network), ("part", network if part is None else part)):
            if not isinstance(given, Network):
                raise ValueError(f"{name} must be an eventsim.Network, got {shown(given)}")
        check_terms(terms)
        check_choice(precision, PRECISIONS, "precision")
        self.network, self.part, self.terms = network, part or network, terms
        self.t_stop = as_nonnegative(t_stop, "t_stop")
        self.jitter = as_nonnegative(jitter, "jitter")
        self.max_spikes = as_count(max_spikes, "max_spikes")
        self.dtype, self.graph = np.dtype(precision), graph
        if graph and any(layer.fan > 1 for layer in device_layers(self.part)):
            raise ValueError("graph must be False for a network that is not all-to-all, got True")
        for name, train in as_mapping(spikes, "spikes").items():
            if not isinstance(train, (SpikeBatch, DeviceSpikes)):
                raise ValueError(
                    f"spikes[{name!r}] must be a SpikeBatch or DeviceSpikes, got {shown(train)}"
                )
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
        self.optimizer = DeviceOptimizer(
            Adam() if optimizer is None else optimizer, weights, self.dtype
        )
        self.weights_of_part = None if part is None else Part(network, part, self.optimizer)
        self._programs: dict[int, Program] = {}

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
        population = self.terms[0].population
        self.network.neurons_of(population)  # or an error that names those there are
        n_classes = self.network.populations[population]
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
        seed = as_count(seed, "seed", least=0)
        kept = mapping_or_empty(kept, "kept")
        if self.weights_of_part is not None:
            self.weights_of_part.choose(kept)
        elif kept:
            raise ValueError(f"kept must be None without the network of a part, got {list(kept)}")
        self.optimizer.prepare()
        with quietly():
            while True:
                program = self._program(rows.size)
                report = self._report(program, rows, seed)
                if report[N_TOTALS] != NO_ROOM:
                    break
                self._enlarge(program, rows)
                del program  # its buffers make room for the larger ones
                self._forget_programs()
        if report[N_TOTALS] == NO_NUMBER:
            raise ValueError(f"gradient must be finite and at most {LARGEST}, got another")
        self.optimizer.steps += 1
        return self._named(report, rows.size)

    def _report(self, program: Program, rows: IntArray, seed: int) -> NDArray[np.float64]:
        """Run a step; a device that has no room for a kernel, or for a recording, ends it."""
        try:
            return program.run(rows, seed)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise self._too_large(rows.size) from error

    def _named(self, report: NDArray[np.float64], n: int) -> dict[str, float]:
        names = [layer.plan.population for layer in device_layers(self.part)]
        spikes = report[N_TOTALS + 1 :] / n
        found = dict(zip(("loss", "accuracy", "silent_labels"), report.tolist(), strict=False))
        pairs = zip(names, spikes.tolist(), strict=True)
        return found | {f"spikes in {name}": value for name, value in pairs}

    def _program(self, n: int) -> Program:
        """Return the buffers for minibatches of n samples."""
        if n not in self._programs:
            try:
                self._programs[n] = Program(self, n)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
        if n not in self._programs:
            # The error is gone now, and with it what its frames held on the device.
            if self._programs or make_room():
                self._forget_programs()
                return self._program(n)
            raise self._too_large(n)
        return self._programs[n]

    def _too_large(self, n: int) -> MemoryError:
        layers = device_layers(self.part)
        inputs = max(given.room for given in self.spikes.values())
        widest = max(layer.plan.n for layer in layers)
        n_bytes = n * bytes_per_sample(self.part, inputs, layers, 8 * widest)
        return out_of_memory("a step of training", n_bytes, n)

    def _enlarge(self, program: Program, rows: IntArray) -> None:
        """Make larger buffers; raise an ActivityError if a sample has too many spikes."""
        try:
            lacks_room(program.run_, self.max_spikes)
        except CapReachedError as reached:
            weights = self.weights if self.weights_of_part is None else self.weights_of_part.params
            k, minibatches = reached.sample, program.minibatches.items()
            given = {name: minibatch.sample(k) for name, minibatch in minibatches}
            raise activity_error(
                self.part, weights, given, int(rows[k]), self.t_stop, self.max_spikes
            ) from None

    def _forget_programs(self) -> None:
        """Free their buffers; a recording refers to its program, so a cycle has to be found."""
        self._programs.clear()
        gc.collect()
