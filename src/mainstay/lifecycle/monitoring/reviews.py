# SPDX-License-Identifier: Apache-2.0
"""Reviews: an owner's recorded look at a monitor. A page that nobody looks at is no monitoring: overdue is an alert."""

from __future__ import annotations

from mainstay.domain import ids
from mainstay.domain.clock import to_wire
from mainstay.domain.errors import Invalid
from mainstay.domain.events.monitoring import ReviewDone
from mainstay.domain.monitoring import REVIEW_DECISIONS, Monitor, Review
from mainstay.lifecycle.monitoring import alerts, monitors, tables, windows
from mainstay.store import Change, View

KEY = "review"
LONGEST_NOTE = 4000


def give(change: Change, *, monitor: str, decision: str, note: str) -> Review:
    """Record that ``change.actor`` looked at the monitor, what was there to see, and what follows.

    Raises:
        NotFound: no such monitor. Invalid: an unknown decision, or no note.
    """
    watched = monitors.get(change, monitor)
    if decision not in REVIEW_DECISIONS:
        raise Invalid(f"a review decides {', '.join(REVIEW_DECISIONS)}; {decision!r} is none of them.")
    if not note.strip() or len(note) > LONGEST_NOTE:
        raise Invalid(
            f"a review of {monitor!r} takes a note of 1 to {LONGEST_NOTE} characters; say what you looked at."
        )
    new = Review(
        id=ids.uuid7(),
        monitor=monitor,
        decision=decision,
        note=note,
        actor=change.actor,
        at=change.now(),
        seen=_seen(change, watched),
    )
    tables.put_review(change, new)
    tables.set_reviewed(change, monitor, new.at)
    # The note stands in the reason, which can be erased, and not in the body, which cannot.
    change.record(ReviewDone(monitor=monitor, review=new.id, decision=decision, seen=new.seen), reason=note)
    if overdue := tables.open_alert(change, monitor, KEY):
        alerts.settle(change, overdue, cause="reviewed", reason=f"{change.actor} reviewed {monitor}")
    return new


def listed(view: View, monitor: str) -> list[Review]:
    """A monitor's reviews, newest first."""
    monitors.get(view, monitor)
    return tables.reviews_of(view, monitor)


def is_overdue(view: View, monitor: Monitor) -> bool:
    """Whether its owner should have looked by now."""
    return view.now() > monitor.review_due_at


def _seen(view: View, monitor: Monitor) -> dict[str, object]:
    window = windows.latest(view, monitor)
    unresolved = alerts.open_of(view, monitor.name)
    return {
        "window": window.id if window else None,
        "window_digest": window.digest if window else None,
        "state": window.state if window else "unknown",
        "alerts": [alert.id for alert in unresolved],
        "since": to_wire(monitor.last_reviewed_at) if monitor.last_reviewed_at else None,
    }
