# SPDX-License-Identifier: Apache-2.0
"""What each month brings: its file, its departures as requests, and what became of them.

In: a month's number. Out: a `Month`. The next one is made ready by a thread while this one is judged and decided about:
the demo has nothing else to do then.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.demo import traffic
from mainstay.demo.project import flights
from mainstay.domain.clock import to_wire

SAMPLE = 2_000  # so many of a month's departures are spread evenly over it, and asked for first


class Fate(msgspec.Struct, frozen=True, gc=False):
    """Whether a flight was late (0 or 1), and since when that is known (UTC, ISO)."""

    label: int
    at: str


@dataclass(kw_only=True)
class Month:
    """One month. ``table``: its file as it arrives; ``rows``: features without the label; ``fate_by_key``: who landed."""

    number: int
    table: pa.Table
    rows: pa.Table
    fate_by_key: dict[str, Fate]
    _order: list[int]
    _asked: list[traffic.Asked] = field(default_factory=list)

    def requests(self, first: int, size: int) -> list[traffic.Asked]:
        """Requests ``first`` to ``first + size``, in an order whose first `SAMPLE` are spread evenly over the month."""
        made, wanted = len(self._asked), first + size
        if made < wanted:
            self._asked += _as_requests(self.rows.take(self._order[made:wanted]))
        return self._asked[first:wanted]


class Months:
    """The months of 2013, each made once."""

    def __init__(self) -> None:
        self._maker = ThreadPoolExecutor(1, "mainstay-month")
        self._made: dict[int, Future[Month]] = {}

    def of(self, number: int) -> Month:
        """One month; those before it are let go."""
        for past in [each for each in list(self._made) if each < number]:
            self._made.pop(past, None)
        self.prepare(number)
        return self._made[number].result()

    def prepare(self, number: int) -> None:
        """Have a month made ready; there is no month after December."""
        if number <= 12 and number not in self._made:
            self._made[number] = self._maker.submit(_made, number)


def first_of(number: int) -> datetime:
    """Where a month begins; 13 is the first of the next year."""
    return datetime(2013 + (number - 1) // 12, (number - 1) % 12 + 1, 1, tzinfo=UTC)


def _made(number: int) -> Month:
    table = flights.load(_day(number + 1), since=_day(number))
    rows = flights.features(table)
    month = Month(
        number=number,
        table=table,
        rows=rows.drop_columns(["late"]),
        fate_by_key=_fates(rows, table),
        _order=_spread(rows.num_rows, SAMPLE),
    )
    month.requests(0, SAMPLE)
    return month


def _day(number: int) -> str:
    found: date = first_of(number).date()
    return found.isoformat()


def _spread(rows: int, sample: int) -> list[int]:
    """Every row once, in an order whose first ``sample`` are spread evenly over the month."""
    step = max(1, rows // sample)
    return [row for start in range(step) for row in range(start, rows, step)]


def _as_requests(rows: pa.Table) -> list[traffic.Asked]:
    asked = []
    for row in rows.to_pylist():
        key, due = row.pop("key"), row.pop("due")
        asked.append(traffic.Asked(key=key, at=to_wire(due.replace(tzinfo=UTC)), row=row))
    return asked


def _fates(rows: pa.Table, table: pa.Table) -> dict[str, Fate]:
    landed = pc.is_valid(rows["late"])
    columns = (rows["key"], rows["late"], _known_at(rows, table))
    keys, labels, times = (column.filter(landed).to_pylist() for column in columns)
    return dict(zip(keys, map(Fate, labels, times), strict=True))


def _known_at(rows: pa.Table, table: pa.Table) -> Any:
    """When a flight's fate was known: due, plus its scheduled minutes, plus its delay."""
    minutes = pc.add(pc.cast(rows["block_min"], pa.int64()), pc.fill_null(pc.cast(table["arr_delay"], pa.int64()), 0))
    seconds = pc.cast(pc.multiply(minutes, 60), pa.duration("s"))
    # As text at once: a hundred thousand times with a zone are slow to make, and slow to write down again.
    return pc.strftime(pc.cast(pc.add(rows["due"], seconds), pa.timestamp("s")), "%Y-%m-%dT%H:%M:%SZ")
