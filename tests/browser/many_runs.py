# SPDX-License-Identifier: Apache-2.0
"""Fills a workspace with as many runs as a team makes in years, and one of them with a curve of 100,000 points.

In: a store. Out: rows of the tracking tables, written directly: one event a run would take minutes and change nothing
of what is tested. ``python tests/browser/many_runs.py FOLDER [RUNS]`` fills a folder for a look by hand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mainstay.lifecycle.tracking import tables
from mainstay.lifecycle.tracking.metrics import tables as measured
from mainstay.server.workspace import open_workspace
from mainstay.store import Store

RUNS = 100_000
POINTS = 100_000
BEGUN = datetime(2024, 1, 1, tzinfo=UTC)
TEAMS = ("growth", "risk", "search")
BATCH = 10_000


def seed(store: Store, runs: int = RUNS, points: int = POINTS) -> None:
    """Runs 0 to ``runs``, the later the newer; the newest one has the long curve ``loss``."""
    for first in range(0, runs, BATCH):
        numbers = range(first, min(first + BATCH, runs))
        with store.ingest() as ingest:
            ingest.bulk_append(tables.runs, map(run, numbers))
            ingest.bulk_append(tables.run_params, (each for n in numbers for each in params(n)))
            ingest.bulk_append(measured.run_metrics, (each for n in numbers for each in metrics(n)))
            ingest.bulk_append(tables.run_tags, map(tag, numbers))
    with store.ingest() as ingest:
        series = measured.series_of(ingest, run_id(runs - 1), ["loss"])["loss"].series
        measured.append_points(ingest, [(series, 1, list(curve(points)))])


def run_id(number: int) -> str:
    """An id as it would have been made when the run began; it sorts by number."""
    millis = int((BEGUN + timedelta(minutes=number)).timestamp() * 1000)
    return f"{millis:012x}70008{number:015x}"


def auc(number: int) -> float:
    """Spread over 0.5 to 1 without repetition, so that there is one best run."""
    return round(0.5 + (number * 7919 % RUNS) / RUNS / 2, 6)


def depth(number: int) -> int:
    return number % 9 + 2


def team(number: int) -> str:
    return TEAMS[number % len(TEAMS)]


def run(number: int) -> dict[str, Any]:
    started = BEGUN + timedelta(minutes=number)
    ended = started + timedelta(seconds=30 + number % 600)
    empty = dict.fromkeys(column.name for column in tables.runs.columns)
    return empty | {
        "id": run_id(number),
        "experiment": 0,
        "name": f"trial-{number:06d}",
        "kind": "run",
        "state": "failed" if number % 50 == 7 else "succeeded",
        "actor": "ana",
        "started_at": started,
        "ended_at": ended,
        "closed_at": ended,
        "reason": "",
    }


def params(number: int) -> Iterator[dict[str, Any]]:
    for key, value in (("depth", depth(number)), ("rate", 10 ** -(number % 4 + 1))):
        yield said(number, key, str(value)) | {"is_text": False, "number": float(value)}
    yield said(number, "kernel", ("rbf", "poly")[number % 2]) | {"is_text": True, "number": None}


def tag(number: int) -> dict[str, Any]:
    return said(number, "team", team(number))


def said(number: int, key: str, value: str) -> dict[str, Any]:
    return {"run": run_id(number), "experiment": 0, "key": key, "value": value, "more": None}


def metrics(number: int) -> Iterator[dict[str, Any]]:
    at = micros(BEGUN + timedelta(minutes=number))
    for key, value in (("auc", auc(number)), ("loss", 1.3 - auc(number)), ("val loss", 1.4 - auc(number))):
        yield {"run": run_id(number), "experiment": 0, "key": key, "step": 0, "at": at, "value": round(value, 6)}


def curve(points: int) -> Iterator[tuple[int, int, float]]:
    """A loss that falls with a ripple, and one spike at three quarters that no downsampling may lose."""
    for step in range(points):
        value = 2 * math.exp(-3 * step / points) + 0.05 * math.sin(step / 37)
        spike = 9.0 if step == points * 3 // 4 else 0.0
        yield step, micros(BEGUN + timedelta(seconds=step)), value + spike


def micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    seed(open_workspace(folder), int(sys.argv[2]) if len(sys.argv) > 2 else RUNS)
