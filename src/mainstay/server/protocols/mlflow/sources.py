# SPDX-License-Identifier: Apache-2.0
"""Where a model version comes from: MLflow's ``source`` addresses become pinned files, or stay a reference.

In: ``runs:/ID/path``, ``models:/m-…`` (a logged model), ``mlflow-artifacts:/…`` (what a client makes of either),
``models:/name/3`` (another version), or any other address. Out: the files by digest as they are at this moment, if the bytes
are here. A source must name what ``run_id`` and ``model_id`` name; one that leads to a disk is refused.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.registry import Version, check_source
from mainstay.domain.search import Comparison
from mainstay.lifecycle.registry import aliases, folders, versions
from mainstay.lifecycle.tracking import logged_models, logs, runs
from mainstay.store import View

_RUNS = re.compile(r"runs:/+(?P<run>[^/]+)(?:/(?P<path>.*))?")
_PROXIED = re.compile(r"mlflow-artifacts:/+(?P<experiment>[^/]+)/(?P<run>[^/]+)/artifacts(?:/(?P<path>.*))?")
_LOGGED = re.compile(r"models:/+(?P<model>m-[0-9a-f]{32})/?")
_LOGGED_PROXIED = re.compile(
    r"mlflow-artifacts:/+(?P<experiment>[^/]+)/models/(?P<model>[^/]+)/artifacts(?:/(?P<path>.*))?"
)
_VERSION = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<number>[^/]+)|@(?P<alias>[^/]+))/?")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a source leads to. ``files`` is None where the bytes are not here."""

    text: str
    run_id: str | None = None
    files: Mapping[str, str] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    copied: Version | None = None


def find(view: View, source: str, *, run_id: str, model_id: str, run_link: str) -> Source:
    """What ``source`` leads to.

    Raises:
        Invalid: it leads to a disk, climbs, or names another run or model than the request.
    """
    _check(source)
    said = {"run_id": run_id, "model_id": model_id, "run_link": run_link}
    claims = {key: value for key, value in said.items() if value}
    if found := _RUNS.fullmatch(source) or _PROXIED.fullmatch(source):
        return _of_run(view, source, found["run"], found["path"] or "", run_id, claims)
    if found := _LOGGED.fullmatch(source) or _LOGGED_PROXIED.fullmatch(source):
        return _of_model(view, source, found["model"], found.groupdict().get("path") or "", claims)
    if found := _VERSION.fullmatch(source):
        return _of_version(view, source, found, claims)
    return Source(text=source, run_id=_known(view, run_id), claims=claims)


def _check(source: str) -> None:
    plain = source
    while (unquoted := urllib.parse.unquote(plain)) != plain:
        plain = unquoted
    try:
        check_source(plain)
        check_source(source)
    except Invalid as error:
        raise Invalid(f"Invalid model version source: '{source[:200]}'. {error.message}") from error


def _of_run(view: View, source: str, named: str, path: str, run_id: str, claims: dict[str, str]) -> Source:
    there = _known(view, named)
    if run_id and run_id != named and (there or _known(view, run_id)):
        raise Invalid(
            f"Invalid model version source: '{source}'. The run_id request parameter must identify the resource that "
            "contains the source."
        )
    if there is None:
        return Source(text=source, claims=claims)
    try:
        files = folders.of_run(view, there, path)
    except NotFound:
        # Clients from 3.0 on keep a model's files beside the run, and still call the model by the run and its name there.
        made = _made_by(view, there, path)
        return _of_model(view, source, made, "", claims) if made else Source(text=source, run_id=there, claims=claims)
    return Source(text=source, run_id=there, files=files, metrics=logs.of(view, there).metrics, claims=claims)


def _of_model(view: View, source: str, named: str, path: str, claims: dict[str, str]) -> Source:
    if claims.get("model_id", named) != named:
        raise Invalid(
            f"Invalid model version source: '{source}'. The model_id request parameter must identify the resource that "
            "contains the source."
        )
    said = _known(view, claims.get("run_id", ""))
    try:
        model = logged_models.get(view, named, also_deleted=True)
        files = folders.of_logged_model(view, named, path)
    except NotFound:
        return Source(text=source, run_id=said, claims=claims)
    # The run that made it is on record; what a client says of it is only asked where nothing is.
    run = _known(view, model.run or "") or said
    measured = logged_models.known(view, [model])[0].metrics
    metrics = dict(logs.of(view, run).metrics) if run else {}
    metrics |= {one.key: one.value for one in measured if one.value is not None}
    return Source(text=source, run_id=run, files=files, metrics=metrics, claims=claims)


def _made_by(view: View, run: str, name: str) -> str | None:
    """The newest logged model of that name that a run made."""
    wanted = [Comparison("attribute", "run", "=", run), Comparison("attribute", "name", "=", name)]
    found = logged_models.find(view, experiments=[runs.get(view, run).experiment], comparisons=wanted, limit=1)
    return found.models[0].model.id if found.models else None


def _of_version(view: View, source: str, found: re.Match[str], claims: dict[str, str]) -> Source:
    name = urllib.parse.unquote(found["name"])
    try:
        number = aliases.get(view, name, found["alias"]).version if found["alias"] else int(found["number"])
        copied = versions.get(view, name, number)
    except ValueError as error:
        raise Invalid(f"Invalid model version source: '{source}'. models:/name/number is expected.") from error
    except NotFound as error:
        raise Invalid(f"Invalid model version source: '{source}'. {error.message}") from error
    inherited = {key: value for key, value in copied.claims.items() if key in ("run_id", "model_id", "run_link")}
    return Source(
        text=f"models:/{name}/{number}",
        run_id=copied.run_id,
        files={name: file.digest for name, file in copied.files.items()} or None,
        metrics=copied.metrics,
        claims=inherited | claims,
        copied=copied,
    )


def _known(view: View, run_id: str) -> str | None:
    """The run's id, if there is such a run here."""
    try:
        return runs.get(view, run_id).id if run_id else None
    except NotFound:
        return None
