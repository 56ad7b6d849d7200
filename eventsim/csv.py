"""Spikes in text files of comma-separated values, exact to the bit.

The first line names the columns: ``neuron`` and ``time``, and ``population`` if there are several.
Others are left alone, so the table of `eventsim.Result.to_dataframe` is such a file as well.
"""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Iterator, Mapping
from itertools import repeat

from eventsim._support.files import FileError, as_path, replaced, writable
from eventsim._support.texts import as_time, as_whole, lines_of
from eventsim._support.validate import check_text, shown
from eventsim.spikes import RecordedSpikes, Spikes, as_trains

__all__ = ["read_spikes", "write_spikes"]

EXPECTED = "a table of spikes with the columns neuron and time"
COLUMNS = ("population", "neuron", "time")


def write_spikes(
    path: str | os.PathLike[str], spikes: Mapping[str, Spikes | RecordedSpikes]
) -> None:
    """Write spikes to a CSV file, which is replaced as a whole.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    spikes : dict of str -> Spikes or RecordedSpikes
        Of one run, by input or population: such as `eventsim.Result.spikes`.  Those without a spike
        leave no trace.

    Raises
    ------
    ValueError
        If there can be no such file or text, or the spikes are those of a batch.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "spikes.csv"
    >>> write_spikes(path, {"in": Spikes([0.5, 0.25], [0, 3])})
    >>> print(path.read_text())
    population,neuron,time
    in,3,0.25
    in,0,0.5
    <BLANKLINE>
    """
    target, trains = writable(path), as_trains(spikes)
    with replaced(target) as file:
        writer = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, train in trains.items():
            columns = repeat(name), train.indices.tolist(), train.times.tolist()
            writer.writerows(zip(*columns, strict=False))


def read_spikes(path: str | os.PathLike[str], population: str = "default") -> dict[str, Spikes]:
    r"""Read spikes from a CSV file, plain or packed by gzip or xz.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    population : str
        Whose spikes they are, if the file has no column ``population``.

    Returns
    -------
    dict of str -> Spikes
        By population, in the order in which they occur.

    Raises
    ------
    ValueError
        With path and line, if the file is no such table or is damaged, if a time is no finite
        number >= 0 or a neuron no whole one, or if there are several samples.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "spikes.csv"
    >>> n = path.write_text("time,neuron\n0.5,0\n0.25,3\n")
    >>> read_spikes(path, "in")["in"].times
    array([0.25, 0.5 ])
    """
    check_text(population, "population")
    place = as_path(path)
    reader = csv.reader(lines_of(place, EXPECTED), strict=True)
    try:
        return _read(reader, population)
    except FileError:
        raise
    except (ValueError, csv.Error) as error:
        wrong = f"cannot be used, because of line {max(reader.line_num, 1)}: {error}"
        raise FileError(place, wrong, EXPECTED) from error


def _read(rows: Iterator[list[str]], population: str) -> dict[str, Spikes]:
    """Return the spikes of a table, whose first row has the names of the columns."""
    header = [name.strip() for name in next(rows, [])]
    if not {"neuron", "time"}.issubset(header) or len(set(header)) < len(header):
        raise ValueError(f"columns must be neuron, time and others, got {shown(header)}")
    place = {name: k for k, name in enumerate(header)}
    time, neuron = place["time"], place["neuron"]
    whose, sample = place.get("population"), place.get("sample")
    found: dict[str, tuple[list[float], list[int]]] = {}
    samples = set()
    for row in filter(None, rows):
        if len(row) != len(header):
            raise ValueError(f"it must have {len(header)} values, got {len(row)}")
        samples.add(None if sample is None else row[sample])
        if len(samples) > 1:
            raise ValueError(f"there must be one sample, got {shown(sorted(map(str, samples)))}")
        name = population if whose is None else row[whose]
        times, neurons = found.setdefault(name, ([], []))
        times.append(as_time(row[time].strip()))
        neurons.append(as_whole(row[neuron].strip(), "neuron"))
    return {name: Spikes(*columns) for name, columns in found.items()}
