# SPDX-License-Identifier: Apache-2.0
"""Experiments, as MLflow's clients know them: an id is our number as a text, and files lie where the server says."""

from __future__ import annotations

from typing import Any

import msgspec

from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.search import Comparison
from mainstay.domain.tracking import Experiment
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.lineage import links
from mainstay.server.protocols.mlflow import filters, wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.store import Change, Ingest, View

calls = Calls()

MOST = 50_000
MOST_IN_DATASETS = 20
MOST_DATASETS = 1_000

GRAMMAR = filters.Grammar(
    attributes={
        "name": filters.text("name"),
        "experiment_id": filters.Field("id", ("=", "!=", "IN", "NOT IN")),
        "creation_time": filters.number("created_at", whole=True),
        "last_update_time": filters.number("updated_at", whole=True),
    },
    keyed={"tags": filters.text(absent=True, sortable=False)},
    words={"attribute": "attribute", "attributes": "attribute", "attr": "attribute", "tag": "tags", "tags": "tags"},
)


class Tag(msgspec.Struct):
    key: str
    value: str = ""


class CreateIn(wire.Request):
    name: str
    artifact_location: str = ""
    tags: list[Tag] = msgspec.field(default_factory=list)


class IdIn(wire.Request):
    experiment_id: str


class NameIn(wire.Request):
    experiment_name: str


class RenameIn(wire.Request):
    experiment_id: str
    new_name: str


class TagIn(wire.Request):
    experiment_id: str
    key: str
    value: str = ""


class KeyIn(wire.Request):
    experiment_id: str
    key: str


class SearchIn(wire.Request):
    max_results: int | None = None
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] = msgspec.field(default_factory=list)
    view_type: str | int | None = None


class DatasetsIn(wire.Request):
    experiment_ids: list[str] = msgspec.field(default_factory=list)


@calls.post("POST", "experiments/create")
def create(change: Change, body: CreateIn) -> dict[str, str]:
    """Name a question."""
    try:
        new = experiments.create(change, name=body.name, tags={tag.key: tag.value for tag in body.tags})
    except Conflict as error:
        raise wire.Refused(
            "RESOURCE_ALREADY_EXISTS", f"Experiment(name={body.name}) already exists. {error.message}"
        ) from None
    if body.artifact_location.rstrip("/") not in ("", location(new.id)):
        raise wire.unusable(
            "artifact_location",
            body.artifact_location,
            "a client cannot choose where files are kept; leave it out, and they are kept with the workspace.",
        )
    return {"experiment_id": str(new.id)}


@calls.get("experiments/get")
def get(view: View, body: IdIn) -> dict[str, Any]:
    """One experiment, also when it is deleted."""
    return {"experiment": shown(view, [experiments.get(view, wire.number_of(body.experiment_id))])[0]}


@calls.get("experiments/get-by-name")
def get_by_name(view: View, body: NameIn) -> dict[str, Any]:
    """One experiment, by its name, also when it is deleted."""
    return {"experiment": shown(view, [experiments.named(view, body.experiment_name)])[0]}


@calls.get("experiments/search", method="POST")
def search(view: View, body: SearchIn) -> dict[str, Any]:
    """Experiments by a filter, in an order."""
    found = experiments.find(
        view,
        comparisons=[ours for comparison in GRAMMAR.comparisons(body.filter) for ours in _ours(comparison)],
        orders=GRAMMAR.orders(body.order_by),
        deleted=wire.deleted(body.view_type),
        after=wire.place_of(body.page_token),
        limit=wire.page_size(body.max_results, default=1000, most=MOST),
    )
    answer: dict[str, Any] = {"experiments": shown(view, found.experiments)}
    return answer | ({"next_page_token": wire.token_of(found.next)} if found.next else {})


calls.get("experiments/search")(search)


@calls.post("POST", "experiments/update")
def update(change: Change, body: RenameIn) -> None:
    """Give an experiment another name."""
    try:
        experiments.rename(change, wire.number_of(body.experiment_id), name=body.new_name)
    except Conflict as error:
        raise wire.Refused("RESOURCE_ALREADY_EXISTS", error.message) from None


@calls.post("POST", "experiments/delete")
def delete(change: Change, body: IdIn) -> None:
    """Put an experiment away, with its runs."""
    experiments.delete(change, wire.number_of(body.experiment_id))


@calls.post("POST", "experiments/restore")
def restore(change: Change, body: IdIn) -> None:
    """Bring an experiment back, with the runs that were put away with it."""
    experiments.restore(change, wire.number_of(body.experiment_id))


@calls.ingest("POST", "experiments/set-experiment-tag")
def set_tag(ingest: Ingest, body: TagIn) -> None:
    """Set a tag."""
    wire.checked_name(body.key, "key")
    experiments.put_tags(ingest, wire.number_of(body.experiment_id), {body.key: body.value})


@calls.ingest("POST", "experiments/delete-experiment-tag")
def delete_tag(ingest: Ingest, body: KeyIn) -> None:
    """Forget a tag."""
    experiments.remove_tag(ingest, wire.number_of(body.experiment_id), body.key)


@calls.get("experiments/search-datasets", method="POST")
def search_datasets(view: View, body: DatasetsIn) -> dict[str, Any]:
    """The datasets that runs of experiments read, for a page's list of suggestions."""
    if not body.experiment_ids:
        raise Invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(body.experiment_ids) > MOST_IN_DATASETS:
        raise Invalid(
            f"SearchDatasets request cannot specify more than {MOST_IN_DATASETS} experiment_ids. "
            f"Received {len(body.experiment_ids)} experiment_ids."
        )
    found = links.datasets_in(view, [wire.number_of(each) for each in body.experiment_ids], limit=MOST_DATASETS)
    return {
        "dataset_summaries": [
            {"experiment_id": str(experiment), "name": name, "digest": digest}
            | ({"context": context} if context else {})
            for experiment, name, digest, context in found
        ]
    }


def location(experiment: int) -> str:
    """Where an experiment's files lie, in MLflow's words."""
    return f"mlflow-artifacts:/{experiment}"


def shown(view: View, found: list[Experiment]) -> list[dict[str, Any]]:
    """Experiments in MLflow's words."""
    tags = experiments.tags(view, [each.id for each in found])
    return [
        {
            "experiment_id": str(each.id),
            "name": each.name,
            "artifact_location": location(each.id),
            "lifecycle_stage": "deleted" if each.deleted_at else "active",
            "last_update_time": wire.millis(each.updated_at),
            "creation_time": wire.millis(each.created_at),
            "tags": [{"key": key, "value": value} for key, value in tags[each.id].items()],
        }
        for each in found
    ]


def _ours(comparison: Comparison) -> list[Comparison]:
    if comparison.kind != "attribute":
        return [comparison]
    if comparison.key == "id":
        ids = comparison.value
        numbers = wire.number_of(ids) if isinstance(ids, str) else [wire.number_of(each) for each in ids]
        return [comparison._replace(value=numbers)]
    return wire.in_micros(comparison) if comparison.key.endswith("_at") else [comparison]
