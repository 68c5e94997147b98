# SPDX-License-Identifier: Apache-2.0
"""A house in which a model is live and answers: made through the verbs that the server calls, with a clock that stands.

The world behind it is small and known: ``x`` and ``z`` are normal, ``noise`` is not looked at by the model,
``origin`` is one of three; the truth is a coin whose chance rises with x. Predictions are scored by that same chance,
so that the model is as good as one can be until a test breaks the world.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.domain import ids
from mainstay.domain.data import Period, Snapshot
from mainstay.domain.monitoring import Monitor, Window
from mainstay.domain.registry import Version
from mainstay.domain.release import Release, RolloutConfig
from mainstay.lifecycle.data import datasets, snapshots
from mainstay.lifecycle.governance import people, policies
from mainstay.lifecycle.monitoring import judging, monitors, windows
from mainstay.lifecycle.registry import models, versions
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.serving import deployments, feedback, prediction_log, watching
from mainstay.lifecycle.tracking import runs
from mainstay.store import Store, jobs, open_store
from tests.databases import copied

INPUTS = {"x": "float", "z": "float", "noise": "float", "origin": "str"}
SIGNATURE = {
    "inputs": [{"name": name, "type": kind, "required": True, "nullable": True} for name, kind in INPUTS.items()],
    "output": {"type": "binary", "classes": [0, 1], "positive": 1},
}
Break = Callable[[dict[str, Any]], None]


def chance_of(x: np.ndarray) -> np.ndarray:
    """What the model answers, and until a test breaks it also the truth's chance."""
    return 1 / (1 + np.exp(1.0 - 1.2 * x))


def world(random: np.random.Generator, n: int, *, shift: float = 0.0) -> dict[str, Any]:
    """Rows of the world: inputs, score, and the truth that will come out. ``shift`` moves x."""
    x = random.standard_normal(n) + shift
    columns: dict[str, Any] = {
        "x": x,
        "z": random.standard_normal(n),
        "noise": random.standard_normal(n),
        "origin": random.choice(["EWR", "JFK", "LGA"], n, p=[0.4, 0.35, 0.25]),
        "_score": chance_of(x),
    }
    columns["_label"] = (random.random(n) < chance_of(x)).astype(float)
    return columns


class LiveHouse:
    """A store with people, a model, a deployment ``flights`` and its predictions."""

    def __init__(self, folder: Path, *, reference_rows: int = 12_000) -> None:
        self.folder = folder
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.random = np.random.default_rng(11)
        self.store: Store = open_store(folder, clock=lambda: self.now)
        with self.store.change(actor="ana") as change:
            people.add(change, name="ana", roles=["admin"])
            people.add(change, name="bo", roles=["contributor"])
            policies.put(change, name="open", gates=[], approvals=0)
            datasets.create(change, name="flights", owner="ana")
            models.create(change, name="late", owner="ana")
            rollout = RolloutConfig(strategy="direct", steps=(100,))
            deployments.declare(
                change,
                name="flights",
                environment="production",
                model="late",
                owner="ana",
                policy="open",
                rollout=rollout,
            )
        self.training = self.snapshot(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC), rows=500)
        self.first = self.register(reference_rows)
        self.release(self.first)

    def moved_to(self, folder: Path) -> LiveHouse:
        """The same house, as far as it is by now, in another folder: making one anew takes most of a second."""
        copied(self.folder, folder)
        copy = LiveHouse.__new__(LiveHouse)
        copy.__dict__ |= {"folder": folder, "now": self.now, "training": self.training, "first": self.first}
        copy.random = np.random.default_rng(12)
        copy.store = open_store(folder, clock=lambda: copy.now)
        return copy

    def snapshot(self, since: datetime, until: datetime, *, rows: int) -> Snapshot:
        """A snapshot of dataset ``flights``."""
        blob = self.put(pa.table({"v": self.random.standard_normal(rows)}))
        with self.store.change(actor="ana") as change:
            taken = snapshots.take(
                change, dataset="flights", blob=blob, format="parquet", period=Period(since=since, until=until)
            )
        assert isinstance(taken, Snapshot)
        return taken

    def register(
        self, rows: int = 6_000, *, metrics: dict[str, float] | None = None, run_id: str | None = None
    ) -> Version:
        """A version of model ``late`` with an evaluation of so many rows over the second half of February."""
        columns = world(self.random, rows)
        start = datetime(2013, 2, 15, tzinfo=UTC)
        columns["due"] = [start + timedelta(days=14 * i / rows) for i in range(rows)]
        blob = self.put(pa.table({**columns, "_label": pa.array(columns["_label"].astype(np.int8))}))
        model = self.put_bytes(f"model {self.random.integers(1 << 60)}".encode())
        with self.store.change(actor="bo") as change:
            run = run_id or runs.start(change, name="train").id
            return versions.register(
                change,
                model="late",
                run_id=run,
                format="sklearn",
                files={"model.skops": model},
                environment={"python": "3.11"},
                signature=SIGNATURE,
                metrics=metrics or {},
                evaluation_blob=blob,
                snapshots=[(self.training.id, "train")],
            )

    def release(self, version: Version, *, load_error: str | None = None) -> Release:
        """Ask for a release and do the worker's part: it goes live, unless the model does not load."""
        with self.store.change(actor="bo", reason="first") as change:
            asked = deployments.release(change, name="flights", model="late", version=version.number)
        return self.judge_release(asked, load_error=load_error)

    def judge_release(self, asked: Release, *, load_error: str | None = None) -> Release:
        """What the worker and the server's loop do with a requested release."""
        evidence = self.put(pa.table({"_label": [0.0, 1.0] * 50, "_candidate": [0.2, 0.8] * 50}))
        load = {"ok": load_error is None, "error": load_error}
        with self.store.ingest() as ingest:
            job = jobs.lease(ingest, worker="w", kinds=["judge_release"], seconds=60)
            assert job is not None
            jobs.finish(ingest, job.id, worker="w", result={"evidence_blob": evidence, "load": load})
        watching.judge_releases(self.store)
        with self.store.view() as view:
            return releases.get(view, deployment="flights", number=asked.number)

    def monitor(self, **rules: Any) -> Monitor:
        """Declare the monitor ``flights``."""
        asked = {"name": "flights", "deployment": "flights", "owner": "ana", "window": "1mo"} | rules
        with self.store.change(actor="ana") as change:
            return monitors.declare(change, **asked)

    def predict(
        self,
        since: datetime,
        days: float,
        n: int,
        *,
        shift: float = 0.0,
        spoil: Break | None = None,
        status: str = "ok",
        release: int | None = None,
        variant: str = "champion",
    ) -> list[str]:
        """Log n predictions spread over some days; their ids. ``spoil`` may change columns before they are logged."""
        columns = world(self.random, n, shift=shift)
        if spoil is not None:
            spoil(columns)
        return self.log(columns, since, days, status=status, release=release, variant=variant)

    def log(
        self,
        columns: dict[str, Any],
        since: datetime,
        days: float,
        *,
        status: str = "ok",
        release: int | None = None,
        variant: str = "champion",
    ) -> list[str]:
        """Log rows as the live release's, with their truth kept for `tell`."""
        n = len(columns["_score"])
        with self.store.view() as view:
            number = release or releases.live(view, "flights").number  # type: ignore[union-attr]
            version = releases.get(view, deployment="flights", number=number).version
        identities = [ids.uuid7() for _ in range(n)]
        at = [since + timedelta(days=days * (i + 0.5) / n) for i in range(n)]
        meta = {
            "_id": identities,
            "_at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "_logged_at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "_deployment": ["flights"] * n,
            "_release": pa.array([number] * n, pa.int32()),
            "_model": ["late"] * n,
            "_version": pa.array([version] * n, pa.int32()),
            "_variant": [variant] * n,
            "_status": [status] * n,
            "_latency_us": pa.array([2_000] * n, pa.int64()),
            "_value": pa.array(columns["_score"], pa.float64()),
            "_key": pa.nulls(n, pa.string()),
            "_source": ["http"] * n,
            "_flags": pa.array([[]] * n, pa.list_(pa.string())),
        }
        inputs = {name: pa.array(columns[name], from_pandas=True) for name in INPUTS if name in columns}
        blob = self.put(pa.table({**meta, **inputs}))
        with self.store.change(actor="gateway") as change:
            prediction_log.add_batch(change, deployment="flights", release=number, blob=blob)
        self.truth = dict(zip(identities, columns["_label"].tolist(), strict=True))
        return identities

    def tell(self, identities: list[str], labels: list[float] | None = None) -> None:
        """Say what turned out to be true of predictions made last."""
        told = labels if labels is not None else [self.truth[identity] for identity in identities]
        with self.store.ingest() as ingest:
            outcome = feedback.give(
                ingest, [feedback.Told(id=i, label=v) for i, v in zip(identities, told, strict=True)], actor="ana"
            )
        assert not outcome.refused

    def judge(self, until: datetime | None = None) -> list[Window]:
        """Judge what is stale of monitor ``flights``."""
        return judging.judge_stale(self.store, "flights", actor="ana", until=until)

    def windows(self) -> list[Window]:
        """Every judged window, oldest first."""
        with self.store.view() as view:
            return windows.listed(view, monitors.get(view, "flights"))

    def put(self, table: pa.Table) -> str:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        return self.put_bytes(sink.getvalue())

    def put_bytes(self, data: bytes) -> str:
        digest, _ = self.store.blobs.put(data)
        return digest


def month(number: int) -> datetime:
    """The first moment of a month of 2013."""
    return datetime(2013, number, 1, tzinfo=UTC)
