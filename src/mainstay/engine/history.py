# SPDX-License-Identifier: Apache-2.0
"""What earlier runs of a pipeline did, as far as a plan needs it: the last recorded call of each step.

Used to say *why* a step would run, to foresee results so that one query asks for a whole plan, and to remember the
files a step was seen to use beyond its imports. Never used to decide that something is a hit: the control plane's
index does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from mainstay.domain.errors import NotFound
from mainstay.engine.platform import Platform


@dataclass(frozen=True, kw_only=True)
class History:
    """Stored calls by label, the newest; any one call and all extra files by step; row counts by digest; sources by run."""

    by_label: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    by_step: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extras_by_step: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rows: Mapping[str, int | None] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def before(self, label: str, step: str) -> Mapping[str, Any] | None:
        """The stored call with this label, else any stored call of the same step."""
        return self.by_label.get(label) or self.by_step.get(step)

    def extras(self, step: str) -> frozenset[str]:
        """Files that calls of ``step`` used beyond their static closure."""
        return self.extras_by_step.get(step, frozenset())


def of(platform: Platform, pipeline: str, *, besides: str | None = None) -> History:
    """The last calls of the steps of ``pipeline``; ``besides`` is a run to leave out (the one being carried out)."""
    try:
        runs = platform.get(f"/pipelines/{quote(pipeline, safe='')}/history", besides=besides)["runs"]
    except NotFound:
        return History()
    steps: dict[str, Mapping[str, Any]] = {}
    rows: dict[str, int | None] = {}
    for run in runs:
        for step in run["steps"]:
            if step["key_parts"]:
                steps.setdefault(step["name"], step)
            rows |= {each["digest"]: each.get("rows") for each in step["outputs"]}
    sources = {run["id"]: run["sources_digest"] for run in runs if run["sources_digest"]}
    return replace(_indexed(steps, rows), sources=sources)


def _indexed(steps: Mapping[str, Mapping[str, Any]], rows: Mapping[str, int | None]) -> History:
    by_step: dict[str, Mapping[str, Any]] = {}
    for each in steps.values():
        by_step.setdefault(each["key_parts"].get("step", each["name"]), each)
    return History(by_label=steps, by_step=by_step, extras_by_step=extras_of(steps.values()), rows=rows)


def extras_of(
    steps: Iterable[Mapping[str, Any]], *, besides: Mapping[str, frozenset[str]] | None = None
) -> dict[str, frozenset[str]]:
    """Files that recorded calls used beyond their static closure, by step; ``besides``: those known before."""
    extras = dict(besides or {})
    for each in steps:
        parts = each["key_parts"]
        name = parts.get("step", each["name"])
        extras[name] = extras.get(name, frozenset()) | frozenset(parts.get("extras", ()))
    return extras
