# SPDX-License-Identifier: Apache-2.0
"""Datasets, their snapshots, and the contract that each further batch must satisfy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from mainstay.domain.errors import Invalid
from mainstay.domain.names import check_name, parse_numbered

# What a column can hold. ``time`` is an instant in UTC, ``local_time`` a clock reading without a zone; ``number`` a
# double.
TYPES = ("integer", "number", "text", "boolean", "time", "local_time", "date")

Fault = Literal["missing", "unknown", "type", "all_null", "null", "range", "category", "rows"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A named source of rows, and who answers for it."""

    name: str
    owner: str
    description: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, kw_only=True)
class Period:
    """The stretch of event time that a snapshot covers; ``until`` is not part of it."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if not self.since < self.until:
            raise Invalid(f"period begins at {self.since} and ends at {self.until}; it must end after it begins.")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A column of a snapshot: its name and one of `TYPES`."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One immutable Parquet file of a snapshot."""

    digest: str
    rows: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a contract asks of one column.

    A value outside ``minimum`` and ``maximum``, or one that ``categories`` does not list, is a warning; all else
    refuses. ``aliases`` are other names under which the column may arrive.
    """

    name: str
    type: str
    nullable: bool
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise Invalid(f"column {self.name!r} has type {self.type!r}; the types are {', '.join(TYPES)}.")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the columns of a dataset must satisfy; a change is a new version.

    A batch without rows is always refused; fewer rows than ``rows_low`` or more than ``rows_high`` is a warning.
    """

    dataset: str
    version: int
    columns: tuple[Column, ...]
    rows_low: int
    rows_high: int
    digest: str
    created_at: datetime
    actor: str

    def column(self, name: str) -> Column | None:
        """The rule for the column called ``name``."""
        return next((column for column in self.columns if column.name == name), None)

    def content(self) -> dict[str, Any]:
        """What the digest covers."""
        return contract_content(self.columns, self.rows_low, self.rows_high)


@dataclass(frozen=True, kw_only=True)
class LikelyAlias:
    """A column of a batch that holds the values of another one's. ``overlap`` of the two distributions: 0 to 1."""

    column: str
    overlap: float


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One way in which a batch breaks its contract. ``column`` is None where the whole batch is meant."""

    column: str | None
    problem: Fault
    found: str
    expected: str
    sentence: str
    likely_alias: LikelyAlias | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as stored and as sent."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Problem:
        """The problem that `to_json` wrote."""
        likely = data["likely_alias"]
        return Problem(**{**data, "likely_alias": likely and LikelyAlias(**likely)})


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """An immutable state of a dataset: a ``table``, or ``files``, which are counted as its rows and have no columns.

    ``digest`` names the manifest: schema, rows and parts. ``given`` is the blob as it was handed in; ``profile`` and
    ``spec`` are blobs too. ``warnings`` are what the contract found odd without refusing. ``is_known``: the content
    was there before.
    """

    dataset: str
    number: int
    kind: str
    digest: str
    rows: int
    size: int
    schema: tuple[Field, ...]
    parts: tuple[Part, ...]
    given: str
    profile: str
    spec: str
    contract_version: int
    period: Period | None
    source: str
    created_at: datetime
    actor: str
    run_id: str | None
    parents: tuple[str, ...]
    warnings: tuple[Problem, ...]
    is_known: bool = False

    @property
    def id(self) -> str:
        return f"{self.dataset}@{self.number}"

    @property
    def blob(self) -> str:
        """The Parquet file; a snapshot has one part until datasets are stored in several. Of files: the manifest."""
        return self.parts[0].digest if self.parts else self.digest


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A batch that broke its contract: nothing was published, and this is the record of it.

    ``rows_blob`` holds the first bad rows as JSON. ``resolved_by`` is the snapshot that the very same bytes became
    later.
    """

    id: str
    dataset: str
    at: datetime
    actor: str
    blob: str
    format: str
    source: str
    contract_version: int
    problems: tuple[Problem, ...]
    rows_blob: str
    resolved_by: str | None = None

    @property
    def sentence(self) -> str:
        """All problems in one text."""
        told = " ".join(problem.sentence for problem in self.problems[:5])
        more = len(self.problems) - 5
        rest = f" And {more} more problem{'s' if more > 1 else ''}." if more > 0 else ""
        return f"batch for dataset {self.dataset!r} was refused, nothing was published: {told}{rest}"


@dataclass(frozen=True, kw_only=True)
class Ref:
    """A movable name on a snapshot of a dataset, such as ``current``."""

    dataset: str
    name: str
    number: int
    moved_at: datetime
    actor: str


def contract_content(columns: tuple[Column, ...], rows_low: int, rows_high: int) -> dict[str, Any]:
    """The JSON that a contract's digest covers."""
    plain = [{key: list(v) if isinstance(v, tuple) else v for key, v in asdict(column).items()} for column in columns]
    return {"columns": plain, "rows": {"low": rows_low, "high": rows_high}}


def read_column(data: dict[str, Any]) -> Column:
    """A column's rule from its JSON form."""
    categories = data.get("categories")
    return Column(
        **{
            **data,
            "categories": None if categories is None else tuple(categories),
            "aliases": tuple(data.get("aliases") or ()),
        }
    )


def parse_snapshot(text: str) -> tuple[str, int]:
    """Split ``flights@3``.

    Raises:
        Invalid: it is not of that form.
    """
    name, number = parse_numbered(text, "@", kind="snapshot")
    return check_name("dataset", name), number
