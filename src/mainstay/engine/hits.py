# SPDX-License-Identifier: Apache-2.0
"""The control plane's index of step results, asked in batches and remembered for one plan or run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.domain.clock import from_wire
from mainstay.engine.calls.step_calls import outputs_from
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Platform

_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A stored result, the run of the step that made it, and when; None: just now."""

    run_id: str
    outputs: dict[str, Artifact]
    at: datetime | None = None


@dataclass(kw_only=True)
class Hits:
    """Answers by key; a key is asked for once."""

    platform: Platform
    _known: dict[str, Hit | None] = field(default_factory=dict)

    def ask(self, keys: Iterable[str]) -> None:
        """Fetch what is not known yet, in one query for up to 500 keys."""
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self.learn(batch, self.platform.post("/steps/lookup", {"keys": batch})["hits"])

    def learn(self, keys: Iterable[str], found: Mapping[str, Any]) -> None:
        """Take the index's answer about ``keys``."""
        for key in keys:
            hit = found.get(key)
            self._known[key] = _hit(hit) if hit else None

    def of(self, key: str) -> Hit | None:
        """The stored result of ``key``."""
        self.ask([key])
        return self._known[key]

    def put(self, key: str, hit: Hit) -> None:
        """Remember a result of this run: a second call with the same key is a hit at once."""
        self._known[key] = hit

    def peek(self, key: str) -> Hit | None:
        """The stored result if it has been asked for already."""
        return self._known.get(key)

    def is_asked(self, key: str) -> bool:
        """Whether the index has answered about ``key``."""
        return key in self._known


def _hit(told: Mapping[str, Any]) -> Hit:
    at = told.get("at")
    return Hit(run_id=told["run_id"], outputs=outputs_from(told["outputs"]), at=from_wire(at) if at else None)
