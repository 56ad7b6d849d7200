"""Where data files come from: a folder that the user names, else a download with checksum."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from scenarios.extras import require

__all__ = ["DATA_VARIABLE", "DownloadError", "Source", "download", "find_folder"]

DATA_VARIABLE = "EVENTSIM_DATA"


class DownloadError(RuntimeError):
    """A data file could not be had from any mirror."""


@dataclass(frozen=True)
class Source:
    """The files of a data set and where to get them.

    Attributes
    ----------
    title : str
        Name of the data set.
    folder : str
        Name of the folder that holds its files: below the user's data folder, and in the cache.
    sha256 : mapping of str -> str
        Digest of each file, by its name.
    mirrors : tuple of str
        Addresses to which the name of a file is appended, the first to be tried first.
    """

    title: str
    folder: str
    sha256: Mapping[str, str]
    mirrors: tuple[str, ...]


def find_folder(
    folder: str, names: Collection[str], data_dir: str | Path | None = None
) -> Path | None:
    """Return the folder that the user named for the files of a data set.

    Parameters
    ----------
    folder : str
        Name of the subfolder in which they may lie.
    names : collection of str
        Names of the files; a folder that holds one of them is meant to hold the data set.
    data_dir : path, optional
        A folder that holds them, itself or in that subfolder.  Default: the environment variable
        EVENTSIM_DATA, if it is set.

    Returns
    -------
    Path or None
        None if ``data_dir`` is not given and EVENTSIM_DATA is not set or names a folder without
        these files (it may be for other data sets).

    Raises
    ------
    ValueError
        If ``data_dir`` does not hold them or cannot be read, or EVENTSIM_DATA does not name a
        folder.

    Examples
    --------
    >>> find_folder("mnist", ["train-labels-idx1-ubyte"], "no/such/folder")
    Traceback (most recent call last):
        ...
    ValueError: no file no/such/folder/train-labels-idx1-ubyte: neither no/such/folder nor its
    subfolder mnist holds any of train-labels-idx1-ubyte
    """
    if data_dir is not None:
        found = _holder(Path(data_dir), folder, names)
        if found is None:
            raise ValueError(
                f"no file {Path(data_dir) / next(iter(names))}: neither {data_dir} nor its "
                f"subfolder {folder} holds any of {', '.join(names)}"
            )
        return found
    variable = os.environ.get(DATA_VARIABLE)
    if not variable:
        return None
    if not Path(variable).is_dir():
        raise ValueError(
            f"the environment variable {DATA_VARIABLE} must name a folder, got {variable!r}"
        )
    return _holder(Path(variable), folder, names)


def download(source: Source) -> Path:
    """Return the folder of a data set in the user's cache, after downloading what is missing.

    Parameters
    ----------
    source : Source
        The files, their digests and their mirrors.  A file in the cache is checked each time, and
        replaced if it is damaged.

    Returns
    -------
    Path
        The folder; every file in it has the right digest.

    Raises
    ------
    DownloadError
        If no mirror gives a file with the right digest; it says why, and what to do instead.
    MissingExtraError
        If pooch is not installed.
    """
    require("scenarios", ("pooch",), f"downloading {source.title}")
    import pooch

    folder = Path(pooch.os_cache("eventsim")) / source.folder
    for name in source.sha256:
        _fetch(source, name, folder)
    return folder


def _holder(base: Path, folder: str, names: Collection[str]) -> Path | None:
    places = (base / folder, base)
    try:
        return next((p for p in places if any((p / name).exists() for name in names)), None)
    except OSError as error:
        raise ValueError(f"the data folder {base} cannot be read: {error.strerror}") from error


def _fetch(source: Source, name: str, folder: Path) -> None:
    """Let the first mirror that can put a file into the folder, whole and checked."""
    import pooch

    failures = []
    for mirror in source.mirrors:
        try:
            pooch.retrieve(
                mirror + name, known_hash=f"sha256:{source.sha256[name]}", fname=name, path=folder
            )
        except (OSError, ValueError) as error:  # no network, or not the right content
            failures.append(f"{mirror + name}: {error}")
        else:
            return
    raise DownloadError(
        f"{name} of {source.title} could not be downloaded:\n  "
        + "\n  ".join(failures)
        + f"\nGet the files {', '.join(source.sha256)} by other means, and name their folder with "
        f"--data-dir FOLDER or with the environment variable {DATA_VARIABLE}."
    )
