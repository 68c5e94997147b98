# SPDX-License-Identifier: Apache-2.0
"""Detectors: one statistic a file, each comparing a column's window with its baseline.

A detector reads two vectors of counts over the cells of one ``ColumnSpec`` and gives a ``Measurement``. It states its
unit, says None where the column's kind gives it nothing to measure, and never decides: verdicts belong to ``drift``.
A file here registers itself by ``@detector("name")``; that is all it takes to add one.

Good means: 0 for equal shares, the same for the same counts, finite for any counts, indifferent to how far out a single
wild row is, and honest about ``n``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mainstay.domain.errors import NotFound
from mainstay.measures.specs import ColumnSpec

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A number with its unit, the window rows it rests on, and a 95 % interval where the statistic has one.

    ``value`` is None when there was nothing to measure; ``detail["reason"]`` then says why.
    """

    value: float | None
    unit: str
    n: int
    lo: float | None = None
    hi: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Detector(Protocol):
    """One statistic of one column."""

    def measure(self, baseline_counts: Counts, window_counts: Counts, column_spec: ColumnSpec) -> Measurement:
        """Compare the window with the baseline; both count the cells of ``column_spec``."""
        ...


_Kind = TypeVar("_Kind", bound=type[Any])
_detectors: dict[str, Detector] = {}


def detector(name: str) -> Callable[[_Kind], _Kind]:
    """Register the class below as the detector ``name``."""

    def register(kind: _Kind) -> _Kind:
        _detectors[name] = kind()
        return kind

    return register


def names() -> tuple[str, ...]:
    """All detectors, in alphabetical order."""
    return tuple(sorted(_detectors))


def get(name: str) -> Detector:
    """The detector ``name``. Raises NotFound, with the names there are."""
    if name not in _detectors:
        raise NotFound(f"there is no detector '{name}'; detectors are {', '.join(names())}.", detector=name)
    return _detectors[name]


def nothing(unit: str, window_counts: Counts, reason: str) -> Measurement:
    """The measurement of a column that gives this detector nothing to measure."""
    return Measurement(value=None, unit=unit, n=int(window_counts.sum()), detail={"reason": reason})


def is_empty(baseline_counts: Counts, window_counts: Counts) -> bool:
    return not baseline_counts.any() or not window_counts.any()


# Each file of this folder registers itself when it is imported; a new file needs no list to be added to.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
