# SPDX-License-Identifier: Apache-2.0
"""Why two runs differ: the first difference on the way back from what came out, and what became of it."""

from __future__ import annotations

import pytest

from mainstay.domain.errors import NotFound


def told(causes: list[dict]) -> list[tuple[str, str]]:
    return [(cause["step"], cause["sentence"]) for cause in causes]


def states(explained: dict) -> dict[str, str]:
    return {step["name"]: step["state"] for step in explained["steps"]}


def test_a_constant_in_a_helper_is_named_with_its_lines_and_its_effect_on_the_columns(workspace):
    a = workspace.run()
    workspace.edit("shared", "RATE = 0.5", "RATE = 0.7")
    b = workspace.run()

    found = workspace.explain(a, b)

    assert told(found["causes"]) == [("flights.features", "code: shared.RATE (1 line)")]
    assert found["causes"][0]["diff"].splitlines()[-2:] == ["-RATE = 0.5", "+RATE = 0.7"]
    assert states(found) == {
        "flights.load": "caught",
        "snapshot flights": "same",
        "flights.features": "differs",
        "flights.evaluate": "differs",
    }
    (y,) = found["steps"][2]["outputs"][0]["columns"]
    assert (y["name"], y["before"]["mean"], y["after"]["mean"]) == ("y", 25.75, 35.65)
    assert found["metrics"] == [{"name": "flights.evaluate: mean", "before": 25.75, "after": 35.65}]
    assert found["sentence"] == "the results differ because of code: shared.RATE (1 line)"


def test_of_two_changes_only_the_one_that_reaches_a_result_is_a_cause(workspace):
    a = workspace.run()
    workspace.edit("flights", '"x": list(range(n))', '"x": [*range(n)]')
    b = workspace.run(shift=3)

    found = workspace.explain(a, b)

    assert told(found["causes"]) == [("flights.features", "param shift 1→3")]
    assert told(found["without_effect"]) == [("flights.load", "code: flights.load (1 line)")]
    assert found["params"] == [{"name": "shift", "before": 1, "after": 3}]


def test_more_rows_are_traced_to_the_parameter_that_asked_for_them(workspace):
    a, b = workspace.run(), workspace.run(n=150)

    found = workspace.explain(a, b)

    assert told(found["causes"]) == [("flights.load", "param n 100→150")]
    (output,) = found["steps"][0]["outputs"]
    assert (output["rows_before"], output["rows_after"]) == (100, 150)
    assert "+50 rows" in output["sentence"]


def test_equal_runs_are_said_to_be_equal_and_hits_are_attributed(workspace):
    a, b = workspace.run(), workspace.run()

    found = workspace.explain(a, b)

    assert (found["is_same"], found["causes"], found["metrics"]) == (True, [], [])
    assert found["sentence"] == "equal results, from equal code, data, parameters and environment"
    first = {step["name"]: step["run_ids"][0] for step in found["steps"]}
    assert {step["name"]: step["hit_of"][1] for step in found["steps"]} == first


def test_a_change_that_gives_the_same_bytes_is_told_as_caught(workspace):
    a = workspace.run()
    workspace.edit("shared", "value * RATE for", "RATE * value for")
    b = workspace.run()

    found = workspace.explain(a, b)

    assert found["is_same"]
    assert "what differs had no effect: code: shared.scale (1 line)" in found["sentence"]
    assert "flights.features" in found["sentence"] and "in spite of it" in found["sentence"]


def test_another_snapshot_of_the_same_dataset_is_a_cause_with_its_columns(workspace):
    workspace.run()
    workspace.write(
        "reading",
        """
        import mainstay as ms
        import polars as pl

        @ms.step
        def total(table: pl.DataFrame) -> int:
            return int(table["x"].sum())

        @ms.pipeline
        def read():
            total(ms.snapshots("flights", last=1)[0])
        """,
    )
    from mainstay.engine import project

    def read() -> str:
        return str(project.load("reading.py:read", folder=workspace.folder).run(workspace.session).run_id)

    a = read()
    workspace.run(n=150)
    b = read()

    (cause,) = workspace.explain(a, b)["causes"]

    assert (cause["step"], cause["kind"], cause["before"], cause["after"]) == (
        "reading.total",
        "data",
        "flights@1",
        "flights@2",
    )
    assert [column["name"] for column in cause["columns"]] == ["x", "city"]


def test_a_step_that_is_new_is_a_cause_and_so_is_one_that_is_gone(workspace):
    a = workspace.run()
    workspace.edit("flights", "evaluate(features(data, shift))", "evaluate(features(features(data, shift), 5))")
    b = workspace.run()

    found, back = workspace.explain(a, b), workspace.explain(b, a)

    assert ("flights.features (2)", "flights.features (2) is new") in told(found["causes"])
    assert ("flights.features (2)", "flights.features (2) is gone") in told(back["causes"])


def test_a_source_that_gives_other_bytes_for_the_same_key_says_so(workspace):
    workspace.edit("flights", "@ms.step\ndef load", "@ms.step(cache=False)\ndef load")
    workspace.edit("flights", "list(range(n))", "[int(open(__file__ + '.n').read())] * n")
    source = workspace.folder / "flights.py.n"
    source.write_text("1")
    a = workspace.run()
    source.write_text("2")
    b = workspace.run()

    found = workspace.explain(a, b)

    assert [cause["step"] for cause in found["causes"]] == ["flights.load"]


def test_runs_without_steps_are_told_apart_by_what_they_recorded(workspace):
    session, runs = workspace.session, []
    for depth, pandas in ((6, "2.3"), (8, "3.1")):
        body = {
            "name": "tuning",
            "params": {"depth": depth},
            "environment": {"python": "3.11", "packages": {"pandas": pandas}},
        }
        runs.append(session.post("/runs", body)["id"])

    found = session.get("/diff", a=f"run:{runs[0]}", b=runs[1])

    assert found["sentence"] == "the records differ in param depth 6→8, env pandas 2.3→3.1"
    assert found["packages"] == [{"name": "pandas", "before": "2.3", "after": "3.1"}]


def test_what_is_not_there_is_refused_with_a_sentence(workspace):
    with pytest.raises(NotFound):
        workspace.session.get("/diff", a="nobody/1", b="nobody/2")


def test_an_accepted_result_is_a_hit_and_the_ledger_knows_on_whose_word(workspace):
    workspace.run()
    workspace.edit("shared", "def unused(values):\n    return values", "def unused(values):\n    return list(values)")
    flow = workspace.load()
    before = flow.plan(workspace.session)

    after = flow.accept(workspace.session, _reason="only a helper of the notebook")

    assert before.items[0].sentence == "code: only unrelated code of shared changed (shared.unused (1 line))"
    assert [item.why for item in after.items] == ["hit", "hit", "hit", "hit"]
    assert flow.run(workspace.session).summary() == "4 steps: 4 hits"
    events = workspace.session.get("/events", kind="step.accepted")["items"]
    assert {event["body"]["name"] for event in events} == {"flights.load", "flights.features", "flights.evaluate"}
    assert {event["reason"] for event in events} == {"only a helper of the notebook"}


def test_only_unrelated_code_can_be_accepted(workspace):
    from mainstay.domain.errors import Invalid

    workspace.run()
    workspace.edit("shared", "RATE = 0.5", "RATE = 0.7")

    plan = workspace.load().plan(workspace.session)

    assert plan.items[0].stands_for, "no name leads from load to RATE"
    after = workspace.load().accept(workspace.session, _reason="load does not scale")
    assert [item.why for item in after.items] == ["hit", "hit", "code", "unknown"]
    with pytest.raises(Invalid, match="nothing to accept"):
        workspace.load().accept(workspace.session, _reason="nor this")


def test_a_source_that_has_expired_is_read_again_and_its_new_result_counts(workspace, monkeypatch):
    from datetime import timedelta

    from mainstay.domain import clock
    from mainstay.engine import outlook

    workspace.edit("flights", "@ms.step\ndef load", '@ms.step(cache="6h")\ndef load')
    workspace.edit("flights", "list(range(n))", "[__import__('time').time_ns()] * n")
    workspace.run()
    assert workspace.load().plan(workspace.session).summary() == "4 steps: 4 hits"

    monkeypatch.setattr(outlook, "utc_now", lambda: clock.utc_now() + timedelta(hours=7))
    plan = workspace.load().plan(workspace.session)
    workspace.run()
    monkeypatch.undo()

    assert plan.items[0].sentence == "source expired: read 7 h ago, holds for 6 h"
    again = workspace.load().run(workspace.session)
    assert again.summary() == "4 steps: 4 hits"
    assert len(workspace.session.get("/datasets/flights")["snapshots"]) == 2
