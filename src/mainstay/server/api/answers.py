# SPDX-License-Identifier: Apache-2.0
"""The answers, over HTTP."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from mainstay.lifecycle.answers import about, explain, find, home, live, users, why
from mainstay.server.routes import Routes
from mainstay.store import View

routes = Routes("answers")


class Live(msgspec.Struct):
    items: list[live.Line]


class WhyOut(msgspec.Struct):
    subject: str
    steps: list[why.Step]
    edges: list[tuple[int, int, str]]
    chain_ok: bool | None
    ms: float


class Found(msgspec.Struct):
    items: list[dict[str, Any]]


@routes.get("/live", permission="read")
def show_live(view: View) -> Live:
    """What is live everywhere, as reported by what is loaded, beside what should be."""
    return Live(items=live.ask(view))


@routes.get("/why/{subject:path}", permission="read")
def show_why(view: View, subject: str, verify: bool = False) -> WhyOut:
    """The chain behind a prediction id, or any ``kind:name``; with ``verify`` every blob on the way is hashed again."""
    began = time.perf_counter()
    found = why.ask(view, subject, verify=verify)
    took = round((time.perf_counter() - began) * 1000, 1)
    return WhyOut(subject=found.subject, steps=found.steps, edges=found.edges, chain_ok=found.chain_ok, ms=took)


@routes.get("/runs/{run_a}/explain/{run_b}", permission="read")
def explain_runs(view: View, run_a: str, run_b: str) -> explain.Explanation:
    """Why the results of two runs differ: the first parts of their steps' keys that do, and what became of the columns."""
    return explain.ask(view, run_a, run_b)


@routes.get("/diff", permission="read")
def show_diff(view: View, a: str, b: str) -> explain.Explanation:
    """The same for any two of runs and versions, by id or as ``flights-late/3``."""
    return explain.ask(view, a, b)


@routes.get("/about", permission="read")
def show_about(view: View, subject: str) -> about.About:
    """The head of an object's page: state, owner, because line, ribbon, timeline, and the same as commands."""
    return about.ask(view, subject)


@routes.get("/home", permission="read")
def show_home(view: View) -> home.Home:
    """The first page: live, changed, waiting, overdue, health."""
    return home.ask(view)


@routes.get("/snapshots/{snapshot}/users", permission="read")
def show_users(view: View, snapshot: str) -> users.Users:
    """Who uses a snapshot downstream: runs, versions, releases, and where they are live."""
    return users.of_snapshot(view, snapshot)


@routes.get("/datasets/{name}/rollback", permission="read")
def preview_rollback(view: View, name: str, to: int) -> users.Preview:
    """What follows if the dataset's `current` goes back to snapshot `to`; nothing is changed."""
    return users.preview(view, name, to)


@routes.get("/search", permission="read")
def search(view: View, q: str, limit: int = 20) -> Found:
    """Things whose name or id begins with, or contains, ``q``."""
    return Found(items=find.ask(view, q, limit=limit))
