# SPDX-License-Identifier: Apache-2.0
"""Scorers, in MLflow's words. They are kept as text; nothing of them is ever carried out here."""

from __future__ import annotations

from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.lifecycle.tracking.evaluation import scorers
from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow import wire_evaluation as words
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.store import Ingest, View

calls = Calls()

_V3 = ("3.0",)


class Register(wire.Request):
    experiment_id: str
    name: str
    serialized_scorer: str


class ListNewest(wire.Request):
    experiment_id: str | None = None
    experiment_ids: list[str] | None = None


class Named(wire.Request):
    experiment_id: str
    name: str


class Numbered(wire.Request):
    experiment_id: str
    name: str
    version: int | None = None


@calls.ingest("POST", "scorers/register", versions=_V3)
def register(ingest: Ingest, body: Register) -> Any:
    """Keep a scorer as the next version of its name."""
    words.check_scorer(body.serialized_scorer)
    number = words.experiment(body.experiment_id)
    return words.registered(scorers.register(ingest, experiment=number, name=body.name, content=body.serialized_scorer))


@calls.get("scorers/list", versions=_V3)
def list_newest(view: View, body: ListNewest) -> Any:
    """The newest version of each scorer, of one experiment, of some or of all."""
    if body.experiment_id and body.experiment_ids is not None:
        raise Invalid("Cannot specify both 'experiment_id' and 'experiment_ids'.")
    asked = [body.experiment_id] if body.experiment_id else body.experiment_ids
    numbers = None if asked is None else [words.experiment(each) for each in asked]
    return {"scorers": [words.scorer(each) for each in scorers.newest(view, numbers)]}


@calls.get("scorers/versions", versions=_V3)
def list_versions(view: View, body: Named) -> Any:
    """Every version of a scorer."""
    found = scorers.versions(view, experiment=words.experiment(body.experiment_id), name=body.name)
    return {"scorers": [words.scorer(each) for each in found]}


@calls.get("scorers/get", versions=_V3)
def get(view: View, body: Numbered) -> Any:
    """One version of a scorer; without a number the newest."""
    number = words.experiment(body.experiment_id)
    return {"scorer": words.scorer(scorers.get(view, experiment=number, name=body.name, version=body.version))}


@calls.ingest("DELETE", "scorers/delete", versions=_V3)
def delete(ingest: Ingest, body: Numbered) -> Any:
    """Delete one version of a scorer; without a number all of them."""
    number = words.experiment(body.experiment_id)
    scorers.remove(ingest, experiment=number, name=body.name, version=body.version)
