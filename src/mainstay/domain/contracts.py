# SPDX-License-Identifier: Apache-2.0
"""Contracts: what the columns of a dataset, or of a request, must satisfy; one object for ingest and for serving.

Plain data. ``measures.rules`` says which values break a rule, ``lifecycle.data.checks`` holds a batch against a whole
contract, the gateway holds a request's rows against the rules of its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from mainstay.domain.clock import parse_duration
from mainstay.domain.errors import Invalid

# What a column can hold. ``time`` is an instant in UTC, ``local_time`` a clock reading without a zone; ``number`` a
# double.
TYPES = ("integer", "number", "text", "boolean", "time", "local_time", "date")
NUMBERS = ("integer", "number")
TIMES = ("time", "local_time", "date")

Violation = Literal["refuse", "warn"]
VIOLATIONS = ("refuse", "warn")
# What the first batch shows is only usual, and a guess; the other rules somebody wrote, and meant.
_WARNS = ("range", "category", "rows")
# A pattern this long is a program; and each is compiled at every check.
LONGEST_PATTERN = 1_000


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a contract asks of one column.

    ``aliases``: other names under which it may arrive. ``pattern``: RE2 syntax, and the whole text must match.
    ``unique``: no value twice; missing ones do not count. ``freshness``: how old the newest value of a column of times
    may be, such as ``2d``. ``on_violation``: what a broken rule does; None: a value out of range or of no category
    warns, every other rule refuses. A wrong type or a forbidden null always refuses.
    """

    name: str
    type: str
    nullable: bool
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    unique: bool = False
    pattern: str | None = None
    freshness: str | None = None
    on_violation: Violation | None = None

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise Invalid(f"column {self.name!r} has type {self.type!r}; the types are {', '.join(TYPES)}.")
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        self._only_for(bool(bounds), "minimum or maximum", NUMBERS)
        self._only_for(self.categories is not None, "categories", ("text",))
        self._only_for(self.pattern is not None, "pattern", ("text",))
        self._only_for(self.freshness is not None, "freshness", TIMES)
        if not all(map(math.isfinite, bounds)) or bounds != sorted(bounds):
            raise Invalid(
                f"column {self.name!r} ranges from {self.minimum} to {self.maximum}; two finite numbers, "
                "the smaller first, are expected."
            )
        if self.pattern is not None and len(self.pattern) > LONGEST_PATTERN:
            raise Invalid(f"column {self.name!r} has a pattern of more than {LONGEST_PATTERN} characters; shorten it.")
        if self.freshness is not None:
            parse_duration(self.freshness, what=f"freshness of column {self.name!r}")
        check_violation(self.on_violation or "warn", f"on_violation of column {self.name!r}")

    def severity(self, fault: str) -> Violation:
        """What follows when this column breaks the rule that ``fault`` names.

        >>> Column(name="x", type="number", nullable=True, maximum=9.0).severity("range")
        'warn'
        """
        return self.on_violation or ("warn" if fault in _WARNS else "refuse")

    def content(self) -> dict[str, Any]:
        """Plain JSON. What came later is left out where it says nothing, so that digests of older contracts stay."""
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
        later = ("unique", "pattern", "freshness", "on_violation")
        return {key: v for key, v in plain.items() if key not in later or v}

    def _only_for(self, has: bool, what: str, types: Sequence[str]) -> None:
        if has and self.type not in types:
            raise Invalid(
                f"column {self.name!r} is {self.type} and has {what}, which is for {' and '.join(types)}; leave it out."
            )


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the columns of a dataset must satisfy; a change is a new version.

    A batch without rows is always refused; fewer rows than ``rows_low`` or more than ``rows_high`` is what ``on_rows``
    says. ``keys``: columns whose values together may occur only once.
    """

    dataset: str
    version: int
    columns: tuple[Column, ...]
    rows_low: int
    rows_high: int
    digest: str
    created_at: datetime
    actor: str
    on_rows: Violation = "warn"
    keys: tuple[tuple[str, ...], ...] = ()

    def column(self, name: str) -> Column | None:
        """The rule for the column called ``name``."""
        return next((column for column in self.columns if column.name == name), None)

    def content(self) -> dict[str, Any]:
        """What the digest covers."""
        return contract_content(self.columns, self.rows_low, self.rows_high, self.on_rows, self.keys)


def contract_content(
    columns: Sequence[Column],
    rows_low: int,
    rows_high: int,
    on_rows: str = "warn",
    keys: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """The JSON that a contract's digest covers."""
    rows: dict[str, Any] = {"low": rows_low, "high": rows_high}
    if on_rows != "warn":
        rows["on_violation"] = on_rows
    found: dict[str, Any] = {"columns": [column.content() for column in columns], "rows": rows}
    return found | {"keys": [list(key) for key in keys]} if keys else found


def read_column(data: Mapping[str, Any]) -> Column:
    """A column's rule from its JSON form."""
    categories = data.get("categories")
    return Column(
        **{
            **data,
            "categories": None if categories is None else tuple(categories),
            "aliases": tuple(data.get("aliases") or ()),
        }
    )


def check_columns(dataset: str, columns: Sequence[Column], keys: Sequence[Sequence[str]]) -> None:
    """See that the parts of a contract fit together.

    Raises:
        Invalid: no column at all, a name or alias that stands twice, or a key of columns that are not there.
    """
    names = [name for rule in columns for name in (rule.name, *rule.aliases)]
    if not columns or len(set(names)) < len(names):
        raise Invalid(f"a contract for dataset {dataset!r} needs a column, and every name and alias only once.")
    there = {rule.name for rule in columns}
    for key in keys:
        unknown = next((name for name in key if name not in there), None)
        if unknown is not None or not key or len(set(key)) < len(key):
            what = f"{unknown!r}, which is no column of it" if unknown is not None else "no column, or one twice"
            raise Invalid(f"a key of the contract for dataset {dataset!r} names {what}; name columns, each once.")


def check_violation(found: Any, what: str) -> Violation:
    """``found`` if it says what a broken rule does.

    Raises:
        Invalid: it is neither ``refuse`` nor ``warn``.
    """
    if found not in VIOLATIONS:
        raise Invalid(f"{what} is {found!r}; 'refuse' or 'warn' is expected.")
    said: Violation = found
    return said
