# SPDX-License-Identifier: Apache-2.0
"""A deployment that answers one of three classes and is judged by the month, and a schedule that fired and whose run failed.

In: the folder of a workspace that nobody serves yet. Out: all of it on record as of spring 2013, made through the verbs that
the server calls, with a clock that is set: what takes months is there at once.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.domain import ids
from mainstay.domain.release import RolloutConfig
from mainstay.lifecycle.governance import policies
from mainstay.lifecycle.monitoring import judging, monitors
from mainstay.lifecycle.pipelines.scheduling import schedules
from mainstay.lifecycle.registry import models, versions
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.serving import deployments, feedback, prediction_log, watching
from mainstay.lifecycle.tracking import runs
from mainstay.server.workspace import open_workspace, owner_name
from mainstay.store import Store, jobs

CLASSES = ("fast", "slow", "usual")
MONTHS = (2, 3, 4)
ROWS = 300
RIGHT = {2: 0.9, 3: 0.88, 4: 0.6}  # how often it names the right class
FAILED = "step night.fetch failed: ConnectionError: the office does not answer"
INPUTS = [{"name": "far", "type": "float", "required": True, "nullable": False}]


def seed(workspace: Path) -> None:
    """Made in February, three hours and three months later; the schedule came due meanwhile."""
    open_workspace(workspace).close()  # by the clock of today: its token has to be good when the tests come
    now = datetime(2013, 2, 1, tzinfo=UTC)
    store = open_workspace(workspace, clock=lambda: now)
    put_live(store)
    with store.change(actor=owner_name()) as change:
        schedules.declare(change, name="office", pipeline="night.py:fetching", every="1h", catch_up="all")
    now += timedelta(hours=3)
    fire(store)
    for month in MONTHS:
        answer(store, month)
    now = datetime(2013, 5, 2, tzinfo=UTC)
    judging.judge_stale(store, "lines", actor=owner_name())
    store.close()


def put_live(store: Store) -> None:
    """Version 1 of model ``line`` on deployment ``lines``, and its monitor."""
    me = owner_name()
    with store.change(actor=me) as change:
        policies.put(change, name="open", gates=[], approvals=0)
        models.create(change, name="line", owner=me)
        register(change, store)
        deployments.declare(change, name="lines", environment="prod", model="line", owner=me, policy="open",
                            rollout=RolloutConfig(strategy="direct", steps=(100,)))  # fmt: skip
        deployments.release(change, name="lines", model="line", version=1)
    evidence = put(store, pa.table({"_label": [0.0, 1.0, 2.0] * 40, "_candidate": list(np.eye(3)) * 40}))
    end(store, "judge_release", result={"evidence_blob": evidence, "load": {"ok": True, "error": None}})
    watching.judge_releases(store)
    with store.change(actor=me) as change:
        monitors.declare(change, name="lines", deployment="lines", owner=me, window="1mo")


def register(change: object, store: Store) -> None:
    truth, said = lines(np.random.default_rng(1), 600, 0.9)
    evaluation = pa.table({
        "far": np.random.default_rng(2).normal(size=600), "_score": list(np.eye(3)[said]), "_label": [CLASSES[n] for n in truth],
    })  # fmt: skip
    versions.register(
        change,  # type: ignore[arg-type]
        model="line",
        run_id=runs.start(change, name="train").id,  # type: ignore[arg-type]
        format="sklearn",
        files={"model.skops": store.blobs.put(b"model")[0]},
        environment={"python": "3.11"},
        signature={"inputs": INPUTS, "output": {"type": "multiclass", "classes": list(CLASSES)}},
        metrics={},
        evaluation_blob=put(store, evaluation),
        snapshots=[],
    )


def lines(random: np.random.Generator, n: int, right: float) -> tuple[np.ndarray, np.ndarray]:
    truth = random.integers(3, size=n)
    return truth, np.where(random.random(n) < right, truth, (truth + 1) % 3)


def answer(store: Store, month: int) -> None:
    """A month of predictions, all but the last with their truth."""
    random = np.random.default_rng(month)
    truth, said = lines(random, ROWS, RIGHT[month])
    at = pa.array([datetime(2013, month, 1, tzinfo=UTC) + timedelta(hours=2 * n) for n in range(ROWS)])
    identities = [ids.uuid7() for _ in range(ROWS)]
    with store.view() as view:
        number = releases.live(view, "lines").number  # type: ignore[union-attr]
    rows = {"_id": identities, "_at": at, "_logged_at": at, "_deployment": ["lines"] * ROWS,
            "_release": pa.array([number] * ROWS, pa.int32()), "_model": ["line"] * ROWS,
            "_version": pa.array([1] * ROWS, pa.int32()), "_variant": ["champion"] * ROWS, "_status": ["ok"] * ROWS,
            "_latency_us": pa.array([900] * ROWS, pa.int64()), "_value": said.astype(float), "_key": pa.nulls(ROWS, pa.string()),
            "_source": ["http"] * ROWS, "_flags": pa.array([[]] * ROWS, pa.list_(pa.string())),
            "far": random.normal(size=ROWS)}  # fmt: skip
    blob = put(store, pa.table(rows))
    with store.change(actor="gateway") as change:
        prediction_log.add_batch(change, deployment="lines", release=number, blob=blob)
    told = [feedback.Told(id=each, label=CLASSES[n]) for each, n in zip(identities[:-1], truth[:-1], strict=True)]
    with store.ingest() as ingest:
        assert not feedback.give(ingest, told, actor=owner_name()).refused


def fire(store: Store) -> None:
    """Each time that came due was asked for; the first run failed, the others are not begun."""
    schedules.fire_due(store)
    with store.change(actor=owner_name()) as change:
        run = runs.start(change, name="fetching", kind="pipeline").id
        runs.finish(change, run, state="failed")
        schedules.pause(change, "office")
    end(store, "run_pipeline", result={"run_id": run}, error=FAILED)


def end(store: Store, kind: str, **answer: object) -> None:
    with store.ingest() as ingest:
        job = jobs.lease(ingest, worker="w", kinds=[kind], seconds=60)
        assert job is not None
        jobs.finish(ingest, job.id, worker="w", **answer)  # type: ignore[arg-type]


def put(store: Store, table: pa.Table) -> str:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return store.blobs.put(sink.getvalue())[0]
