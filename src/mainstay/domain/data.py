# SPDX-License-Identifier: Apache-2.0
"""Datasets, their snapshots, and the record of batches that were refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from mainstay.domain.errors import Invalid
from mainstay.domain.names import check_name, parse_numbered

Fault = Literal[
    "missing",
    "unknown",
    "type",
    "all_null",
    "null",
    "unique",
    "pattern",
    "freshness",
    "range",
    "category",
    "rows",
    "mutable",
]


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
    """A column of a snapshot: its name and one of `contracts.TYPES`."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One immutable Parquet file of a snapshot."""

    digest: str
    rows: int
    size: int


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
    dropped_at: datetime | None = None
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


def parse_snapshot(text: str) -> tuple[str, int]:
    """Split ``flights@3``.

    Raises:
        Invalid: it is not of that form.
    """
    name, number = parse_numbered(text, "@", kind="snapshot")
    return check_name("dataset", name), number
