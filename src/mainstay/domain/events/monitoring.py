# SPDX-License-Identifier: Apache-2.0
"""What happens to monitors, windows, alerts and reviews.

An alert that fires again only counts: a month of bad windows must not drown the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class _OfMonitor(Event):
    """What every event of a monitor knows."""

    monitor: str

    @property
    def subject(self) -> str:
        return f"monitor:{self.monitor}"


@dataclass(frozen=True, kw_only=True)
class MonitorDeclared(_OfMonitor):
    """A deployment is watched from now on, or otherwise than before."""

    kind = "monitor.declared"
    deployment: str
    owner: str
    content: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class WindowJudged(_OfMonitor):
    """A window was judged, or judged again with another result; ``digest`` names the measurements and verdicts."""

    kind = "window.judged"
    deployment: str
    window: str
    window_kind: str
    since: str
    until: str
    revision: int
    state: str
    n: int
    labelled: int
    is_mature: bool
    release: int | None
    digest: str
    verdicts: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ReviewDone(_OfMonitor):
    """Somebody looked at a monitor and decided."""

    kind = "review.done"
    review: str
    decision: str
    seen: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _OfAlert(Event):
    """What every event of an alert knows."""

    alert: str
    monitor: str
    key: str

    @property
    def subject(self) -> str:
        return f"alert:{self.alert}"


@dataclass(frozen=True, kw_only=True)
class AlertOpened(_OfAlert):
    """A verdict asks for somebody; also when a muted alert speaks again."""

    kind = "alert.opened"
    deployment: str
    severity: str
    title: str
    sentence: str
    owner: str
    as_of: str
    window: str | None


@dataclass(frozen=True, kw_only=True)
class AlertGraded(_OfAlert):
    """A warning became an alert, or an alert a warning."""

    kind = "alert.graded"
    severity: str
    sentence: str
    as_of: str
    window: str | None


@dataclass(frozen=True, kw_only=True)
class AlertAcknowledged(_OfAlert):
    """Somebody takes care of it."""

    kind = "alert.acknowledged"


@dataclass(frozen=True, kw_only=True)
class AlertResolved(_OfAlert):
    """It is over; ``cause`` says what it was."""

    kind = "alert.resolved"
    cause: str


@dataclass(frozen=True, kw_only=True)
class AlertMuted(_OfAlert):
    """It stays silent until then, and goes on counting."""

    kind = "alert.muted"
    until: str
