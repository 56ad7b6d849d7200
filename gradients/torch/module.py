"""A network as a layer of torch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from eventsim._support.validate import (
    as_floats,
    as_names,
    as_nonnegative,
    as_number,
    check_choice,
    check_name,
    require,
    shown,
)
from eventsim.network import Network, require_whole
from gradients._runs import READS, Read, leaves_of, number_of_spikes
from gradients.torch.functions import Run, as_array, run_op
from gradients.torch.parameters import Parameters
from gradients.torch.runs import Setting

__all__ = ["SpikingNetwork"]

Names = str | Sequence[str]


class SpikingNetwork(nn.Module):
    """A network as a layer: spike times in, spike times or potentials out, gradients exact.

    Parameters
    ----------
    net : Network
        What is run; its values are where the parameters begin.
    input, output : str or sequence of str
        Inputs that the layer is given, and populations that it returns; of several names there are
        as many tensors, in this order.  Other inputs are silent, or drawn if they are generators.
    learn : str or sequence of str
        Kinds of parameters, as of `Network.parameters`.  Of each kind the layer has `Parameters`
        under its name (``layer.weights["in", "out"]``), one for each projection or population: the
        entries of a sparse matrix, the kernel of a convolution.
    t_stop : float
        End of the run.
    read : {"first_spikes", "spikes", "potential"}
        What is returned: the first spike time of each neuron (..., n); its first ``n_spikes`` spike
        times (..., n, n_spikes), ascending; or its potential, (..., n) at the time ``at``, (...,
        n_times, n) at several.
    at : float or (n_times,) array_like, optional
        When potentials are read; default: ``t_stop``.
    n_spikes : int, optional
        How many spikes of a neuron are read; must be given with "spikes".  So the shape does not
        depend on what happens.
    silent : float, optional
        What stands for a spike that there is not; default: inf.  Its derivative is 0.
    engine : str
        As for `eventsim.simulate`.
    constrained : bool
        Whether delays and time constants are learnt as the softplus of a parameter, so that they
        stay positive; without, a step that leads out of their range is an error.

    Raises
    ------
    ValueError
        Unknown names, numbers out of their range, or delays or time constants that are not positive
        but are to stay so.  Called: latencies of another shape or type, negative or NaN.

    Notes
    -----
    The layer takes and returns any float type, on any device, with any leading axes; inside it
    computes in float64 on the processors.  Parameters begin as float64, whatever torch's default
    is: ``layer.float()`` halves them.

    Samples without a gradient: `torch.no_grad` as always; parameters that are frozen by
    ``requires_grad_(False)`` cost nothing.  There are no second derivatives, and forward mode for
    spike times alone.

    Examples
    --------
    >>> import eventsim as es, torch
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0], [3.0]])
    >>> layer = SpikingNetwork(net, t_stop=2.0)
    >>> latencies = torch.tensor([[0.0, 1.5], [torch.inf, torch.inf]], dtype=torch.float64)
    >>> times = layer(latencies)
    >>> times
    tensor([[0.3574],
            [   inf]], dtype=torch.float64, grad_fn=<SqueezeBackward1>)
    >>> times[0, 0].backward()
    >>> layer.weights[key].grad         # an earlier spike for a larger weight
    tensor([[-0.1390],
            [ 0.0000]], dtype=torch.float64)
    """

    def __init__(
        self,
        net: Network,
        input: Names = "in",  # noqa: A002
        output: Names = "out",
        *,
        learn: Names = ("weights",),
        t_stop: float,
        read: Read = "first_spikes",
        at: ArrayLike | None = None,
        n_spikes: int | None = None,
        silent: float | None = None,
        engine: str = "auto",
        constrained: bool = True,
    ) -> None:
        """Check everything, and make the parameters."""
        super().__init__()
        if not isinstance(net, Network):
            raise ValueError(f"net must be an eventsim.Network, got {shown(net)}")
        require_whole(net, "a layer")
        given = {name: n for name, n in net.inputs.items() if name not in net.generators}
        kinds = dict.fromkeys(as_names(_several(learn), net.parameters(None), "learn"))
        leaves = {kind: leaves_of(net, (kind,)) for kind in kinds}
        t_stop = as_nonnegative(t_stop, "t_stop")
        check_choice(read, READS, "read")
        self._is_single = isinstance(output, str)
        self.setting = Setting(
            net.snapshot(),
            _some_of(given, input, "input"),
            _some_of(net.populations, output, "output"),
            tuple(leaf for own in leaves.values() for leaf in own),
            t_stop,
            read,
            _times(read, at, t_stop),
            number_of_spikes(read, n_spikes),
            engine,
            _silence(read, silent),
        )
        for kind, own in leaves.items():
            self.add_module(kind, Parameters(net, own, constrained))
        self._kinds = tuple(kinds)

    def forward(self, *latencies: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the network.

        Parameters
        ----------
        *latencies : (..., n) Tensor
            Spike time of each source, for each input of the layer; inf = silent.

        Returns
        -------
        Tensor, or a tuple of them for several outputs
            As ``read`` says, in the type and on the device of the first input.

        Raises
        ------
        ValueError
            Tensors of another number, type or shape; latencies that are negative or NaN.
        ActivityError
            If a sample has more than 1e7 spikes.
        """
        self._check(latencies)
        operands = [tensor.unsqueeze(0) for tensor in (*latencies, *self._values())]
        if torch.compiler.is_compiling():
            outputs = run_op(self.setting.name, operands)[1:]
        else:
            outputs = Run.apply(self.setting, *operands)[2:]
        if self._is_single:
            return outputs[0].squeeze(0)
        return tuple(output.squeeze(0) for output in outputs)

    def _check(self, latencies: Sequence[Tensor]) -> None:
        """Raise a ValueError unless there is a tensor that fits for each input."""
        names, sizes = self.setting.inputs, self.setting.network.inputs
        if len(latencies) != len(names):
            raise ValueError(f"latencies must be given for {names}, got {len(latencies)} tensors")
        for name, tensor in zip(names, latencies, strict=True):
            if not isinstance(tensor, Tensor):
                raise ValueError(f"latencies of {name!r} must be a Tensor, got {shown(tensor)}")
            if not tensor.is_floating_point() or tensor.layout != torch.strided:
                found = f"{tensor.dtype}, {tensor.layout}"
                raise ValueError(f"latencies of {name!r} must be dense floats, got {found}")
            if tensor.shape[-1:] != (sizes[name],) or tensor.shape[:-1] != latencies[0].shape[:-1]:
                raise ValueError(
                    f"latencies of {name!r} must be (..., {sizes[name]}), with the same leading "
                    f"axes for all inputs, got {tuple(tensor.shape)}"
                )

    def _values(self) -> list[Tensor]:
        """Return the values of all parameters."""
        return [value for kind in self._kinds for value in getattr(self, kind).values()]

    @property
    def network(self) -> Network:
        """The network with the values that the parameters have now."""
        with torch.no_grad():
            return self.setting.with_values([as_array(value) for value in self._values()])

    def get_extra_state(self) -> Tensor:
        """Return the network that the layer was made of, as the bytes of `Network.save`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.npz"
            self.setting.network.save(path)
            return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take what is no parameter from a network of the same structure.

        Raises
        ------
        ValueError
            If the structure is another one, or the state is none.
        """
        if not isinstance(state, Tensor) or state.dtype != torch.uint8:
            raise ValueError(f"the extra state must be bytes of a network, got {shown(state)}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "extra_state"
            path.write_bytes(state.cpu().numpy().tobytes())
            network = Network.load(path)
        self.setting = self.setting.of_network(network)

    def extra_repr(self) -> str:
        """Return names, sizes and what is read."""
        own = self.setting
        sizes = ", ".join(f"{name}: {own.network.inputs[name]}" for name in own.inputs)
        read = ", ".join(f"{name}: {own.network.populations[name]}" for name in own.outputs)
        return f"{sizes} -> {read}, read={own.read!r}, t_stop={own.t_stop}"


def _several(names: Names) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _some_of(known: Any, names: Names, argument: str) -> tuple[str, ...]:
    """Return names out of those that are known, at least one, each once."""
    if isinstance(names, str):
        check_name(names, known, f"{argument} must be one of")
    found = as_names(_several(names), known, argument)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{argument} must name at least one, each once, got {shown(names)}")
    return found


def _times(read: str, at: ArrayLike | None, t_stop: float) -> Any:
    """Return when potentials are read: a time, or an array of them."""
    if at is None:
        return t_stop
    if read != "potential":
        raise ValueError(f"at must be None unless read='potential', got {shown(at)}")
    times = as_floats(at, "at")
    if times.ndim > 1 or not times.size:
        raise ValueError(f"at must be a time or (n_times,), got shape {times.shape}")
    require((times >= 0.0) & (times <= t_stop), times, f"at must be in [0, t_stop] = [0, {t_stop}]")
    return times.copy() if times.ndim else float(times)


def _silence(read: str, silent: float | None) -> float:
    if silent is None:
        return np.inf
    if read == "potential":
        raise ValueError(f"silent must be None with read='potential', got {shown(silent)}")
    value = as_number(silent, "silent")
    require(not np.isnan(value), value, "silent must not be NaN")
    return value
