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
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, LargeBinary, String, Table, func, or_, select
from sqlalchemy.types import TypeEngine

from mainstay.domain.errors import Conflict, Corrupt, Invalid, NotFound
from mainstay.domain.events.store import StoreCollected
from mainstay.store import ledger
from mainstay.store.blobs import Blobs, Collected
from mainstay.store.blobs.digest_sets import DigestSet, Gathering, as_bytes
from mainstay.store.blobs.sweeping import GoneList
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
_JSON_BEGINS = b"{["
_LIST = b"MAINSTAY FREED 1"
_EVENTS = 1000
_ROWS = 5_000
_AT_ONCE = 16


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
    forget: Callable[[Change, Container[str]], int] = lambda change, gone: 0


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
    here = DigestSet.of(store.blobs.digests())
    live = reached(store.blobs, here, named, DigestSet.of(store.blobs.digests(before)))
    found = store.blobs.collect(live, before=before, delete=False)
    kinds = _by_kind(GoneList.of(found.gone), _whose(store.blobs, here, let_go))
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


def mentioned(view: View, away: Mapping[str, str] | None = None) -> tuple[DigestSet, dict[str, DigestSet]]:
    """Whatever has the form of a digest in any text of the record; apart from that, by kind, what only rows of what is
    ``away`` mention."""
    named, let_go = Gathering(), dict[str, Gathering]()
    for table in view.reflected().sorted_tables:
        columns = [column for column in table.columns if _may_hold(column.type)]
        if not columns or not _info(table).get("holds", True):
            continue
        owner = _owner(table) if away else None
        beside = list(owner[1]) if owner else []
        rows = view.scan(_long_enough(table, columns, beside))
        while some := list(islice(rows, _ROWS)):
            found: dict[str | None, list[str]] = {}
            for row in some:
                kind = (away or {}).get(_subject(owner[0], row[len(columns) :])) if owner else None
                found.setdefault(kind, []).extend(_in_row(row[: len(columns)]))
            for kind, digests in found.items():
                (named if kind is None else let_go.setdefault(kind, Gathering())).add(digests)
    return named.result(), {kind: found.result() for kind, found in let_go.items()}


def reached(blobs: Blobs, here: DigestSet, named: DigestSet, young: DigestSet) -> DigestSet:
    """What is ``here`` of ``named``, and of what those that are JSON name in turn; and what the ``young`` ones name, though
    not those themselves.

    Raises:
        Corrupt: one of those was damaged.
    """
    walk = _Walk(blobs, here)
    walk.go(named)
    walk.go(walk.names(walk.new(young)))
    return DigestSet(here.words[walk.is_seen])


class _Walk:
    """From digests to those that they name, each once.

    Args:
        here: what there is. is_lenient: go on where something is gone or damaged.
    """

    def __init__(self, blobs: Blobs, here: DigestSet, *, is_lenient: bool = False) -> None:
        self.is_seen = np.zeros(len(here), bool)
        self._blobs = blobs
        self._here = here
        self._is_lenient = is_lenient

    def go(self, start: DigestSet) -> DigestSet:
        """See all that ``start`` leads to; what had not been seen of it."""
        before, ahead = self.is_seen.copy(), self.new(start)
        while len(ahead):
            self.is_seen[self._here.places(ahead.words)] = True
            ahead = self.new(self.names(ahead))
        return DigestSet(self._here.words[self.is_seen & ~before])

    def new(self, digests: DigestSet) -> DigestSet:
        """Those that are here and have not been seen."""
        places = self._here.places(digests.words)
        places = places[places >= 0]
        return DigestSet(self._here.words[places[~self.is_seen[places]]])

    def names(self, digests: DigestSet) -> DigestSet:
        """What they name, if they are JSON."""
        found, lists = Gathering(), self._blobs.beginning(digests, _JSON_BEGINS)
        if self._blobs.is_near:
            for digest in lists:
                found.add(self._named_in(digest))
        else:
            with ThreadPoolExecutor(_AT_ONCE, "mainstay-lists") as pool:
                for names in pool.map(self._named_in, lists):
                    found.add(names)
        return found.result()

    def _named_in(self, digest: str) -> Iterable[str]:
        try:
            return names_in(self._blobs, digest)
        except (NotFound, Corrupt):
            if self._is_lenient:
                return ()
            raise


def names_in(blobs: Blobs, digest: str) -> set[str]:
    """Whatever has the form of a digest in a blob.

    Raises:
        NotFound, Corrupt.
    """
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
    gone = DigestSet.joined([GoneList.of(found.gone).digests])
    listed = store.blobs.put(_LIST + as_bytes(gone.words))[0] if len(gone) else ""
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
                forgotten=rules.forget(change, gone),
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


def _whose(blobs: Blobs, here: DigestSet, let_go: Mapping[str, DigestSet]) -> dict[str, DigestSet]:
    """What goes because of each kind that was put away: what that mentions, itself or in a list of its own."""
    walk = _Walk(blobs, here, is_lenient=True)  # it goes: what it named can go as "nothing refers to it"
    return {kind: walk.go(digests) for kind, digests in let_go.items()}


def _by_kind(gone: GoneList, kinds: Mapping[str, DigestSet]) -> list[Kind]:
    found, is_left = list[Kind](), np.ones(len(gone), bool)
    for what, digests in kinds.items():
        found += _kind(what, gone, is_left & (digests.holds(gone.digests) | digests.holds(gone.chunk_of)))
        is_left &= ~(digests.holds(gone.digests) | digests.holds(gone.chunk_of))
    return sorted([*found, *_kind(UNREFERRED, gone, is_left)], key=lambda kind: -kind.size)


def _kind(what: str, gone: GoneList, which: NDArray[np.bool_]) -> list[Kind]:
    if not which.any():
        return []
    oldest = datetime.fromtimestamp(float(gone.written[which].min()), UTC)
    return [Kind(what, int(which.sum()), int(gone.sizes[which].sum()), oldest)]


def _owner(table: Table) -> tuple[str, list[Column[Any]]] | None:
    """The pattern of the subject that a table's rows belong to, and the columns it is made of."""
    pattern = _info(table).get("of")
    return (pattern, [table.c[name] for name in re.findall(r"{(\w+)}", pattern)]) if pattern else None


def _info(table: Table) -> dict[str, Any]:
    ours = metadata.tables.get(table.name)
    return {} if ours is None else dict(ours.info)


def _subject(pattern: str, values: Sequence[Any]) -> str:
    return re.sub(r"{\w+}", "{}", pattern).format(*values)


def _in_row(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, bytes):
            yield from (each.decode() for each in _DIGEST_BYTES.findall(value))
        elif isinstance(value, str):
            yield from _DIGEST.findall(value)


def _may_hold(kind: TypeEngine[Any]) -> bool:
    if isinstance(kind, String):
        return kind.length is None or kind.length >= 64
    return isinstance(kind, LargeBinary)


def _long_enough(table: Table, columns: list[Column[Any]], beside: list[Column[Any]]) -> Any:
    wanted = or_(*(func.length(column) >= 64 for column in columns))
    return select(*columns, *(column.label(f"beside_{n}") for n, column in enumerate(beside))).where(wanted)
