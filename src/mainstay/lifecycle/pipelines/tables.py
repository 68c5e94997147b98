# SPDX-License-Identifier: Apache-2.0
"""The tables of pipelines and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Double, Index, Integer, Row, String, Table, Text, bindparam, delete, func, select, update

from mainstay.domain.pipelines import Input, Lease, Line, Output, Pipeline, Published, Step
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

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
    info={"of": "run:{run_id}"},
)

# Results by key. Apart from the record of executions, so that it can be dropped when it should be forgotten.
step_cache = Table(
    "step_cache",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("outputs", Json, nullable=False),
    Column("at", Instant, nullable=False),
    info={"of": "run:{run_id}"},
)

# Who carries a run out. A lease that ran out while its run goes on is that of a process that died.
pipeline_leases = Table(
    "pipeline_leases",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("worker", String, nullable=False),
    Column("leased_until", Instant),
    Column("executor", String, nullable=False),
    Column("params", Json),
    Column("outline", Json, nullable=False),
    Column("running", Json, nullable=False),
    Index(None, "leased_until"),
    info={"of": "run:{run_id}"},
)

step_lines = Table(
    "step_lines",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("step", String, nullable=False),
    Column("stream", String(8), nullable=False),
    Column("at", Instant, nullable=False),
    Column("text", Text, nullable=False),
    info={"of": "run:{run_id}"},
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


def put_steps(change: Change, pipeline: str, new: Iterable[Step]) -> None:
    # Not `asdict`: it would copy the parts of a key, which are large, piece by piece.
    rows = [
        vars(each)
        | {
            "pipeline": pipeline,
            "inputs": [vars(one) for one in each.inputs],
            "outputs": [vars(o) for o in each.outputs],
        }
        for each in new
    ]
    change.bulk_append(step_executions, rows)


def step(view: View, run_id: str) -> Step | None:
    row = view.first(select(step_executions).where(step_executions.c.run_id == run_id))
    return row and _step(row)


def steps_of(view: View, pipeline_run: str) -> list[Step]:
    query = select(step_executions).where(step_executions.c.pipeline_run == pipeline_run)
    return [_step(row) for row in view.rows(query.order_by(step_executions.c.run_id))]


def committed(view: View, pipeline_run: str, keys: Sequence[str]) -> dict[tuple[str, str], Step]:
    """The good executions of these very calls that are on record, by name and key."""
    rows = view.rows(_COMMITTED, {"run": pipeline_run, "wanted": list(keys)}) if keys else ()
    return {(row.name, row.key): _step(row) for row in rows}


# Asked at every step: made once, as putting a query together takes longer than asking it.
_COMMITTED = select(step_executions).where(
    step_executions.c.pipeline_run == bindparam("run"),
    step_executions.c.key.in_(bindparam("wanted", expanding=True)),
    step_executions.c.state != "failed",
)


def published(view: View, keys: Sequence[str]) -> list[Published]:
    rows = view.rows(_PUBLISHED, {"wanted": list(keys)})
    return [Published(**{**row._mapping, "outputs": _outputs(row.outputs)}) for row in rows]


_PUBLISHED = (
    select(step_cache).where(step_cache.c.key.in_(bindparam("wanted", expanding=True))).order_by(step_cache.c.key)
)


def published_alike(view: View, beginning: str, *, limit: int) -> list[Published]:
    """Results whose keys begin with these digits."""
    rows = view.rows(_ALIKE, {"first": beginning, "behind": f"{beginning}g", "most": limit})
    return [Published(**{**row._mapping, "outputs": _outputs(row.outputs)}) for row in rows]


# A stretch of the primary key: of all hexadecimal digits, none comes behind "f".
_ALIKE = (
    select(step_cache)
    .where(step_cache.c.key >= bindparam("first"), step_cache.c.key < bindparam("behind"))
    .limit(bindparam("most"))
)


def put_published(change: Change, new: Sequence[Published]) -> None:
    """Keep the outputs of keys, in place of any that were there."""
    change.execute(_UNPUBLISH, {"wanted": [each.key for each in new]})
    change.bulk_append(step_cache, [vars(each) | {"outputs": [vars(o) for o in each.outputs]} for each in new])


_UNPUBLISH = delete(step_cache).where(step_cache.c.key.in_(bindparam("wanted", expanding=True)))


def all_published(view: View) -> Iterator[Published]:
    for row in view.scan(select(step_cache)):
        yield Published(**{**row._mapping, "outputs": _outputs(row.outputs)})


def forget_published(change: Change, keys: Sequence[str]) -> int:
    return change.execute(delete(step_cache).where(step_cache.c.key.in_(keys)))


def lease(view: View, run_id: str) -> Lease | None:
    row = view.first(_LEASE, {"run": run_id})
    return row and _lease(row)


_LEASE = select(pipeline_leases).where(pipeline_leases.c.run_id == bindparam("run"))


def overdue(view: View, now: datetime) -> list[Lease]:
    query = select(pipeline_leases).where(pipeline_leases.c.leased_until < now)
    return [_lease(row) for row in view.rows(query.order_by(pipeline_leases.c.run_id))]


def put_lease(ingest: Ingest, new: Lease) -> None:
    ingest.insert(pipeline_leases, **vars(new))


def set_lease(ingest: Ingest, run_id: str, **values: Any) -> None:
    ingest.execute(update(pipeline_leases).where(pipeline_leases.c.run_id == run_id).values(**values))


def last_line(view: View, run_id: str) -> int:
    """Number of the newest line of a run; 0: there is none."""
    return view.scalar(select(func.max(step_lines.c.seq)).where(step_lines.c.run_id == run_id)) or 0


def put_lines(ingest: Ingest, run_id: str, lines: Iterable[Line]) -> None:
    columns = ("run_id", "seq", "step", "stream", "at", "text")
    rows = [(run_id, each.seq, each.step, each.stream, each.at, each.text) for each in lines]
    ingest.bulk_append(step_lines, rows, columns)


def lines_of(view: View, run_id: str, step: str | None, after: int, limit: int) -> list[Line]:
    c = step_lines.c
    query = select(c.seq, c.step, c.stream, c.at, c.text).where(c.run_id == run_id, c.seq > after)
    if step is not None:
        query = query.where(c.step == step)
    return [Line(**row._mapping) for row in view.rows(query.order_by(c.seq).limit(limit))]


def _lease(row: Row[Any]) -> Lease:
    return Lease(**{**row._mapping, "outline": tuple(row.outline), "running": tuple(row.running)})


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
