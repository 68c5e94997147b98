# SPDX-License-Identifier: Apache-2.0
"""The control plane's index of step results, asked in batches and remembered for one plan or run.

A key is asked for once. Keys that nobody knows yet, because what they stand upon has no result so far, are asked for by what
they begin with (see `keys`): then a whole chain is looked up in one question, or known to be new. Others publish results
meanwhile; so what was told of a family counts for the keys that follow within a moment of work, and then it is asked anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.domain.clock import from_wire
from mainstay.domain.pipelines import FAMILY_DIGITS
from mainstay.engine.calls.step_calls import outputs_from
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Platform

_BATCH = 500
_FEW = 100
_HOLDS_S = 1.0  # of work: how long the absence of a key is believed


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A stored result, the run of the step that made it, and when; None: just now."""

    run_id: str
    outputs: dict[str, Artifact]
    at: datetime | None = None


@dataclass(kw_only=True)
class Hits:
    """Answers by key; and of families, whether all there is of one was told."""

    platform: Platform
    _known: dict[str, Hit | None] = field(default_factory=dict)
    _unsure: dict[str, Hit] = field(default_factory=dict)
    _size: dict[str, int | None] = field(default_factory=dict)  # of each family that was told; None: not all of it was
    _old: dict[str, None] = field(default_factory=dict)  # keys of which nothing was there the last time, a while ago
    _age_s: float = 0.0

    def ask(self, keys: Iterable[str], families: Iterable[str] = ()) -> bool:
        """Fetch what is not known yet, in one query for up to 500 keys and families; whether there is any result among it."""
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        begun = [each for each in dict.fromkeys(families) if each not in self._size]
        found = False
        for start in range(0, max(len(new), len(begun)), _BATCH):
            asked, alike = new[start : start + _BATCH], begun[start : start + _BATCH]
            told = self.platform.post("/steps/lookup", {"keys": asked, "families": alike})
            self.learn(asked, told["hits"])
            self._unsure |= {key: _hit(hit) for key, hit in told["unsure"].items()}
            sizes = Counter(key[:FAMILY_DIGITS] for key in (*told["hits"], *told["unsure"]))
            self._size |= {each: sizes[each] if each in told["whole"] else None for each in alike}
            found = found or bool(told["hits"] or told["unsure"])
        return found

    def learn(self, keys: Iterable[str], found: Mapping[str, Any]) -> None:
        """Take the index's answer about ``keys``, and whatever else it has ``found``."""
        for key in keys:
            self._known[key] = None
            self._old.pop(key, None)
        self._known.update((key, _hit(hit)) for key, hit in found.items())

    def of(self, key: str) -> Hit | None:
        """The stored result of ``key``."""
        if not self.is_asked(key):
            others = list(self._old)[: _BATCH - 1] if key in self._old else []
            self.ask([key, *others], [key[:FAMILY_DIGITS]])
        return self._known.get(key)

    def put(self, key: str, hit: Hit) -> None:
        """Remember a result of this run: a second call with the same key is a hit at once."""
        self._known[key] = hit
        self._old.pop(key, None)

    def peek(self, key: str) -> Hit | None:
        """The stored result if it has been asked for already."""
        return self._known.get(key)

    def unsure(self, key: str) -> Hit | None:
        """A stored result of which nobody has said yet that every byte is in place."""
        return None if key in self._known else self._unsure.get(key)

    def is_asked(self, key: str) -> bool:
        """Whether the index has answered about ``key``."""
        return key in self._known or (self._size.get(key[:FAMILY_DIGITS]) is not None and key not in self._unsure)

    def has_told_of(self, family: str) -> bool:
        """Whether a family was asked for, and what was answered still counts."""
        return family in self._size

    def age(self, seconds: float) -> None:
        """So many seconds of work went by: what was not there may be there by now."""
        self._age_s += seconds
        if self._age_s > _HOLDS_S:
            self._age_s = 0.0
            for key in [
                key for key, hit in list(self._known.items()) if hit is None
            ]:  # commits learn on another thread
                del self._known[key]
                self._old[key] = None
            # What is large is not told again and again: of its keys each is asked for when it is needed.
            self._size = {family: None for family, size in self._size.items() if size is None or size > _FEW}


def _hit(told: Mapping[str, Any]) -> Hit:
    at = told.get("at")
    return Hit(run_id=told["run_id"], outputs=outputs_from(told["outputs"]), at=from_wire(at) if at else None)
