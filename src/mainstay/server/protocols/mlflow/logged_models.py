# SPDX-License-Identifier: Apache-2.0
"""Logged models, as clients from 3.0 on know them: without these, such a client logs no model at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mainstay.domain.errors import Invalid
from mainstay.domain.search import LISTS, Comparison, Order
from mainstay.domain.tracking import LONGEST_PARAM, LONGEST_TAG, LoggedModel, ModelMetric
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.server.protocols.mlflow import filters, wire
from mainstay.server.protocols.mlflow.artifacts import model_uri
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.protocols.mlflow.runs import metric
from mainstay.store import Ingest, View

calls = Calls()

MOST = 1_000
STATUS = {"pending": "LOGGED_MODEL_PENDING", "ready": "LOGGED_MODEL_READY", "failed": "LOGGED_MODEL_UPLOAD_FAILED"}
STATE = {word: state for state, word in STATUS.items()} | {"1": "pending", "2": "ready", "3": "failed"}
# A filter compares states by the short words that the client shows, too.
_SHORT = {"PENDING": "pending", "READY": "ready", "FAILED": "failed", **STATE}

GRAMMAR = filters.Grammar(
    attributes={
        "name": filters.text("name", lists=True),
        "model_id": filters.text("id", lists=True),
        "model_type": filters.text("kind", lists=True),
        "status": filters.Field("state", ("=", "!=", "IN", "NOT IN")),
        "source_run_id": filters.text("run", lists=True),
        "experiment_id": filters.Field("experiment", ("=", "!=", "IN", "NOT IN")),
        "creation_timestamp": filters.number("created_at", whole=True),
        "creation_timestamp_ms": filters.number("created_at", whole=True),
        "creation_time": filters.number("created_at", whole=True),
        "last_updated_timestamp": filters.number("updated_at", whole=True),
        "last_updated_timestamp_ms": filters.number("updated_at", whole=True),
    },
    keyed={
        "metrics": filters.number(),
        "params": filters.text(lists=True),
        "tags": filters.text(lists=True),
    },
    words={"metrics": "metrics", "params": "params", "tags": "tags", "attributes": "attribute"},
)


class Pair(msgspec.Struct):
    key: str
    value: str = ""


class CreateIn(wire.Request):
    experiment_id: str
    name: str | None = None
    model_type: str = ""
    source_run_id: str = ""
    params: list[Pair] = msgspec.field(default_factory=list)
    tags: list[Pair] = msgspec.field(default_factory=list)


class FinalizeIn(wire.Request):
    status: str | int


class ParamsIn(wire.Request):
    params: list[Pair] = msgspec.field(default_factory=list)


class TagsIn(wire.Request):
    tags: list[Pair] = msgspec.field(default_factory=list)


class GetIn(wire.Request):
    allow_deleted: bool = False


class Dataset(msgspec.Struct):
    dataset_name: str = ""
    dataset_digest: str | None = None


class OrderBy(msgspec.Struct):
    field_name: str
    ascending: bool = True
    dataset_name: str | None = None
    dataset_digest: str | None = None


class SearchIn(wire.Request):
    experiment_ids: list[str] = msgspec.field(default_factory=list)
    filter: str | None = None
    datasets: list[Dataset] = msgspec.field(default_factory=list)
    max_results: int | None = None
    order_by: list[OrderBy] = msgspec.field(default_factory=list)
    page_token: str | None = None


@calls.ingest("POST", "logged-models")
def create(ingest: Ingest, actor: str, body: CreateIn) -> dict[str, Any]:
    """Begin a model; its files come next."""
    new = logged_models.create(
        ingest,
        actor=actor,
        experiment=wire.number_of(body.experiment_id),
        name=body.name,
        kind=body.model_type,
        run=body.source_run_id,
        params={pair.key: pair.value[:LONGEST_PARAM] for pair in body.params},
        tags={pair.key: pair.value[:LONGEST_TAG] for pair in body.tags},
    )
    return {"model": _shown(ingest, new)}


@calls.get("logged-models/search", method="POST")
def search(view: View, body: SearchIn) -> dict[str, Any]:
    """Models of experiments by a filter, in an order; a metric may be bound to what it was measured on."""
    if not body.experiment_ids:
        raise wire.missing("experiment_ids")
    if any(not each.dataset_name for each in body.datasets):
        raise Invalid("`dataset_name` in the `datasets` clause must be specified.")
    found = logged_models.find(
        view,
        experiments=[wire.number_of(each) for each in body.experiment_ids],
        comparisons=[ours for comparison in GRAMMAR.comparisons(body.filter) for ours in _ours(comparison)],
        orders=[_order(each) for each in body.order_by],
        datasets=[(each.dataset_name, each.dataset_digest or None) for each in body.datasets],
        after=wire.place_of(body.page_token),
        limit=wire.page_size(body.max_results or None, default=100, most=MOST),
    )
    answer: dict[str, Any] = {"models": [_told(known) for known in found.models]}
    return answer | ({"next_page_token": wire.token_of(found.next)} if found.next else {})


@calls.get("logged-models/{model_id}")
def get(view: View, model_id: str, body: GetIn) -> dict[str, Any]:
    """One model with all that was said of it."""
    return {"model": _shown(view, logged_models.get(view, model_id, also_deleted=body.allow_deleted))}


@calls.ingest("PATCH", "logged-models/{model_id}")
def finalize(ingest: Ingest, model_id: str, body: FinalizeIn) -> dict[str, Any]:
    """Say whether all files arrived."""
    state = STATE.get(str(body.status))
    if state is None:
        raise wire.unusable("status", body.status, f"one of {', '.join(STATUS.values())} is expected.")
    return {"model": _shown(ingest, logged_models.finalize(ingest, model_id, state=state))}


@calls.ingest("DELETE", "logged-models/{model_id}")
def delete(ingest: Ingest, model_id: str) -> None:
    """Put a model away."""
    logged_models.delete(ingest, model_id)


@calls.ingest("POST", "logged-models/{model_id}/params")
def log_params(ingest: Ingest, model_id: str, body: ParamsIn) -> None:
    """Keep parameters of a model."""
    logged_models.put_params(ingest, model_id, {pair.key: pair.value[:LONGEST_PARAM] for pair in body.params})


@calls.ingest("PATCH", "logged-models/{model_id}/tags")
def set_tags(ingest: Ingest, model_id: str, body: TagsIn) -> dict[str, Any]:
    """Set tags of a model."""
    logged_models.put_tags(ingest, model_id, {pair.key: pair.value[:LONGEST_TAG] for pair in body.tags})
    return {"model": _shown(ingest, logged_models.get(ingest, model_id))}


@calls.ingest("DELETE", "logged-models/{model_id}/tags/{tag_key:path}")
def delete_tag(ingest: Ingest, model_id: str, tag_key: str) -> None:
    """Forget a tag of a model."""
    logged_models.remove_tag(ingest, model_id, tag_key)


def _shown(view: View, model: LoggedModel) -> dict[str, Any]:
    return _told(logged_models.known(view, [model])[0])


def _told(known: logged_models.Known) -> dict[str, Any]:
    """A logged model in MLflow's words."""
    model = known.model
    info: dict[str, Any] = {
        "model_id": model.id,
        "experiment_id": str(model.experiment),
        "name": model.name,
        "creation_timestamp_ms": wire.millis(model.created_at),
        "last_updated_timestamp_ms": wire.millis(model.updated_at),
        "artifact_uri": model_uri(model.experiment, model.id),
        "status": STATUS[model.state],
        "model_type": model.kind,
        "source_run_id": model.run or "",
        "tags": _pairs(known.tags),
    }
    metrics = [
        metric(one.key, (one.step, one.at, one.value), model_id=model.id, run_id=one.run, **_measured_on(one))
        for one in known.metrics
    ]
    return {"info": info, "data": {"params": _pairs(known.params), "metrics": metrics}}


def _measured_on(one: ModelMetric) -> dict[str, str]:
    said = {"dataset_name": one.dataset_name, "dataset_digest": one.dataset_digest}
    return {name: value for name, value in said.items() if value is not None}


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _order(wanted: OrderBy) -> logged_models.MetricOrder:
    kind, key, _ = GRAMMAR.named(wanted.field_name)
    if wanted.dataset_digest and not wanted.dataset_name:
        raise Invalid("`dataset_digest` can only be specified if `dataset_name` is also specified; send both.")
    return logged_models.MetricOrder(Order(kind, key, not wanted.ascending), wanted.dataset_name, wanted.dataset_digest)


def _ours(comparison: Comparison) -> Sequence[Comparison]:
    """MLflow's words for states, experiments and times in ours."""
    kind, key, operator, value = comparison
    if kind != "attribute":
        return [comparison]
    if key in ("created_at", "updated_at"):
        return wire.in_micros(comparison)
    if key not in ("state", "experiment"):
        return [comparison]
    given = value if operator in LISTS else [value]
    ours = [_state(each) if key == "state" else wire.number_of(each) for each in given]
    return [comparison._replace(value=ours if operator in LISTS else ours[0])]


def _state(word: Any) -> str:
    found = _SHORT.get(str(word).upper())
    if found is None:
        raise Invalid(
            f"Invalid value {str(word)[:80]!r} for attribute 'status'; one of PENDING, READY, FAILED is expected."
        )
    return found
