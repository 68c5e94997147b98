# SPDX-License-Identifier: Apache-2.0
"""Online rows: an online table in the database, key by key, written as it changes and read as of any table since the last.

In: the rows that a refresh found changed, a batch at a time, under the number of a table that is not published yet. Out: what
an entity's row was as of a published table. A row stands under the table that it came with; a reader takes the newest
one up to its own, so nobody ever sees half of a refresh, and one that died half-way is never seen. No event: rows are
what the run made, and ``view.materialised`` tells of them once they count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from mainstay.domain.clock import parse_duration
from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.features import ViewVersion
from mainstay.features import definitions, rows
from mainstay.features.online import UNKNOWN, Lifetime
from mainstay.features.rows import Row
from mainstay.lifecycle.data.features import leftovers, tables, views
from mainstay.store import Ingest, View

MOST_ROWS = 10_000
MOST_KEYS = 200
MOST_CHANGED = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def put(ingest: Ingest, *, view: str, version: int, new: Sequence[Row], sequence: int | None = None) -> int:
    """Write rows for the table ``sequence`` that is still to be published; None begins one. Its number.

    Raises:
        NotFound: no such version. Invalid: a row is none of this view. Conflict: that table, or a later one, is published.
    """
    found = views.get(ingest, view, version)
    _check(found, new)
    newest = tables.newest_table(ingest, view, version)
    published = newest.sequence if newest else 0
    begun = tables.newest_row_sequence(ingest, view, version)
    if sequence is not None and sequence > begun:
        raise Invalid(f"no table {sequence} of {found.id} was begun; leave its number out to begin one.")
    number = sequence or 1 + max(published, begun)
    if number <= published:
        raise Conflict(f"a newer table of {found.id} was published meanwhile; refresh it again.")
    _forget_dead(ingest, found, [row.key for row in new], published, number)
    tables.put_rows(ingest, view, version, number, new)
    return number


def as_of(view: View, name: str, number: int, keys: Sequence[str], sequence: int) -> list[Row | None]:
    """The rows of these keys as of one table, in their order; None where there is none.

    Raises:
        Invalid: more keys than one question may have. Conflict: the rows of that table are not kept any more.
    """
    leftovers.check(view, name, number, sequence)
    if len(keys) > MOST_KEYS:
        raise Invalid(f"{len(keys)} keys are asked for; at most {MOST_KEYS} are answered at once.")
    known: dict[str, Row] = {}
    for row in tables.rows_known(view, name, number, list(dict.fromkeys(keys)), sequence):
        known.setdefault(row.key, Row(row.key, row.at_us, row.cells))
    found = [known.get(key) for key in keys]
    return [row if row and row.cells is not None else None for row in found]


def changed(view: View, name: str, number: int, *, after: int, until: int) -> list[str] | None:
    """The keys whose rows became others between two tables; None if there are too many to tell, or not all are known."""
    if not leftovers.is_known(view, name, number, after):
        return None
    keys = tables.keys_changed(view, name, number, after, until, MOST_CHANGED + 1)
    return None if len(keys) > MOST_CHANGED else keys


def lookup(view: View, name: str, number: int, entity: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of one entity now, how old that is, and whether it counts.

    Raises:
        NotFound: no such version. Conflict: nothing was made of it. Invalid: an entity column is missing or strange.
    """
    found, made = views.get(view, name, number), tables.newest_table(view, name, number)
    if made is None or made.changed is None:
        raise Conflict(
            f"nothing of view {found.id} can be looked up; `mainstay features materialise {found.entry}` first."
        )
    row = as_of(view, name, number, [_key(found, entity)], made.sequence)[0]
    told = {"version": found.id, "watermark": made.watermark, "state": UNKNOWN}
    if row is None or row.at_us is None:
        return told | {"items": []}
    return told | _aged(found, row.at_us, view.now()) | {"items": [_whole(found, row)]}


def _aged(found: ViewVersion, at_us: int, now: datetime) -> dict[str, Any]:
    known = definitions.from_json(found.definition)
    at = rows.as_time(at_us)
    lapse = Lifetime(known.delay_us, known.ttl_us).lapse(at_us, (now - _EPOCH) // timedelta(microseconds=1))
    return {
        "state": lapse or "fresh",
        "at": at,
        "age_s": (now - at).total_seconds(),
        "expires_at": _expiry(at, known.ttl),
    }


def _expiry(at: datetime, ttl: str | None) -> datetime | None:
    """Until when a row counts; None: for ever, or longer than there are dates."""
    with contextlib.suppress(OverflowError):
        return None if ttl is None else at + parse_duration(ttl, what="ttl")
    return None


def _whole(found: ViewVersion, row: Row) -> dict[str, Any]:
    reader = rows.Reader(found.entity, found.columns)
    key = zip(found.entity, reader.key(row.key), strict=True)
    whose = {each["name"]: rows.as_time(value) if each["type"] == "datetime" else value for each, value in key}
    assert row.at_us is not None and row.cells is not None
    names = [each["name"] for each in found.columns]
    cells = dict(zip(names, reader.cells(row.cells), strict=True))
    return whose | {found.definition["time"]: rows.as_time(row.at_us)} | cells


def _key(found: ViewVersion, entity: Mapping[str, Any]) -> str:
    wanted = [each["name"] for each in found.entity]
    if set(entity) != set(wanted):
        raise Invalid(
            f"view {found.id} is looked up by {', '.join(wanted)}; {', '.join(entity) or 'nothing'} was given."
        )
    return rows.key_text([rows.read(each["type"], entity[each["name"]], each["name"]) for each in found.entity])


def _check(found: ViewVersion, new: Sequence[Row]) -> None:
    if not 0 < len(new) <= MOST_ROWS:
        raise Invalid(f"{len(new)} rows are written at once; from 1 to {MOST_ROWS} are possible.")
    reader = rows.Reader(found.entity, found.columns)
    for row in new:
        if rows.key_text(reader.key(row.key)) != row.key:
            raise Invalid(f"key {row.key[:80]} is not written as it is kept: a JSON list without spaces.")
        if len(row.key) > rows.LONGEST_KEY:
            raise Invalid(
                f"key {row.key[:80]}… has {len(row.key)} characters; at most {rows.LONGEST_KEY} name an entity."
            )
        if (row.at_us is None) != (row.cells is None):
            raise Invalid(f"the row of {row.key[:80]} has a time without cells, or cells without a time.")
        if row.at_us is not None and row.cells is not None:
            _check_time(row.at_us)
            reader.cells(row.cells)


def _check_time(at_us: int) -> None:
    try:
        rows.as_time(at_us)
    except OverflowError:
        raise Invalid(f"{at_us} microseconds since 1970 are no time of a row; the years 1 to 9999 are.") from None


def _forget_dead(ingest: Ingest, found: ViewVersion, keys: list[str], published: int, number: int) -> None:
    """Of each key only the row that counts stays, and what is written for tables still to be published: so a table never
    holds much more than what it answers."""
    dead: list[tuple[str, int]] = []
    for key, several in groupby(tables.sequences_of(ingest, found.view, found.number, keys), key=itemgetter(0)):
        there = list(several)
        live = next((row.sequence for row in there if row.published is not None), None)
        dead += [
            (key, row.sequence)
            for row in there
            if row.sequence == number or (row.sequence <= published and row.sequence != live)
        ]
    tables.forget_rows(ingest, found.view, found.number, dead)
