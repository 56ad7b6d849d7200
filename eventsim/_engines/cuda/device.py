"""The CUDA device: its memory, the arrays of other libraries there, the shape of launches."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from numba import config, cuda
from numpy.typing import DTypeLike, NDArray

from eventsim._support.code_files import files_can_be_kept
from eventsim._support.validate import as_floats, as_indices, shown

__all__ = [
    "MOST_THREADS",
    "as_device",
    "clear",
    "device_obstacle",
    "devices",
    "empty",
    "flat",
    "free_memory",
    "grid_for",
    "grid_of_rows",
    "is_on_device",
    "is_out_of_memory",
    "kernel",
    "of_blocks",
    "on_stream",
    "out_of_memory",
    "quietly",
    "threads_for",
    "to_device",
    "total_memory",
    "type_of",
    "wait",
    "zeros",
]

# Threads of a block: a multiple of a warp.  The simulator starts a thread of the system for each.
WARP, MOST_THREADS = (2, 4) if config.ENABLE_CUDASIM else (32, 128)
MOST_BLOCKS = 1024  # of a kernel whose threads take one item after the other
OUT_OF_MEMORY = 2  # an error code of the driver

kernel = cuda.jit(cache=files_can_be_kept())
"""Functions that are launched on the device."""


# --- devices --------------------------------------------------------------------------------------


def devices() -> list[str]:
    """Return the name and the compute capability of every CUDA device."""
    if not cuda.is_available():
        return []
    if config.ENABLE_CUDASIM:
        return ["numba's simulator"]
    return [
        f"{device.name}, compute capability {'.'.join(map(str, device.compute_capability))}"
        for device in cuda.list_devices()
    ]


def device_obstacle() -> str | None:
    """Return why there is no CUDA device to run on, or None if there is one."""
    if cuda.is_available():
        return None
    return (
        "engine 'cuda' needs an NVIDIA GPU, its driver and the extra of that name "
        "(pip install 'eventsim-snn[cuda]'), and numba finds no device here; engine='layered' "
        "gives the same on processors"
    )


# --- memory ---------------------------------------------------------------------------------------


@kernel
def set_zero(arrays):
    """Fill flat arrays with zeros."""
    for n in range(len(arrays)):
        values = arrays[n]
        for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
            values[i] = 0


def to_device(values: NDArray[Any]) -> Any:
    """Copy an array to the device."""
    return cuda.to_device(np.ascontiguousarray(values))


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> Any:
    """Return room on the device."""
    # Numba's device, unlike its simulator, takes no integers of NumPy for a shape.
    return cuda.device_array(tuple(map(int, np.atleast_1d(shape))), dtype)


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.int64) -> Any:
    """Return zeros on the device."""
    values = empty(shape, dtype)
    clear(values)
    return values


def flat(values: Any) -> Any:
    """Return a device array as one of a single dimension; nothing is copied."""
    return values.reshape(values.size)


def clear(*arrays: Any) -> None:
    """Set all values of device arrays of one type to zero."""
    some = tuple(flat(values) for values in arrays if values.size)
    if some:
        set_zero[grid_for(max(values.size for values in some))](some)


def free_memory() -> float:
    """Return the free bytes of the device."""
    if not config.ENABLE_CUDASIM:
        cuda.current_context().memory_manager.deallocations.clear()
    return float(cuda.current_context().get_memory_info()[0])


def total_memory() -> float:
    """Return the bytes of the device, whoever uses them."""
    return float(cuda.current_context().get_memory_info()[1])


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether the memory of the device was too small for an array, or for a kernel's code."""
    return getattr(error, "code", None) == OUT_OF_MEMORY or "OUT_OF_MEMORY" in str(error)


def out_of_memory(what: str, n_bytes: float, n_samples: int) -> MemoryError:
    """Return the error of something that does not fit, with the size of a batch that would."""
    free = free_memory()
    fitting = int(n_samples * free / max(1.0, n_bytes))
    advice = (
        f"a batch of {fitting} samples would fit" if fitting > 0 else
        "a single sample does not fit: the network, or the number of its spikes, is too large"
    )  # fmt: skip
    return MemoryError(
        f"{what} of {n_samples} samples takes about {n_bytes / 1e6:.0f} MB, and "
        f"{free / 1e6:.0f} MB are free on the CUDA device; {advice}"
    )


# --- arrays of other libraries --------------------------------------------------------------------


def is_on_device(values: object) -> bool:
    """Tell whether an array lies on the device: numba's, or that of a library that says so."""
    try:
        return hasattr(values, "__cuda_array_interface__") or hasattr(values, "__cuda_ndarray__")
    except Exception:  # whatever the methods of a foreign object raise
        return False


def type_of(values: Any) -> np.dtype[Any]:
    """Return the type of an array of any library, whatever it calls its types."""
    if is_on_device(values) and hasattr(values, "__cuda_array_interface__"):
        return np.dtype(values.__cuda_array_interface__["typestr"])
    known = isinstance(values, (np.ndarray, np.generic)) or is_on_device(values)
    return np.dtype(values.dtype if known else np.float64)


def as_device(
    values: Any, dtype: DTypeLike, name: str, shape: tuple[int | None, ...] | None = None
) -> Any:
    """Return an array of the device: as it is where it lies there, else a copy.

    Parameters
    ----------
    values : array
        Of any library that speaks ``__cuda_array_interface__`` (no copy is made: it must be of the
        type, contiguous in C order, and stay as it is while it is used), or array_like.
    dtype : dtype
        Its type.
    name : str
        How errors call it.
    shape : tuple of int or None, optional
        Its shape; None stands for any length.

    Raises
    ------
    ValueError
        If type, shape or layout are others.
    """
    dtype = np.dtype(dtype)
    if not is_on_device(values):
        host = _converted(values, dtype, name)
        _check_shape(host.shape, shape, name)
        return to_device(host)
    array = values if hasattr(values, "__cuda_ndarray__") else _borrowed(values, name)
    if array.dtype != dtype:
        raise ValueError(f"{name} on the device must be of {dtype}, got {array.dtype}")
    _check_shape(tuple(array.shape), shape, name)
    if not array.is_c_contiguous():
        raise ValueError(
            f"{name} on the device must be contiguous in C order, got strides {array.strides}"
        )
    return array


def _converted(values: Any, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return an array of the host as one of another type; ValueError for fractions as integers."""
    given = as_floats(values, name) if dtype.kind == "f" else as_indices(values, name)
    return given.astype(dtype, copy=False)


def _check_shape(found: tuple[int, ...], shape: tuple[int | None, ...] | None, name: str) -> None:
    if shape is None:
        return
    pairs = zip(found, shape, strict=False)
    if len(found) != len(shape) or any(b is not None and a != b for a, b in pairs):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {found}")


def _borrowed(values: Any, name: str) -> Any:
    """Return numba's view of an array that speaks the interface, when its values are there."""
    interface = values.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise ValueError(f"{name} on the device must not be masked, got {shown(values)}")
    if interface.get("stream") is None:
        # Numba waits for a stream that is named; what writes the array may be on any other.
        wait()
    if not config.ENABLE_CUDASIM:
        return cuda.as_cuda_array(values)
    # In the simulator the memory of the device is that of the host.
    view = np.asarray(SimpleNamespace(__array_interface__=interface, owner=values))
    return cuda.cudadrv.devicearray.FakeCUDAArray(view)


# --- launches -------------------------------------------------------------------------------------


def wait() -> None:
    """Wait for all launches: other libraries may read the results on streams of their own."""
    cuda.synchronize()


@contextmanager
def quietly() -> Iterator[None]:
    """Let small networks leave most of a device idle, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*low occupancy")
        yield


def threads_for(n: int) -> int:
    """Return the threads of a block that shares n items: whole warps."""
    return min(MOST_THREADS, WARP * -(-max(1, int(n)) // WARP))


Blocks: TypeAlias = int | tuple[int, int]
Launch: TypeAlias = tuple[Blocks, int, Any]

_streams: list[Any] = [0]  # 0: the default stream, which waits for those of other libraries


@contextmanager
def on_stream(stream: Any) -> Iterator[None]:
    """Launch kernels on this stream."""
    _streams.append(stream)
    try:
        yield
    finally:
        _streams.pop()


def of_blocks(blocks: int, n: int) -> Launch:
    """Return the launch of a kernel of ``blocks``, each of which shares n items."""
    return int(blocks), threads_for(n), _streams[-1]


def grid_for(n: int) -> Launch:
    """Return the launch of a kernel whose threads, in all blocks, share n items."""
    threads = threads_for(n)
    return max(1, min(MOST_BLOCKS, -(-int(n) // threads))), threads, _streams[-1]


def grid_of_rows(rows: int, n: int) -> Launch:
    """Return the launch of a kernel with a thread for each of n items in every row."""
    threads = threads_for(n)
    return (int(rows), -(-int(n) // threads)), threads, _streams[-1]
