# SPDX-License-Identifier: Apache-2.0
"""The tables of evaluation and the questions asked of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    exists,
    func,
    select,
    tuple_,
    update,
)

from mainstay.domain.evaluation import EvaluationSet, Example, Scorer
from mainstay.store import Ingest, Instant, Json, View, metadata
from mainstay.store.conditions import compared as compared

evaluation_sets = Table(
    "evaluation_sets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("schema", Json),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("created_by", String),
    Column("updated_by", String),
)

evaluation_set_tags = Table(
    "evaluation_set_tags",
    metadata,
    Column("set", String(64), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

evaluation_set_experiments = Table(
    "evaluation_set_experiments",
    metadata,
    Column("set", String(64), primary_key=True),
    Column("experiment", Integer, primary_key=True, autoincrement=False, index=True),
)

# Inputs, outputs and expectations are JSON as it came: the order of its keys is kept.
evaluation_examples = Table(
    "evaluation_examples",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("set", String(64), nullable=False),
    Column("inputs_digest", String(64), nullable=False),
    Column("inputs", Text, nullable=False),
    Column("outputs", Text),
    Column("expectations", Text),
    Column("tags", Json),
    Column("source", Json),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("created_by", String),
    Column("updated_by", String),
    UniqueConstraint("set", "inputs_digest"),
    Index(None, "set", "created_at", "id"),
)

scorers = Table(
    "scorers",
    metadata,
    Column("experiment", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False),
    Column("content", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

_AS_IT_CAME = ("inputs", "outputs", "expectations")

Condition = ColumnElement[bool]


def evaluation_set(view: View, identity: str) -> EvaluationSet | None:
    found = sets(view, [evaluation_sets.c.id == identity], [], 0, 1)
    return found[0] if found else None


def sets(
    view: View, conditions: Sequence[Condition], order: Sequence[tuple[str, bool]], offset: int, limit: int
) -> list[EvaluationSet]:
    c = evaluation_sets.c
    query = select(evaluation_sets).where(*conditions).offset(offset).limit(limit)
    columns = [c[name].asc() if up else c[name].desc() for name, up in order]
    rows = view.rows(query.order_by(*columns, c.id.desc()))
    identities = [row.id for row in rows]
    tags, sizes = _tags(view, identities), _sizes(view, identities)
    return [EvaluationSet(**row._mapping, tags=tags[row.id], examples=sizes.get(row.id, 0)) for row in rows]


def put_set(ingest: Ingest, new: EvaluationSet) -> None:
    ingest.insert(evaluation_sets, **{column.name: getattr(new, column.name) for column in evaluation_sets.columns})


def touch(ingest: Ingest, identity: str, at: datetime, **values: Any) -> None:
    ingest.execute(update(evaluation_sets).where(evaluation_sets.c.id == identity).values(updated_at=at, **values))


def put_tags(ingest: Ingest, identity: str, tags: Mapping[str, str]) -> None:
    remove_tags(ingest, identity, tags)
    ingest.bulk_append(evaluation_set_tags, ({"set": identity, "key": k, "value": v} for k, v in tags.items()))


def remove_tags(ingest: Ingest, identity: str, keys: Iterable[str]) -> None:
    c = evaluation_set_tags.c
    ingest.execute(delete(evaluation_set_tags).where(c.set == identity, c.key.in_(list(keys))))


def experiments_of(view: View, identity: str) -> list[int]:
    c = evaluation_set_experiments.c
    return [row.experiment for row in view.rows(select(c.experiment).where(c.set == identity).order_by(c.experiment))]


def put_experiments(ingest: Ingest, identity: str, numbers: Iterable[int]) -> None:
    rows = ({"set": identity, "experiment": number} for number in numbers)
    ingest.bulk_append(evaluation_set_experiments, rows)


def remove_experiments(ingest: Ingest, identity: str, numbers: Iterable[int]) -> None:
    c = evaluation_set_experiments.c
    ingest.execute(delete(evaluation_set_experiments).where(c.set == identity, c.experiment.in_(list(numbers))))


def remove_set(ingest: Ingest, identity: str) -> None:
    for table in (evaluation_set_tags, evaluation_set_experiments, evaluation_examples):
        ingest.execute(delete(table).where(table.c.set == identity))
    ingest.execute(delete(evaluation_sets).where(evaluation_sets.c.id == identity))


def examples_by_digest(view: View, identity: str, digests: Iterable[str]) -> dict[str, Example]:
    c = evaluation_examples.c
    rows = view.rows(select(evaluation_examples).where(c.set == identity, c.inputs_digest.in_(list(digests))))
    return {row.inputs_digest: _example(row) for row in rows}


def put_examples(ingest: Ingest, new: Sequence[Example]) -> None:
    ingest.execute(delete(evaluation_examples).where(evaluation_examples.c.id.in_([each.id for each in new])))
    ingest.bulk_append(evaluation_examples, (_columns_of(each) for each in new))


def examples(view: View, identity: str, after: tuple[datetime, str] | None, limit: int) -> list[Example]:
    c = evaluation_examples.c
    query = select(evaluation_examples).where(c.set == identity).order_by(c.created_at, c.id).limit(limit)
    if after is not None:
        query = query.where(tuple_(c.created_at, c.id) > after)
    return [_example(row) for row in view.rows(query)]


def example(view: View, identity: str, example: str) -> Example | None:
    c = evaluation_examples.c
    row = view.first(select(evaluation_examples).where(c.set == identity, c.id == example))
    return row and _example(row)


def remove_examples(ingest: Ingest, identity: str, examples: Sequence[str]) -> int:
    c = evaluation_examples.c
    return ingest.execute(delete(evaluation_examples).where(c.set == identity, c.id.in_(examples)))


def in_experiments(numbers: Sequence[int]) -> Condition:
    c = evaluation_set_experiments.c
    return exists(select(c.set).where(c.set == evaluation_sets.c.id, c.experiment.in_(numbers)))


def has_tag(key: str, operator: str, value: str) -> Condition:
    c = evaluation_set_tags.c
    return exists(select(c.set).where(c.set == evaluation_sets.c.id, c.key == key, compared(c.value, operator, value)))


def put_scorer(ingest: Ingest, new: Scorer) -> None:
    ingest.insert(scorers, **{column.name: getattr(new, column.name) for column in scorers.columns})


def scorer_versions(view: View, experiment: int, name: str) -> list[Scorer]:
    c = scorers.c
    query = select(scorers).where(c.experiment == experiment, c.name == name).order_by(c.version)
    return [Scorer(**row._mapping) for row in view.rows(query)]


def newest_scorers(view: View, experiments: Sequence[int] | None) -> list[Scorer]:
    c = scorers.c
    newest = select(c.experiment, c.name, func.max(c.version)).group_by(c.experiment, c.name)
    query = select(scorers).where(tuple_(c.experiment, c.name, c.version).in_(newest))
    if experiments is not None:
        query = query.where(c.experiment.in_(experiments))
    return [Scorer(**row._mapping) for row in view.rows(query.order_by(c.experiment, c.name))]


def remove_scorer(ingest: Ingest, experiment: int, name: str, version: int | None) -> int:
    c = scorers.c
    statement = delete(scorers).where(c.experiment == experiment, c.name == name)
    return ingest.execute(statement if version is None else statement.where(c.version == version))


def _tags(view: View, identities: Sequence[str]) -> dict[str, dict[str, str]]:
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    c = evaluation_set_tags.c
    for row in view.rows(select(evaluation_set_tags).where(c.set.in_(identities)).order_by(c.key)):
        tags[row.set][row.key] = row.value
    return tags


def _sizes(view: View, identities: Sequence[str]) -> dict[str, int]:
    c = evaluation_examples.c
    query = select(c.set, func.count().label("size")).where(c.set.in_(identities)).group_by(c.set)
    return {row.set: row.size for row in view.rows(query)}


def _columns_of(new: Example) -> dict[str, Any]:
    columns = {column.name: getattr(new, column.name) for column in evaluation_examples.columns}
    kept = {name: json.dumps(columns[name], ensure_ascii=False) for name in _AS_IT_CAME if columns[name] is not None}
    return columns | kept


def _example(row: Row[Any]) -> Example:
    columns = dict(row._mapping)
    read = {name: json.loads(columns[name]) for name in _AS_IT_CAME if columns[name] is not None}
    return Example(**(columns | read))
