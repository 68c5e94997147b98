# SPDX-License-Identifier: Apache-2.0
"""The tables of pipelines and the questions asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Double, Index, Integer, Row, String, Table, Text, delete, select, update

from mainstay.domain.pipelines import Input, Output, Pipeline, Published, Step
from mainstay.store import Change, Instant, Json, View, metadata

pipelines = Table(
    "pipelines",
    metadata,
    Column("name", String, primary_key=True),
    Column("entry", Text, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_run", String(32), nullable=False),
    Column("runs", Integer, nullable=False),
)

step_executions = Table(
    "step_executions",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("pipeline", String, nullable=False),
    Column("pipeline_run", String(32), nullable=False),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("key", String(64), nullable=False),
    Column("key_parts", Json, nullable=False),
    Column("why", String, nullable=False),
    Column("hit_of", String(32)),
    Column("upstream", Json, nullable=False),
    Column("inputs", Json, nullable=False),
    Column("outputs", Json, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("error", Text),
    Column("at", Instant, nullable=False),
    Index(None, "pipeline_run", "run_id"),
    Index(None, "pipeline", "name", "run_id"),
)

# Results by key. Apart from the record of executions, so that it can be dropped when it should be forgotten.
step_cache = Table(
    "step_cache",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("outputs", Json, nullable=False),
    Column("at", Instant, nullable=False),
)


def pipeline(view: View, name: str) -> Pipeline | None:
    row = view.first(select(pipelines).where(pipelines.c.name == name))
    return row and Pipeline(**row._mapping)


def all_pipelines(view: View, after: str, limit: int) -> list[Pipeline]:
    query = select(pipelines).where(pipelines.c.name > after).order_by(pipelines.c.name).limit(limit)
    return [Pipeline(**row._mapping) for row in view.rows(query)]


def see(change: Change, name: str, *, entry: str, run_id: str, at: datetime) -> None:
    """Count one more run of the pipeline."""
    seen = update(pipelines).where(pipelines.c.name == name)
    if not change.execute(seen.values(entry=entry, last_run=run_id, runs=pipelines.c.runs + 1)):
        change.insert(pipelines, name=name, entry=entry, first_seen_at=at, last_run=run_id, runs=1)


def put_step(change: Change, pipeline: str, new: Step) -> None:
    change.insert(step_executions, pipeline=pipeline, **asdict(new))


def step(view: View, run_id: str) -> Step | None:
    row = view.first(select(step_executions).where(step_executions.c.run_id == run_id))
    return row and _step(row)


def steps_of(view: View, pipeline_run: str) -> list[Step]:
    query = select(step_executions).where(step_executions.c.pipeline_run == pipeline_run)
    return [_step(row) for row in view.rows(query.order_by(step_executions.c.run_id))]


def committed(view: View, pipeline_run: str, name: str, key: str) -> Step | None:
    """The good execution of this very call, if it is on record."""
    c = step_executions.c
    query = select(step_executions).where(
        c.pipeline_run == pipeline_run, c.name == name, c.key == key, c.state != "failed"
    )
    row = view.first(query)
    return row and _step(row)


def last_good(view: View, pipeline: str, name: str) -> Step | None:
    c = step_executions.c
    query = select(step_executions).where(c.pipeline == pipeline, c.name == name, c.state != "failed")
    row = view.first(query.order_by(c.run_id.desc()).limit(1))
    return row and _step(row)


def step_names(view: View, pipeline: str) -> list[str]:
    c = step_executions.c
    query = select(c.name).where(c.pipeline == pipeline, c.state != "failed").distinct().order_by(c.name)
    return [row.name for row in view.rows(query)]


def published(view: View, keys: Sequence[str]) -> list[Published]:
    query = select(step_cache).where(step_cache.c.key.in_(keys)).order_by(step_cache.c.key)
    return [Published(**{**row._mapping, "outputs": _outputs(row.outputs)}) for row in view.rows(query)]


def put_published(change: Change, new: Published) -> None:
    """Keep the outputs of a key, in place of any that were there."""
    change.execute(delete(step_cache).where(step_cache.c.key == new.key))
    change.insert(step_cache, **asdict(new))


def forget_published(change: Change, keys: Sequence[str]) -> int:
    return change.execute(delete(step_cache).where(step_cache.c.key.in_(keys)))


def _step(row: Row[Any]) -> Step:
    values = dict(row._mapping)
    del values["pipeline"]
    return Step(
        **{
            **values,
            "upstream": tuple(row.upstream),
            "inputs": tuple(Input(**each) for each in row.inputs),
            "outputs": _outputs(row.outputs),
        }
    )


def _outputs(described: Sequence[dict[str, Any]]) -> tuple[Output, ...]:
    return tuple(Output(**each) for each in described)
