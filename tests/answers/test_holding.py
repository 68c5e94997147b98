# SPDX-License-Identifier: Apache-2.0
"""What was put away frees its bytes in the end, and never those that something else still needs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.data import Snapshot
from mainstay.domain.digests import canonical_json, digest_of
from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.pipelines import Input, Output
from mainstay.domain.tracking import Artifact
from mainstay.domain.triggers import Trigger
from mainstay.lifecycle.answers import holding, why
from mainstay.lifecycle.data import datasets, drops, snapshots
from mainstay.lifecycle.governance import people
from mainstay.lifecycle.pipelines import executions, results, work
from mainstay.lifecycle.pipelines.scheduling import schedules
from mainstay.lifecycle.registry import models, versions
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.triggers import tables as triggers
from mainstay.store import Change, Store, collecting, open_store
from mainstay.store.blobs.local import LocalBlobs
from mainstay.store.collecting import Outcome

RULES = collecting.Rules(away=holding.put_away, forget=results.forget)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with its tables made, to be copied: making them takes longer than most tests."""
    folder = tmp_path_factory.mktemp("empty") / "workspace"
    open_store(folder).close()
    return folder


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Iterator[Store]:
    opened = open_store(shutil.copytree(empty, tmp_path / "workspace"))
    with opened.change(actor="ana") as change:
        people.add(change, name="ana", roles=["admin"])
        datasets.create(change, name="flights", owner="ana")
    yield opened
    opened.close()


@pytest.fixture
def gc(store: Store) -> Callable[..., Outcome]:
    """A collection, so many days from now, of blobs that nobody touched since."""

    def collect(days: float = 40, delete: bool = True) -> Outcome:
        assert isinstance(store.blobs, LocalBlobs)
        for file in store.blobs.folder.rglob("*"):
            if file.is_file():
                os.utime(file, (time.time() - 48 * 3600,) * 2)
        kept_away = collecting.KEPT_AWAY - timedelta(days=days)
        return collecting.collect(store, actor="ana", delete=delete, kept_away=kept_away, rules=RULES)

    return collect


def run_of(store: Store, files: dict[str, bytes], **facts: Any) -> tuple[str, list[str]]:
    """A run that has ended, and the digests of its files."""
    digests = [store.blobs.put(content)[0] for content in files.values()]
    with store.change(actor="ana") as change:
        run = executions.start(change, **({"name": "tuning"} | facts)).id
        for (path, content), digest in zip(files.items(), digests, strict=True):
            logs.add_artifact(change, run, Artifact(path=path, digest=digest, size=len(content), media_type="x/y"))
        runs.finish(change, run, state="succeeded")
    return run, digests


def delete(store: Store, run: str) -> None:
    with store.change(actor="ana") as change:
        runs.delete(change, run)


def step(store: Store, pipeline_run: str, name: str, output: Output, inputs: tuple[Input, ...] = ()) -> str:
    """A step's result, published under its key; the step's run."""
    facts = {"key_parts": {}, "why": "new", "state": "succeeded", "seconds": 1.0, "cacheable": True}
    with store.change(actor="ana") as change:
        return executions.commit_step(
            change, pipeline_run=pipeline_run, name=name, key=digest_of(name), inputs=inputs, outputs=(output,), **facts
        ).run_id


def taken(store: Store, content: bytes, **facts: Any) -> Snapshot:
    blob, _ = store.blobs.put(content)
    with store.change(actor="ana") as change:
        found = snapshots.take(change, dataset="flights", blob=blob, format="csv", **facts)
    assert isinstance(found, Snapshot)
    return found


def test_files_of_a_deleted_run_go_after_the_time_in_which_it_can_be_restored(
    store: Store, gc: Callable[..., Outcome]
) -> None:
    run, [weights] = run_of(store, {"weights": b"weights"})
    _, [other] = run_of(store, {"weights": b"other"})
    delete(store, run)

    assert gc(days=20).found.objects == 0
    counted = gc(delete=False)
    assert store.blobs.size(weights) and [(kind.what, kind.objects) for kind in counted.kinds] == [("deleted runs", 1)]
    gc()

    assert store.blobs.size(weights) is None and store.blobs.read(other) == b"other"
    with store.view() as view:
        freed = collecting.freed(view, weights)
        assert collecting.freed(view, other) is None
    assert freed is not None and freed.by == "ana" and "freed by gc on" in freed.sentence


def test_a_run_that_is_restored_in_time_keeps_its_files(store: Store, gc: Callable[..., Outcome]) -> None:
    run, [weights] = run_of(store, {"weights": b"weights"})
    delete(store, run)
    with store.change(actor="ana") as change:
        runs.restore(change, run)

    gc()

    assert store.blobs.read(weights) == b"weights"


def test_a_deleted_run_that_made_a_version_stays_until_the_version_is_deleted(
    store: Store, gc: Callable[..., Outcome]
) -> None:
    run, [weights] = run_of(store, {"weights": b"weights"})
    model, _ = store.blobs.put(b"the model")
    with store.change(actor="ana") as change:
        models.create(change, name="late", owner="ana")
        versions.register(
            change, model="late", format="onnx", files={"model": model}, run_id=run, environment={}, signature={}
        )
    delete(store, run)

    gc()
    assert store.blobs.size(weights) and store.blobs.size(model)
    with store.change(actor="ana") as change:
        versions.mark(change, model="late", number=1, state="deleted")
    found = gc(days=80)

    assert store.blobs.size(weights) is None and store.blobs.size(model) is None
    assert {kind.what for kind in found.kinds} == {"deleted runs", "deleted versions"}


def test_results_of_a_deleted_pipeline_run_go_with_their_place_under_their_keys(
    store: Store, gc: Callable[..., Outcome]
) -> None:
    first, second = (run_of_pipeline(store) for _ in range(2))
    alone, shared = store.blobs.put(b"alone")[0], store.blobs.put(b"shared")[0]
    step(store, first, "alone", Output(name="a", kind="json", digest=alone, size=5))
    step(store, first, "shared", Output(name="b", kind="json", digest=shared, size=6))
    step(store, second, "shared", Output(name="b", kind="json", digest=shared, size=6))
    delete(store, first)

    gc()

    assert store.blobs.size(alone) is None and store.blobs.read(shared) == b"shared"
    with store.view() as view:
        assert set(results.lookup(view, [digest_of("alone"), digest_of("shared")])) == {digest_of("shared")}
        assert view.event(collecting.freed(view, alone).event).body["forgotten"] == 1  # type: ignore[union-attr]


def run_of_pipeline(store: Store) -> str:
    with store.change(actor="ana") as change:
        return executions.start(change, name="late", kind="pipeline").id


def test_a_dropped_snapshot_stays_while_a_run_needs_it_and_is_told_of_when_it_went(
    store: Store, gc: Callable[..., Outcome]
) -> None:
    old = taken(store, b"a,b\n1,x\n2,y\n")
    taken(store, b"a,b\n1,x\n2,z\n")
    run = run_of_pipeline(store)
    output = Output(name="c", kind="json", digest=store.blobs.put(b"1")[0], size=1)
    step(store, run, "count", output, (Input(kind="snapshot", ref=old.id, name="data"),))
    with store.change(actor="ana") as change:
        drops.drop(change, old.id)

    gc()
    with store.view() as view:
        snapshots.verify(view, old)
    delete(store, run)
    found = gc(days=80)

    assert {kind.what for kind in found.kinds} >= {"dropped snapshots"}
    with store.view() as view:
        [chain] = why.ask(view, f"snapshot:{old.id}", verify=True).steps
        with pytest.raises(NotFound, match="damaged"):
            snapshots.verify(view, old)
    assert chain.verified is None and any("freed by gc" in str(fact.value) for fact in chain.facts)


def a_trigger(params: dict[str, Any]) -> Trigger:
    facts = {"deployment": "flights", "condition": "stale", "pipeline": "p:late", "mode": "auto", "cooldown": "3d"}
    return Trigger(name="late", params=params, owner="ana", created_at=datetime.now(UTC), created_by="ana", **facts)


ORDERS: dict[str, Callable[[Change, dict[str, Any]], object]] = {
    "a schedule": lambda change, params: schedules.declare(
        change, name="late", pipeline="p.py:late", params=params, every="1d"
    ),
    "a trigger": lambda change, params: triggers.put_trigger(change, a_trigger(params)),
    "a job": lambda change, params: work.ask(change, kind="run_pipeline", body={"entry": "p:late", "params": params}),
    "a run": lambda change, params: executions.start(change, name="late", kind="pipeline", params=params),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("value", ["flights@1", "snapshot:flights@1", ["x", {"data": "flights@1"}]])
def test_a_dropped_snapshot_stays_while_a_parameter_names_it(
    store: Store, gc: Callable[..., Outcome], order: str, value: Any
) -> None:
    old = taken(store, b"a,b\n1,x\n2,y\n")
    taken(store, b"a,b\n1,x\n2,z\n")
    with store.change(actor="ana") as change:
        drops.drop(change, old.id)
        ORDERS[order](change, {"data": value, "other": "flights@"})

    assert gc().found.objects == 0

    with store.view() as view:
        snapshots.verify(view, old)


def test_a_parameter_that_names_another_snapshot_or_a_schedule_that_is_gone_holds_nothing(
    store: Store, gc: Callable[..., Outcome]
) -> None:
    old = taken(store, b"a,b\n1,x\n2,y\n")
    taken(store, b"a,b\n1,x\n2,z\n")
    with store.change(actor="ana") as change:
        drops.drop(change, old.id)
        ORDERS["a schedule"](change, {"data": "flights@1"})
        ORDERS["a trigger"](change, {"data": "flights@2", "text": "see flights@1", "mail": "ana@1x"})
    with store.change(actor="ana") as change:
        schedules.remove(change, "late")

    gc()

    with store.view() as view, pytest.raises(NotFound, match="damaged"):
        snapshots.verify(view, old)


def test_what_was_freed_comes_back_when_the_same_content_is_taken_in_again(
    store: Store, gc: Callable[..., Outcome]
) -> None:
    old = taken(store, b"a,b\n1,x\n2,y\n")
    taken(store, b"a,b\n1,x\n2,z\n")
    with store.change(actor="ana") as change:
        drops.drop(change, old.id)
    gc()
    with pytest.raises(Conflict, match="gc took its bytes"), store.change(actor="ana") as change:
        drops.restore(change, old.id)

    again = taken(store, b"a,b\n1,x\n2,y\n")

    assert (again.id, again.is_known, again.dropped_at) == (old.id, True, None)
    with store.view() as view:
        snapshots.verify(view, again)
        assert snapshots.described(view, again)[0] is not None


def test_what_a_name_points_at_and_the_newest_are_not_dropped(store: Store) -> None:
    old, new = taken(store, b"a\n1\n"), taken(store, b"a\n2\n")
    with store.change(actor="ana", reason="back") as change:
        datasets.point(change, dataset="flights", ref="kept", number=old.number)

    for each in (old, new):
        with pytest.raises(Conflict), store.change(actor="ana") as change:
            drops.drop(change, each.id)


def test_what_is_brought_back_while_gc_looks_stops_it_before_anything_goes(
    store: Store, gc: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, [weights] = run_of(store, {"weights": b"weights"})
    delete(store, run)
    reached = collecting.reached

    def restored(*args: Any) -> set[str]:
        with store.change(actor="ana") as change:
            runs.restore(change, run)
        return reached(*args)

    monkeypatch.setattr(collecting, "reached", restored)

    with pytest.raises(Conflict, match="brought back"):
        gc()
    assert store.blobs.read(weights) == b"weights"


def test_a_result_that_becomes_a_hit_while_it_is_about_to_go_stays_whole(
    store: Store, gc: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what it only names: a model's files."""
    part, _ = store.blobs.put(b"coefficients")
    listed, size = store.blobs.put(canonical_json({"files": {"model": part}}))
    run = run_of_pipeline(store)
    step(store, run, "train", Output(name="m", kind="model", digest=listed, size=size))
    delete(store, run)
    record = collecting._record

    def asked(*args: Any, **facts: Any) -> None:
        with store.view() as view:
            assert results.lookup(view, [digest_of("train")])
        record(*args, **facts)

    monkeypatch.setattr(collecting, "_record", asked)
    gc()

    assert store.blobs.read(listed) and store.blobs.read(part) == b"coefficients"


def test_one_that_is_killed_on_its_way_lost_nothing_and_the_next_one_ends_it(
    store: Store, gc: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, gone = run_of(store, {f"file {n}": b"%d" % n for n in range(6)})
    _, [kept] = run_of(store, {"weights": b"kept"})
    delete(store, run)
    removed: list[object] = []

    def dying(*args: Any) -> bool:
        if len(removed) == 3:
            raise KeyboardInterrupt
        removed.append(args)
        return remove(*args)

    from mainstay.store.blobs import local

    remove = local._remove
    monkeypatch.setattr(local, "_remove", dying)
    with pytest.raises(KeyboardInterrupt):
        gc()
    monkeypatch.undo()
    assert len(store.blobs.missing(gone)) == 3
    with store.view() as view:
        assert all(collecting.freed(view, digest) for digest in store.blobs.missing(gone))

    gc()

    assert len(store.blobs.missing(gone)) == 6 and store.blobs.read(kept) == b"kept"
