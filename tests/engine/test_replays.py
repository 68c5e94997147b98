# SPDX-License-Identifier: Apache-2.0
"""Replays: what a gateway served beside what the training path makes; skew and lateness are told apart."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from memory_platform import MemoryPlatform

from mainstay.domain.clock import from_wire
from mainstay.domain.errors import Conflict, NotFound
from mainstay.engine import execution
from mainstay.engine.refreshes import Refresh
from mainstay.engine.replays import REPORT, Replay, Report
from mainstay.features import transforms

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
    transforms: list[dict[str, Any]]
    later: list[dict[str, Any]]

    def get(self, path: str, **params: Any) -> Any:
        if path == "/features/spend/online":
            assert params["limit"] <= 1_000  # the API gives no more
            first = {"version": 1, "sequence": 1, "made_at": "2024-01-05T00:00:00Z", "watermark": self.watermark}
            return {"items": [*self.later, first]}
        if path == "/features/spend":
            if not self.versions:
                raise NotFound("no such view.")
            return {"name": "spend", "versions": self.versions[::-1]}
        if path == "/deployments/d/log":
            return self._log(params["before"])
        if path.startswith("/models/"):
            digest = self.versions[self.pinned - 1]["digest"]
            pin = {"view": "spend", "digest": digest, "columns": ["total"]}
            return {"signature": {"views": [pin], "transforms": self.transforms}}
        return super().get(path, **params)

    def _log(self, before: str | None) -> dict[str, Any]:
        """The log in pieces of two predictions, the last one first, one at a time."""
        starts = list(range(0, len(self.served), 2))[::-1]
        number = 0 if before is None else int(before)
        if not starts:
            return {"items": [], "next": None}
        rows = self.served[starts[number] : starts[number] + 2]
        moments = {
            name: pa.array([from_wire(each[name]) for each in rows], pa.timestamp("us", "UTC"))
            for name in ("at", "logged_at")
        }
        table = pa.table(
            {"_id": [each["id"] for each in rows], "_at": moments["at"], "_logged_at": moments["logged_at"]}
            | {"_flags": pa.array([each["flags"] for each in rows], pa.list_(pa.string()))}
            | {name: [each["row"][name] for each in rows] for name in rows[0]["row"]}
        )
        table = table.set_column(4, "who", table["who"].cast(pa.int64()))
        sink = pa.BufferOutputStream()
        pq.write_table(table.set_column(5, "total", table["total"].cast(pa.float64())), sink)
        blob = self.put_blob(sink.getvalue().to_pybytes())
        more = str(number + 1) if number + 1 < len(starts) else None
        return {
            "items": [{"model": "m", "version": 1, "blob": blob, "sealed_at": moments["logged_at"][0].as_py()}],
            "next": more,
        }

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


def served(who: int, total: float | None, *flags: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{who:032x}",
        "flags": list(flags),
        "at": "2024-01-06T00:00:00Z",
        "logged_at": "2024-01-06T00:00:00Z",
        "row": {"who": who, "total": total} | more,
    }


@pytest.fixture
def control(tmp_path) -> Control:
    folder = tmp_path / "cache"
    folder.mkdir()
    made = Control(folder)
    made.versions, made.served, made.pinned, made.watermark = [], [], 1, "2024-01-04T00:00:00Z"
    made.transforms, made.later = [], []
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
    (kept,) = [each for run in control.runs.values() for each in run["artifacts"] if each["path"] == REPORT]
    told = json.loads(control.get_blob(kept["digest"]))
    assert told["columns"][0]["first"] == [{"row": 1, "served": 2.5, "rebuilt": 2.0}]
    assert told["predictions"] == {"1": {"id": f"{2:032x}", "at": "2024-01-06T00:00:00.000000Z", "entity": {"who": 2}}}


def test_what_transforms_made_is_made_again_of_the_request_and_of_the_rebuilt_features(project, control) -> None:
    tree = ["+", ["*", ["input", "total"], ["input", "basket"]], ["day", ["input", "now"]]]
    inputs = [("total", "float"), ("basket", "float"), ("now", "datetime")]
    made = transforms.make("weighed", kind="float", inputs=inputs, moment="now", expression=tree)
    more = transforms.make("twice", kind="float", inputs=[("weighed", "float")], moment=None,
                           expression=["*", ["input", "weighed"], ["value", 2]])  # fmt: skip
    control.transforms = [made.to_json(), more.to_json()]
    control.served = [
        served(1, 3.0, basket=2.0, weighed=12.0, twice=24.0),
        served(2, 2.5, basket=2.0, weighed=11.0, twice=22.0),  # made rightly, of a total that is not training's
        served(3, None, basket=2.0, weighed=None, twice=7.0),
    ]

    report = replayed(project, control)

    by_name = {each.name: [(c.row, c.served, c.rebuilt) for c in each.first] for each in report.columns}
    assert by_name == {
        "total": [(1, 2.5, 2.0)],
        "weighed": [(1, 11.0, 10.0)],
        "twice": [(1, 22.0, 20.0), (2, 7.0, None)],
    }
    assert (report.cells, report.different) == (9, 4)


def test_a_table_that_was_behind_is_no_skew(project, control) -> None:
    control.watermark = "2024-01-02T12:00:00Z"  # the second payment of the first customer was not known yet
    control.served = [served(1, 1.0), served(2, 2.0)]

    report = replayed(project, control)

    assert (report.different, report.behind) == (0, 1)


@pytest.mark.parametrize(("made_at", "different"), [("2024-01-05T23:59:30Z", 0), ("2024-01-05T23:50:00Z", 1)])
def test_what_was_served_while_a_gateway_took_a_new_table_up_may_be_of_the_one_before(
    project, control, made_at: str, different: int
) -> None:
    control.watermark = "2024-01-02T12:00:00Z"
    control.later = [{"version": 1, "sequence": 2, "made_at": made_at, "watermark": "2024-01-04T00:00:00Z"}]
    control.served = [served(1, 1.0), served(2, 2.0), served(1, 3.0)]

    report = replayed(project, control)

    assert (report.different, report.behind) == (different, 1 - different)


def test_what_a_gateway_served_that_was_cut_off_is_asked_of_the_table_that_it_had(project, control) -> None:
    later = [{"made_at": "2024-01-05T12:00:00Z", "watermark": "2024-01-04T00:00:00Z"}]
    control.watermark, control.later = "2024-01-02T12:00:00Z", [each | {"version": 1, "sequence": 2} for each in later]
    control.served = [
        served(1, 1.0, "as_of:other@2024-01-02T12:00:00Z"),
        served(1, 1.0, "as_of:spend@2024-01-02T12:00:00Z"),
    ]

    report = replayed(project, control)

    assert (report.rows, report.different, report.behind) == (2, 1, 1)
    assert report.columns[0].first[0].row == 0


def test_no_more_is_replayed_than_was_asked_for_and_the_newest_first(project, control) -> None:
    control.served = [served(n, None) for n in range(3, 8)]
    heard: list[str] = []
    asked = Replay(project.load("shop.py:spend").view, "d", 4, lambda notice: heard.append(notice.text))

    execution.execute(asked, control)

    assert (asked.report.rows, asked.report.different) == (4, 0)
    assert heard == ["4 predictions are compared"]
    assert replayed(project, control).rows == 5


def test_another_version_and_an_empty_log_are_told(project, control) -> None:
    with pytest.raises(NotFound, match="holds no prediction"):
        replayed(project, control)
    control.served = [served(1, 3.0)]
    project.edit("shop.py", "return tx", "return tx.slice(0)")
    with pytest.raises(Conflict, match="came from another version of view 'spend' than spend/2"):
        replayed(project, control)
