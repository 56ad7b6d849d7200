"""A network as a function of JAX: from parameters and latencies to what populations do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from eventsim._support.types import FloatArray
from eventsim._support.validate import (
    as_floats,
    as_names,
    as_nonnegative,
    as_number,
    check_choice,
    check_name,
    shown,
)
from eventsim.network import Network, require_whole
from gradients._runs import READS, Leaf, Read, leaves_of, number_of_spikes
from gradients.jax.calls import run_p
from gradients.jax.function import Function
from gradients.jax.setting import Setting
from gradients.optim.trees import called, values_of, where
from gradients.optim.trees import leaves_of as flattened

__all__ = ["Apply", "bind"]

Tree: TypeAlias = Mapping[str, Mapping[Any, Any]]


class Apply:
    """What `bind` returns: ``apply(params, *latencies)``, a pure function of JAX arrays.

    Attributes
    ----------
    params : dict of str -> dict
        The parameters of the network, by kind and key as of `eventsim.Network.parameters`: where
        training begins.  Of a sparse matrix the entries, of a convolution the kernel, of delays of
        a whole projection a scalar.

    Examples
    --------
    >>> import jax, eventsim as es, gradients.jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> apply = gradients.jax.bind(net, t_stop=1.0)
    >>> isinstance(apply, gradients.jax.Apply)
    True
    """

    params: dict[str, dict[Any, Any]]

    def __init__(self, setting: Setting) -> None:
        """Take the values of the network for the parameters."""
        self._setting, self._function = setting, Function(setting)
        tree = setting.network.parameters({leaf.kind: None for leaf in setting.leaves})
        self._values = {
            leaf.path: jnp.asarray(values_of(leaf.of(tree), where("params", leaf.path)))
            for leaf in setting.leaves
        }
        self.params = {kind: {} for kind in tree}
        for leaf in setting.leaves:
            leaf.put(self.params, self._values[leaf.path])

    def __call__(self, params: Tree, *latencies: Any) -> Any:
        """Run the network.

        Parameters
        ----------
        params : dict of str -> dict
            Like ``params`` of this object, or any part of it: what is left out is as the network
            has it.
        *latencies : (..., n) array
            Spike time of each source >= 0, for each input; ``inf``: silent.  A sample, or any
            number of leading axes of samples.

        Returns
        -------
        array, or a tuple of them for several outputs
            As ``read`` says, float64.

        Raises
        ------
        ValueError
            Before any work: other keys, shapes or types, or JAX without 64 bits.  In the call, and
            within `jax.jit` as an error of JAX that ends with the message: latencies that are
            negative or NaN, parameters out of their range.
        ActivityError
            Likewise, if a sample exceeds ``max_spikes``.
        """
        _check_precision()
        operands = [*self._read_latencies(latencies), *self._read_params(params)]
        found = run_p.bind(*operands, function=self._function, n_axes=0, keep=False)
        return found[0] if self._is_single else tuple(found)

    def network(self, params: Tree) -> Network:
        """Return the network with these parameters: to simulate, save, or look at.

        Parameters
        ----------
        params : dict of str -> dict
            As for a call.

        Raises
        ------
        ValueError
            Other keys or shapes, or values out of their range.
        """
        _check_precision()
        values: list[FloatArray] = [np.array(value) for value in self._read_params(params)]
        return self._setting.with_values(values)

    @property
    def _is_single(self) -> bool:
        return len(self._setting.outputs) == 1

    def _read_latencies(self, latencies: Sequence[Any]) -> list[Any]:
        """Return latencies as arrays that fit together."""
        names, sizes = self._setting.inputs, self._setting.network.inputs
        if len(latencies) != len(names):
            raise ValueError(f"latencies must be given for {names}, got {len(latencies)} arrays")
        read = [
            _as_float64(given, f"latencies of {name!r}")
            for name, given in zip(names, latencies, strict=True)
        ]
        for name, array in zip(names, read, strict=True):
            if array.shape[-1:] != (sizes[name],) or array.shape[:-1] != read[0].shape[:-1]:
                raise ValueError(
                    f"latencies of {name!r} must be (..., {sizes[name]}), with the same leading "
                    f"axes for all inputs, got {array.shape}"
                )
        return read

    def _read_params(self, params: Tree) -> list[Any]:
        """Return the values of all parameters, in the order of the operands."""
        given = flattened(params, "params")
        for path in given:
            if path not in self._values:
                known = ", ".join(map(called, self._values))
                raise ValueError(f"params must hold some of [{known}] alone, got {called(path)}")
        return [self._read(path, given.get(path, own)) for path, own in self._values.items()]

    def _read(self, path: tuple[Any, ...], given: Any) -> Any:
        name, shape = where("params", path), self._values[path].shape
        value = _as_float64(given, name)
        if value.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {value.shape}")
        return value


def bind(
    network: Network,
    input: str | Sequence[str] = "in",  # noqa: A002
    output: str | Sequence[str] = "out",
    *,
    t_stop: float,
    learn: Iterable[str] | None = ("weights",),
    read: Read = "first_spikes",
    at: float | None = None,
    n_spikes: int | None = None,
    engine: str = "auto",
    until_fired: str | None = None,
    max_spikes: int = 10_000_000,
    threads: int | None = None,
) -> Apply:
    """Return a network as a function of JAX: ``apply(params, *latencies)``.

    Parameters
    ----------
    network : Network
        What is run.  Changing it afterwards changes nothing here.
    input, output : str or sequence of str
        Inputs whose latencies are given, and populations that are read; of several outputs there
        are as many arrays, in this order.  Other inputs are silent, or drawn if they are
        generators.
    t_stop : float
        End of the run.
    learn : iterable of str, or None
        Kinds of parameters that ``apply.params`` holds, as of `eventsim.Network.parameters`; None:
        all.
    read : {"first_spikes", "spikes", "potential"}
        What is returned: the first spike time of each neuron, (..., n); its first ``n_spikes``
        spike times, (..., n, n_spikes), ascending; or its potential at the time ``at``, (..., n).
        For a spike that there is not: ``inf``, whose derivative is 0.
    at : float, optional
        When potentials are read; default: ``t_stop``.
    n_spikes : int, optional
        How many spikes of a neuron are read; must be given with "spikes".
    engine, until_fired, max_spikes, threads
        As for `eventsim.simulate`; ``until_fired`` must be the output, and first spikes be read.

    Returns
    -------
    Apply
        Pure: it may be jitted, mapped by `jax.vmap`, scanned, and differentiated by parameters and
        latencies, once, in reverse mode and, but for potentials, in forward mode.  Its
        ``params`` are where training begins.

    Raises
    ------
    ValueError
        Unknown names, numbers out of their range, what the engine refuses, keys that JAX cannot
        sort, or JAX without 64 bits.

    Notes
    -----
    ``docs/jax.md`` says what happens in compiled code, and to errors.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, eventsim as es, gradients.jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0], [3.0]])
    >>> apply = gradients.jax.bind(net, t_stop=2.0)
    >>> latencies = jnp.array([[0.0, 1.5], [jnp.inf, jnp.inf]])
    >>> apply(apply.params, latencies).round(6)
    Array([[0.357403],
           [     inf]], dtype=float64)
    >>> by_params = jax.grad(lambda params: apply(params, latencies)[0, 0])(apply.params)
    >>> by_params["weights"][key].round(6)      # an earlier spike for a larger weight
    Array([[-0.139046],
           [ 0.      ]], dtype=float64)
    """
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    _check_precision()
    require_whole(network, "a function of JAX")
    given = {name: n for name, n in network.inputs.items() if name not in network.generators}
    inputs, outputs = (
        _some_of(given, input, "input"),
        _some_of(network.populations, output, "output"),
    )
    every = tuple(network.parameters(None))
    kinds = every if learn is None else as_names(learn, every, "learn")
    leaves = leaves_of(network, list(dict.fromkeys(kinds)))
    _check_sortable(leaves)
    t_stop = as_nonnegative(t_stop, "t_stop")
    check_choice(read, READS, "read")
    _check_early(until_fired, outputs, read)
    setting = Setting(
        network.snapshot(),
        inputs,
        outputs,
        leaves,
        t_stop,
        read,
        _time(read, at, t_stop),
        number_of_spikes(read, n_spikes),
        engine,
        until_fired,
        max_spikes,
        threads,
    )
    setting.simulated(setting.network, {}, 0.0)  # what would be refused later, is now
    return Apply(setting)


def _check_precision() -> None:
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise ValueError(
            "jax_enable_x64 must be True, got False: times of spikes are float64; call "
            "jax.config.update('jax_enable_x64', True) before anything else"
        )


def _as_float64(value: Any, name: str) -> Any:
    """Return real numbers as an array of JAX."""
    if not isinstance(value, jax.Array):
        return jnp.asarray(as_floats(value, name))
    if not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
        raise ValueError(f"{name} must be real numbers, got {value.dtype}")
    return value.astype(jnp.float64)


def _some_of(
    known: Mapping[str, int], names: str | Sequence[str], argument: str
) -> tuple[str, ...]:
    """Return one or several different names out of those that are known."""
    if isinstance(names, str):
        check_name(names, known, f"{argument} must be one of")
        return (names,)
    chosen = as_names(names, known, argument)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"{argument} must hold different names, at least one, got {shown(names)}")
    return chosen


def _check_sortable(leaves: Sequence[Leaf]) -> None:
    """Raise a ValueError if JAX could not sort the keys of a dict of parameters."""
    for kind in {leaf.kind for leaf in leaves}:
        keys = [leaf.key for leaf in leaves if leaf.kind == kind]
        try:
            sorted(keys)
        except TypeError:
            raise ValueError(
                f"projections between the same two must all have names, or none: JAX sorts the "
                f"keys of {kind!r}, got {keys}"
            ) from None


def _check_early(until_fired: str | None, outputs: tuple[str, ...], read: str) -> None:
    if until_fired is not None and ((until_fired,) != outputs or read != "first_spikes"):
        raise ValueError(
            f"until_fired must be None, or the only output, {outputs}, whose first spikes are "
            f"read, got {shown(until_fired)} with read={read!r}"
        )


def _time(read: Read, at: float | None, t_stop: float) -> float:
    """Return when potentials are read."""
    if at is None:
        return t_stop
    if read != "potential":
        raise ValueError(f"at must be None unless read='potential', got {shown(at)}")
    time = as_number(at, "at")
    if not 0.0 <= time <= t_stop:
        raise ValueError(f"at must be in [0, t_stop] = [0, {t_stop}], got {shown(at)}")
    return time
