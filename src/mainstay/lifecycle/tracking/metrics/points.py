# SPDX-License-Identifier: Apache-2.0
"""Points: the readings of a series side by side as columns, and the bytes in which they are kept.

Readings that came together are kept together, each as three numbers of eight bytes: step, microseconds since 1970, value. So a
request of a thousand is a few rows, and a hundred thousand are read without an object for each. What is no number is NaN here
and None in a `Reading`, for databases have no NaN in common.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mainstay.domain.digests import sha256_hex

Reading = tuple[int, int, float | None]
"""One reading: step, microseconds since 1970, and the value or None for what is no number."""

_KEPT = np.dtype([("step", "<i8"), ("at", "<i8"), ("value", "<f8")])
# Little-endian, whatever the machine is: the bytes of a workspace may move.
_pack = struct.Struct("<qqd").pack
_NAN = math.nan


class Points(NamedTuple):
    """Readings as columns of one length, in the order (step, at, value), each once; among equals NaN comes first."""

    steps: np.ndarray[Any, np.dtype[np.int64]]
    at: np.ndarray[Any, np.dtype[np.int64]]
    values: np.ndarray[Any, np.dtype[np.float64]]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.steps)

    def some(self, which: Any) -> Points:
        """Those that a slice, a mask or places choose."""
        return Points(self.steps[which], self.at[which], self.values[which])

    def readings(self) -> list[Reading]:
        """Each by itself."""
        values: list[Any] = self.values.tolist()
        if np.isnan(self.values).any():
            values = [None if value != value else value for value in values]
        return list(zip(self.steps.tolist(), self.at.tolist(), values, strict=True))

    def digest(self) -> str:
        """SHA-256 of all steps, then all times, then all values, each as eight bytes, little-endian."""
        columns = (self.steps.astype("<i8"), self.at.astype("<i8"), self.values.astype("<f8"))
        return sha256_hex(b"".join(column.tobytes() for column in columns))


def kept(readings: Sequence[Reading]) -> bytes:
    """The bytes of readings, in the order in which they came."""
    return b"".join([_pack(step, at, _NAN if value is None else value) for step, at, value in readings])


def read(parts: Iterable[bytes]) -> Points:
    """The points that these bytes hold, sorted, and each once."""
    found = np.frombuffer(b"".join(parts), dtype=_KEPT)
    return _ordered(
        Points(found["step"].astype(np.int64), found["at"].astype(np.int64), found["value"].astype(np.float64))
    )


def behind(points: Points, place: Reading, *, by_time: bool = False) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points come behind ``place``, in the order (step, at, value) or (at, step, value)."""
    step, at, value = place
    terms = [(points.steps, step), (points.at, at)]
    (major, most), (minor, more) = reversed(terms) if by_time else terms
    numbers = ~np.isnan(points.values)
    further = numbers if value is None else numbers & (points.values > value)
    return (major > most) | ((major == most) & ((minor > more) | ((minor == more) & further)))


def by_time(points: Points) -> Points:
    """The same in the order (at, step, value)."""
    if (points.at[1:] >= points.at[:-1]).all():  # as in most series: time went on as steps did
        return points
    return points.some(np.lexsort((points.steps, points.at)))  # a stable sort: values stay in order


def _ordered(points: Points) -> Points:
    steps, at, values = points
    if (steps[1:] > steps[:-1]).all():  # as most series come
        return points
    points = points.some(np.lexsort((values, ~np.isnan(values), at, steps)))
    steps, at, values = points
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    repeats = (steps[1:] == steps[:-1]) & (at[1:] == at[:-1]) & same
    return points.some(np.concatenate(([True], ~repeats))) if repeats.any() else points
