# SPDX-License-Identifier: Apache-2.0
"""What steps write, kept in order and followed while it is written."""

from __future__ import annotations

import httpx
import pytest

from mainstay.domain.errors import Conflict, Invalid, TooLarge
from mainstay.domain.pipelines import Line
from mainstay.lifecycle.pipelines import lines
from mainstay.lifecycle.tracking import runs
from mainstay.store import Store


def add(store: Store, run: str, *texts: str, step: str = "fit", stream: str = "out") -> int:
    with store.ingest() as ingest:
        now = ingest.now()
        return lines.add(ingest, run, [Line(seq=0, step=step, stream=stream, at=now, text=text) for text in texts])


def told(store: Store, run: str, **which: object) -> list[tuple[int, str, str]]:
    with store.view() as view:
        return [(line.seq, line.step, line.text) for line in lines.of(view, run, **which)]  # type: ignore[arg-type]


def test_lines_are_numbered_in_the_order_in_which_they_came(store: Store, run: str) -> None:
    add(store, run, "one", "two")
    add(store, run, "three", step="load")

    assert told(store, run) == [(1, "fit", "one"), (2, "fit", "two"), (3, "load", "three")]
    assert told(store, run, step="load") == [(3, "load", "three")]
    assert told(store, run, after=1, limit=1) == [(2, "fit", "two")]


def test_a_run_keeps_only_so_many(store: Store, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_LINES", 2)

    assert add(store, run, "one", "two", "three") == 2
    assert add(store, run, "four") == 2


def test_what_cannot_be_kept_is_refused(store: Store, run: str) -> None:
    with pytest.raises(Invalid, match="stream"):
        add(store, run, "one", stream="paper")
    with pytest.raises(TooLarge):
        add(store, run, "x" * 8001)
    with store.change(actor="ana") as change:
        runs.finish(change, run, state="succeeded")
    with pytest.raises(Conflict):
        add(store, run, "late")


def test_lines_are_followed_until_the_run_ends(web: httpx.Client) -> None:
    body = {"name": "late", "kind": "pipeline", "code": {"entry": "flights.py:late"}}
    run = web.post("/runs", json=body).json()["id"]
    line = {"step": "fit", "stream": "err", "at": "2013-01-01T00:00:00.000000Z", "text": "careful"}
    assert web.post(f"/runs/{run}/lines", json={"lines": [line]}).json() == {"last": 1}
    web.post(f"/runs/{run}/finish", json={"state": "succeeded"})

    answer = web.get(f"/runs/{run}/lines/stream")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "id: 1\ndata: " in answer.text and '"text":"careful"' in answer.text
    assert answer.text.endswith("event: end\ndata: {}\n\n")
    assert web.get(f"/runs/{'0' * 32}/lines/stream").status_code == 404
