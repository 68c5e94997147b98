# SPDX-License-Identifier: Apache-2.0
"""The because line: one sentence from the ledger under every title. Who, what, when, and what caused it, each a link."""

from __future__ import annotations

from dataclasses import dataclass

from mainstay.lifecycle.answers import hrefs
from mainstay.store import View, ledger

FURTHEST = 3

# How an event reads in a sentence: "{verb} by {actor} on {day}".
_VERBS = {
    "workspace.made": "made",
    "store.collected": "collected",
    "person.added": "added",
    "dataset.created": "created",
    "snapshot.taken": "taken in",
    "snapshot.repeated": "taken in again, the same",
    "snapshot.dropped": "dropped",
    "snapshot.restored": "restored",
    "batch.refused": "batch refused",
    "contract.changed": "contract changed",
    "ref.moved": "pointed at another snapshot",
    "view.changed": "defined",
    "view.materialised": "materialised",
    "view.freed": "no longer kept by key",
    "schedule.declared": "declared",
    "schedule.paused": "paused",
    "schedule.resumed": "resumed",
    "schedule.removed": "removed",
    "schedule.fired": "due",
    "backfill.started": "asked for",
    "backfill.cancelled": "called off",
    "backfill.ended": "ended",
    "experiment.created": "created",
    "experiment.renamed": "renamed",
    "experiment.deleted": "deleted",
    "experiment.restored": "restored",
    "run.started": "started",
    "run.scheduled": "scheduled",
    "run.running": "set going",
    "run.finished": "finished",
    "run.reopened": "reopened",
    "run.amended": "amended",
    "run.closed": "closed again",
    "run.reproduced": "reproduced",
    "run.deleted": "deleted",
    "run.restored": "restored",
    "step.accepted": "result accepted",
    "model.created": "created",
    "version.registered": "registered",
    "version.marked": "marked",
    "alias.moved": "alias moved",
    "release.requested": "requested",
    "release.judged": "judged",
    "release.approved": "approved",
    "release.rejected": "rejected",
    "release.failed": "failed to be judged",
    "approval.given": "decided on",
    "rollout.started": "rollout started",
    "rollout.moved": "given more traffic",
    "rollout.paused": "paused",
    "rollout.resumed": "resumed",
    "rollout.completed": "made live",
    "rollout.aborted": "taken back",
    "deployment.declared": "declared",
    "segment.sealed": "log sealed",
    "monitor.declared": "declared",
    "window.judged": "judged",
    "alert.opened": "opened",
    "alert.acknowledged": "acknowledged",
    "alert.resolved": "resolved",
    "alert.muted": "muted",
    "review.done": "reviewed",
    "trigger.declared": "declared",
    "decision.made": "decided",
    "decision.ended": "ended",
    "policy.changed": "changed",
}

# What keeps a subject busy says nothing about why it is as it is.
_NOISE = (
    "segment.*",
    "window.judged",
    "review.*",
    "token.*",
    "schedule.fired",
    "schedule.skipped",
    "view.materialised",
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of the sentence; with ``href`` a link."""

    text: str
    href: str | None = None


def because(view: View, subject: str, *, named: bool = False) -> list[Piece]:
    """The newest telling event of ``subject``, and the chain of what caused it, as one sentence.

    ``named``: begin with the subject itself, for a page that is about something else.
    """
    events = ledger.search(view, subject=subject, without=_NOISE, limit=50)
    if not events:
        return []
    newest = events[0]
    # The last event of a run is its end; what set it going stands at its beginning.
    cause = next((entry.because for entry in events if entry.because), None)
    begin = [Piece(text=_capital(_shown(subject)), href=hrefs.of(subject)), Piece(text=" was ")] if named else []
    pieces = [*begin, Piece(text=_verb(newest) if named else _capital(_verb(newest))), *_who_and_when(newest)]
    if newest.reason:
        pieces.append(Piece(text=f" ({newest.reason})"))
    return [*pieces, *_causes(view, cause), Piece(text=".")]


def _causes(view: View, seq: int | None) -> list[Piece]:
    pieces: list[Piece] = []
    for _ in range(FURTHEST):
        cause = view.event(seq) if seq else None
        if cause is None:
            break
        pieces.append(Piece(text=" because "))
        pieces.append(Piece(text=_shown(cause.subject), href=hrefs.of(cause.subject)))
        pieces.append(Piece(text=f" was {_verb(cause)}"))
        seq = cause.because
    return pieces


def _who_and_when(entry: ledger.Entry) -> list[Piece]:
    return [
        Piece(text=" by "),
        _actor(entry.actor),
        Piece(text=f" on {entry.at:%-d %b %Y at %H:%M} UTC"),
    ]


def _actor(actor: str) -> Piece:
    """A person; or what acted by itself, such as ``trigger:flights-retrain``, with its own page."""
    return Piece(text=_shown(actor), href=hrefs.of(actor)) if ":" in actor else Piece(text=actor, href="/people")


def _verb(entry: ledger.Entry) -> str:
    return _VERBS.get(entry.kind, entry.kind.partition(".")[2])


def _shown(subject: str) -> str:
    kind, _, name = subject.partition(":")
    return f"{kind} {name[:12] if len(name) == 32 else name}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
