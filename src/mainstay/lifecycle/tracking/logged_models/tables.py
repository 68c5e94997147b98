# SPDX-License-Identifier: Apache-2.0
"""The tables of logged models and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    true,
    update,
)

from mainstay.domain.search import Comparison, Order
from mainstay.domain.tracking import LoggedModel, ModelMetric
from mainstay.store import Ingest, Instant, View, metadata, pages
from mainstay.store.conditions import as_compared, compared, has, in_parts
from mainstay.store.pages import Term

logged_models = Table(
    "logged_models",
    metadata,
    Column("id", String(34), primary_key=True),
    Column("experiment", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("run", String(32), index=True),
    Column("actor", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Index(None, "experiment", "created_at", "id"),
    info={"of": "logged-model:{id}"},
)

logged_model_params = Table(
    "logged_model_params",
    metadata,
    Column("model", String(34), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
    info={"of": "logged-model:{model}"},
)

logged_model_tags = Table(
    "logged_model_tags",
    metadata,
    Column("model", String(34), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
    info={"of": "logged-model:{model}"},
)

# A point of a run's metric that was measured of a model, on a dataset, or both.
logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("model", String(34)),
    Column("run", String(32), nullable=False),
    Column("key", String, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("value", Double),
    Column("dataset_name", String),
    Column("dataset_digest", String),
    Index(None, "model", "key"),
    Index(None, "run", "key"),
)

logged_model_artifacts = Table(
    "logged_model_artifacts",
    metadata,
    Column("model", String(34), primary_key=True),
    Column("path", String, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String, nullable=False),
    info={"of": "logged-model:{model}"},
)


def put_logged_model(ingest: Ingest, new: LoggedModel) -> None:
    ingest.insert(logged_models, **asdict(new))


def logged_model(view: View, identity: str) -> LoggedModel | None:
    row = view.first(select(logged_models).where(logged_models.c.id == identity))
    return row and LoggedModel(**row._mapping)


def put_away(view: View, before: datetime) -> list[str]:
    query = select(logged_models.c.id).where(logged_models.c.deleted_at <= before)
    return [row.id for row in view.rows(query)]


def set_logged_model(ingest: Ingest, identity: str, **values: Any) -> None:
    ingest.execute(update(logged_models).where(logged_models.c.id == identity).values(**values))


def logged_model_values(view: View, what: str, identities: Sequence[str]) -> dict[str, dict[str, str]]:
    """The ``what`` (params or tags) of logged models, by model and key."""
    table = {"params": logged_model_params, "tags": logged_model_tags}[what]
    found: dict[str, dict[str, str]] = {identity: {} for identity in identities}
    for some in in_parts(identities):
        query = select(table.c.model, table.c.key, table.c.value).where(table.c.model.in_(some))
        for model, key, value in view.tuples(query.order_by(table.c.model, table.c.key)):
            found[model][key] = value
    return found


def put_logged_model_values(ingest: Ingest, what: str, identity: str, values: Mapping[str, str]) -> None:
    table = {"params": logged_model_params, "tags": logged_model_tags}[what]
    ingest.execute(delete(table).where(table.c.model == identity, table.c.key.in_(list(values))))
    ingest.bulk_append(table, ({"model": identity, "key": key, "value": value} for key, value in values.items()))


def remove_logged_model_tag(ingest: Ingest, identity: str, key: str) -> int:
    c = logged_model_tags.c
    return ingest.execute(delete(logged_model_tags).where(c.model == identity, c.key == key))


def put_model_metrics(ingest: Ingest, measured: Iterable[ModelMetric]) -> None:
    ingest.bulk_append(logged_model_metrics, (asdict(one) for one in measured))


def model_metrics(view: View, identities: Sequence[str]) -> dict[str, list[ModelMetric]]:
    """What was measured of logged models, each reading once."""
    c = logged_model_metrics.c
    found: dict[str, list[ModelMetric]] = {identity: [] for identity in identities}
    columns = [column for column in c if column.name != "id"]
    for some in in_parts(identities):
        query = select(*columns).where(c.model.in_(some)).distinct().order_by(c.model, c.key, c.step, c.at)
        for row in view.rows(query):
            found[row.model].append(ModelMetric(**row._mapping))
    return found


def find_logged_models(
    view: View,
    experiments: Sequence[int],
    comparisons: Sequence[Comparison],
    orders: Sequence[tuple[Order, str | None, str | None]],
    *,
    datasets: Sequence[tuple[str, str | None]],
    after: Sequence[Any] | None,
    limit: int,
) -> list[tuple[list[Any], LoggedModel]]:
    """A page of logged models that are not put away; each order may name a dataset that its metric was measured on."""
    models = logged_models.c
    query = select(*models).where(models.experiment.in_(experiments), models.deleted_at.is_(None))
    query = query.where(*(_model_holds(comparison, datasets) for comparison in comparisons))
    if datasets and not any(comparison.kind == "metrics" for comparison in comparisons):
        query = query.where(_measured(None, datasets))
    terms = [_model_term(*order) for order in orders]
    terms += [Term(0, as_compared(models.created_at), True), Term(0, models.id)]
    return [(place, LoggedModel(**values)) for place, values in pages.found(view, query, terms, after, limit)]


def _model_holds(comparison: Comparison, datasets: Sequence[tuple[str, str | None]]) -> ColumnElement[bool]:
    kind, key, operator, value = comparison
    if kind == "attribute":
        return compared(as_compared(logged_models.c[key]), operator, value)
    if kind == "metrics":
        return _measured(key, datasets, compared(logged_model_metrics.c.value, operator, value))
    table = {"params": logged_model_params, "tags": logged_model_tags}[kind]
    return has(table, table.c.model == logged_models.c.id, key, operator, value)


def _measured(
    key: str | None, datasets: Sequence[tuple[str, str | None]], *further: ColumnElement[bool]
) -> ColumnElement[bool]:
    c = logged_model_metrics.c
    there = exists().where(c.model == logged_models.c.id, *further)
    if key is not None:
        there = there.where(c.key == key)
    if datasets:
        there = there.where(or_(false(), *(_on_dataset(name, digest) for name, digest in datasets)))
    return there


def _on_dataset(name: str | None, digest: str | None) -> ColumnElement[bool]:
    c = logged_model_metrics.c
    wanted = [c.dataset_name == name] if name is not None else []
    wanted += [c.dataset_digest == digest] if digest is not None else []
    return and_(true(), *wanted)


def _model_term(order: Order, name: str | None, digest: str | None) -> Term:
    kind, key, descending = order
    c = logged_model_metrics.c
    if kind == "attribute":
        column = as_compared(logged_models.c[key])
        return Term(case((column.is_(None), 1), else_=0), column, descending)
    if kind == "metrics":
        newest = select(c.value).where(c.model == logged_models.c.id, c.key == key, _on_dataset(name, digest))
        value: Any = newest.order_by(c.at.desc(), c.id.desc()).limit(1).scalar_subquery()
    else:
        table = {"params": logged_model_params, "tags": logged_model_tags}[kind]
        value = select(table.c.value).where(table.c.model == logged_models.c.id, table.c.key == key).scalar_subquery()
    return Term(case((value.is_(None), 1), else_=0), value, descending)


def imported_into(view: View, tag: str, source: str, experiment: int) -> list[str]:
    """Ids of the logged models of an experiment that are marked as brought from ``source``."""
    query = _imported(tag, source).join(logged_models, logged_models.c.id == logged_model_tags.c.model)
    return [row[0] for row in view.rows(query.where(logged_models.c.experiment == experiment))]


def count_imported(view: View, tag: str, source: str) -> tuple[int, int]:
    """How many logged models, and files of theirs, are marked as brought from ``source``."""
    brought = _imported(tag, source)
    inside = logged_model_artifacts.c.model.in_(brought)
    count = select(func.count())
    return (
        view.scalar(count.select_from(brought.subquery())),
        view.scalar(count.select_from(logged_model_artifacts).where(inside)),
    )


def _imported(tag: str, source: str) -> Select[Any]:
    c = logged_model_tags.c
    return select(c.model).where(c.key == tag, c.value == source)
