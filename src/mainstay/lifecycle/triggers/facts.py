# SPDX-License-Identifier: Apache-2.0
"""Facts: what a trigger's condition may ask about a deployment, as it stood at a moment of its stream.

In: judged windows, alerts, the live version and where it came from. Out: every fact by name, null where it is not
known. A null never satisfies a comparison, whichever way round: not to know is no reason to act. All facts are of the
newest window that was over at that moment, or of now.

* ``alert``, ``watch``: an alert, a warning, is not resolved. ``data_fault``: a column's values are missing or broken
* ``performance_drop``: AUC (or error) is certainly worse than promised; ``auc``, ``auc_upper``, ``reference_auc``,
  ``brier``
* ``calibration_gap``: how far the mean promise is off, in either direction; ``base_rate``
* ``drifted_columns``: how many inputs drifted; ``score_drift``; ``estimate_drop``: the estimate without labels fell
* ``n``, ``labelled``, ``coverage``: predictions, those with a label, their share
* ``age_days``: since the end of the training data; ``new_rows``: in snapshots later than those
* ``days_since_last``: since this trigger last started something, else since the first prediction
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mainstay.domain.monitoring import ALERT, UNKNOWN, WATCH, Window
from mainstay.domain.registry import Version
from mainstay.lifecycle.data import snapshots
from mainstay.lifecycle.data import tables as data_tables
from mainstay.lifecycle.monitoring import alerts, monitors, windows
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.serving import prediction_log
from mainstay.lifecycle.triggers import tables
from mainstay.store import View

#: Facts that only labels can tell; a condition that reads one waits until enough are here.
OF_LABELS = frozenset(
    {
        "performance_drop",
        "auc",
        "auc_upper",
        "brier",
        "calibration_gap",
        "base_rate",
        "labelled",
        "coverage",
        "alert",
        "watch",
    }
)
NAMES = OF_LABELS | {
    "data_fault",
    "reference_auc",
    "drifted_columns",
    "score_drift",
    "estimate_drop",
    "n",
    "age_days",
    "new_rows",
    "days_since_last",
}
_DAY_S = 86_400


def window_at(view: View, deployment: str, as_of: datetime) -> Window | None:
    """The newest window of the deployment's monitor that was judged and over at ``as_of``."""
    monitor = monitors.of_deployment(view, deployment)
    return windows.latest(view, monitor, as_of) if monitor else None


def at(view: View, *, trigger: str, deployment: str, as_of: datetime) -> dict[str, Any]:
    """Every fact, by name."""
    window = window_at(view, deployment, as_of)
    found: dict[str, Any] = dict.fromkeys(sorted(NAMES))
    found |= _of_alerts(view, deployment, as_of)
    if window is not None:
        found |= _of_performance(window) | _of_drift(window)
        found |= {"n": window.n, "labelled": window.labelled, "coverage": window.coverage}
    live = releases.live(view, deployment)
    if live is not None:
        found |= _of_version(view, versions.get(view, live.model, live.version), as_of)
    found["days_since_last"] = _days_since_last(view, trigger, deployment, as_of)
    return found


def _of_alerts(view: View, deployment: str, as_of: datetime) -> dict[str, Any]:
    monitor = monitors.of_deployment(view, deployment)
    if monitor is None:
        return {}
    unresolved = [
        alert
        for alert in alerts.open_of(view, monitor.name)
        if alert.key not in alerts.STANDING and alert.state != "muted" and alert.as_of <= as_of
    ]
    return {
        "alert": any(alert.severity == "alert" for alert in unresolved),
        "watch": any(alert.severity == "warning" for alert in unresolved),
    }


def _of_performance(window: Window) -> dict[str, Any]:
    performance = window.measurements.get("performance") or {}
    verdict, calibration = window.verdict("performance"), window.verdict("calibration")
    known = verdict is not None and verdict.state != UNKNOWN and window.is_mature
    auc, reference = performance.get("auc") or {}, performance.get("reference") or {}
    gap = (performance.get("calibration_gap") or {}).get("value")
    return {
        "performance_drop": verdict.state == ALERT if known and verdict else None,
        "auc": auc.get("value"),
        "auc_upper": auc.get("hi"),
        "reference_auc": (reference.get("auc") or {}).get("value"),
        "brier": (performance.get("brier") or {}).get("value"),
        "base_rate": (performance.get("base_rate") or {}).get("value"),
        "calibration_gap": abs(gap) if gap is not None and calibration is not None else None,
    }


def _of_drift(window: Window) -> dict[str, Any]:
    inputs, score, estimate = (window.verdict(key) for key in ("drift", "score", "estimate"))
    return {
        "drifted_columns": inputs.numbers.get("drifted") if inputs and inputs.state != UNKNOWN else None,
        "score_drift": bool(score.numbers.get("drifted")) if score and score.state != UNKNOWN else None,
        "estimate_drop": estimate.state in (WATCH, ALERT) if estimate else None,
        "data_fault": any(v.key.startswith("fault:") or v.key == "constant" for v in window.verdicts)
        if inputs and inputs.state != UNKNOWN
        else None,
    }


def _of_version(view: View, version: Version, as_of: datetime) -> dict[str, Any]:
    used = [snapshots.named(view, each.id) for each in version.snapshots if each.role != "holdout"]
    ends = [snapshot.period.until for snapshot in used if snapshot.period]
    newest: dict[str, int] = {}
    for snapshot in used:
        newest[snapshot.dataset] = max(newest.get(snapshot.dataset, 0), snapshot.number)
    later = [
        snapshot.rows
        for dataset, number in newest.items()
        for snapshot in data_tables.snapshots_of(view, dataset, limit=10_000)
        if snapshot.number > number and (snapshot.period is None or snapshot.period.since < as_of)
    ]
    return {
        "age_days": (as_of - max(ends)).total_seconds() / _DAY_S if ends else None,
        "new_rows": sum(later) if used else None,
    }


def _days_since_last(view: View, trigger: str, deployment: str, as_of: datetime) -> float | None:
    last = tables.last_start(view, trigger, as_of)
    if last is not None:
        return (as_of - last.as_of).total_seconds() / _DAY_S
    span = prediction_log.span(view, deployment)
    return max(0.0, (as_of - span[0]).total_seconds() / _DAY_S) if span else None
