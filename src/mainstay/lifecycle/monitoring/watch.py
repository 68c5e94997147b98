# SPDX-License-Identifier: Apache-2.0
"""What monitoring does without being asked: watch what is live, judge what is over, notice what is missing.

Each look finds its work in the record, so a kill at any moment is repaired by the next. Looking costs something and the
record changes many times a second while labels come in, so the loop looks again only after twenty times as long as the
last look took: watching never takes more than a twentieth of a core.
"""

from __future__ import annotations

import time
from datetime import timedelta
from weakref import WeakKeyDictionary

from mainstay.domain.clock import to_wire
from mainstay.domain.monitoring import Monitor, stretch_at
from mainstay.lifecycle.monitoring import alerts, judging, monitors, reviews, tables, windows
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.serving import deployments
from mainstay.store import Store, View

SYSTEM = "system"
SILENCE = "silence"
SILENT_WINDOWS = 2  # so many windows without a prediction are a finding
REST = 20.0

_rests_until: WeakKeyDictionary[Store, float] = WeakKeyDictionary()


def loop(store: Store) -> bool:
    """`look`, unless the last look was too short a while ago."""
    began = time.monotonic()
    if began < _rests_until.get(store, 0.0):
        return False
    did = look(store)
    _rests_until[store] = 0.0 if did else began + REST * (time.monotonic() - began)
    return did


def look(store: Store) -> bool:
    """Do whatever is due; whether there was anything."""
    did = declare_missing(store)
    with store.view() as view:
        watched = monitors.listed(view)
    for monitor in watched:
        did |= _judge_due(store, monitor)
        did |= _notice(store, monitor)
    return did


def declare_missing(store: Store) -> bool:
    """Give a monitor to every deployment on which something is live: monitoring is on by default."""
    with store.view() as view:
        names = [deployment.name for deployment in deployments.listed(view)]
        bare = [name for name in names if releases.live(view, name) and not monitors.of_deployment(view, name)]
    for name in bare:
        with store.change(actor=SYSTEM, reason="what is live is watched") as change:
            monitors.ensure_for(change, name)
    return bool(bare)


def _judge_due(store: Store, monitor: Monitor) -> bool:
    with store.view() as view:
        due = windows.due(view, monitor)
    for stretch in due:
        judging.judge(store, monitor, stretch, actor=SYSTEM)
    return bool(due)


def _notice(store: Store, monitor: Monitor) -> bool:
    with store.view() as view:
        silent = _silence(view, monitor)
        known = tables.open_alert(view, monitor.name, SILENCE)
        overdue = reviews.is_overdue(view, monitor) and not tables.open_alert(view, monitor.name, reviews.KEY)
    did = False
    if bool(silent) != bool(known):
        _change_silence(store, monitor, silent)
        did = True
    if overdue:
        _raise_overdue(store, monitor)
        did = True
    return did


def _silence(view: View, monitor: Monitor) -> tuple[windows.Clock, timedelta] | None:
    """The stream and how long it has been silent, if that is more than two windows."""
    clock = windows.clock_of(view, monitor.deployment)
    if clock is None:
        return None
    silent = clock.now - clock.last
    length = stretch_at(monitor.window, clock.last).length
    return (clock, silent) if silent > SILENT_WINDOWS * length else None


def _change_silence(store: Store, monitor: Monitor, silent: tuple[windows.Clock, timedelta] | None) -> None:
    with store.change(actor=SYSTEM) as change:
        if silent is None:
            if known := tables.open_alert(change, monitor.name, SILENCE):
                alerts.settle(change, known, cause="predictions come again", reason="the prediction log goes on")
            return
        clock, length = silent
        alerts.stand(
            change,
            monitor=monitor,
            key=SILENCE,
            severity="alert",
            title="No predictions come in",
            sentence=f"the last prediction of {monitor.deployment!r} is of {to_wire(clock.last)}; "
            f"nothing came for {length.days} days.",
            as_of=clock.now,
        )


def _raise_overdue(store: Store, monitor: Monitor) -> None:
    due = monitor.review_due_at
    with store.change(actor=SYSTEM) as change:
        alerts.stand(
            change,
            monitor=monitor,
            key=reviews.KEY,
            severity="warning",
            title="Review is overdue",
            sentence=f"{monitor.owner} was to look at monitor {monitor.name!r} by {to_wire(due)}; nobody has since.",
            as_of=due,
        )
