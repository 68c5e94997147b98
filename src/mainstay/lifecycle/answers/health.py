# SPDX-License-Identifier: Apache-2.0
"""Health: how a deployment's model does, from the newest judged window. What nobody watches is *unknown*, never *ok*."""

from __future__ import annotations

from typing import Any

from mainstay.domain.monitoring import UNKNOWN
from mainstay.lifecycle.monitoring import monitors, windows
from mainstay.store import View

# Of a probability, of one of several classes, of a number.
_JUDGED = ("auc", "accuracy", "mae")


def of_deployment(view: View, name: str) -> str:
    """ok, watch, alert or unknown."""
    monitor = monitors.of_deployment(view, name)
    newest = windows.latest(view, monitor) if monitor else None
    return newest.state if newest else UNKNOWN


def performance_of(view: View, name: str, release: int) -> dict[str, Any] | None:
    """The newest known figure of this very release, of its kind's the one that is judged, with its interval, its n and the
    end of its window."""
    monitor = monitors.of_deployment(view, name)
    for window in reversed(windows.listed(view, monitor) if monitor else []):
        measured = (window.measurements.get("performance") or {}) if window.release == release else {}
        for judged in _JUDGED:
            figure = measured.get(judged)
            if figure and figure.get("value") is not None:
                return {"name": judged, "as_of": window.until} | {
                    key: figure[key] for key in ("value", "lo", "hi", "n")
                }
    return None
