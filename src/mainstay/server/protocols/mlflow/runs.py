# SPDX-License-Identifier: Apache-2.0
"""Runs, as MLflow's clients know them: begun, updated, put away, tagged, read and searched.

MLflow's FINISHED is our succeeded; a run that goes on after its end is reopened, and one that ends again closes its record anew.
The tags ``mlflow.runName`` and ``mlflow.parentRunId`` are the run's name and its parent in another place: both are kept alike.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import msgspec
import numpy as np

from mainstay.domain.errors import Invalid
from mainstay.domain.search import Comparison
from mainstay.domain.tracking import LONGEST_TAG, MOST_TAGS, Run, SeenDataset
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.tracking.lineage import links
from mainstay.lifecycle.tracking.metrics.points import Points, Reading
from mainstay.lifecycle.tracking.search import pages
from mainstay.server.protocols.mlflow import filters, wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.protocols.mlflow.experiments import location
from mainstay.server.protocols.mlflow.wire import number
from mainstay.store import Change, Ingest, Store, View

calls = Calls()

MOST = 50_000
NAME, PARENT, USER, CONTEXT = "mlflow.runName", "mlflow.parentRunId", "mlflow.user", "mlflow.data.context"
HISTORY = "mlflow.log-model.history"

STATUS = {
    "scheduled": "SCHEDULED",
    "running": "RUNNING",
    "succeeded": "FINISHED",
    "cached": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}
STATE = {
    "SCHEDULED": "scheduled", "RUNNING": "running", "FINISHED": "succeeded", "FAILED": "failed", "KILLED": "killed",
    "2": "scheduled", "1": "running", "3": "succeeded", "4": "failed", "5": "killed",
}  # fmt: skip

GRAMMAR = filters.Grammar(
    attributes={
        "run_id": filters.text("id", lists=True),
        "run_name": filters.text("name", lists=True),
        "run name": filters.text("name", lists=True),
        "Run name": filters.text("name", lists=True),
        "Run Name": filters.text("name", lists=True),
        "status": filters.text("state", lists=True),
        "user_id": filters.text("user", lists=True),
        "artifact_uri": filters.text("artifact_uri", lists=True, sortable=False),
        "start_time": filters.number("started_at", whole=True),
        "created": filters.number("started_at", whole=True),
        "Created": filters.number("started_at", whole=True),
        "end_time": filters.number("ended_at", whole=True),
    },
    keyed={
        "metrics": filters.number(),
        "params": filters.text(absent=True),
        "tags": filters.text(absent=True),
    },
    sets={
        "datasets": {
            "name": filters.text("name", lists=True),
            "digest": filters.text("digest", lists=True),
            "context": filters.text("context", lists=True),
        }
    },
    words={
        "metric": "metrics", "metrics": "metrics",
        "param": "params", "params": "params", "parameter": "params", "parameters": "params",
        "tag": "tags", "tags": "tags",
        "attribute": "attribute", "attributes": "attribute", "attr": "attribute", "run": "attribute",
        "dataset": "datasets", "datasets": "datasets",
    },
)  # fmt: skip


class Tag(msgspec.Struct):
    key: str
    value: str = ""


class CreateIn(wire.Request):
    experiment_id: str = "0"
    user_id: str = ""
    run_name: str = ""
    start_time: int | None = None
    tags: list[Tag] = msgspec.field(default_factory=list)


class RunIn(wire.Request):
    """Names a run by its id, or by the older name of that field."""

    run_id: str | None = None
    run_uuid: str | None = None

    @property
    def run(self) -> str:
        found = self.run_id or self.run_uuid
        if not found:
            raise wire.missing("run_id")
        return found


class UpdateIn(RunIn, kw_only=True):
    status: str | int | None = None
    end_time: int | None = None
    run_name: str | None = None


class KeyIn(RunIn, kw_only=True):
    key: str


class SetIn(RunIn, kw_only=True):
    key: str
    value: str = ""


class SearchIn(wire.Request):
    experiment_ids: list[str] = msgspec.field(default_factory=list)
    filter: str | None = None
    run_view_type: str | int | None = None
    max_results: int | None = None
    order_by: list[str] = msgspec.field(default_factory=list)
    page_token: str | None = None


class HistoryIn(RunIn, kw_only=True):
    model_json: str


@calls.post("POST", "runs/create")
def create(change: Change, body: CreateIn) -> dict[str, Any]:
    """Begin a run."""
    tags = {tag.key: tag.value[:LONGEST_TAG] for tag in body.tags}
    for key in tags:
        wire.checked_name(key, "key")
    if body.run_name and tags.get(NAME, body.run_name) != body.run_name:
        raise Invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{body.run_name[:200]}', mlflow.runName='{tags[NAME][:200]}')."
        )
    run = runs.start(
        change,
        name=body.run_name or tags.get(NAME) or None,
        experiment=wire.number_of(body.experiment_id or "0"),
        started_at=wire.moment(body.start_time),
        claimed_by=body.user_id or tags.get(USER) or None,
    )
    tags[NAME] = run.name
    several = list(tags.items())
    for first in range(0, len(several), MOST_TAGS):
        logs.put_tags(change, run.id, logs.must_be(change, run.id), dict(several[first : first + MOST_TAGS]))
    if PARENT in tags:
        runs.adopt(change, run.id, tags[PARENT])
    return {"run": shown(change, [run])[0]}


@calls.own("POST", "runs/update")
def update(store: Store, actor: str, body: UpdateIn) -> dict[str, Any]:
    """Say how a run stands, when it ended, or what it is called."""
    wanted = None
    if body.status is not None:
        wanted = STATE.get(str(body.status).upper())
        if wanted is None:
            raise wire.unusable("status", body.status, f"one of {', '.join(sorted(set(STATUS.values())))} is expected.")
    with store.view() as view:
        run = runs.get_active(view, body.run)
    if wanted is not None and (wanted != run.state or run.amended_at is not None):
        with store.change(actor=actor) as change:
            _move(change, runs.get_active(change, body.run), wanted, body.end_time)
    with store.ingest() as ingest:
        if body.end_time:
            runs.correct(ingest, body.run, ended_at=wire.moment(body.end_time) or ingest.now())
        if body.run_name:
            _rename(ingest, body.run, body.run_name)
        return {"run_info": _info(runs.get(ingest, body.run))}


def _move(change: Change, run: Run, wanted: str, end_time: int | None) -> None:
    if wanted == run.state:
        runs.close(change, run.id)
        return
    if run.state in runs.ENDS or wanted == "running":
        runs.reopen(change, run.id)
    if wanted in runs.ENDS:
        runs.finish(change, run.id, state=wanted, ended_at=wire.moment(end_time))
    elif wanted == "scheduled":
        runs.schedule(change, run.id)


@calls.post("POST", "runs/delete")
def delete(change: Change, body: RunIn) -> None:
    """Put a run away."""
    runs.delete(change, body.run)


@calls.post("POST", "runs/restore")
def restore(change: Change, body: RunIn) -> None:
    """Bring a run back."""
    runs.restore(change, body.run)


@calls.get("runs/get")
def get(view: View, body: RunIn) -> dict[str, Any]:
    """One run with all that is known of it."""
    return {"run": shown(view, [runs.get(view, body.run)])[0]}


@calls.get("runs/search", method="POST")
def search_runs(view: View, body: SearchIn) -> dict[str, Any]:
    """Runs of experiments by a filter, in an order."""
    found = pages.find(
        view,
        experiments_in=[wire.number_of(each) for each in body.experiment_ids],
        comparisons=[ours for comparison in GRAMMAR.comparisons(body.filter) for ours in _ours(comparison)],
        orders=GRAMMAR.orders(body.order_by),
        deleted=wire.deleted(body.run_view_type),
        after=wire.place_of(body.page_token),
        limit=wire.page_size(body.max_results, default=1000, most=MOST),
    )
    answer: dict[str, Any] = {"runs": shown(view, found.runs)}
    return answer | ({"next_page_token": wire.token_of(found.next)} if found.next else {})


@calls.ingest("POST", "runs/set-tag")
def set_tag(ingest: Ingest, body: SetIn) -> None:
    """Set a tag."""
    wire.checked_name(body.key, "key")
    put_tags(ingest, body.run, {body.key: body.value})


@calls.ingest("POST", "runs/delete-tag")
def delete_tag(ingest: Ingest, body: KeyIn) -> None:
    """Forget a tag."""
    logs.remove_tag(ingest, body.run, body.key)


@calls.ingest("POST", "runs/log-model")
def log_model(ingest: Ingest, body: HistoryIn) -> None:
    """What clients before 3.0 say of a model: one more entry of a tag."""
    try:
        model = msgspec.json.decode(body.model_json)
    except msgspec.DecodeError as error:
        raise Invalid(f"Malformed model info. \n {body.model_json[:200]} \n is not a valid JSON.") from error
    missing = {"artifact_path", "flavors", "utc_time_created", "run_id"} - set(model if isinstance(model, dict) else ())
    if missing:
        raise Invalid(f"Model json is missing mandatory fields: {sorted(missing)}")
    footing = logs.must_be(ingest, body.run)
    before = logs.of(ingest, body.run).tags.get(HISTORY, "[]")
    entry = {key: value for key, value in model.items() if key != "signature"}
    value = msgspec.json.encode([*msgspec.json.decode(before), entry]).decode()
    logs.put_tags(ingest, body.run, footing, {HISTORY: value})


def put_tags(ingest: Ingest, run: str, tags: dict[str, str]) -> None:
    """Set tags; two of them mean something to us."""
    footing = logs.must_be(ingest, run)
    logs.put_tags(ingest, run, footing, {key: value[:LONGEST_TAG] for key, value in tags.items()})
    if tags.get(NAME):
        runs.rename(ingest, run, tags[NAME])
    if PARENT in tags:
        runs.adopt(ingest, run, tags[PARENT])


def _rename(ingest: Ingest, run: str, name: str) -> None:
    runs.rename(ingest, run, name)
    logs.put_tags(ingest, run, logs.must_be(ingest, run), {NAME: name})


def artifact_uri(run: Run) -> str:
    """Where a run's files lie, in MLflow's words."""
    return f"{location(run.experiment)}/{run.id}/artifacts"


def shown(view: View, found: Sequence[Run]) -> list[dict[str, Any]]:
    """Runs in MLflow's words, with all that they logged, read and made; a fixed number of queries for any number of runs."""
    identities = [run.id for run in found]
    said = logs.said_by_runs(view, identities)
    latest = logs.latest_of_runs(view, identities)
    linked = links.of_runs(view, identities)
    seen = links.datasets_of(
        view, [run for run, several in linked.items() if any(link.kind == "dataset" for link in several)]
    )
    return [
        {
            "info": _info(run),
            "data": {
                "metrics": [
                    MetricOut(key, number(value), at // 1000, step) for key, (step, at, value) in latest[run.id].items()
                ],
                "params": [Pair(key, wire.plain_text(value)) for key, value in said[run.id][0].items()],
                "tags": [Pair(key, value) for key, value in _tags(run, said[run.id][1]).items()],
            },
            "inputs": {
                "dataset_inputs": [
                    {
                        "tags": [{"key": key, "value": value} for key, value in (link.tags or {}).items()],
                        "dataset": _dataset(seen[run.experiment, link.name, link.ref]),
                    }
                    for link in linked[run.id]
                    if link.kind == "dataset"
                ],
                "model_inputs": [
                    {"model_id": link.ref}
                    for link in linked[run.id]
                    if link.kind == "logged_model" and link.way == "in"
                ],
            },
            "outputs": {
                "model_outputs": [
                    {"model_id": link.ref, "step": link.step or 0}
                    for link in linked[run.id]
                    if link.kind == "logged_model" and link.way == "out"
                ]
            },
        }
        for run in found
    ]


class Pair(msgspec.Struct, gc=False):
    """A parameter or a tag in MLflow's words."""

    key: str
    value: str


class MetricOut(msgspec.Struct, gc=False):
    """One reading of a metric in MLflow's words."""

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str | msgspec.UnsetType = msgspec.UNSET


def told(key: str, points: Points, run: str | msgspec.UnsetType = msgspec.UNSET) -> list[MetricOut]:
    """Points of a metric in MLflow's words. There may be a hundred thousand, so each costs one object and no more."""
    values: list[Any] = points.values.tolist()
    if not np.isfinite(points.values).all():
        values = [number(value) for value in values]
    times = (points.at // 1000).tolist()
    return list(map(MetricOut, repeat(key), values, times, points.steps.tolist(), repeat(run)))


def metric(key: str, reading: Reading, **more: Any) -> dict[str, Any]:
    """One reading of a metric in MLflow's words."""
    step, at, value = reading
    return {
        "key": key,
        "value": number(value),
        "timestamp": at // 1000,
        "step": step,
        **more,
    }


def _info(run: Run) -> dict[str, Any]:
    ended = {"end_time": wire.millis(run.ended_at)} if run.ended_at else {}
    return {
        "run_uuid": run.id,
        "run_id": run.id,
        "run_name": run.name,
        "experiment_id": str(run.experiment),
        "user_id": run.claimed_by or run.actor,
        "status": STATUS[run.state],
        "start_time": wire.millis(run.started_at),
        **ended,
        "artifact_uri": artifact_uri(run),
        "lifecycle_stage": "deleted" if run.deleted_at else "active",
    }


def _tags(run: Run, tags: dict[str, str]) -> dict[str, str]:
    """A run of our own says the same as one of MLflow's."""
    own = {NAME: run.name} | ({PARENT: run.parent} if run.parent else {})
    return own | tags


def _dataset(seen: SeenDataset) -> dict[str, Any]:
    facts = {"name": seen.name, "digest": seen.digest, "source_type": seen.source_type, "source": seen.source}
    return facts | {name: value for name in ("schema", "profile") if (value := getattr(seen, name)) is not None}


def _ours(comparison: Comparison) -> list[Comparison]:
    """MLflow's words for states, times and places in ours."""
    kind, key, operator_, value = comparison
    if kind != "attribute":
        return [comparison]
    if key in ("started_at", "ended_at"):
        return wire.in_micros(comparison)
    if key == "state":
        meant = [state for state, status in STATUS.items() if _MEANINGS[operator_](status, value)]
        return [Comparison("attribute", "state", "IN", meant)]
    if key == "artifact_uri":
        if operator_ in ("LIKE", "ILIKE"):
            raise Invalid(
                f"Invalid comparator '{operator_}' for 'artifact_uri'; compare it by =, != or IN, or ask for a run_id."
            )
        given = [value] if isinstance(value, str) else value
        ids = [found["run"] if (found := _PLACE.fullmatch(each)) else "" for each in given]
        return [Comparison("attribute", "id", operator_, ids[0] if isinstance(value, str) else ids)]
    return [comparison]


def _like(text: str, pattern: str, flags: int = 0) -> bool:
    parts = re.split("([%_])", pattern)
    meaning = "".join({"%": ".*", "_": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(meaning, text, flags | re.DOTALL) is not None


_PLACE = re.compile(r"mlflow-artifacts:/[0-9]+/(?P<run>\w+)/artifacts/?")
_MEANINGS: dict[str, Callable[[str, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "LIKE": _like,
    "ILIKE": lambda text, pattern: _like(text, pattern, re.IGNORECASE),
    "IN": lambda text, values: text in values,
    "NOT IN": lambda text, values: text not in values,
}
