# SPDX-License-Identifier: Apache-2.0
"""Steps on record: all of one or nothing of it, and one meaning for each key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Conflict, Corrupt, Invalid, NotFound
from mainstay.domain.pipelines import Input, Output, Step, Told
from mainstay.domain.tracking import Point
from mainstay.lifecycle.data import lineage
from mainstay.lifecycle.pipelines import executions, results
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.tracking.lineage import links
from mainstay.store import Store, ledger

Commit = Callable[..., Step]
Make = Callable[..., Output]

KEY = digest_of("features")


def flip_a_byte(store: Store, digest: str) -> None:
    place = next(iter(store.blobs.folder.rglob(digest)))  # type: ignore[attr-defined]
    data = bytearray(place.read_bytes())
    data[0] ^= 1
    place.chmod(0o600)
    place.write_bytes(data)


def hits(store: Store, *keys: str) -> dict[str, str]:
    with store.view() as view:
        return {key: found.run_id for key, found in results.lookup(view, keys or (KEY,)).items()}


def steps(store: Store, run: str) -> list[Step]:
    with store.view() as view:
        return executions.steps_of(view, run)


def test_a_committed_step_is_a_run_with_links_and_a_result(
    store: Store, run: str, commit: Commit, output: Make
) -> None:
    made = commit(
        inputs=[
            Input(kind="snapshot", ref="flights@1", name="rows"),
            Input(kind="artifact", ref="c" * 64, name="weights", digest="c" * 64),
        ],
        upstream=["load"],
    )

    with store.view() as view:
        child = runs.get(view, made.run_id)
        assert (child.kind, child.parent, child.name, child.state, child.actor) == (
            "step",
            run,
            "features",
            "succeeded",
            "ana",
        )
        assert child.seconds == pytest.approx(1.5)
        assert [(link.way, link.kind, link.ref) for link in links.of(view, child.id)] == [
            ("in", "snapshot", "flights@1"),
            ("in", "artifact", "c" * 64),
            ("out", "artifact", output().digest),
        ]
        assert [use.subject for use in lineage.used_by(view, dataset="flights")] == [f"run:{child.id}"]
        event = ledger.search(view, kind="step.committed")[0]
        assert (event.subject, event.body["pipeline_run"]) == (f"run:{child.id}", run)
    assert steps(store, run) == [made]
    assert hits(store) == {KEY: made.run_id}


def test_the_first_result_of_a_key_stays(store: Store, begin: Callable[..., str], commit: Commit, output: Make) -> None:
    first = commit()

    later = commit(pipeline_run=begin(), outputs=[output(b"another table")])

    assert later.outputs == first.outputs
    assert (later.hit_of, first.hit_of) == (first.run_id, None)
    assert hits(store) == {KEY: first.run_id}
    with store.view() as view:
        assert links.of(view, later.run_id) == links.of(view, first.run_id)


def test_a_run_that_has_built_on_its_own_result_keeps_it_and_publishes_nothing(
    store: Store, begin: Callable[..., str], commit: Commit, output: Make
) -> None:
    first, mine = commit(), output(b"another table")

    later = commit(pipeline_run=begin(), outputs=[mine], built_on=True)
    same = commit(pipeline_run=begin(), outputs=first.outputs, built_on=True)

    assert (later.outputs, later.hit_of) == ((mine,), None)
    assert (same.outputs, same.hit_of) == (first.outputs, first.run_id)
    assert hits(store) == {KEY: first.run_id}


def alike(store: Store, beginning: str) -> Told:
    with store.view() as view:
        return results.lookup_with_families(view, [], [beginning])


def test_of_a_family_everything_small_is_told_and_what_is_large_is_unsure(
    store: Store, commit: Commit, output: Make
) -> None:
    beginning, small, large = "a" * 16, "a" * 16 + "1" * 48, "a" * 16 + "2" * 48
    commit(key=small)
    commit(key=large, outputs=[output(b"x" * 70_000)])
    commit(key="b" * 64)
    commit(key="a" * 15 + "b" * 49)

    told = alike(store, beginning)

    assert (list(told.sound), list(told.unsure), told.whole) == ([small], [large], (beginning,))


def test_of_a_family_what_is_damaged_is_not_told(store: Store, commit: Commit, output: Make) -> None:
    commit(key="a" * 64)
    flip_a_byte(store, output().digest)

    told = alike(store, "a" * 16)

    assert (told.sound, told.unsure, told.whole) == ({}, {}, ("a" * 16,))


def test_a_family_that_is_too_large_is_not_said_to_be_whole(
    store: Store, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_OF_FAMILIES", 2)
    for digit in "123":
        commit(key="a" * 63 + digit)
    commit(key="b" * 64)

    with store.view() as view:
        told = results.lookup_with_families(view, [], ["a" * 16, "b" * 16])

    assert (list(told.sound), told.whole) == (["b" * 64], ("b" * 16,))


def test_of_many_who_commit_a_key_at_once_all_get_the_same_outputs(
    store: Store, begin: Callable[..., str], commit: Commit, output: Make
) -> None:
    calls = [(begin(), output(b"table %d" % n)) for n in range(12)]
    made: list[Step] = []

    def go(run: str, mine: Output) -> None:
        made.append(commit(pipeline_run=run, outputs=[mine]))

    threads = [threading.Thread(target=go, args=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 12
    assert len({step.outputs for step in made}) == 1
    assert [step.hit_of for step in made].count(None) == 1


def test_a_commit_that_is_sent_again_finds_the_first(store: Store, run: str, commit: Commit) -> None:
    first = commit()

    assert commit() == first
    assert steps(store, run) == [first]


def test_a_cached_step_names_whose_result_it_is_and_publishes_nothing(
    store: Store, begin: Callable[..., str], commit: Commit
) -> None:
    first = commit()

    cached = commit(pipeline_run=begin(), state="cached", why="hit", hit_of=first.run_id, cacheable=False, seconds=0.0)

    assert (cached.state, cached.hit_of, cached.outputs) == ("cached", first.run_id, first.outputs)
    assert hits(store) == {KEY: first.run_id}


@pytest.mark.parametrize("facts", [{"state": "failed", "error": "no column", "outputs": []}, {"cacheable": False}])
def test_what_failed_or_must_not_be_cached_is_no_hit(
    store: Store, run: str, commit: Commit, facts: dict[str, Any]
) -> None:
    commit(**facts)

    assert hits(store) == {}
    assert len(steps(store, run)) == 1


def test_a_step_may_fail_twice_and_then_succeed(store: Store, run: str, commit: Commit) -> None:
    for _ in range(2):
        commit(state="failed", error="no column", outputs=[])
    commit()

    assert [step.state for step in steps(store, run)] == ["failed", "failed", "succeeded"]


def test_a_result_whose_bytes_are_gone_is_no_hit_and_is_made_again(
    store: Store, begin: Callable[..., str], commit: Commit, output: Make
) -> None:
    first = commit()
    next(iter(store.blobs.folder.rglob(first.outputs[0].digest))).unlink()  # type: ignore[attr-defined]
    assert hits(store) == {}

    again = commit(pipeline_run=begin(), outputs=[output(b"new table")])

    assert (again.hit_of, again.outputs[0].digest) == (None, output(b"new table").digest)
    assert hits(store) == {KEY: again.run_id}


def test_a_result_whose_bytes_are_damaged_is_no_hit(store: Store, commit: Commit) -> None:
    first = commit()

    flip_a_byte(store, first.outputs[0].digest)

    assert hits(store) == {}


def test_many_keys_are_answered_at_once(store: Store, commit: Commit, output: Make) -> None:
    keys = [digest_of(n) for n in range(5)]
    for n, key in enumerate(keys):
        commit(name=f"step {n}", key=key, outputs=[output(b"%d" % n)])

    assert set(hits(store, *keys, digest_of("unknown"))) == set(keys)


def test_an_output_that_was_not_uploaded_leaves_nothing_behind(store: Store, run: str, commit: Commit) -> None:
    before = ledger_length(store)

    with pytest.raises(NotFound, match="there is no blob"):
        commit(outputs=[Output(name="table", kind="arrow", digest="0" * 64, size=1)])

    assert (steps(store, run), hits(store), ledger_length(store)) == ([], {}, before)


def test_a_damaged_output_leaves_nothing_behind(store: Store, run: str, commit: Commit, output: Make) -> None:
    made = output()
    flip_a_byte(store, made.digest)

    with pytest.raises(Corrupt):
        commit(outputs=[made])

    assert steps(store, run) == []


def test_an_unknown_snapshot_leaves_nothing_behind(store: Store, run: str, commit: Commit) -> None:
    with pytest.raises(NotFound, match="no snapshot 7"):
        commit(inputs=[Input(kind="snapshot", ref="flights@7", name="rows")])

    assert (steps(store, run), hits(store)) == ([], {})
    with store.view() as view:
        assert runs.children(view, run) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"state": "running"},
        {"key": "abc"},
        {"seconds": -1.0},
        {"seconds": float("nan")},
        {"why": "x" * 300},
        {"key_parts": {"x": float("inf")}},
        {"inputs": [Input(kind="file", ref="a", name="a")]},
    ],
)
def test_what_makes_no_sense_leaves_nothing_behind(
    store: Store, run: str, commit: Commit, facts: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        commit(**facts)

    assert steps(store, run) == []


def test_steps_belong_to_a_pipelines_run_that_goes_on(
    store: Store, run: str, begin: Callable[..., str], commit: Commit
) -> None:
    with pytest.raises(Invalid, match="is a run; steps are committed to the run of a pipeline"):
        commit(pipeline_run=begin(kind="run"))
    with pytest.raises(NotFound):
        commit(pipeline_run="0" * 32)
    with store.change(actor="ana") as change:
        runs.finish(change, run, state="succeeded")
    with pytest.raises(Conflict, match="its record is closed"):
        commit()


def test_a_step_takes_logs_until_its_pipeline_ends_and_then_they_are_sealed(
    store: Store, run: str, commit: Commit
) -> None:
    made = commit()
    point = Point(key="auc", value=0.7, at=made.at)
    with store.ingest() as ingest:
        logs.log(ingest, made.run_id, params={"depth": 6}, metrics=[point])
    with store.change(actor="ana") as change:
        runs.finish(change, run, state="succeeded")

    with pytest.raises(Conflict), store.ingest() as ingest:
        logs.log(ingest, made.run_id, metrics=[point])
    with store.view() as view:
        event = ledger.search(view, kind="run.finished")[0]
        assert event.body["steps"] == runs.digests(view, run)["steps"] != digest_of([])


def test_outputs_of_the_house_are_linked_by_their_own_names(store: Store, commit: Commit) -> None:
    digest = store.blobs.put(b"x")[0]
    made = commit(
        cacheable=False,
        outputs=[
            Output(name="flights@1", kind="snapshot", digest=digest, size=1),
            Output(name="late/1", kind="version", digest="d" * 64, size=0),
        ],
    )

    with store.view() as view:
        found = {(link.kind, link.ref) for link in links.of(view, made.run_id)}
    assert found == {("snapshot", "flights@1"), ("version", "late/1")}


def test_a_pipeline_is_known_once_it_ran(store: Store, begin: Callable[..., str]) -> None:
    begin()
    newest = begin(code={"entry": "moved.py:late"})
    begin(name="other", code=None)
    begin(name="no pipeline", kind="run")

    with store.view() as view:
        found = executions.seen(view)
    assert [(each.name, each.entry, each.runs) for each in found] == [
        ("late", "moved.py:late", 2),
        ("other", "other", 1),
    ]
    assert found[0].last_run == newest


def test_history_goes_back_to_the_last_run_that_succeeded(
    store: Store, begin: Callable[..., str], commit: Commit
) -> None:
    begin()
    good = begin()
    done = commit(pipeline_run=good)
    with store.change(actor="ana") as change:
        runs.finish(change, good, state="succeeded")
    begin(name="other")
    bad, going_on = begin(), begin()
    failed = commit(pipeline_run=bad, name="train", state="failed", error="no", outputs=[])

    with store.view() as view:
        found = executions.history(view, "late", besides=going_on)
    assert [(run.id, steps) for run, steps in found] == [(bad, [failed]), (good, [done])]
    with pytest.raises(NotFound, match="'early' was ever run"), store.view() as view:
        executions.history(view, "early")


def test_a_plain_run_can_say_what_it_read_and_made(store: Store, begin: Callable[..., str], output: Make) -> None:
    run = begin(kind="run")
    with store.ingest() as ingest:
        executions.link(
            ingest, run, inputs=[Input(kind="snapshot", ref="flights@current", name="rows")], outputs=[output()]
        )

    with store.view() as view:
        assert [use.snapshot for use in lineage.used_in(view, f"run:{run}")] == ["flights@1"]
        assert ("in", "flights@1") in {(link.way, link.ref) for link in links.of(view, run)}


def ledger_length(store: Store) -> int:
    with store.view() as view:
        return ledger.head(view)[0]
