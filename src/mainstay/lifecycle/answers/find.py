# SPDX-License-Identifier: Apache-2.0
"""Find: jump to anything by a part of its name, or by the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mainstay.domain import ids
from mainstay.lifecycle.answers import hrefs
from mainstay.lifecycle.data import contracts, datasets
from mainstay.lifecycle.pipelines import executions
from mainstay.lifecycle.pipelines.scheduling import backfills
from mainstay.store import View, ledger

MOST_LOOKED_AT = 1000


def ask(view: View, text: str, *, limit: int) -> list[dict[str, Any]]:
    """Subjects that match ``text``, those that changed last first. A whole prediction id finds its prediction."""
    wanted = text.strip().lower()
    if not wanted:
        return []
    titles = dict(_without_events(view, wanted))
    found = [f"prediction:{wanted}"] if ids.is_id(wanted) and not ledger.subjects(view, wanted, limit=1) else []
    found += [subject for subject in titles if subject.startswith("pipeline:")]
    found += ledger.subjects(view, wanted, limit=limit)
    return [
        {"subject": subject, "title": titles.get(subject, subject.replace(":", " ", 1)), "href": hrefs.of(subject)}
        for subject in dict.fromkeys([*found, *titles])
        if hrefs.of(subject) is not None
    ][:limit]


def _without_events(view: View, wanted: str) -> Iterator[tuple[str, str]]:
    """What people know by a name that is no event's subject, and how it is called."""
    for pipeline in executions.seen(view, limit=MOST_LOOKED_AT):
        if wanted in (title := f"pipeline {pipeline.name}").lower():
            yield f"pipeline:{pipeline.name}", title
    for dataset in datasets.listed(view, limit=MOST_LOOKED_AT):
        if wanted in (title := f"contract {dataset.name}").lower() and contracts.find(view, dataset.name):
            yield f"contract:{dataset.name}", title
    for backfill in backfills.listed(view, limit=MOST_LOOKED_AT):
        title = f"backfill {backfill.pipeline} {backfill.since:%Y-%m-%d} to {backfill.until:%Y-%m-%d}"
        if wanted in title.lower():
            yield backfill.subject, title
