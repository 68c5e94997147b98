# SPDX-License-Identifier: Apache-2.0
"""Collecting: which blobs anything refers to, so that the rest may go.

In: the whole record, and what of it was put away long ago (deleted runs, dropped snapshots …). Out: the digests reached from
what was not. It is conservative: whatever has the form of a digest, in any text of any table (a run's parameters, a trace, the
ledger) and in any JSON blob that is itself reached (manifests, lists of chunks, a model's files, a project's sources), holds on
to the blob of that name. So no room has to tell what it needs, and none can forget to: one reference too many costs some bytes,
one too few would cost the data. A table's ``info["of"]`` says whose a row is (``run:{run}``): rows, and events, of what was put
away hold on to nothing. ``info["holds"]`` is False where a table only repeats for a while what others say.

What is young stays as well, with all that it names: whoever has just brought a blob, or asked whether it is here, is about to
refer to it. The event is written before the bytes go, with a list of them: an interrupted collection lost nothing that was
reached, the next one finishes it, and whoever misses a blob is told who let it go, and when.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Column, LargeBinary, String, Table, func, or_, select
from sqlalchemy.types import TypeEngine

from mainstay.domain.errors import Conflict, Corrupt, Invalid, NotFound
from mainstay.domain.events.store import StoreCollected
from mainstay.store import ledger
from mainstay.store.blobs import Blobs, Collected, Gone
from mainstay.store.change import Change, View
from mainstay.store.database import Store
from mainstay.store.schema import metadata

GRACE = timedelta(days=1)
#: Blobs are made young again when somebody asks for them, but not at every look: half an hour must not matter.
LEAST_GRACE = timedelta(hours=1)
#: How long what was put away can be brought back whole.
KEPT_AWAY = timedelta(days=30)
UNREFERRED = "nothing refers to it"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGEST_BYTES = re.compile(rb"[0-9a-f]{64}")
_JSON_BEGINS = (b"{", b"[")
_LIST = b"MAINSTAY FREED 1"
_EVENTS = 1000


@dataclass(frozen=True)
class Kind:
    """One kind of what goes: why, how many objects and bytes, and when the oldest was last written or asked for."""

    what: str
    objects: int
    size: int
    oldest: datetime


class Freed(NamedTuple):
    """A collection that took a blob away."""

    at: datetime
    by: str
    event: int

    @property
    def sentence(self) -> str:
        """For whoever misses it."""
        return f"freed by gc on {self.at:%Y-%m-%d} by {self.by} (event {self.event})"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the rooms know.

    Args:
        away: everything that was put away before a moment and that nothing else needs: subject and kind (``run:…``: "deleted
        runs"). forget: drops what only repeats digests that go, such as results by key.
    """

    away: Callable[[View, datetime], Mapping[str, str]] = lambda view, before: {}
    forget: Callable[[Change, set[str]], int] = lambda change, gone: 0


class Outcome(NamedTuple):
    """A collection: what was taken away, or would be, as a whole and by kind."""

    found: Collected
    kinds: list[Kind]


def collect(
    store: Store,
    *,
    actor: str,
    reason: str = "",
    grace: timedelta = GRACE,
    kept_away: timedelta = KEPT_AWAY,
    delete: bool = False,
    rules: Rules = Rules(),
) -> Outcome:
    """Take away what nothing refers to and nobody asked for within ``grace``; without ``delete`` only count it.

    What was put away less than ``kept_away`` ago still refers to its own.

    Raises:
        Invalid: a grace that is too short to be safe beside writers. Corrupt: a damaged blob may hold references.
        Conflict: something that was put away was brought back meanwhile.
    """
    if grace < LEAST_GRACE:
        raise Invalid(f"the grace period is {grace}; at least {LEAST_GRACE} is expected, for somebody may be writing.")
    # Before the record is read: what is referred to while it is, was asked for after this moment.
    before, away_before = (store.clock() - grace).timestamp(), store.clock() - kept_away
    with store.view() as view:
        away = rules.away(view, away_before)
        named, let_go = mentioned(view, away)
    live = reached(store.blobs, named, list(store.blobs.digests(before)))
    found = store.blobs.collect(live, before=before, delete=False)
    kinds = _by_kind(found.gone, _whose(store.blobs, let_go))
    if not delete:
        return Outcome(found, kinds)
    _record(store, found, kinds, rules, actor=actor, reason=reason, grace=grace, away=away, away_before=away_before)
    return Outcome(store.blobs.collect(live, before=before, delete=True), kinds)


def freed(view: View, digest: str) -> Freed | None:
    """The newest collection that took ``digest`` away."""
    with suppress(ValueError):
        wanted = bytes.fromhex(digest)
        for event in ledger.search(view, kind=StoreCollected.kind, limit=_EVENTS):
            with suppress(NotFound, Corrupt):
                if event.body.get("listed") and _is_listed(view.blobs.read(event.body["listed"]), wanted):
                    return Freed(event.at, event.actor, event.seq)
    return None


def missing(view: View, error: NotFound | Corrupt) -> Freed | None:
    """Whether a blob that ``error`` misses was taken away; None: it was lost, or damaged."""
    return freed(view, str(error.facts.get("digest", ""))) if isinstance(error, NotFound) else None


def mentioned(view: View, away: Mapping[str, str] | None = None) -> tuple[set[str], dict[str, set[str]]]:
    """Whatever has the form of a digest in any text of the record; apart from that, by kind, what only rows of what is
    ``away`` mention."""
    named, let_go = set[str](), dict[str, set[str]]()
    for table in view.reflected().sorted_tables:
        columns = [column for column in table.columns if _may_hold(column.type)]
        if not columns or not _info(table).get("holds", True):
            continue
        owner = _owner(table) if away else None
        beside = list(owner[1]) if owner else []
        for row in view.scan(_long_enough(table, columns, beside)):
            kind = (away or {}).get(_subject(owner[0], row[len(columns) :])) if owner else None
            found = named if kind is None else let_go.setdefault(kind, set())
            for value in row[: len(columns)]:
                if isinstance(value, bytes):
                    found.update(each.decode() for each in _DIGEST_BYTES.findall(value))
                elif isinstance(value, str):
                    found.update(_DIGEST.findall(value))
    return named, let_go


def reached(blobs: Blobs, named: Iterable[str], young: Iterable[str] = ()) -> set[str]:
    """What is here of ``named``, and of what those that are JSON name in turn; and what the ``young`` ones name, though not
    those themselves.

    Raises:
        Corrupt: one of those was damaged.
    """
    here = set(blobs.digests())
    live = set[str]()

    def walk(waiting: list[str]) -> None:
        while waiting:
            digest = waiting.pop()
            if digest in here and digest not in live:
                live.add(digest)
                waiting.extend(named_in(blobs, digest))

    walk(list(named))
    for digest in young:
        if digest in here and digest not in live:
            walk(list(named_in(blobs, digest)))
    return live


def named_in(blobs: Blobs, digest: str) -> set[str]:
    """Whatever has the form of a digest in a blob, if it is JSON.

    Raises:
        NotFound, Corrupt.
    """
    if blobs.begin(digest) not in _JSON_BEGINS:
        return set()
    found, before = set[str](), b""
    for piece in blobs.pieces(digest):
        text = before + piece
        found.update(each.decode() for each in _DIGEST_BYTES.findall(text))
        before = text[-63:]  # a digest may stand across two pieces
    return found


def _record(
    store: Store,
    found: Collected,
    kinds: Sequence[Kind],
    rules: Rules,
    *,
    actor: str,
    reason: str,
    grace: timedelta,
    away: Mapping[str, str],
    away_before: datetime,
) -> None:
    """Say what goes before any of it does, and forget what only repeats its digests."""
    gone = sorted(each.digest for each in found.gone)
    listed = store.blobs.put(_LIST + b"".join(bytes.fromhex(digest) for digest in gone))[0] if gone else ""
    with store.change(actor=actor, reason=reason) as change:
        back = away.keys() - rules.away(change, away_before).keys()
        if back:
            raise Conflict(f"{min(back)} was brought back, or is needed again, while gc looked; repeat the command.")
        change.record(
            StoreCollected(
                objects=found.objects,
                size=found.size,
                rewritten=found.rewritten,
                grace_s=int(grace.total_seconds()),
                listed=listed,
                kinds=[{"what": kind.what, "objects": kind.objects, "size": kind.size} for kind in kinds],
                forgotten=rules.forget(change, set(gone)),
            )
        )


def _is_listed(listed: bytes, wanted: bytes) -> bool:
    if not listed.startswith(_LIST):
        return False
    entries = _Entries(listed)
    place = bisect_left(entries, wanted)
    return place < len(entries) and entries[place] == wanted


class _Entries(Sequence[bytes]):
    """The digests of a list of what went, in order."""

    def __init__(self, listed: bytes) -> None:
        self._listed = listed

    def __len__(self) -> int:
        return (len(self._listed) - len(_LIST)) // 32

    def __getitem__(self, place: Any) -> Any:
        start = len(_LIST) + 32 * int(place)
        return self._listed[start : start + 32]


def _whose(blobs: Blobs, let_go: Mapping[str, set[str]]) -> dict[str, str]:
    """Why each digest goes that something which was put away mentions, itself or in a list of its own."""
    here = set(blobs.digests()) if let_go else set()
    kinds: dict[str, str] = {}
    for kind, digests in let_go.items():
        waiting = [digest for digest in digests if digest in here]
        while waiting:
            digest = waiting.pop()
            if digest not in kinds:
                kinds[digest] = kind
                with suppress(NotFound, Corrupt):  # it goes: what it named can go as "nothing refers to it"
                    waiting.extend(each for each in named_in(blobs, digest) if each in here)
    return kinds


def _by_kind(gone: Iterable[Gone], kinds: Mapping[str, str]) -> list[Kind]:
    found: dict[str, Kind] = {}
    for each in gone:
        what = kinds.get(each.digest) or kinds.get(each.chunk_of or "") or UNREFERRED
        written = datetime.fromtimestamp(each.written, UTC)
        before = found.get(what, Kind(what, 0, 0, written))
        found[what] = Kind(what, before.objects + 1, before.size + each.size, min(before.oldest, written))
    return sorted(found.values(), key=lambda kind: -kind.size)


def _owner(table: Table) -> tuple[str, list[Column[Any]]] | None:
    """The pattern of the subject that a table's rows belong to, and the columns it is made of."""
    pattern = _info(table).get("of")
    return (pattern, [table.c[name] for name in re.findall(r"{(\w+)}", pattern)]) if pattern else None


def _info(table: Table) -> dict[str, Any]:
    ours = metadata.tables.get(table.name)
    return {} if ours is None else dict(ours.info)


def _subject(pattern: str, values: Sequence[Any]) -> str:
    return re.sub(r"{\w+}", "{}", pattern).format(*values)


def _may_hold(kind: TypeEngine[Any]) -> bool:
    if isinstance(kind, String):
        return kind.length is None or kind.length >= 64
    return isinstance(kind, LargeBinary)


def _long_enough(table: Table, columns: list[Column[Any]], beside: list[Column[Any]]) -> Any:
    wanted = or_(*(func.length(column) >= 64 for column in columns))
    return select(*columns, *(column.label(f"beside_{n}") for n, column in enumerate(beside))).where(wanted)
