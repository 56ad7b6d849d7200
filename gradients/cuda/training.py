"""Training on the device: parameters, optimizer, training set and all buffers stay there."""

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
from gradients.cuda.losses import N_TOTALS, read_labels, read_loss
from gradients.cuda.optimizers import NO_NUMBER, NO_ROOM, DeviceOptimizer
from gradients.cuda.part import Part
from gradients.cuda.program import Program, Training
from gradients.losses.first_spike import warn_of_silence
from gradients.losses.term import Term
from gradients.norm import LARGEST
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
    loss : FirstSpikeCrossEntropy or MembraneCrossEntropy, or a sum or list
        What a right answer is; in a sum `SpikeCountPenalty` terms, scaled, may follow.
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
    The same bits in every run on the same kind of device.  `state` and `load` speak of parameters
    as `eventsim.Network.parameters`, `eventsim.Network.replace` and `gradients.Adam` do, so
    training can go on elsewhere.

    Examples
    --------
    >>> import eventsim as es
    >>> from gradients import Adam, MembraneCrossEntropy
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 2, es.LIF(threshold=np.inf))
    >>> key = net.connect("in", "out", weights=np.zeros((2, 2)))
    >>> spikes = es.SpikeBatch.from_latencies([[0.0, 0.5], [0.5, 0.0]])
    >>> loss = MembraneCrossEntropy("out")
    >>> trainer = Trainer(net, {"in": spikes}, [0, 1], loss, 1.0, optimizer=Adam(0.1))
    >>> trainer.step([0, 1])["loss"]
    0.693147
    >>> trainer.step([0, 1])["accuracy"]
    1.0
    >>> params, state = trainer.state()
    >>> net.replace(params).projections[key].weights.round(1)
    array([[-0.2,  0.2],
           [ 0.2, -0.2]])
    """

    def __init__(
        self,
        network: Network,
        spikes: Mapping[str, SpikeBatch | DeviceSpikes],
        labels: ArrayLike,
        loss: Term | Sequence[Term],
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
        for name, one in (("network", network), ("part", network if part is None else part)):
            if not isinstance(one, Network):
                raise ValueError(f"{name} must be an eventsim.Network, got {shown(one)}")
        check_choice(precision, PRECISIONS, "precision")
        dtype, t_stop = np.dtype(precision), as_nonnegative(t_stop, "t_stop")
        terms = read_loss(loss, t_stop)
        given = _on_device(network, spikes, dtype)
        jitter, n_samples = as_nonnegative(jitter, "jitter"), len(next(iter(given.values())))
        if jitter and len(given) > 1:
            raise ValueError(
                f"jitter must be 0 with more than one input, got {jitter} for {list(given)}"
            )
        if graph and any(layer.fan > 1 for layer in device_layers(part or network)):
            raise ValueError("graph must be False for a network that is not all-to-all, got True")
        for _, term in terms:
            term.check(network, np.empty(0, dtype=np.int64))
        n_classes = network.populations[terms[0][1].population]
        params = network.parameters()
        if any(not isinstance(value, np.ndarray) for value in params["weights"].values()):
            raise ValueError(
                "weights must be dense matrices or kernels to be trained on the device"
            )
        self.n_samples = n_samples
        self.optimizer = DeviceOptimizer(optimizer or Adam(), params, dtype)
        self._training = Training(
            network=part or network,
            part=None if part is None else Part(network, part, self.optimizer),
            spikes=given,
            labels=read_labels(labels, n_samples, n_classes),
            loss=terms,
            t_stop=t_stop,
            jitter=jitter,
            max_spikes=as_count(max_spikes, "max_spikes"),
            graph=graph,
            optimizer=self.optimizer,
        )
        self._programs: dict[int, Program] = {}

    @property
    def weights(self) -> dict[Key, Any]:
        """The weights of every projection: device arrays, which the next step changes."""
        return self.optimizer.params["weights"]

    @property
    def gradient(self) -> dict[Key, Any]:
        """The gradient of the last step, likewise."""
        return self.optimizer.grads["weights"]

    def state(self) -> tuple[dict[str, dict[Key, Any]], dict[str, Any]]:
        """Return ``(params, state)`` on the host, as `Adam.update` returns them.

        ``params`` is a tree as of `eventsim.Network.parameters`: the weights.
        """
        return self.optimizer.on_host()

    def load(self, params: Mapping[str, Mapping[Key, Any]], state: Mapping[str, Any]) -> None:
        """Take what `state`, or the ``update`` of the optimizer, returned.

        Raises
        ------
        ValueError
            If there is anything else than the weights and what the optimizer remembers of them, or
            if anything is missing.
        """
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

        Warns
        -----
        SilentLabelsWarning
            If neurons of labels are silent, and nothing wakes them: see `FirstSpikeCrossEntropy`.
        """
        rows = as_indices(rows, "rows")
        if rows.ndim != 1 or rows.size == 0:
            raise ValueError(f"rows must be (n,), n >= 1, got shape {rows.shape}")
        require(rows < self.n_samples, rows, f"rows must be < {self.n_samples}")
        seed = as_count(seed, "seed", least=0)
        kept = mapping_or_empty(kept, "kept")
        if self._training.part is not None:
            self._training.part.choose(kept)
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
        found = self._named(report, rows.size)
        n_silent = round(found["silent_labels"] * rows.size)
        warn_of_silence(self._training.loss[0][1], n_silent, rows.size)
        return found

    def _report(self, program: Program, rows: IntArray, seed: int) -> NDArray[np.float64]:
        """Run a step; a device that has no room for a kernel, or for a recording, ends it."""
        try:
            return program.run(rows, seed)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise self._too_large(rows.size) from error

    def _named(self, report: NDArray[np.float64], n: int) -> dict[str, float]:
        names = [layer.plan.population for layer in device_layers(self._training.network)]
        spikes = report[N_TOTALS + 1 :] / n
        found = dict(zip(("loss", "accuracy", "silent_labels"), report.tolist(), strict=False))
        pairs = zip(names, spikes.tolist(), strict=True)
        return found | {f"spikes in {name}": value for name, value in pairs}

    def _program(self, n: int) -> Program:
        """Return the buffers for minibatches of n samples."""
        if n not in self._programs:
            try:
                self._programs[n] = Program(self._training, n)
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
        training = self._training
        layers = device_layers(training.network)
        inputs = max(given.room for given in training.spikes.values())
        widest = max(layer.plan.n for layer in layers)
        n_bytes = n * bytes_per_sample(training.network, inputs, layers, 8 * widest)
        return out_of_memory("a step of training", n_bytes, n)

    def _enlarge(self, program: Program, rows: IntArray) -> None:
        """Make larger buffers; raise an ActivityError if a sample has too many spikes."""
        training = self._training
        try:
            lacks_room(program.run_, training.max_spikes)
        except CapReachedError as reached:
            weights = self.weights if training.part is None else training.part.params
            k, minibatches = reached.sample, program.minibatches.items()
            given = {name: minibatch.sample(k) for name, minibatch in minibatches}
            raise activity_error(
                training.network, weights, given, int(rows[k]), training.t_stop,
                training.max_spikes,
            ) from None  # fmt: skip

    def _forget_programs(self) -> None:
        """Free their buffers; a recording refers to its program, so a cycle has to be found."""
        self._programs.clear()
        gc.collect()


def _on_device(
    network: Network, spikes: Mapping[str, SpikeBatch | DeviceSpikes], dtype: np.dtype[Any]
) -> dict[str, DeviceSpikes]:
    """Return the training samples of every input, on the device."""
    for name, train in as_mapping(spikes, "spikes").items():
        if not isinstance(train, (SpikeBatch, DeviceSpikes)):
            raise ValueError(
                f"spikes[{name!r}] must be a SpikeBatch or DeviceSpikes, got {shown(train)}"
            )
    if spikes.keys() != network.inputs.keys():
        raise ValueError(
            f"spikes must be given of the inputs {list(network.inputs)}, got those of "
            f"{list(spikes)}"
        )
    lengths = {len(train) for train in spikes.values()}
    if len(lengths) != 1:
        raise ValueError(f"all inputs must have as many samples, got {sorted(lengths)}")
    given = {
        name: train if isinstance(train, DeviceSpikes)
        else DeviceSpikes.of(train, precision=dtype.name)
        for name, train in spikes.items()
    }  # fmt: skip
    if any(train.dtype != dtype for train in given.values()):
        raise ValueError(f"spikes must be of precision {dtype}, as the training")
    return given
