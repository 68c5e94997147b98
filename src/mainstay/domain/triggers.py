# SPDX-License-Identifier: Apache-2.0
"""Triggers, and the decisions that record each time one was asked: also when, and why, nothing was to be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

MODES = ("manual", "suggest", "auto")
START, SUGGEST, HOLD = "start", "suggest", "hold"
#: What became of a decision. ``pending``: its run or its release has not ended yet.
RESULTS = ("none", "pending", "passed", "refused", "rejected", "rolled_back", "failed", "declined")
ENDED = tuple(result for result in RESULTS if result not in ("none", "pending"))


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """When a window of ``deployment`` is judged: if ``condition`` holds, then run ``pipeline``, in ``mode``.

    ``cooldown`` is measured in the time of the predictions, from one start to the next. Texts in ``params`` may contain
    ``{since}`` and ``{until}``, the ends of the window that was judged.
    """

    name: str
    deployment: str
    condition: str
    pipeline: str
    params: dict[str, Any]
    mode: str
    cooldown: str
    owner: str
    created_at: datetime
    created_by: str

    @property
    def subject(self) -> str:
        return f"trigger:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a trigger answered at ``as_of``, by which facts, and what came of it.

    ``window`` is None where somebody asked by hand. ``because`` is the event that raised the question, ``event`` the
    seq of the decision's own.
    """

    id: str
    trigger: str
    deployment: str
    window: str | None
    as_of: datetime
    at: datetime
    outcome: str
    mode: str
    sentence: str
    condition: str
    facts: dict[str, Any]
    because: int | None
    event: int
    actor: str
    job: str | None = None
    run_id: str | None = None
    version: str | None = None
    release: int | None = None
    result: str = "none"
    result_sentence: str = ""
    ended_at: datetime | None = None

    @property
    def subject(self) -> str:
        return f"decision:{self.id}"
