"""Spikes as tables of pandas, which is imported when a table is made or read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from eventsim._support.extras import extra
from eventsim._support.types import IntArray
from eventsim._support.validate import shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_of", "named", "read_all", "read_one"]

Column: TypeAlias = NDArray[Any]


def frame_of(columns: dict[str, Any]) -> pd.DataFrame:
    """Return a table with a copy of each column."""
    with extra("io", "a table of spikes needs"):
        import pandas as pd
    return pd.DataFrame(columns)


def named(codes: IntArray, names: Sequence[str]) -> pd.Categorical:
    """Return a column of names that knows them all, also those that do not occur."""
    with extra("io", "a table of spikes needs"):
        import pandas as pd
    return pd.Categorical.from_codes(codes, names)


def read_one(frame: pd.DataFrame, population: str | None) -> tuple[Column, Column]:
    """Return times and neurons of one population in one sample."""
    rows = _rows_of(_as_frame(frame), population)
    if "sample" in frame.columns:
        samples = np.unique(_column(frame, "sample")[rows])
        if samples.size > 1:
            raise ValueError(
                "frame must hold one sample (SpikeBatch.from_dataframe takes several), got samples "
                f"{shown(samples.tolist())}"
            )
    return _column(frame, "time")[rows], _column(frame, "neuron")[rows]


def read_all(frame: pd.DataFrame, population: str | None) -> tuple[Column, Column, Column]:
    """Return times, neurons and samples of one population."""
    rows = _rows_of(_as_frame(frame), population)
    return (
        _column(frame, "time")[rows],
        _column(frame, "neuron")[rows],
        _column(frame, "sample")[rows],
    )


def _as_frame(frame: object) -> pd.DataFrame:
    with extra("io", "a table of spikes needs"):
        import pandas as pd
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"frame must be a pandas.DataFrame, got {shown(frame)}")
    return frame


def _column(frame: pd.DataFrame, name: str) -> Column:
    return _series(frame, name).to_numpy()


def _series(frame: pd.DataFrame, name: str) -> pd.Series:
    columns = list(frame.columns)
    if columns.count(name) != 1:
        raise ValueError(f"frame must have one column {name!r}, got {shown(columns)}")
    return frame[name]


def _rows_of(frame: pd.DataFrame, population: str | None) -> Any:
    """Return which rows are those of a population, as an index; None: of the only one."""
    known: dict[Any, None] = {}
    if "population" in frame.columns:
        column = _series(frame, "population")
        listed = column.cat.categories if hasattr(column, "cat") else []
        known = dict.fromkeys([*listed, *column.unique()])
    if population is None and len(known) <= 1:
        return slice(None)
    if not isinstance(population, str) or population not in known:
        raise ValueError(
            f"population must be one of those of the frame, {shown(list(known))}, "
            f"got {shown(population)}"
        )
    return column.eq(population).to_numpy(dtype=bool, na_value=False)
