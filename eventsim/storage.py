"""Networks in files.

A file is an ``.npz`` archive of arrays, without pickle.  Its array ``header`` holds JSON in UTF-8:
name and version of the format, the version of eventsim, and the calls that build the network.  Each
call is ``[name, arguments]``.  Among the arguments ``{"array": name}`` stands for an array of the
archive, ``{"LIF": {...}}`` for an object with these fields, and ``{"float": "inf"}`` for a number
that JSON does not have.

So there is no second set of checks, which could forget one: what is read goes through those of the
constructors and of `eventsim.Network`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from importlib import metadata
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from eventsim._support.files import FileError, as_path, read_npz, replaced, writable
from eventsim._support.validate import as_count, shown
from eventsim.connecting import Synapses
from eventsim.convolution import Convolution
from eventsim.generators import Steps
from eventsim.model.neuron import LIF

__all__ = ["Call", "reading", "write"]

FORMAT, VERSION = "eventsim network", 1
HEADER = "header"
EXPECTED = f"a file with a network of eventsim, in version {VERSION} of the format"
OBJECTS = {kind.__name__: kind for kind in (LIF, Steps, Convolution, Synapses)}

Call: TypeAlias = tuple[str, dict[str, Any]]
"""What is called to build a network, and with which arguments, by name."""

Arrays: TypeAlias = dict[str, NDArray[Any]]


def write(path: str | os.PathLike[str], calls: Iterable[Call]) -> None:
    """Write calls to a file, which is replaced as a whole.

    Raises
    ------
    ValueError
        If there can be no such file; before anything is written.
    """
    target = writable(path)
    packer = _Packer()
    header = {
        "format": FORMAT,
        "version": VERSION,
        "eventsim": _release(),
        "calls": [[name, packer.fields(arguments)] for name, arguments in calls],
    }
    text = np.frombuffer(json.dumps(header, allow_nan=False).encode(), dtype=np.uint8)
    with replaced(target) as file:
        np.savez(file, **{HEADER: text}, **packer.arrays)  # type: ignore[arg-type]


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[Iterator[Call]]:
    """Read calls from a file; whatever is wrong with it, or with a call, is one error.

    Raises
    ------
    ValueError
        With path and reason, if the file is no network, is damaged or is of a later version, or if
        a ValueError is raised within the context.
    """
    place = as_path(path)
    arrays = read_npz(place, expected=EXPECTED)
    try:
        yield _calls(arrays)
    except (ValueError, RecursionError) as error:
        raise FileError(place, f"cannot be used: {error}", EXPECTED) from error


# --- writing --------------------------------------------------------------------------------------


class _Packer:
    """Turns values into what JSON can hold, and keeps each array once, however often it is met."""

    def __init__(self) -> None:
        self.arrays: Arrays = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return packed values by name."""
        return {name: self.packed(value) for name, value in values.items()}

    def packed(self, value: Any) -> Any:
        """Return a value as JSON has it."""
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": repr(value)}
        if isinstance(value, np.ndarray):
            return {"array": self._name_of(value)}
        if isinstance(value, sparse.csr_array):
            parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr}
            return {"sparse": self.fields({**parts, "shape": value.shape})}
        if isinstance(value, Mapping):
            return {"dict": [[key, self.packed(part)] for key, part in value.items()]}
        for name, kind in OBJECTS.items():
            if isinstance(value, kind):
                own = {field.name: getattr(value, field.name) for field in fields(kind)}
                return {name: self.fields(own)}
        return value

    def _name_of(self, array: NDArray[Any]) -> str:
        """Return the name of an array; those that are the same memory have one name."""
        memory = array.ctypes.data, array.shape, array.strides, array.dtype.str
        if memory not in self._names:
            self._names[memory] = name = f"array{len(self.arrays)}"
            self.arrays[name] = array
        return self._names[memory]


def _release() -> str:
    try:
        return metadata.version("eventsim-snn")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


# --- reading --------------------------------------------------------------------------------------


def _calls(arrays: Arrays) -> Iterator[Call]:
    """Yield the calls that a header lists."""
    if HEADER not in arrays or arrays[HEADER].dtype != np.uint8:
        raise ValueError(f"it has no {HEADER}, but {shown(list(arrays))}")
    header = json.loads(arrays[HEADER].tobytes())
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"its header must say that it is an {FORMAT!r}, got {shown(header)}")
    version = as_count(header.get("version"), "version of the format")
    if version > VERSION:
        raise ValueError(
            f"it was written by eventsim {shown(header.get('eventsim'))}, in version {version} of "
            f"the format; eventsim {_release()} reads version {VERSION}"
        )
    unpacker = _Unpacker(arrays)
    for call in _as_list(header.get("calls"), "calls"):
        name, arguments = _as_item(call, "a call")
        yield name, unpacker.fields(arguments)


class _Unpacker:
    """Turns what `_Packer` made back into the same values."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = {name: _native(array) for name, array in arrays.items()}

    def fields(self, packed: Any) -> dict[str, Any]:
        """Return values by name."""
        if not isinstance(packed, dict):
            raise ValueError(f"values must be listed by name, got {shown(packed)}")
        return {name: self.value(part) for name, part in packed.items()}

    def value(self, packed: Any) -> Any:
        """Return a value; objects check what they are given."""
        if isinstance(packed, list):
            return tuple(self.value(part) for part in packed)
        if not isinstance(packed, dict):
            return packed
        if len(packed) != 1:
            raise ValueError(f"a value must be of one kind, got {shown(packed)}")
        ((kind, content),) = packed.items()
        if kind in OBJECTS:
            return self._object(OBJECTS[kind], content)
        if kind == "array":
            return self._array(content)
        if kind == "sparse":
            return self._sparse(content)
        if kind == "dict":
            items = [_as_item(item, "an item") for item in _as_list(content, "items")]
            return {name: self.value(part) for name, part in items}
        if kind == "float" and content in ("inf", "-inf"):
            return float(content)
        raise ValueError(f"a value must be of a known kind, got {shown(packed)}")

    def _array(self, name: Any) -> NDArray[Any]:
        if not isinstance(name, str) or name not in self._arrays:
            raise ValueError(f"it must hold the array {shown(name)}")
        return self._arrays[name]

    def _object(self, kind: type, content: Any) -> Any:
        return kind(**_exactly(self.fields(content), [field.name for field in fields(kind)]))

    def _sparse(self, content: Any) -> sparse.csr_array:
        """Return a matrix that shares its arrays with others of the file."""
        parts = _exactly(self.fields(content), ["data", "indices", "indptr", "shape"])
        shape = parts.pop("shape")
        for name, part in parts.items():
            kind = "f" if name == "data" else "i"
            if not isinstance(part, np.ndarray) or part.ndim != 1 or part.dtype.kind != kind:
                raise ValueError(f"{name} of a sparse matrix must be (n,), got {shown(part)}")
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise ValueError(f"a sparse matrix must have two dimensions, got {shown(shape)}")
        sizes = tuple(as_count(n, "size of a sparse matrix") for n in shape)
        return sparse.csr_array((parts["data"], parts["indices"], parts["indptr"]), shape=sizes)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the byte order of this machine, read-only, so that networks share it."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def _exactly(values: dict[str, Any], names: list[str]) -> dict[str, Any]:
    if values.keys() != set(names):
        raise ValueError(f"there must be {', '.join(names)}, got {shown(list(values))}")
    return values


def _as_list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, got {shown(value)}")
    return value


def _as_item(value: Any, name: str) -> tuple[str, Any]:
    """Return a pair that begins with a name."""
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        raise ValueError(f"{name} must be a name and a value, got {shown(value)}")
    return value[0], value[1]
