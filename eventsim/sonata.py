"""Spikes in SONATA files: HDF5, with a group of node ids and times for each population.

The old layout, ``/spikes/gids`` and ``/spikes/timestamps``, is read as well.  What is written here
has a checksum on all that it holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eventsim._support.extras import extra
from eventsim._support.files import LARGEST, as_path, regular, replaced, writable
from eventsim._support.validate import check_text, shown
from eventsim.spikes import RecordedSpikes, Spikes, as_trains
from eventsim.units import as_times, check_time_unit

if TYPE_CHECKING:
    import h5py

__all__ = ["read_spikes", "write_spikes"]

NEED = "a SONATA file needs"
EXPECTED = "a SONATA file of spikes"
SORTING = {"none": 0, "by_id": 1, "by_time": 2}
# How files spell the units of time.
SPELLINGS = {
    spelling: unit
    for unit, spellings in {
        "s": ("s", "sec", "second", "seconds"),
        "ms": ("ms", "msec", "millisecond", "milliseconds"),
        "us": ("us", "usec", "microsecond", "microseconds"),
        "ns": ("ns", "nsec", "nanosecond", "nanoseconds"),
    }.items()
    for spelling in spellings
}


def write_spikes(
    path: str | os.PathLike[str], spikes: Mapping[str, Spikes | RecordedSpikes], *, unit: str
) -> None:
    """Write spikes to a SONATA file, which is replaced as a whole.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    spikes : dict of str -> Spikes or RecordedSpikes
        Of one run, by population: such as `eventsim.Result.spikes`.
    unit : {"s", "ms", "us", "ns"}
        The unit of the network's time; the file has ms, as SONATA wants it.

    Raises
    ------
    ImportError
        If h5py is not installed (extra ``io``).
    ValueError
        If there can be no such file or unit, or the spikes are those of a batch.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "spikes.h5"
    >>> write_spikes(path, {"E": Spikes([0.5, 0.25], [0, 3])}, unit="ms")
    >>> read_spikes(path, unit="ms")["E"].times
    array([0.25, 0.5 ])
    """
    check_time_unit(unit)
    target, trains = writable(path), as_trains(spikes)
    for name in trains:
        if "/" in name or name == ".":
            raise ValueError(f"spikes must have names without a /, got {shown(name)}")
    times_in_ms = {name: as_times(train.times, unit, "ms") for name, train in trains.items()}
    with extra("io", NEED):
        import h5py
    sorting = h5py.enum_dtype(SORTING, basetype="u1")
    # The format of HDF5 1.10 is the first with a checksum on all that is not data.
    with replaced(target) as file, h5py.File(file, "w", libver=("v110", "v110")) as content:
        spikes_group = content.create_group("spikes")
        for name, train in trains.items():
            group = spikes_group.create_group(name)
            group.attrs.create("sorting", SORTING["by_time"], dtype=sorting)
            _write(group, "node_ids", train.indices.astype(np.uint64))
            times = _write(group, "timestamps", times_in_ms[name])
            times.attrs["units"] = np.bytes_("ms")  # others lie where there is no checksum


def _write(group: h5py.Group, name: str, values: NDArray[Any]) -> h5py.Dataset:
    """Write an array with a checksum; an empty one has nothing to check."""
    options = {"chunks": True, "fletcher32": True} if values.size else {}
    return group.create_dataset(name, data=values, **options)


def read_spikes(
    path: str | os.PathLike[str], *, unit: str, population: str = "default"
) -> dict[str, Spikes]:
    """Read the spikes of all populations from a SONATA file.

    Parameters
    ----------
    path : str or os.PathLike
        The file, sorted by time, by id or not at all.
    unit : {"s", "ms", "us", "ns"}
        The unit of the network's time, to which times are converted.  A file that does not say its
        own has ms.
    population : str
        Whose spikes they are, if the file has the old layout, which does not say it.

    Returns
    -------
    dict of str -> Spikes
        By population; node ids are indices.

    Raises
    ------
    ImportError
        If h5py is not installed (extra ``io``).
    ValueError
        With the path, if the file is anything else or is damaged, or if a time is no finite number
        >= 0.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "spikes.h5"
    >>> write_spikes(path, {"E": Spikes([0.5], [3])}, unit="s")
    >>> read_spikes(path, unit="ms")["E"].times
    array([500.])
    """
    check_time_unit(unit)
    check_text(population, "population")
    place = as_path(path)
    with extra("io", NEED):
        import h5py
    with regular(place, EXPECTED) as file:
        largest = max(LARGEST, os.fstat(file.fileno()).st_size)
        try:
            with h5py.File(file, "r") as content:
                parts = _parts(content, population)
                return {name: _train(name, *part, unit, largest) for name, part in parts.items()}
        except KeyError as error:  # h5py has it for what is damaged, too
            raise ValueError(shown(error.args[0])) from error


def _parts(content: h5py.File, population: str) -> dict[str, tuple[h5py.Group, str]]:
    """Return the group of each population, and what its node ids are called."""
    import h5py

    spikes = _member(content, "spikes", h5py.Group)
    if "gids" in spikes:
        return {population: (spikes, "gids")}
    return {name: (_member(spikes, name, h5py.Group), "node_ids") for name in spikes}


def _train(name: str, group: h5py.Group, ids: str, unit: str, largest: int) -> Spikes:
    """Return the spikes of one population."""
    try:
        indices, times = (
            _values(group, ids, "iu", largest), _values(group, "timestamps", "fiu", largest)
        )  # fmt: skip
        given = group["timestamps"].attrs.get("units", "ms")
        given = given.decode() if isinstance(given, bytes) else given
        if not isinstance(given, str) or given not in SPELLINGS:
            raise ValueError(f"units of the timestamps must be s, ms, us or ns, got {shown(given)}")
        return Spikes(as_times(times.astype(np.float64), SPELLINGS[given], unit), indices)
    except ValueError as error:
        raise ValueError(f"population {shown(name)}: {error}") from error


def _values(group: h5py.Group, name: str, kinds: str, largest: int) -> NDArray[Any]:
    """Return a list of numbers that lies in the file itself."""
    import h5py

    found = _member(group, name, h5py.Dataset)
    if found.ndim != 1 or found.dtype.kind not in kinds:
        raise ValueError(f"{name} must be a list of numbers, got {found.shape} of {found.dtype}")
    if found.nbytes > largest:
        raise ValueError(f"{name} must have at most {largest} bytes, got {found.nbytes}")
    if found.is_virtual or found.external:
        raise ValueError(f"{name} must lie in the file, got a link to another one")
    return found[()]


def _member(group: h5py.Group, name: str, kind: type) -> Any:
    """Return a group or an array of a group; a link to another file is not followed."""
    import h5py

    found = None
    if name in group and not isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        found = group[name]
    if not isinstance(found, kind):
        raise ValueError(
            f"{shown(group.name)} must have the {kind.__name__.lower()} {shown(name)}, "
            f"got {shown(list(group))}"
        )
    return found
