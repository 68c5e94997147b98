# SPDX-License-Identifier: Apache-2.0
"""Alerts: verdicts that ask for somebody, with an owner, until somebody or something answers them.

In: judged windows, and standing findings such as a silent feed. Out: at most one open alert for a monitor and key;
firing again only counts. An alert ends when a person resolves it; when a new release took over and its window is
fine; when it was acknowledged and three windows stayed quiet; or when later labels took back every window it rested
on. A window that could not be judged calms nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from mainstay.domain import ids, states
from mainstay.domain.clock import to_wire
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.monitoring import (
    AlertAcknowledged,
    AlertGraded,
    AlertMuted,
    AlertOpened,
    AlertResolved,
)
from mainstay.domain.monitoring import ALERT, OK, OPEN_STATES, UNKNOWN, WATCH, Alert, Monitor, Verdict, Window
from mainstay.lifecycle.monitoring import tables
from mainstay.lifecycle.monitoring.windows import END_OF_TIME
from mainstay.store import Change, View, ledger

#: Findings about the monitor itself; no window carries them.
STANDING = frozenset({"silence", "review"})
QUIET_WINDOWS = 3
STATES = (*OPEN_STATES, "resolved")
_SEVERITY = {WATCH: "warning", ALERT: "alert"}


def follow(change: Change, *, monitor: Monitor, window: Window) -> None:
    """Raise, count or calm the monitor's alerts by the verdicts of ``window``."""
    firing = {verdict.key: verdict for verdict in window.verdicts if verdict.state in _SEVERITY}
    for verdict in firing.values():
        _fire(change, monitor, window, verdict)
    for alert in tables.open_alerts(change, monitor.name):
        if alert.key not in firing and alert.key not in STANDING:
            _calm(change, alert, window)


def stand(
    change: Change, *, monitor: Monitor, key: str, severity: str, title: str, sentence: str, as_of: datetime
) -> Alert | None:
    """Open an alert that no window carries; None if it is open already."""
    if tables.open_alert(change, monitor.name, key):
        return None
    verdict = Verdict(key=key, state=ALERT if severity == "alert" else WATCH, title=title, sentence=sentence)
    return _open(change, monitor, verdict, as_of=as_of, window=None)


def settle(change: Change, alert: Alert, *, cause: str, reason: str) -> Alert:
    """End an alert because what it was about is over."""
    return _end(change, alert, cause=cause, reason=reason)


def acknowledge(change: Change, identity: str) -> Alert:
    """Say that somebody takes care of it.

    Raises:
        NotFound: no such alert. Conflict: it is not open.
    """
    alert = get(change, identity)
    states.check_move(states.ALERT, f"alert {identity}", alert.state, "acknowledged")
    tables.set_alert(change, identity, state="acknowledged")
    change.record(AlertAcknowledged(alert=identity, monitor=alert.monitor, key=alert.key))
    return get(change, identity)


def resolve(change: Change, identity: str, *, cause: str = "") -> Alert:
    """Say that it is over, and why.

    Raises:
        NotFound: no such alert. Conflict: it was resolved before. Invalid: no reason.
    """
    alert = get(change, identity)
    _need_reason(change, f"to resolve alert {identity}")
    return _end(change, alert, cause=cause or "resolved by hand", reason=None)


def mute(change: Change, identity: str, *, until: datetime) -> Alert:
    """Keep it silent until a moment to come; it goes on counting, and speaks again if it fires after that.

    Raises:
        NotFound: no such alert. Conflict: it is not open. Invalid: no reason, or a moment that is past.
    """
    alert = get(change, identity)
    _need_reason(change, f"to mute alert {identity}")
    if until <= change.now():
        raise Invalid(f"alert {identity} cannot be muted until {to_wire(until)}, which is past; name a moment to come.")
    states.check_move(states.ALERT, f"alert {identity}", alert.state, "muted")
    tables.set_alert(change, identity, state="muted", muted_until=until)
    change.record(AlertMuted(alert=identity, monitor=alert.monitor, key=alert.key, until=to_wire(until)))
    return get(change, identity)


def get(view: View, identity: str) -> Alert:
    """One alert.

    Raises:
        NotFound: there is none of that id.
    """
    found = tables.alert(view, identity)
    if found is None:
        raise NotFound(f"there is no alert {identity!r}; `mainstay alerts list` shows those there are.")
    return found


def listed(
    view: View, *, state: str | None = None, monitor: str | None = None, before: str | None = None, limit: int = 100
) -> list[Alert]:
    """Alerts, newest first. ``state``: one of the four, or ``unresolved`` for all but resolved.

    Raises:
        Invalid: an unknown state.
    """
    if state not in (None, "unresolved", *STATES):
        raise Invalid(f"there is no alert state {state!r}; the states are {', '.join(STATES)}, and unresolved.")
    wanted = None if state is None else OPEN_STATES if state == "unresolved" else (state,)
    return tables.listed_alerts(view, states=wanted, monitor=monitor, before=before, limit=limit)


def open_of(view: View, monitor: str) -> list[Alert]:
    """The monitor's alerts that are not resolved, oldest first."""
    return tables.open_alerts(view, monitor)


def history(view: View, alert: Alert) -> list[ledger.Entry]:
    """What happened to it, oldest first."""
    return list(ledger.search(view, subject=alert.subject, limit=1000, newest_first=False))


def _fire(change: Change, monitor: Monitor, window: Window, verdict: Verdict) -> None:
    current = tables.open_alert(change, monitor.name, verdict.key)
    if current is None:
        last = tables.newest_alert(change, monitor.name, verdict.key)
        # Whoever resolved an alert has seen the windows it rested on; judging one of them again is no news.
        if last is None or not last.windows or last.as_of < window.until:
            _open(change, monitor, verdict, as_of=window.until, window=window)
        return
    if current.state != "muted" and window.until > current.as_of and current.release != window.release:
        # An alert is about one release. What the next one shows is measured against another evaluation.
        new = f"{window.deployment}#{window.release}"
        _end(
            change,
            current,
            cause="another release took over",
            reason=f"{new} answers now; what it shows is another alert",
        )
        _open(change, monitor, verdict, as_of=window.until, window=window)
        return
    _count(change, current, window, verdict)
    severity = _SEVERITY[verdict.state]
    if window.until >= current.as_of and severity != current.severity:
        tables.set_alert(change, current.id, severity=severity)
        graded = AlertGraded(
            alert=current.id,
            monitor=monitor.name,
            key=verdict.key,
            severity=severity,
            sentence=verdict.sentence,
            as_of=to_wire(window.until),
            window=window.id,
        )
        change.record(graded, because=window.event)
    if current.state == "muted" and current.muted_until is not None and current.muted_until <= change.now():
        _speak_again(change, replace(current, title=verdict.title, sentence=verdict.sentence), window)


def _count(change: Change, current: Alert, window: Window, verdict: Verdict) -> None:
    seen: dict[str, Any] = {"windows": sorted({*current.windows, window.id})}
    if window.until >= current.as_of:
        seen |= {"as_of": window.until, "quiet": 0, "title": verdict.title, "sentence": verdict.sentence}
        seen |= {"release": window.release, "version": _version(window)}
    tables.set_alert(change, current.id, **seen)


def _open(change: Change, monitor: Monitor, verdict: Verdict, *, as_of: datetime, window: Window | None) -> Alert:
    identity = ids.uuid7()
    event = AlertOpened(
        alert=identity,
        monitor=monitor.name,
        key=verdict.key,
        deployment=monitor.deployment,
        severity=_SEVERITY[verdict.state],
        title=verdict.title,
        sentence=verdict.sentence,
        owner=monitor.owner,
        as_of=to_wire(as_of),
        window=window.id if window else None,
    )
    entry = change.record(event, because=window.event if window else None)
    opened = Alert(
        id=identity,
        monitor=monitor.name,
        deployment=monitor.deployment,
        key=verdict.key,
        severity=event.severity,
        state="open",
        title=verdict.title,
        sentence=verdict.sentence,
        owner=monitor.owner,
        opened_at=change.now(),
        as_of=as_of,
        windows=(window.id,) if window else (),
        quiet=0,
        release=window.release if window else None,
        version=_version(window) if window else None,
        because=entry.because,
        event=entry.seq,
        muted_until=None,
    )
    tables.put_alert(change, opened)
    return opened


def _speak_again(change: Change, alert: Alert, window: Window) -> None:
    states.check_move(states.ALERT, f"alert {alert.id}", "muted", "open")
    tables.set_alert(change, alert.id, state="open", muted_until=None)
    event = AlertOpened(
        alert=alert.id,
        monitor=alert.monitor,
        key=alert.key,
        deployment=alert.deployment,
        severity=alert.severity,
        title=alert.title,
        sentence=alert.sentence,
        owner=alert.owner,
        as_of=to_wire(window.until),
        window=window.id,
    )
    change.record(event, because=window.event, reason="the time it was muted for is over")


def _calm(change: Change, alert: Alert, window: Window) -> None:
    if not is_calm(window, alert.key):
        return
    if window.id in alert.windows:
        _take_back(change, alert, window)
        return
    if window.until <= alert.as_of:
        return
    newest = tables.windows_before(change, window.monitor, window.kind, END_OF_TIME, QUIET_WINDOWS + 1)
    quiet = sum(1 for w in newest if w.since >= alert.as_of and is_calm(w, alert.key))
    tables.set_alert(change, alert.id, quiet=quiet)
    if alert.release is not None and window.release != alert.release:
        new = f"{window.deployment}#{window.release}"
        _end(change, alert, cause="another release took over", reason=f"{new} answers now, and {window.id} is fine")
    elif quiet >= QUIET_WINDOWS and alert.state == "acknowledged":
        _end(change, alert, cause="it is over", reason=f"quiet for {quiet} windows since it was acknowledged")


def is_calm(window: Window, key: str) -> bool:
    """Whether ``window`` shows that ``key`` is fine; not having been able to tell does not."""
    verdict = window.verdict(key)
    if verdict is not None:
        return verdict.state == OK
    inputs = window.verdict("drift")
    return (
        (key.startswith("fault:") or key in ("constant", "new_category"))
        and inputs is not None
        and inputs.state != UNKNOWN
    )


def _take_back(change: Change, alert: Alert, window: Window) -> None:
    rest = [identity for identity in alert.windows if identity != window.id]
    if rest:
        newest = tables.window(change, window.monitor, window.kind, rest[-1])
        tables.set_alert(change, alert.id, windows=rest, as_of=newest.until if newest else alert.as_of)
        return
    tables.set_alert(change, alert.id, windows=[])
    _end(change, alert, cause="taken back", reason=f"{window.id} was judged again with what came later, and is fine")


def _end(change: Change, alert: Alert, *, cause: str, reason: str | None) -> Alert:
    states.check_move(states.ALERT, f"alert {alert.id}", alert.state, "resolved")
    tables.set_alert(change, alert.id, state="resolved", muted_until=None)
    change.record(AlertResolved(alert=alert.id, monitor=alert.monitor, key=alert.key, cause=cause), reason=reason)
    return get(change, alert.id)


def _need_reason(change: Change, what: str) -> None:
    if not change.reason.strip():
        raise Invalid(f"{what} takes a reason; say what you found.")


def _version(window: Window) -> str | None:
    return f"{window.model}/{window.version}" if window.model else None
