# SPDX-License-Identifier: Apache-2.0
"""Where a model version comes from: MLflow's ``source`` addresses become pinned files, or stay a reference.

In: ``runs:/ID/path``, ``mlflow-artifacts:/…`` (what a client makes of a run's artifacts), ``models:/m-…`` (a logged model),
``models:/name/3`` (another version), or any other address. Out: the files by digest as they are at this moment, if the bytes
are here. A source must name what ``run_id`` and ``model_id`` name; one that leads to a disk is refused.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.registry import LONGEST_SOURCE, PROMPT, check_source
from mainstay.domain.search import Comparison
from mainstay.lifecycle.registry import aliases, folders, versions
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.store import View

_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]+:/", re.IGNORECASE)
_RUNS = re.compile(r"runs:/+(?P<run>[^/]+)(?:/(?P<path>.*))?")
_PROXIED = re.compile(r"mlflow-artifacts:/+(?P<experiment>[^/]+)/(?P<run>[^/]+)/artifacts(?:/(?P<path>.*))?")
_LOGGED = re.compile(r"models:/+(?P<model>m-[0-9a-f]{32})/?")
_PROXIED_MODEL = re.compile(r"mlflow-artifacts:/+[^/]+/models/(?P<model>[^/]+)/artifacts/?")
_VERSION = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<number>[^/]+)|@(?P<alias>[^/]+))/?")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a source leads to. ``files`` is None where the bytes are not here."""

    text: str
    run_id: str | None = None
    files: Mapping[str, str] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)


def find(view: View, source: str, *, run_id: str, model_id: str, run_link: str) -> Source:
    """What ``source`` leads to.

    Raises:
        Invalid: it leads to a disk, climbs, or names another run or model than the request.
    """
    _check(source)
    said = {"run_id": run_id, "model_id": model_id, "run_link": run_link}
    claims = {key: value for key, value in said.items() if value}
    if found := _LOGGED.fullmatch(source) or _PROXIED_MODEL.fullmatch(source):
        return _of_logged(view, source, found["model"], model_id, claims)
    if found := _RUNS.fullmatch(source) or _PROXIED.fullmatch(source):
        return _of_run(view, source, found["run"], found["path"] or "", run_id, claims)
    if found := _VERSION.fullmatch(source):
        return _of_version(view, source, found, claims)
    return Source(text=source, run_id=_known(view, run_id), claims=claims)


def _check(source: str) -> None:
    if len(source) > LONGEST_SOURCE:  # before it is decoded again and again
        raise _invalid(source, f"it has {len(source)} characters; at most {LONGEST_SOURCE} are possible.")
    plain = source
    while (unquoted := urllib.parse.unquote(plain)) != plain:
        plain = unquoted
    try:
        for spelling in (source, plain):
            check_source(spelling)
    except Invalid as error:
        is_local = not _SCHEME.match(source) or source.lower().startswith("file:")
        # The beginnings by which MLflow's clients and tests know the two refusals.
        known = (
            "To use a local path as a model version source, its files must be artifacts of a run"
            if is_local
            else "If supplying a source as an http, https, object store or mlflow-artifacts uri, name the place itself"
        )
        raise _invalid(source, f"{known}: {error.message}") from error


def _invalid(source: str, why: str) -> Invalid:
    return Invalid(f"Invalid model version source: '{source[:200]}'. {why}")


def _stranger(source: str, name: str) -> Invalid:
    return _invalid(source, f"The {name} request parameter must identify the resource that contains the source.")


def _of_run(view: View, source: str, named: str, path: str, run_id: str, claims: dict[str, str]) -> Source:
    there = _known(view, named)
    if run_id and run_id != named and (there or _known(view, run_id)):
        raise _stranger(source, "run_id")
    if there is None:
        return Source(text=source, claims=claims)
    try:
        files = folders.of_run(view, there, path)
    except NotFound:
        # Clients from 3.0 on keep a model's files beside the run, and still call the model by the run and its name there.
        made = _made_by(view, there, path)
        if made is not None:
            return _of_logged(view, source, made, "", claims)
        return Source(text=source, run_id=there, claims=claims)
    return Source(text=source, run_id=there, files=files, metrics=logs.of(view, there).metrics, claims=claims)


def _made_by(view: View, run: str, name: str) -> str | None:
    """The newest logged model of that name that a run made."""
    wanted = [Comparison("attribute", "run", "=", run), Comparison("attribute", "name", "=", name)]
    found = logged_models.find(view, experiments=[runs.get(view, run).experiment], comparisons=wanted, limit=1)
    return found.models[0].model.id if found.models else None


def _of_logged(view: View, source: str, named: str, model_id: str, claims: dict[str, str]) -> Source:
    if model_id and model_id != named:
        raise _stranger(source, "model_id")
    try:
        model = logged_models.get(view, named)
    except NotFound as error:
        raise _invalid(source, error.message) from error
    files = {artifact.path: artifact.digest for artifact in logged_models.artifacts_of(view, named)}
    run_id = _known(view, model.run or claims.get("run_id", ""))
    metrics = logged_models.metrics_of(view, named, run_id)
    told = {"model_id": named} | ({"run_id": model.run} if model.run else {})
    return Source(text=source, run_id=run_id, files=files or None, metrics=metrics, claims=told | claims)


def _of_version(view: View, source: str, found: re.Match[str], claims: dict[str, str]) -> Source:
    name = urllib.parse.unquote(found["name"])
    try:
        number = aliases.get(view, name, found["alias"]).version if found["alias"] else int(found["number"])
        copied = versions.get(view, name, number)
    except ValueError as error:
        raise _invalid(source, "models:/name/number is expected.") from error
    except NotFound as error:
        raise _invalid(source, error.message) from error
    if copied.format == PROMPT:
        raise _invalid(source, "Prompt versions cannot be used as model version sources.")
    inherited = {"run_id": copied.run_id or "", **copied.claims}
    for key in ("run_id", "model_id"):
        if claims.get(key) and claims[key] != inherited.get(key, ""):
            raise _invalid(source, f"The {key} request parameter must match the referenced model version.")
    inherited = {key: value for key, value in inherited.items() if value}
    return Source(
        text=f"models:/{name}/{number}",
        run_id=copied.run_id,
        files={name: file.digest for name, file in copied.files.items()} or None,
        metrics=copied.metrics,
        claims=inherited | claims,
    )


def _known(view: View, run_id: str) -> str | None:
    """The run's id, if there is such a run here."""
    try:
        return runs.get(view, run_id).id if run_id else None
    except NotFound:
        return None
