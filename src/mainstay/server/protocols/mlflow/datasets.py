# SPDX-License-Identifier: Apache-2.0
"""Evaluation sets, which MLflow calls datasets: their examples, tags and experiments."""

from __future__ import annotations

from typing import Any

import msgspec

from mainstay.lifecycle.tracking.evaluation import sets
from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow import wire_evaluation as words
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.store import Ingest, View

calls = Calls()

MOST_RESULTS = 1000
_V3 = ("3.0",)


class Create(wire.Request):
    name: str
    experiment_ids: list[str] = msgspec.field(default_factory=list)
    tags: str | None = None


class Search(wire.Request):
    experiment_ids: list[str] = msgspec.field(default_factory=list)
    filter_string: str | None = None
    max_results: int | None = None
    order_by: list[str] = msgspec.field(default_factory=list)
    page_token: str | None = None


class SetTags(wire.Request):
    tags: str


class PutRecords(wire.Request):
    records: str


class GetRecords(wire.Request):
    max_results: int | None = None
    page_token: str | None = None


class DeleteRecords(wire.Request):
    dataset_record_ids: list[str] = msgspec.field(default_factory=list)


class Experiments(wire.Request):
    experiment_ids: list[str] = msgspec.field(default_factory=list)


@calls.ingest("POST", "datasets/create", versions=_V3)
def create(ingest: Ingest, body: Create) -> Any:
    """Begin an evaluation set."""
    tags = words.tags(body.tags)
    numbers = [words.experiment(each) for each in body.experiment_ids]
    made = sets.create(ingest, name=body.name, experiments_of=numbers, tags=tags, by=tags.get(words.USER))
    return _told(ingest, made, with_experiments=True)


def _search(view: View, body: Search) -> Any:
    limit = MOST_RESULTS if body.max_results is None else body.max_results
    if not 1 <= limit <= MOST_RESULTS:
        raise wire.unusable("max_results", limit, f"from 1 to {MOST_RESULTS} are possible")
    offset = words.offset(body.page_token)
    found = sets.find(
        view,
        of_experiments=[words.experiment(each) for each in body.experiment_ids] or None,
        filter=words.filter(body.filter_string),
        order=words.order(body.order_by),
        offset=offset,
        limit=limit + 1,
    )
    token = {"next_page_token": words.token(offset + limit)} if len(found) > limit else {}
    return {"datasets": [words.evaluation_set(each) for each in found[:limit]]} | token


@calls.get("datasets/search", method="POST", versions=_V3)
def search(view: View, body: Search) -> Any:
    """Evaluation sets by a filter and in an order, in pages."""
    return _search(view, body)


@calls.get("datasets/search", versions=_V3)
def search_by_query(view: View, body: Search) -> Any:
    """The same, asked in the query."""
    return _search(view, body)


@calls.get("datasets/{dataset_id}", versions=_V3)
def get(view: View, dataset_id: str) -> Any:
    """One evaluation set, without its examples."""
    return _told(view, sets.get(view, dataset_id))


@calls.ingest("DELETE", "datasets/{dataset_id}", versions=_V3)
def delete(ingest: Ingest, dataset_id: str) -> Any:
    """Delete an evaluation set with its examples, if it is there."""
    sets.remove(ingest, dataset_id)


@calls.ingest("PATCH", "datasets/{dataset_id}/tags", versions=_V3)
def set_tags(ingest: Ingest, dataset_id: str, body: SetTags) -> Any:
    """Set tags; one without a value is passed over."""
    sets.tag(ingest, dataset_id, words.tags(body.tags))


@calls.ingest("DELETE", "datasets/{dataset_id}/tags/{key:path}", versions=_V3)
def delete_tag(ingest: Ingest, dataset_id: str, key: str) -> Any:
    """Take a tag away, if it is there."""
    sets.untag(ingest, dataset_id, key)


@calls.ingest("POST", "datasets/{dataset_id}/records", versions=_V3)
def put_records(ingest: Ingest, dataset_id: str, body: PutRecords) -> Any:
    """Add examples; those with the same inputs are merged."""
    new, merged = sets.merge(ingest, dataset_id, words.records(body.records))
    return {"inserted_count": new, "updated_count": merged}


@calls.get("datasets/{dataset_id}/records", versions=_V3)
def get_records(view: View, dataset_id: str, body: GetRecords) -> Any:
    """The examples of an evaluation set, in pages."""
    limit = min(body.max_results or MOST_RESULTS, MOST_RESULTS)
    found = sets.examples(view, dataset_id, after=body.page_token or None, limit=limit)
    token = {"next_page_token": found[-1].id} if len(found) == limit else {}
    return {"records": words.written([words.example(each) for each in found])} | token


@calls.ingest("DELETE", "datasets/{dataset_id}/records", versions=_V3)
def delete_records(ingest: Ingest, dataset_id: str, body: DeleteRecords) -> Any:
    """Delete examples."""
    return {"deleted_count": sets.remove_examples(ingest, dataset_id, body.dataset_record_ids)}


@calls.get("datasets/{dataset_id}/experiment-ids", versions=_V3)
def get_experiments(view: View, dataset_id: str) -> Any:
    """The experiments that an evaluation set belongs to."""
    return {"experiment_ids": [str(number) for number in sets.experiments_of(view, dataset_id)]}


@calls.ingest("POST", "datasets/{dataset_id}/add-experiments", versions=_V3)
def add_experiments(ingest: Ingest, dataset_id: str, body: Experiments) -> Any:
    """Let an evaluation set belong to further experiments."""
    numbers = [words.experiment(each) for each in body.experiment_ids]
    return _told(ingest, sets.add_to(ingest, dataset_id, numbers), with_experiments=True)


@calls.ingest("POST", "datasets/{dataset_id}/remove-experiments", versions=_V3)
def remove_experiments(ingest: Ingest, dataset_id: str, body: Experiments) -> Any:
    """Let an evaluation set no longer belong to experiments."""
    numbers = [words.experiment(each) for each in body.experiment_ids]
    return _told(ingest, sets.remove_from(ingest, dataset_id, numbers), with_experiments=True)


def _told(view: View, found: Any, *, with_experiments: bool = False) -> Any:
    numbers = sets.experiments_of(view, found.id) if with_experiments else []
    return {"dataset": words.evaluation_set(found, numbers)}
