# SPDX-License-Identifier: Apache-2.0
"""Logged models: a model as a run left it, before anybody registers a version of it.

In: a name, parameters, files, and what was measured. Out: a `LoggedModel` with an id of its own, ``m-`` and 32 hexadecimal
digits. It is pending while its files arrive, then ready or failed. Telemetry, like all that a run leaves; what is governed
begins with a version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mainstay.domain import ids
from mainstay.domain.errors import Conflict, Invalid, NotFound, TooLarge
from mainstay.domain.search import Comparison, Order
from mainstay.domain.tracking import (
    LOGGED_MODEL_STATES,
    LONGEST_NAME,
    LONGEST_PARAM,
    LONGEST_TAG,
    Artifact,
    LoggedModel,
    ModelMetric,
    check_key,
    unknown_logged_model,
)
from mainstay.lifecycle.tracking import experiments, logs, naming
from mainstay.lifecycle.tracking.logged_models import tables
from mainstay.store import Ingest, View, files

#: What a registered name could not have either: they separate the parts of an address.
_SEPARATORS = frozenset("/:.%\"'")


class Known(NamedTuple):
    """A logged model with all that was said of it."""

    model: LoggedModel
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[ModelMetric]


class MetricOrder(NamedTuple):
    """A term of an order; a metric's may ask for what was measured on one dataset."""

    order: Order
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Page(NamedTuple):
    """Logged models in order; ``next`` is the place behind which the following page begins, None where this is the last."""

    models: list[Known]
    next: list[Any] | None


def create(
    ingest: Ingest,
    *,
    actor: str,
    experiment: int,
    name: str | None = None,
    kind: str = "",
    run: str | None = None,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> LoggedModel:
    """Begin a model; its files come next.

    Raises:
        NotFound: no such experiment. Invalid: the experiment is put away, or the name or a key is not usable. TooLarge.
    """
    _check_name(name)
    experiments.get_active(ingest, experiment)
    now = ingest.now()
    new = LoggedModel(
        id=f"m-{ids.uuid7()}",
        experiment=experiment,
        name=name or naming.made_up(),
        kind=kind,
        state="pending",
        run=run or None,
        actor=actor,
        created_at=now,
        updated_at=now,
    )
    tables.put_logged_model(ingest, new)
    put_params(ingest, new.id, params or {})
    put_tags(ingest, new.id, tags or {})
    return new


def put_measured(ingest: Ingest, measured: Sequence[ModelMetric]) -> None:
    """Keep which points of a run were measured of a logged model, or on a dataset."""
    tables.put_model_metrics(ingest, measured)


def finalize(ingest: Ingest, identity: str, *, state: str) -> LoggedModel:
    """Say whether all files arrived.

    Raises:
        NotFound: no such model. Invalid: another state.
    """
    if state not in LOGGED_MODEL_STATES:
        raise Invalid(f"a logged model cannot be {state!r}; it can be {', '.join(LOGGED_MODEL_STATES)}.")
    get(ingest, identity)
    tables.set_logged_model(ingest, identity, state=state, updated_at=ingest.now())
    return get(ingest, identity)


def delete(ingest: Ingest, identity: str) -> None:
    """Put a model away; its files stay, for a version may be made of them.

    Raises:
        NotFound: no such model.
    """
    get(ingest, identity)
    now = ingest.now()
    tables.set_logged_model(ingest, identity, deleted_at=now, updated_at=now)


def put_params(ingest: Ingest, identity: str, params: Mapping[str, str]) -> None:
    """Keep parameters that are new.

    Raises:
        NotFound: no such model. Conflict: one has another value already. Invalid, TooLarge.
    """
    get(ingest, identity)
    before = tables.logged_model_values(ingest, "params", [identity])[identity]
    for key, value in params.items():
        check_key("parameter", key)
        _check_length(f"parameter {key!r}", value, LONGEST_PARAM)
        if before.get(key, value) != value:
            raise Conflict(
                f"logged model {identity} has parameter {key!r} = {before[key]!r} and cannot have {value!r} too."
            )
    if new := {key: value for key, value in params.items() if key not in before}:
        tables.put_logged_model_values(ingest, "params", identity, new)


def put_tags(ingest: Ingest, identity: str, tags: Mapping[str, str]) -> None:
    """Set tags; a tag that is there already takes the new value.

    Raises:
        NotFound: no such model. Invalid, TooLarge.
    """
    get(ingest, identity)
    for key, value in tags.items():
        check_key("tag", key)
        _check_length(f"tag {key!r}", value, LONGEST_TAG)
    if tags:
        tables.put_logged_model_values(ingest, "tags", identity, tags)


def remove_tag(ingest: Ingest, identity: str, key: str) -> None:
    """Forget a tag.

    Raises:
        NotFound: no such model, or no such tag.
    """
    get(ingest, identity)
    if not tables.remove_logged_model_tag(ingest, identity, key):
        raise NotFound(f"No tag with key {key[:80]!r} found for model with ID {identity!r}; look at the tags it has.")


def add_artifact(ingest: Ingest, identity: str, artifact: Artifact) -> Artifact:
    """Name a blob as a file of the model; the same path again means the newer bytes.

    Raises:
        NotFound: no such model or blob. Invalid: an unusable path, or another size than said.
    """
    get(ingest, identity)
    logs.check_artifact(ingest, artifact)
    files.put(ingest, tables.logged_model_artifacts, identity, artifact)
    return artifact


def remove_artifacts(ingest: Ingest, identity: str, path: str) -> int:
    """Forget a file of the model, or every file below a folder; how many.

    Raises:
        NotFound: no such model.
    """
    get(ingest, identity)
    return files.remove(ingest, tables.logged_model_artifacts, identity, path)


def get(view: View, identity: str, *, also_deleted: bool = False) -> LoggedModel:
    """One logged model.

    Raises:
        NotFound: there is none of that id, or it is put away.
    """
    found = tables.logged_model(view, identity)
    if found is None or (found.deleted_at is not None and not also_deleted):
        raise unknown_logged_model(identity)
    return found


def known(view: View, models: Sequence[LoggedModel]) -> list[Known]:
    """All that was said of these models, in three queries."""
    identities = [model.id for model in models]
    params, tags = (tables.logged_model_values(view, what, identities) for what in ("params", "tags"))
    metrics = tables.model_metrics(view, identities)
    return [Known(model, params[model.id], tags[model.id], metrics[model.id]) for model in models]


def artifacts_of(view: View, identity: str, *, below: str = "") -> list[Artifact]:
    """The files of a model, by path; ``below``: only those in a folder, which ends in ``/``."""
    return files.listed(view, tables.logged_model_artifacts, identity, below=below)


def artifact_of(view: View, identity: str, path: str) -> Artifact | None:
    """One file of a model."""
    return files.found(view, tables.logged_model_artifacts, identity, path)


def metrics_of(view: View, identity: str, run: str | None) -> dict[str, float]:
    """The last number of each metric of a model and of the run that made it.

    A run may measure several models, so what was measured of this one comes first; unless the run went on to a later step:
    a client that learns the model's id only at the end names the model with the first of many readings.
    """
    readings = logs.latest_of_runs(view, [run])[run] if run else {}
    steps = {key: (step, value) for key, (step, _, value) in readings.items()}
    for one in tables.model_metrics(view, [identity])[identity]:  # in the order of steps
        if one.step >= steps.get(one.key, (one.step, None))[0]:
            steps[one.key] = (one.step, one.value)
    return {key: value for key, (_, value) in steps.items() if value is not None}


def find(
    view: View,
    *,
    experiments: Sequence[int],
    comparisons: Sequence[Comparison] = (),
    orders: Sequence[MetricOrder] = (),
    datasets: Sequence[tuple[str, str | None]] = (),
    after: Sequence[Any] | None = None,
    limit: int = 100,
) -> Page:
    """Logged models that meet every condition, in order; by default the newest first.

    ``datasets``: names, each with a digest or None, of which one must be what a compared metric was measured on.
    """
    found = tables.find_logged_models(
        view, experiments, comparisons, orders, datasets=datasets, after=after, limit=limit + 1
    )
    page = found[:limit]
    return Page(known(view, [model for _, model in page]), page[-1][0] if page and len(found) > limit else None)


def _check_name(name: str | None) -> None:
    if not name:
        return
    if _SEPARATORS & set(name):
        raise Invalid(
            f"Invalid model name ({name[:80]!r}): Model name must be a non-empty string and cannot contain the following "
            "characters: ('/', ':', '.', '%', '\"', \"'\"). Choose another."
        )
    _check_length("the name of a logged model", name, LONGEST_NAME)


def _check_length(what: str, value: str, most: int) -> None:
    if len(value) > most:
        raise TooLarge(f"{what} has {len(value)} characters; at most {most} are kept. Log an artifact.")
