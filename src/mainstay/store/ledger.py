# SPDX-License-Identifier: Apache-2.0
"""The ledger: one append-only, hash-chained journal of every change of state.

In: an event, inside a `Change`. Out: one row whose canonical bytes contain the hash of the row before it. The bytes are
stored verbatim and never re-serialised to verify. What people wrote (the reason) is held beside the chain with a salt; the
chain holds only SHA-256(salt ‖ text), so a text can be erased without breaking it.

`verify` detects any alteration, removal, insertion or reordering of rows. Its limit: whoever holds the database can
rewrite the whole chain, or cut its tail together with the head row; only a head noted outside the workspace shows that.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, func, select, type_coerce, update
from sqlalchemy.types import NullType

from mainstay.domain import clock
from mainstay.domain.digests import canonical_json, is_digest
from mainstay.domain.errors import Conflict, Corrupt, Invalid
from mainstay.domain.events import Event
from mainstay.store.schema import microseconds_of
from mainstay.store.tables import ledger, ledger_head, ledger_texts

if TYPE_CHECKING:
    from mainstay.store.change import Change, View

FIRST_PREV = "0" * 64
_MOST_SUBJECTS = 500  # in one question


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the ledger. ``reason`` is None where the text has been erased."""

    seq: int
    prev: str
    at: datetime
    actor: str
    kind: str
    subject: str
    subject_version: int
    reason: str | None
    because: int | None
    body: dict[str, Any]
    hash: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What `verify` found. ``problems`` is empty if and only if the chain is whole."""

    events: int
    head_seq: int
    head_hash: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def append(
    change: Change, event: Event, *, actor: str, reason: str, because: int | None, expected_version: int | None = None
) -> Entry:
    """Add one event behind the head, and move the head."""
    return append_all(change, [event], actor=actor, reason=reason, because=because, expected_version=expected_version)[
        0
    ]


def append_all(
    change: Change,
    events: Sequence[Event],
    *,
    actor: str,
    reason: str,
    because: int | None,
    expected_version: int | None = None,
) -> list[Entry]:
    """Add events behind the head in their order, and move the head once. ``expected_version`` is that of every subject."""
    head = change.first(select(ledger_head).with_for_update())
    assert head is not None, "the first migration writes the head row"
    if because is not None and not 1 <= because <= head.seq:
        raise Invalid(f"'because' names event {because}, and there are events 1 to {head.seq}; name one that happened.")
    versions = _versions(change, {event.subject for event in events})
    seq, prev, rows, texts, entries = head.seq, head.hash, [], [], []
    for event in events:
        version = versions.get(event.subject, 0)
        if expected_version is not None and version != expected_version:
            raise _moved_on(event.subject, version, expected_version)
        versions[event.subject] = version + 1
        salt = secrets.token_hex(32) if reason else None
        stored: dict[str, Any] = {
            "v": 1,
            "seq": seq + 1,
            "prev": prev,
            "at": clock.to_wire(change.now()),
            "actor": actor,
            "kind": event.kind,
            "subject": event.subject,
            "subject_version": version + 1,
            "reason": _commitment(salt, reason) if salt else None,
            "because": because,
            "body": event.body(),
        }
        data = canonical_json(stored)
        seq, prev = seq + 1, _hash(data)
        same = {name: stored[name] for name in ("seq", "actor", "kind", "subject", "subject_version", "because")}
        rows.append(same | {"at": clock.from_wire(stored["at"]), "body": data, "hash": prev})
        if salt:
            texts.append({"seq": seq, "salt": salt, "text": reason})
        # Through JSON once, so that what the caller holds is what a reader will read.
        entries.append(_entry(data, prev, reason))
    change.bulk_append(ledger, rows)
    change.bulk_append(ledger_texts, texts)
    change.execute(update(ledger_head).values(seq=seq, hash=prev))
    return entries


def _versions(view: View, subjects: set[str]) -> dict[str, int]:
    """The newest version of each subject that has one, in as few questions as a database takes."""
    found: dict[str, int] = {}
    names = sorted(subjects)
    for start in range(0, len(names), _MOST_SUBJECTS):
        for row in view.rows(_NEWEST, {"wanted": names[start : start + _MOST_SUBJECTS]}):
            found[row.subject] = row.newest
    return found


_NEWEST = (
    select(ledger.c.subject, func.max(ledger.c.subject_version).label("newest"))
    .where(ledger.c.subject.in_(bindparam("wanted", expanding=True)))
    .group_by(ledger.c.subject)
)


def _moved_on(subject: str, found: int, expected: int) -> Conflict:
    return Conflict(
        f"{subject} has moved on: it is at change {found}, you saw {expected}. Look again, then decide.",
        subject=subject,
        found=found,
        expected=expected,
    )


def entry(view: View, seq: int) -> Entry | None:
    """The event at ``seq``, if there is one."""
    return next(iter(_read(view, _query().where(ledger.c.seq == seq))), None)


def search(
    view: View,
    *,
    kind: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    newest_first: bool = True,
    without: Sequence[str] = (),
) -> Sequence[Entry]:
    """Events that match every given condition. ``kind`` may end in ``*`` (``release.*``), and so may those ``without``
    which it should be; ``after`` and ``before`` are seqs."""
    query = _query().where(*(~_kind_matches(each) for each in without))
    if kind:
        query = query.where(_kind_matches(kind))
    if subject:
        query = query.where(ledger.c.subject == subject)
    if actor:
        query = query.where(ledger.c.actor == actor)
    if after is not None:
        query = query.where(ledger.c.seq > after)
    if before is not None:
        query = query.where(ledger.c.seq < before)
    order = ledger.c.seq.desc() if newest_first else ledger.c.seq.asc()
    return list(_read(view, query.order_by(order).limit(limit)))


def head(view: View) -> tuple[int, str]:
    """Sequence number and hash of the newest event; (0, zeros) when there is none."""
    row = view.first(select(ledger_head))
    assert row is not None
    return row.seq, row.hash


def erase_text(change: Change, seq: int) -> None:
    """Forget what somebody wrote at ``seq``; the chain keeps its commitment and still verifies."""
    change.execute(ledger_texts.delete().where(ledger_texts.c.seq == seq))


def verify(view: View, *, batch: int = 5000) -> Verification:
    """Walk the whole chain: gapless, linked, hashed, searchable columns equal to the hashed bytes, head in place."""
    problems: list[str] = []
    seq, prev, found = 0, FIRST_PREV, 0
    # From the very first row, whatever its number: one slipped in below 1 would otherwise be shown and never checked.
    last = None
    while rows := view.rows(_following(last, batch)):
        for row in rows:
            problems.extend(_check(row, seq + 1, prev))
            last, seq, prev, found = row.seq, row.seq, row.hash, found + 1
        if len(problems) > 100:
            break
    heads = view.rows(select(ledger_head))
    head_seq, head_hash = (heads[0].seq, heads[0].hash) if len(heads) == 1 else (0, FIRST_PREV)
    if len(heads) != 1:
        problems.append(f"there are {len(heads)} heads instead of one")
    elif (head_seq, head_hash) != (seq, prev):
        problems.append(f"the head says event {head_seq}, the last event found is {seq}: the tail was cut or replaced")
    problems.extend(f"a reason stands for event {n}, which there is not" for (n,) in view.rows(_loose_texts()))
    return Verification(events=found, head_seq=head_seq, head_hash=head_hash, problems=tuple(problems))


def _check(row: Any, seq: int, prev: str) -> Iterator[str]:
    if row.seq != seq:
        yield f"event {seq} is missing; the next one found is {row.seq}"
    if not isinstance(row.body, bytes) or _hash(row.body) != row.hash:
        yield f"event {row.seq} was altered: its bytes do not give its hash"
        return
    try:
        yield from _compare(row, json.loads(row.body), prev)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        yield f"event {row.seq} was altered: it cannot be read as an event"


def _compare(row: Any, stored: dict[str, Any], prev: str) -> Iterator[str]:
    if stored["prev"] != prev:
        yield f"event {row.seq} does not follow the event before it"
    shown = {
        "seq": row.seq,
        "at": row.at,
        "actor": row.actor,
        "kind": row.kind,
        "subject": row.subject,
        "subject_version": row.subject_version,
        "because": row.because,
    }
    recorded = stored | {"at": microseconds_of(clock.from_wire(stored["at"]))}
    for name, value in shown.items():
        if recorded[name] != value:
            yield f"event {row.seq} shows {name} {value!r}, but {stored[name]!r} was recorded"
    if row.text is not None and not (is_digest(row.salt) and _commitment(row.salt, row.text) == stored["reason"]):
        yield f"event {row.seq} shows another reason than the one that was recorded"


def _following(last: int | None, most: int) -> Select[Any]:
    # Every column as it is stored: one that was damaged must be reported, not stumble over its own type.
    columns = [type_coerce(column, NullType()).label(column.name) for column in ledger.c]
    texts = [
        type_coerce(column, NullType()).label(column.name) for column in (ledger_texts.c.salt, ledger_texts.c.text)
    ]
    wanted: list[Any] = [*columns, *texts]
    query: Select[Any] = select(*wanted).outerjoin(ledger_texts, ledger_texts.c.seq == ledger.c.seq)
    if last is not None:
        query = query.where(ledger.c.seq > last)
    return query.order_by(ledger.c.seq).limit(most)


def _loose_texts() -> Select[Any]:
    return select(ledger_texts.c.seq).where(ledger_texts.c.seq.not_in(select(ledger.c.seq))).limit(100)


def _query() -> Select[Any]:
    return select(ledger.c.body, ledger.c.hash, ledger_texts.c.text).outerjoin(
        ledger_texts, ledger_texts.c.seq == ledger.c.seq
    )


def _read(view: View, query: Select[Any]) -> Iterator[Entry]:
    for row in view.rows(query):
        yield _entry(row.body, row.hash, row.text)


def _entry(data: bytes, digest: str, text: str | None) -> Entry:
    try:
        stored = json.loads(data)
        stored.pop("v")
        stored["at"] = clock.from_wire(stored["at"])
        stored["reason"] = text if stored["reason"] else ""
        return Entry(hash=digest, **stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(
            "an event of the ledger was altered and cannot be read; `mainstay audit verify` says which."
        ) from error


def _kind_matches(kind: str) -> Any:
    if kind.endswith("*"):
        # A range instead of LIKE: the index over kinds then finds it. No kind holds a character above "z".
        return (ledger.c.kind >= kind[:-1]) & (ledger.c.kind < kind[:-1] + "~")
    return ledger.c.kind == kind


def _hash(data: bytes) -> str:
    # The leading zero byte marks a leaf, as in RFC 6962, so that a Merkle tree can later be built over the same rows.
    return hashlib.sha256(b"\x00" + data).hexdigest()


def _commitment(salt: str, text: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + text.encode()).hexdigest()


def subjects(view: View, text: str, *, limit: int) -> list[str]:
    """Subjects whose name contains ``text`` in any case, those that changed last first."""
    query = (
        select(ledger.c.subject, func.max(ledger.c.seq).label("newest"))
        .where(func.lower(ledger.c.subject).contains(text.lower(), autoescape=True))
        .group_by(ledger.c.subject)
        .order_by(func.max(ledger.c.seq).desc())
        .limit(limit)
    )
    return [row.subject for row in view.rows(query)]
