# SPDX-License-Identifier: Apache-2.0
"""Replays: what a gateway served beside what the training path makes; skew and lateness are told apart."""

from __future__ import annotations

from typing import Any

import pytest
from memory_platform import MemoryPlatform

from mainstay.domain.errors import Conflict, NotFound
from mainstay.engine import execution
from mainstay.engine.refreshes import Refresh
from mainstay.engine.replays import Replay, Report

SHOP = """
    import datetime as dt
    import pyarrow as pa
    import mainstay as ms

    @ms.step
    def payments() -> pa.Table:
        days = [dt.datetime(2024, 1, day, tzinfo=dt.timezone.utc) for day in (1, 2, 3)]
        return pa.table({"who": [1, 2, 1], "at": days, "total": [1.0, 2.0, 3.0]})

    @ms.feature_view(entity="who", time="at", source="payments")
    def spend(tx: pa.Table) -> pa.Table:
        return tx

    @ms.pipeline
    def flow():
        ms.snapshot("payments", payments())
"""


class Control(MemoryPlatform):
    """The platform in memory, with a log of predictions that a test wrote."""

    versions: list[dict[str, Any]]
    served: list[dict[str, Any]]
    pinned: int
    watermark: str

    def get(self, path: str, **params: Any) -> Any:
        if path == "/features/spend/online":
            return {
                "items": [{"version": 1, "sequence": 1, "made_at": "2024-01-05T00:00:00Z", "watermark": self.watermark}]
            }
        if path == "/features/spend":
            if not self.versions:
                raise NotFound("no such view.")
            return {"name": "spend", "versions": self.versions[::-1]}
        if path == "/predictions":
            return {"items": self.served, "next": None}
        if path.startswith("/models/"):
            digest = self.versions[self.pinned - 1]["digest"]
            return {"signature": {"views": [{"view": "spend", "digest": digest}]}}
        return super().get(path, **params)

    def post(self, path: str, body: Any = None) -> Any:
        if path == "/features":
            from mainstay.domain.digests import digest_of

            state = {name: body[name] for name in ("definition", "closure", "entity", "columns")}
            number = len(self.versions) + 1
            self.versions.append(
                {"id": f"spend/{number}", "view": "spend", "number": number, "digest": digest_of(state), "online": None}
                | body
            )
            return self.versions[-1]
        if path == "/features/spend/online":
            return {}
        if path == "/features/spend/rows":
            return {"sequence": 1}
        return super().post(path, body)


def served(who: int, total: float | None) -> dict[str, Any]:
    return {
        "version": "m/1",
        "at": "2024-01-06T00:00:00Z",
        "logged_at": "2024-01-06T00:00:00Z",
        "row": {"who": who, "total": total},
    }


@pytest.fixture
def control(tmp_path) -> Control:
    folder = tmp_path / "cache"
    folder.mkdir()
    made = Control(folder)
    made.versions, made.served, made.pinned, made.watermark = [], [], 1, "2024-01-04T00:00:00Z"
    return made


@pytest.fixture
def project(make_project, control):
    made = make_project(shop=SHOP)
    made.load("shop.py:flow").run(control)
    return made


def replayed(project, control: Control) -> Report:
    refresh = project.load("shop.py:spend")
    assert isinstance(refresh, Refresh)
    asked = Replay(refresh.view, "d", 100)
    execution.execute(asked, control)
    return asked.report


def test_what_was_served_as_training_makes_it_agrees(project, control) -> None:
    control.served = [served(1, 3.0), served(2, 2.0 + 1e-12), served(3, None)]

    report = replayed(project, control)

    assert (report.rows, report.cells, report.different, report.behind) == (3, 3, 0, 0)


def test_a_cell_that_was_served_otherwise_is_skew_and_shown(project, control) -> None:
    control.served = [served(1, 3.0), served(2, 2.5)]

    report = replayed(project, control)

    assert report.different == 1
    (cell,) = report.columns[0].first
    assert (cell.row, cell.served, cell.rebuilt) == (1, 2.5, 2.0)


def test_a_table_that_was_behind_is_no_skew(project, control) -> None:
    control.watermark = "2024-01-02T12:00:00Z"  # the second payment of the first customer was not known yet
    control.served = [served(1, 1.0), served(2, 2.0)]

    report = replayed(project, control)

    assert (report.different, report.behind) == (0, 1)


def test_another_version_and_an_empty_log_are_told(project, control) -> None:
    with pytest.raises(NotFound, match="holds no prediction"):
        replayed(project, control)
    control.served = [served(1, 3.0)]
    project.edit("shop.py", "return tx", "return tx.slice(0)")
    with pytest.raises(Conflict, match="came from another version of view 'spend' than spend/2"):
        replayed(project, control)
