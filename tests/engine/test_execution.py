# SPDX-License-Identifier: Apache-2.0
"""Carrying out: what is recorded, what is a hit, what happens when something fails."""

from __future__ import annotations

import pytest

from mainstay.domain.errors import Invalid, Unavailable
from mainstay.engine import execution
from mainstay.engine.execution import StepFailed

FLOW = """
    import pyarrow as pa
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline
    import mainstay as ms

    @step
    def load(until: str) -> pa.Table:
        return pa.table({"x": list(range(10)), "day": [until] * 10})

    @step
    def features(table: pa.Table, factor: int = 2) -> pa.Table:
        ms.log_metric("rows", table.num_rows)
        return table.append_column("y", pa.array([factor * x.as_py() for x in table["x"]]))

    @step
    def total(table: pa.Table) -> dict[str, float]:
        return {"sum": float(sum(table["y"].to_pylist()))}

    @pipeline
    def flow(until: str, factor: int = 2):
        data = ms.snapshot("flights", load(until))
        total(features(data, factor))
"""


def test_a_second_identical_run_is_all_hits_and_says_so(platform, make_project):
    flow = make_project(flights=FLOW).load()

    first = flow.run(platform, until="2013-01-31")
    second = flow.run(platform, until="2013-01-31")

    assert first.summary() == "4 steps: 4 ran"
    assert second.summary() == "4 steps: 4 hits"
    assert [step.state for step in second.steps] == ["cached"] * 4
    assert platform.runs[second.run_id]["state"] == "succeeded"
    assert len(platform.datasets["flights"]) == 1


def test_a_run_asks_the_index_once_when_the_last_run_foretells_the_keys(platform, make_project):
    flow = make_project(flights=FLOW).load()
    flow.run(platform, until="2013-01-31")
    before = platform.count("POST", "/steps/lookup")

    flow.run(platform, until="2013-01-31")

    assert platform.count("POST", "/steps/lookup") == before + 1


def test_a_run_records_code_environment_hardware_and_seeds(platform, make_project):
    flow = make_project(flights=FLOW).load()

    done = flow.run(platform, until="2013-01-31")

    run = platform.runs[done.run_id]
    assert run["params"] == {"until": "2013-01-31", "factor": 2}
    assert run["code"]["entry"] == "flights.py:flow"
    assert b"flights.py" in platform.blobs[run["code"]["sources_digest"]]
    assert b"pyarrow==" in platform.blobs[run["environment"]["digest"]]
    assert run["hardware"]["cpus"] >= 1
    assert run["seeds"] == {"pipeline": 0}


def test_a_step_s_metric_goes_to_the_step_s_run(platform, make_project):
    done = make_project(flights=FLOW).load().run(platform, until="2013-01-31")

    step = next(each for each in done.steps if each.label == "flights.features")

    assert platform.runs[step.run_id]["metrics"] == {"rows": 10.0}
    assert platform.runs[step.run_id]["parent"] == done.run_id


def test_the_graph_and_the_snapshot_are_on_record(platform, make_project):
    done = make_project(flights=FLOW).load().run(platform, until="2013-01-31")

    steps = platform.steps_of(done.run_id)

    assert steps["snapshot flights"]["upstream"] == ["flights.load"]
    assert steps["flights.features"]["upstream"] == ["snapshot flights"]
    (given,) = steps["flights.features"]["inputs"]
    assert given == {"kind": "snapshot", "ref": "flights@1", "name": "table"}


def test_a_changed_parameter_runs_what_takes_it_and_what_follows(platform, make_project):
    flow = make_project(flights=FLOW).load()
    flow.run(platform, until="2013-01-31")

    plan = flow.plan(platform, until="2013-01-31", factor=3)
    done = flow.run(platform, until="2013-01-31", factor=3)

    assert {item.label: item.sentence for item in plan.items} == {
        "flights.load": "hit",
        "snapshot flights": "hit",
        "flights.features": "param factor 2→3",
        "flights.total": "depends on flights.features",
    }
    assert [step.state for step in done.steps] == ["cached", "cached", "succeeded", "succeeded"]
    assert platform.steps_of(done.run_id)["flights.total"]["why"] == "input"


def test_an_upstream_that_gives_the_same_bytes_again_stops_there(platform, make_project):
    project = make_project(flights=FLOW)
    project.load().run(platform, until="2013-01-31")
    project.edit("flights.py", 'pa.table({"x"', 'pa.table({"x"[:1]')

    done = project.load().run(platform, until="2013-01-31")

    assert [step.state for step in done.steps] == ["succeeded", "cached", "cached", "cached"]


def test_equal_runs_in_two_fresh_workspaces_have_equal_digests_and_keys(make_platform, make_project):
    one, two = make_platform(), make_platform()
    here = make_project("here", flights=FLOW).load().run(one, until="2013-01-31")
    there = make_project("there", flights=FLOW).load().run(two, until="2013-01-31")

    mine, theirs = one.steps_of(here.run_id), two.steps_of(there.run_id)

    assert [(name, step["key"], step["outputs"]) for name, step in mine.items()] == [
        (name, step["key"], step["outputs"]) for name, step in theirs.items()
    ]


def test_an_uncached_step_runs_again_and_says_that_nothing_changed(platform, make_project):
    project = make_project(flights=FLOW)
    project.edit("flights.py", "    @step\n    def load"[4:].replace("    def", "def"), "@step(cache=False)\ndef load")
    flow = project.load()
    flow.run(platform, until="2013-01-31")

    plan = flow.plan(platform, until="2013-01-31")
    done = flow.run(platform, until="2013-01-31")

    assert plan.items[0].sentence == "not cached: it reads the outside world"
    assert plan.items[2].sentence == "hit, if flights.load gives the same bytes again"
    assert done.summary() == "4 steps: 3 hits, 1 read again, unchanged"


def test_a_failed_step_ends_the_run_with_its_sentence(platform, make_project):
    project = make_project(flights=FLOW)
    project.edit("flights.py", 'return {"sum"', 'raise ValueError("no rows\\nat all"); return {"sum"')

    with pytest.raises(StepFailed) as failure:
        project.load().run(platform, until="2013-01-31")

    run = platform.runs[failure.value.facts["run_id"]]
    assert failure.value.message.startswith("step flights.total failed: ValueError: no rows at all (flights.py:")
    assert (run["state"], run["error"]) == ("failed", failure.value.message)
    assert platform.steps_of(run["id"])["flights.total"]["state"] == "failed"
    assert isinstance(failure.value.__cause__, ValueError)


def test_after_a_failure_is_mended_only_the_rest_runs(platform, make_project):
    project = make_project(flights=FLOW)
    project.edit("flights.py", 'return {"sum"', 'raise ValueError(); return {"sum"')
    with pytest.raises(StepFailed):
        project.load().run(platform, until="2013-01-31")
    project.edit("flights.py", "raise ValueError(); ", "")

    done = project.load().run(platform, until="2013-01-31")

    assert [step.state for step in done.steps] == ["cached", "cached", "cached", "succeeded"]


def test_losing_the_control_plane_between_bytes_and_commit_leaves_nothing_half_done(platform, make_project):
    flow = make_project(flights=FLOW).load()
    platform.fail["/steps/commit-all"] = 1

    with pytest.raises(Unavailable):
        flow.run(platform, until="2013-01-31")

    (run,) = platform.runs.values()
    assert (run["state"], run["steps"], platform.cache) == ("failed", [], {})
    assert flow.run(platform, until="2013-01-31").summary() == "4 steps: 4 ran"


def test_an_interrupt_is_recorded_and_goes_on(platform, make_project):
    project = make_project(flights=FLOW)
    project.edit("flights.py", 'return {"sum"', 'raise KeyboardInterrupt; return {"sum"')

    with pytest.raises(KeyboardInterrupt):
        project.load().run(platform, until="2013-01-31")

    run = next(each for each in platform.runs.values() if each["kind"] == "pipeline")
    assert (run["state"], run["error"]) == ("failed", "interrupted")


def test_a_refused_snapshot_fails_the_run_with_the_reason(platform, make_project):
    platform.refuse_columns = {"day"}

    with pytest.raises(Invalid, match="column 'day' is unknown"):
        make_project(flights=FLOW).load().run(platform, until="2013-01-31")

    run = next(each for each in platform.runs.values() if each["kind"] == "pipeline")
    assert run["state"] == "failed"
    assert platform.steps_of(run["id"])["snapshot flights"]["state"] == "failed"
    assert platform.datasets["flights"] == []


def test_a_step_is_tried_again_for_the_errors_it_names(platform, make_project):
    flow = make_project(
        flights="""
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline
        tries = []

        @step(retries=2, retry_on=(OSError,), retry_wait_s=0)
        def load() -> int:
            tries.append(1)
            if len(tries) < 3:
                raise OSError("away")
            return len(tries)

        @pipeline
        def flow():
            load()
        """
    ).load()

    done = flow.run(platform)

    assert platform.blobs[done.steps[0].outputs["value"].digest] == b"3"


def test_two_calls_with_the_same_arguments_work_once(platform, make_project):
    flow = make_project(
        flights="""
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline
        calls = []

        @step
        def fit(depth: int) -> int:
            calls.append(depth)
            return depth * len(calls)

        @step
        def best(scores: list[int]) -> int:
            return max(scores)

        @pipeline
        def flow():
            best([fit(depth) for depth in (4, 6, 4)])
        """
    ).load()

    done = flow.run(platform)

    assert [step.label for step in done.steps] == ["flights.fit", "flights.fit (2)", "flights.fit (3)", "flights.best"]
    assert done.summary() == "4 steps: 1 hit, 3 ran"
    assert platform.blobs[done.steps[-1].outputs["value"].digest] == b"12"


def test_several_results_are_separate_artifacts_however_they_are_annotated(platform, make_project):
    flow = make_project(
        flights="""
        from typing import NamedTuple
        import pyarrow as pa
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline

        class Parts(NamedTuple):
            train: pa.Table
            test: pa.Table

        @step
        def by_name() -> Parts:
            return Parts(pa.table({"x": [1, 2]}), pa.table({"x": [3]}))

        @step
        def by_place() -> tuple[pa.Table, int]:
            return pa.table({"x": [4]}), 5

        @step
        def by_key():
            return {"a": pa.table({"x": [6]}), "b": 7}

        @step
        def whole(parts: Parts) -> int:
            return parts.train.num_rows + parts.test.num_rows

        @step
        def join(a: pa.Table, b: int, c: pa.Table, d: int, e: pa.Table) -> list:
            return [a.num_rows, b, c["x"].to_pylist(), d, e["x"].to_pylist()]

        @pipeline
        def flow():
            parts = by_name()
            table, number = by_place()
            keyed = by_key()
            join(parts.train, number, keyed["a"], keyed["b"], table)
            whole(parts)
        """
    ).load()

    done = flow.run(platform)

    by_label = {step.label: step for step in done.steps}
    assert list(by_label["flights.by_name"].outputs) == ["train", "test"]
    assert platform.blobs[by_label["flights.join"].outputs["value"].digest] == b"[2,5,[6],7,[4]]"
    assert platform.blobs[by_label["flights.whole"].outputs["value"].digest] == b"3"


def test_a_chain_of_a_thousand_steps_is_planned_and_run(platform, make_project):
    flow = make_project(
        flights="""
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline

        @step
        def add(x: int) -> int:
            return x + 1

        @pipeline
        def flow():
            x = 0
            for _ in range(1000):
                x = add(x)
        """
    ).load()

    done = flow.run(platform)

    assert platform.blobs[done.steps[-1].outputs["value"].digest] == b"1000"
    assert flow.plan(platform).summary() == "1000 steps: 1000 hits"


def test_progress_is_told_as_it_happens(platform, make_project):
    notices: list[execution.Notice] = []

    execution.execute(make_project(flights=FLOW).load(), platform, params={"until": "x"}, notify=notices.append)

    assert [(each.what, each.label) for each in notices][:3] == [
        ("run", "flow"),
        ("start", "flights.load"),
        ("done", "flights.load"),
    ]
    assert notices[-1].text == "4 steps: 4 ran"
