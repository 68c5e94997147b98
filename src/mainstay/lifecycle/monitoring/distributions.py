# SPDX-License-Identifier: Apache-2.0
"""One column of one window beside its baseline, as bars to lay over each other: what a drift looks like."""

from __future__ import annotations

from typing import Any

import msgspec

from mainstay.domain.errors import NotFound
from mainstay.domain.monitoring import Monitor, Window
from mainstay.lifecycle.monitoring import baselines, tables
from mainstay.measures import profiles
from mainstay.measures.profiles import Profile
from mainstay.store import View

NULL, OTHER, NEW = "(missing)", "(other known)", "(new)"


def show(view: View, monitor: Monitor, window_id: str, column: str) -> dict[str, Any]:
    """Shares of the same bars or categories in baseline and window; they sum to 1 with what lies outside.

    Raises:
        NotFound: no such window or column, or the window was judged without a baseline.
    """
    window = tables.window(view, monitor.name, monitor.window, window_id)
    if window is None:
        raise NotFound(f"monitor {monitor.name!r} has no judged window {window_id!r}.")
    if window.baseline is None or window.profile is None:
        raise NotFound(
            f"window {window_id} of {monitor.name!r} was judged without a baseline; there is nothing to lay over."
        )
    baseline = baselines.load(view.blobs, window.baseline)
    if column not in baseline.spec.by_name:
        known = ", ".join(sorted(baseline.spec.by_name))
        raise NotFound(f"window {window_id} has no column {column!r}; its columns are {known}.")
    counted = Profile.from_json(msgspec.json.decode(view.blobs.read(window.profile)))
    before = profiles.describe(baseline.profile, baseline.spec)["columns"][column]
    now = profiles.describe(counted, baseline.spec)["columns"][column]
    return {
        "column": column,
        "kind": before["kind"],
        "reason": _reason(window, column),
        "baseline": _bars(before),
        "window": _bars(now),
    }


def _reason(window: Window, column: str) -> str | None:
    lines = (window.measurements.get("drift") or {}).get("columns", ())
    return next((line["reason"] for line in lines if line["name"] == column), None)


def _bars(summary: dict[str, Any]) -> dict[str, Any]:
    n = summary["n"]
    facts = {"n": n, "null_share": summary["null_share"], "mean": summary.get("mean"), "sd": summary.get("sd")}
    drawn = summary.get("histogram")
    if drawn is not None:
        return facts | {"edges": drawn["edges"], "shares": [count / n if n else 0.0 for count in drawn["counts"]]}
    bars = [(cell["name"], cell["count"]) for cell in summary["categories"]]
    if "other" in summary:
        bars += [(OTHER, summary["other"]["count"])] if summary["other"]["known"] else []
        bars += [(NEW, summary["new"]["count"])]
    bars += [(NULL, n - summary["n_present"])]
    return facts | {"categories": [name for name, _ in bars], "shares": [count / n if n else 0.0 for _, count in bars]}
