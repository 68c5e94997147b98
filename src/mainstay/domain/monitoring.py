# SPDX-License-Identifier: Apache-2.0
"""Monitors, the windows they judge, alerts that ask for somebody, and reviews.

A window is a stretch of the calendar in UTC, by the time at which things happened and not by when we heard of them.
Verdicts, windows and monitors share four states; a thing is as bad as its worst part, and *unknown* is never *ok*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay.domain.clock import parse_duration
from mainstay.domain.errors import Invalid

OK, WATCH, ALERT, UNKNOWN = "ok", "watch", "alert", "unknown"
WINDOWS = ("1d", "7d", "1mo")
REVIEW_DECISIONS = ("keep", "retrain", "retire")
OPEN_STATES = ("open", "acknowledged", "muted")

_WORST_FIRST = (ALERT, WATCH, OK, UNKNOWN)


def worst(states: Iterable[str]) -> str:
    """The state of a whole from those of its parts. What could not be judged does not make it worse, nor better.

    >>> worst(["ok", "unknown", "watch"]), worst(["unknown"]), worst([])
    ('watch', 'unknown', 'unknown')
    """
    found = set(states)
    return next((state for state in _WORST_FIRST if state in found), UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A whole day, ISO week or month of the calendar, in UTC; ``until`` is not part of it."""

    kind: str
    since: datetime
    until: datetime

    @property
    def id(self) -> str:
        """Its first day; with the kind, that says which."""
        return self.since.date().isoformat()

    @property
    def name(self) -> str:
        """For people.

        >>> stretch_at("1mo", datetime(2013, 4, 9, tzinfo=UTC)).name
        'April 2013'
        """
        if self.kind == "1mo":
            return f"{self.since:%B %Y}"
        return self.id if self.kind == "1d" else f"the week from {self.id}"

    @property
    def length(self) -> timedelta:
        return self.until - self.since


def stretch_at(kind: str, moment: datetime) -> Stretch:
    """The stretch that ``moment`` lies in.

    Raises:
        Invalid: no such kind of window.

    >>> stretch_at("7d", datetime(2013, 4, 9, 12, tzinfo=UTC)).id
    '2013-04-08'
    """
    day = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if kind == "1d":
        return Stretch(kind=kind, since=day, until=day + timedelta(days=1))
    if kind == "7d":
        monday = day - timedelta(days=day.weekday())
        return Stretch(kind=kind, since=monday, until=monday + timedelta(days=7))
    if kind == "1mo":
        first = day.replace(day=1)
        return Stretch(kind=kind, since=first, until=(first + timedelta(days=32)).replace(day=1))
    raise Invalid(f"there is no window {kind!r}; the windows are {', '.join(WINDOWS)}.")


def stretches_between(kind: str, first: datetime, last: datetime) -> list[Stretch]:
    """Every stretch from the one that ``first`` lies in to the one that ``last`` lies in."""
    found = [stretch_at(kind, first)]
    while found[-1].until <= last:
        found.append(stretch_at(kind, found[-1].until))
    return found


def window_key(monitor: str, kind: str, identity: str) -> str:
    """One text that names a window among all: ``flights/1mo/2013-04-01``."""
    return f"{monitor}/{kind}/{identity}"


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """What is watched over a deployment, and whose it is.

    ``label_coverage``: the share of predictions that must be labelled before performance counts as known, 0..1.
    ``label_delay``: how long after a window's end labels may take; then what is there must do, and too few are a
    finding. ``tolerance``: how far AUC may fall under the release's own evaluation. ``error_limit``: the share of
    predictions that may fail, 0..1.
    """

    name: str
    deployment: str
    owner: str
    window: str = "1d"
    review: str = "30d"
    slices: tuple[str, ...] = ()
    label_delay: str | None = None
    label_coverage: float = 0.9
    tolerance: float = 0.02
    latency_limit_ms: float | None = None
    error_limit: float = 0.01
    created_at: datetime
    created_by: str
    last_reviewed_at: datetime | None = None

    @property
    def subject(self) -> str:
        return f"monitor:{self.name}"

    @property
    def review_due_at(self) -> datetime:
        """When its owner must have looked at it again."""
        return (self.last_reviewed_at or self.created_at) + parse_duration(self.review, what="review")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The reading of some measurements. ``key`` says of what: ``performance``, ``drift``, ``fault:temp`` …"""

    key: str
    state: str
    title: str
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch as it was judged last. ``n`` counts answers, shadows left out; ``revision`` counts judgings that
    changed it.

    ``mark`` tells what it was judged from (parts, rows, labels), ``digest`` what came out. ``event`` is the seq of its
    ``window.judged``. ``is_mature``: as many labels are here as the monitor waits for.
    """

    monitor: str
    deployment: str
    kind: str
    id: str
    since: datetime
    until: datetime
    revision: int
    state: str
    n: int
    n_http: int
    labelled: int
    is_mature: bool
    release: int | None
    model: str | None
    version: int | None
    measurements: dict[str, Any]
    verdicts: tuple[Verdict, ...]
    profile: str | None
    baseline: str | None
    mark: str
    digest: str
    event: int
    judged_at: datetime

    @property
    def key(self) -> str:
        return window_key(self.monitor, self.kind, self.id)

    @property
    def coverage(self) -> float | None:
        """Share of the answers whose truth is known."""
        return self.labelled / self.n if self.n else None

    def verdict(self, key: str) -> Verdict | None:
        """The verdict about ``key``, if it was asked."""
        return next((verdict for verdict in self.verdicts if verdict.key == key), None)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A verdict that asks for somebody. At most one for a monitor and key is not resolved.

    ``windows`` are the ids of the windows it fired in; ``quiet`` counts windows since. ``because`` is the event that
    made it, ``event`` its own opening. ``as_of`` is the end of the latest window it fired in.
    """

    id: str
    monitor: str
    deployment: str
    key: str
    severity: str  # warning | alert
    state: str
    title: str
    sentence: str
    owner: str
    opened_at: datetime
    as_of: datetime
    windows: tuple[str, ...]
    quiet: int
    release: int | None
    version: str | None
    because: int | None
    event: int
    muted_until: datetime | None

    @property
    def subject(self) -> str:
        return f"alert:{self.id}"

    @property
    def count(self) -> int:
        """In how many windows it fired; 1 for one that is not about windows."""
        return max(1, len(self.windows))


@dataclass(frozen=True, kw_only=True)
class Review:
    """Somebody's recorded look at a monitor: what was there to see, and what follows from it."""

    id: str
    monitor: str
    decision: str
    note: str
    actor: str
    at: datetime
    seen: dict[str, Any]
