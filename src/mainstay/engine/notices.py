# SPDX-License-Identifier: Apache-2.0
"""What an execution tells while it goes on, and of each step at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mainstay.domain.errors import Invalid
from mainstay.engine.materialise import Artifact


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something happened, for whoever shows progress. ``what``: run, start, hit, done, failed, warning, end.

    ``run_id``: of a run that begins. ``total``: how many steps there are, where that is known beforehand.
    """

    what: str
    label: str
    text: str
    seconds: float | None = None
    run_id: str | None = None
    total: int | None = None


@dataclass(frozen=True, kw_only=True)
class Done:
    """One step or verb of a finished execution.

    ``state``: succeeded, cached or failed. ``is_same``: an uncached step that gave the bytes of the last time.
    """

    label: str
    state: str
    why: str
    sentence: str
    seconds: float
    run_id: str
    outputs: Mapping[str, Artifact]
    is_same: bool = False


class StepFailed(Invalid):
    """A step raised, and the run is recorded as failed. ``facts`` hold ``run_id`` and ``step``."""


Notify = Callable[[Notice], None]
