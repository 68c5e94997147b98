# SPDX-License-Identifier: Apache-2.0
"""Runs: begun, ended, closed; and experiments, which group them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainstay.domain import ids
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.tracking import Artifact, Link, Point
from mainstay.lifecycle.tracking import experiments, logs, runs
from mainstay.lifecycle.tracking.lineage import links
from mainstay.lifecycle.tracking.metrics import tables as measured
from mainstay.store import Store, ledger

AT = datetime(2013, 1, 1, tzinfo=UTC)


def start(store: Store, **facts: Any) -> str:
    with store.change(actor="ana", reason="try it", because=facts.pop("because", None)) as change:
        return runs.start(change, **({"name": "train"} | facts)).id


def finish(store: Store, run: str, state: str = "succeeded", **more: Any) -> None:
    with store.change(actor="ana") as change:
        runs.finish(change, run, state=state, **more)


def test_a_run_is_read_back_as_it_began(store: Store) -> None:
    environment = {"python": "3.11.7", "packages": {"numpy": "2.3.0"}}
    identity = start(
        store,
        experiment="late flights",
        kind="pipeline",
        params={"depth": 6},
        tags={"team": "ops"},
        code={"entry": "flights.py:flights_late", "commit": "abc", "dirty": False},
        environment=environment,
        seeds={"numpy": 0},
        hardware={"cpus": 2},
        because=None,
    )

    with store.view() as view:
        run = runs.get(view, identity)
        assert (run.name, run.kind, run.state, run.actor, run.reason) == (
            "train",
            "pipeline",
            "running",
            "ana",
            "try it",
        )
        assert experiments.get(view, run.experiment).name == "late flights"
        assert runs.environment_of(view, run) == {"digest": run.environment, **environment}
        assert logs.of(view, identity) == ({"depth": 6}, {}, {"team": "ops"})
        assert (run.code or {})["entry"] == "flights.py:flights_late"
        assert (run.seconds, run.ended_at) == (None, None)


def test_an_environment_is_kept_once_and_keeps_the_digest_it_came_with(store: Store) -> None:
    lock = "a" * 64
    several = [start(store, environment={"digest": lock, "python": "3.11"}) for _ in range(3)]

    with store.view() as view:
        found = [runs.get(view, identity) for identity in several]
        assert len({run.environment for run in found}) == 1
        assert runs.environment_of(view, found[0]) == {"digest": lock, "python": "3.11"}


def test_a_finished_run_names_its_end(store: Store, run: str) -> None:
    finish(store, run, "failed", error="no such column")

    with store.view() as view:
        ended = runs.get(view, run)
    assert (ended.state, ended.error) == ("failed", "no such column")
    assert ended.seconds is not None and ended.seconds > 0


def test_a_run_ends_once(store: Store, run: str) -> None:
    finish(store, run)

    for state in ("succeeded", "failed"):
        with pytest.raises(Conflict, match="is succeeded and cannot become"):
            finish(store, run, state)


def test_a_run_cannot_end_as_anything(store: Store, run: str) -> None:
    for state in ("running", "cached", "done"):
        with pytest.raises(Invalid, match="it can as succeeded, failed, killed"):
            finish(store, run, state)


def test_the_end_of_a_run_records_the_digests_of_all_it_logged(store: Store, run: str) -> None:
    digest, size = store.blobs.put(b"plot")
    with store.ingest() as ingest:
        logs.log(ingest, run, params={"depth": 6}, metrics=[Point(key="auc", value=0.7, at=AT)], tags={"team": "ops"})
        logs.add_artifact(ingest, run, Artifact(path="plots/roc.png", digest=digest, size=size, media_type="image/png"))
        links.add(ingest, run, [Link(way="in", kind="artifact", ref=digest, name="rows")])
    finish(store, run)

    with store.view() as view:
        event = ledger.search(view, kind="run.finished")[0]
        found = runs.digests(view, run)
    assert {name: event.body[name] for name in found} == found
    with store.ingest() as tamper:
        measured.append_points(tamper, [(measured.series_of(tamper, run)["auc"].series, 1, [(1, 0, 0.9)])])
    with store.view() as view:
        now = runs.digests(view, run)
    assert {name for name in found if now[name] != found[name]} == {"metrics"}


def test_digests_do_not_depend_on_the_order_or_repetition_of_what_was_sent(store: Store) -> None:
    points = [Point(key=key, value=value, step=step, at=AT) for key in "ab" for step, value in ((0, 1.0), (1, 0.5))]
    found = []
    for sent in ([points], [points[::-1], points[:2]], [[point] for point in points]):
        run = start(store, params={"x": 1})
        for batch in sent:
            with store.ingest() as ingest:
                logs.log(ingest, run, metrics=batch)
        with store.view() as view:
            found.append(runs.digests(view, run))

    assert found[0] == found[1] == found[2]


def test_a_finished_run_takes_tags_and_nothing_else(store: Store, run: str) -> None:
    digest, size = store.blobs.put(b"x")
    finish(store, run)

    with store.ingest() as ingest:
        logs.log(ingest, run, tags={"note": "the good one"})
    for more in ({"params": {"a": 1}}, {"metrics": [Point(key="a", value=1.0, at=AT)]}):
        with pytest.raises(Conflict, match="its record is closed"), store.ingest() as ingest:
            logs.log(ingest, run, **more)  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="its record is closed"), store.ingest() as ingest:
        logs.add_artifact(ingest, run, Artifact(path="a", digest=digest, size=size, media_type="text/plain"))
    with store.view() as view:
        assert logs.of(view, run).tags == {"note": "the good one"}


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"kind": "job"}, "the kinds are run, pipeline, step"),
        ({"name": " "}, "not usable"),
        ({"name": "x" * 501}, "not usable"),
        ({"experiment": "a\nb"}, "not usable"),
        ({"hardware": {"clock": float("nan")}}, "not finite"),
        ({"code": {"diff": "x" * (2 << 20)}}, "at most"),
        ({"params": {"../etc": 1}}, "there must be a name"),
    ],
)
def test_what_a_run_cannot_be_is_named_and_nothing_is_kept(store: Store, facts: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        start(store, **facts)

    with store.view() as view:
        assert ledger.head(view)[0] == 0


def test_a_child_needs_a_parent_that_runs(store: Store, run: str) -> None:
    child = start(store, parent=run)
    finish(store, run)

    with store.view() as view:
        assert [found.id for found in runs.children(view, run)] == [child]
    with pytest.raises(Conflict):
        start(store, parent=run)
    with pytest.raises(NotFound, match="there is no run"):
        start(store, parent="0" * 32)


def test_experiment_0_is_default_and_others_count_up(store: Store) -> None:
    start(store)
    start(store, experiment="a b")
    start(store, experiment="a b")

    with store.view() as view:
        assert [(found.id, found.name) for found in experiments.listed(view)] == [(0, "Default"), (1, "a b")]
        assert experiments.named(view, "a b").id == 1
    with pytest.raises(Conflict, match="exists already"), store.change(actor="bo") as change:
        experiments.create(change, name="a b")
    with pytest.raises(NotFound, match="no experiment 'c'"), store.view() as view:
        experiments.named(view, "c")


def test_making_the_default_experiment_twice_makes_one(store: Store) -> None:
    with store.change(actor="ana") as change:
        assert experiments.ensure_default(change) == experiments.ensure_default(change)

    with store.view() as view:
        assert len(ledger.search(view, kind="experiment.created")) == 1


def test_links_are_kept_once_and_found_from_both_ends(store: Store, run: str) -> None:
    read = Link(way="in", kind="snapshot", ref="flights@1", name="rows")
    made = Link(way="out", kind="artifact", ref="d" * 64, name="table")
    for _ in range(2):
        with store.ingest() as ingest:
            links.add(ingest, run, [read, made, read])

    with store.view() as view:
        assert links.of(view, run) == [read, made]
        assert links.runs_that_read(view, kind="snapshot", ref="flights@1") == [run]
        assert links.runs_that_made(view, kind="artifact", ref="d" * 64) == [run]
        assert links.runs_that_made(view, kind="snapshot", ref="flights@1") == []
    with pytest.raises(Invalid, match="cannot be linked to a 'file'"):
        Link(way="in", kind="file", ref="x", name="x")


def test_a_run_that_ended_may_go_on_and_ends_again_with_new_digests(store: Store, run: str) -> None:
    finish(store, run)
    with pytest.raises(Conflict, match="has ended"), store.ingest() as ingest:
        logs.log(ingest, run, params={"depth": 6})

    with store.change(actor="bo", reason="more epochs") as change:
        again = runs.reopen(change, run)
    with store.ingest() as ingest:
        logs.log(ingest, run, params={"depth": 6})
    finish(store, run)

    assert (again.state, again.ended_at, again.error) == ("running", None, None)
    with store.view() as view:
        events = ledger.search(view, subject=f"run:{run}")[::-1]
        assert [event.kind for event in events] == ["run.started", "run.finished", "run.reopened", "run.finished"]
        assert (events[2].body["before"], events[2].actor, events[2].reason) == ("succeeded", "bo", "more epochs")
        assert events[1].body["params"] != events[3].body["params"] == runs.digests(view, run)["params"]


def test_only_a_run_of_a_script_that_ended_may_go_on(store: Store, run: str) -> None:
    pipeline = start(store, kind="pipeline")
    finish(store, pipeline)
    finish(store, run)

    for identity, error, says in (
        (pipeline, Invalid, "is that of a pipeline"),
        ("0" * 32, NotFound, "there is no run"),
    ):
        with pytest.raises(error, match=says), store.change(actor="bo") as change:
            runs.reopen(change, identity)
    with store.change(actor="bo") as change:
        runs.reopen(change, run)
    with pytest.raises(Conflict, match="is running and cannot become running"), store.change(actor="bo") as change:
        runs.reopen(change, run)


def test_a_run_inside_another_has_a_record_of_its_own(store: Store, run: str) -> None:
    child = start(store, parent=run)
    finish(store, child)
    finish(store, run)
    with store.view() as view:
        before = runs.digests(view, run)

    with store.change(actor="bo") as change:
        runs.reopen(change, child)
    with store.ingest() as ingest:
        logs.log(ingest, child, params={"more": 1})

    with store.view() as view:
        assert runs.digests(view, run) == before


def test_what_comes_late_amends_the_record_until_it_is_closed_anew(store: Store, run: str) -> None:
    finish(store, run)
    with store.change(actor="bo") as change:
        runs.amend(change, run)
    with store.ingest() as ingest:
        logs.log(ingest, run, params={"late": 1})
    with store.view() as view:
        amended, due = runs.get(view, run), runs.to_close(view)
    with store.change(actor="system") as change:
        runs.close(change, run)

    with store.view() as view:
        closed = runs.get(view, run)
        last = ledger.search(view, subject=f"run:{run}")[0]
        found = runs.digests(view, run)
    assert (amended.state, amended.closed_at, due) == ("succeeded", None, [])
    assert closed.closed_at is not None
    assert (last.kind, {name: last.body[name] for name in found}) == ("run.closed", found)
    with pytest.raises(Conflict, match="its record is closed"), store.ingest() as ingest:
        logs.log(ingest, run, params={"later": 1})


def test_a_record_that_was_amended_is_due_after_a_while(store: Store, run: str) -> None:
    finish(store, run)
    with store.change(actor="bo") as change:
        runs.amend(change, run)

    for _ in range(int(runs.AMENDED_FOR.total_seconds()) + 1):
        store.clock()
    with store.view() as view:
        assert runs.to_close(view) == [run]


def test_a_run_keeps_the_id_and_the_times_of_where_it_ran(store: Store) -> None:
    made = ids.uuid7()
    moment = ids.time_of(made)
    with store.change(actor="ana") as change:
        early = runs.start(change, name="train", identity="012dd2a8c80070008000000000000000")
        late = runs.start(change, name="train", identity=made)
    with store.change(actor="ana") as change:
        ended = runs.finish(change, early.id, state="succeeded", ended_at=early.started_at + timedelta(hours=1))
        never = runs.finish(change, late.id, state="succeeded", ended_at=moment + timedelta(days=9000))
        now = change.now()

    assert early.started_at == ids.time_of(early.id) < now
    assert ended.seconds == 3600
    assert late.started_at < moment  # the store's clock stands at 2013; what comes from a clock ahead of it begins now
    assert never.ended_at is not None
    assert late.started_at <= never.ended_at < now


@pytest.mark.parametrize("identity", ["", "train", "0" * 32, "012DD2A8C80070008000000000000000"])
def test_an_id_that_is_none_of_ours_is_refused(store: Store, identity: str) -> None:
    with pytest.raises(Invalid, match="is not usable"):
        start(store, identity=identity)
