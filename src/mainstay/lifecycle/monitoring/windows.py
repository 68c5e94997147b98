# SPDX-License-Identifier: Apache-2.0
"""Windows: which stretches of the calendar are over, and which of them must be judged, or judged again.

In: what the prediction log holds by event time. Out: stretches. The surprising thing is the clock: monitoring lives
in the stream's own time, that of its latest prediction plus whatever passed since that was logged. A stream that is
live is a moment behind ours, a year that is replayed in a minute is years behind, and both close their windows
rightly.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay.domain.clock import parse_duration
from mainstay.domain.monitoring import Monitor, Stretch, Window, stretch_at, stretches_between
from mainstay.lifecycle.monitoring import tables
from mainstay.store import View

#: So long after its end a window is judged though nothing later has come: predictions travel for a while.
GRACE = timedelta(hours=2)
#: New labels or rows make a window be judged again at once when their share grew by this much; fewer wait a minute.
STEP = 0.1
SETTLED = timedelta(seconds=60)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Where a deployment's stream of predictions begins, where it is, and its time now."""

    first: datetime
    last: datetime
    now: datetime


def clock_of(view: View, deployment: str) -> Clock | None:
    """The deployment's stream; None before its first prediction."""
    extent = tables.extent(view, deployment)
    if extent is None:
        return None
    passed = max(timedelta(0), view.now() - extent.sealed_at)
    return Clock(first=extent.first, last=extent.last, now=extent.last + passed)


def closed(view: View, monitor: Monitor, until: datetime | None = None, *, but: Container[str] = ()) -> list[Stretch]:
    """Stretches with predictions that are over, oldest first, ``but`` for those with these ids.

    A stretch is over when something later was predicted, when it ended two hours ago in the stream's time, or when it
    ends by ``until``, which is how somebody says that nothing more will come.
    """
    clock = clock_of(view, monitor.deployment)
    if clock is None:
        return []
    end = max(clock.now - GRACE, stretch_at(monitor.window, clock.last).since, until or clock.first)
    found = stretches_between(monitor.window, clock.first, clock.last)
    over = [stretch for stretch in found if stretch.until <= end and stretch.id not in but]
    return [s for s in over if tables.logged_between(view, monitor.deployment, s.since, s.until).parts]


def stale(view: View, monitor: Monitor, until: datetime | None = None) -> list[Stretch]:
    """Closed stretches that were never judged, or that something has changed in since."""
    return [change.stretch for change in _changes(view, monitor, until)]


def is_stale(view: View, monitor: Monitor, stretch: Stretch) -> bool:
    """Whether the stretch was never judged, or something has changed in it since."""
    judged = tables.mark_of_window(view, monitor.name, monitor.window, stretch.id)
    return judged is None or judged != mark_for(view, monitor, stretch)


def due(view: View, monitor: Monitor) -> list[Stretch]:
    """Those stale stretches that are worth judging now: while labels trickle in, not each of them is."""
    now = view.now()
    return [change.stretch for change in _changes(view, monitor) if _is_worth_it(monitor, change, now)]


def mark_for(view: View, monitor: Monitor, stretch: Stretch) -> str:
    """What there is to judge, in short: parts, rows, labels, whether the labels' time is over, and the monitor's rules.

    Another mark may mean another result; the same cannot.
    """
    logged = tables.logged_between(view, monitor.deployment, stretch.since, stretch.until)
    return _mark(monitor, logged, is_late=is_late(view, monitor, stretch))


def is_late(view: View, monitor: Monitor, stretch: Stretch) -> bool:
    """Whether the labels of ``stretch`` have had all the time that the monitor gives them."""
    clock = clock_of(view, monitor.deployment) if monitor.label_delay else None
    return _is_late(clock, monitor, stretch)


def before(view: View, monitor: Monitor, stretch: Stretch, limit: int) -> list[Window]:
    """The judged windows before ``stretch``, newest first."""
    return tables.windows_before(view, monitor.name, monitor.window, stretch.since, limit)


def listed(view: View, monitor: Monitor, limit: int = 1_000_000) -> list[Window]:
    """Judged windows, oldest first; the newest ``limit`` of them."""
    found = tables.windows_before(view, monitor.name, monitor.window, END_OF_TIME, limit)
    return found[::-1]


def count(view: View, monitor: Monitor) -> int:
    """How many windows were judged."""
    return tables.count_windows(view, monitor.name, monitor.window)


def latest(view: View, monitor: Monitor, as_of: datetime | None = None) -> Window | None:
    """The newest judged window, or the newest that was over at ``as_of``."""
    found = tables.windows_before(view, monitor.name, monitor.window, as_of or END_OF_TIME, 1)
    return found[0] if found else None


def name_of(window: Window) -> str:
    """For people: ``April 2013``."""
    return stretch_at(window.kind, window.since).name


@dataclass(frozen=True, kw_only=True)
class _Change:
    """A stretch that must be judged, from what it was judged last (None: never) and what there is now."""

    stretch: Stretch
    judged: Any
    mark: str


def _changes(view: View, monitor: Monitor, until: datetime | None = None) -> list[_Change]:
    """What is stale, oldest first: one question for all windows that were judged, however many there are."""
    judged = {row.id: row for row in tables.marks_of(view, monitor.name, monitor.window)}
    logged = tables.logged_by_window(view, monitor.name, monitor.window)
    clock = clock_of(view, monitor.deployment)
    # Closed once is closed: a window that somebody had judged by hand stays so, though nothing later has come yet.
    found = [
        _Change(stretch=stretch, judged=row, mark=mark)
        for row in judged.values()
        if (stretch := stretch_at(monitor.window, row.since))
        and (mark := _mark(monitor, logged.get(row.id), is_late=_is_late(clock, monitor, stretch))) != row.mark
    ]
    fresh = closed(view, monitor, until, but=judged)
    found += [_Change(stretch=stretch, judged=None, mark="") for stretch in fresh]
    return sorted(found, key=lambda change: change.stretch.since)


def _mark(monitor: Monitor, logged: Any, *, is_late: bool) -> str:
    rules = f"{monitor.tolerance:g}/{monitor.label_coverage:g}/{monitor.error_limit:g}/{monitor.latency_limit_ms}"
    there = f"{logged.parts}/{logged.rows}/{logged.labels}" if logged else "0/0/0"
    return f"{there}/{'late' if is_late else 'early'}/{rules}/{','.join(monitor.slices)}"


def _is_late(clock: Clock | None, monitor: Monitor, stretch: Stretch) -> bool:
    if monitor.label_delay is None or clock is None:
        return False
    return clock.now >= stretch.until + parse_duration(monitor.label_delay)


def _is_worth_it(monitor: Monitor, change: _Change, now: datetime) -> bool:
    if (row := change.judged) is None:
        return True
    _, rows, labels, rules = row.mark.split("/", 3)
    _, now_rows, now_labels, now_rules = change.mark.split("/", 3)
    if rules != now_rules or now - row.judged_at >= SETTLED:
        return True
    grown = max(int(now_labels) - int(labels), int(now_rows) - int(rows)) / max(1, int(rows))
    is_ripe = not row.is_mature and int(now_labels) >= monitor.label_coverage * row.n
    return grown >= STEP or is_ripe
