# SPDX-License-Identifier: Apache-2.0
"""Logged models, over HTTP: what a run left of a model before anybody registers a version of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import msgspec

from mainstay.domain.tracking import Artifact
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.server.routes import Routes
from mainstay.store import View

routes = Routes("tracking")


class LoggedModelOut(msgspec.Struct, kw_only=True):
    id: str
    experiment: str
    name: str
    kind: str
    state: str
    run: str | None
    actor: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    params: dict[str, str]
    tags: dict[str, str]
    artifacts: list[Artifact]


@routes.get("/logged-models/{model_id}", permission="read")
def show_logged_model(view: View, model_id: str) -> LoggedModelOut:
    """One logged model with its files, also when it is put away."""
    found = logged_models.get(view, model_id, also_deleted=True)
    known = logged_models.known(view, [found])[0]
    facts = asdict(found) | {"experiment": experiments.get(view, found.experiment).name}
    artifacts = logged_models.artifacts_of(view, model_id)
    return LoggedModelOut(**facts, params=dict(known.params), tags=dict(known.tags), artifacts=artifacts)
