# SPDX-License-Identifier: Apache-2.0
"""Bring what a source has on record here: experiments, runs with every point and file, models, versions, aliases.

In: a `Source` and a session. Out: a `Report` with two counts, of what was found there and of what the record here says of
that source afterwards. A run is brought whole or is still open: an import that was cut off goes on where it stopped, and one
that is repeated brings what is new. Ids of runs and numbers of versions stay as they were, so that what names them finds them.
"""

from __future__ import annotations

import mimetypes
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mainstay.adoption.history import (
    Owner,
    PastExperiment,
    PastLoggedModel,
    PastModel,
    PastPoint,
    PastRun,
    PastVersion,
    Source,
)
from mainstay.client.session import Session
from mainstay.domain.clock import to_wire
from mainstay.domain.errors import Conflict, Invalid, MainstayError, NotFound

POINTS_A_REQUEST = 10_000


@dataclass(kw_only=True)
class Count:
    """How many of each there are."""

    experiments: int = 0
    runs: int = 0
    points: int = 0
    files: int = 0
    logged_models: int = 0
    models: int = 0
    versions: int = 0
    aliases: int = 0


@dataclass(kw_only=True)
class Report:
    """What an import came to. ``left_out`` says of each thing that was not brought why not."""

    source: str
    there: Count = field(default_factory=Count)
    here: Count = field(default_factory=Count)
    left_out: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether everything that was found there is on record here."""
        return self.there == self.here and not self.left_out


#: Told of each thing that was brought: its kind and its name.
Tell = Callable[[str, str], None]


def bring(source: Source, session: Session, *, tell: Tell = lambda kind, name: None) -> Report:
    """Import everything.

    Raises:
        Unavailable: the source or the server stayed away. Forbidden: whoever asks may not write.
    """
    return _Import(source, session, tell).carry_out()


class _Import:
    """One pass over a source."""

    def __init__(self, source: Source, session: Session, tell: Tell) -> None:
        self.source = source
        self.session = session
        self.tell = tell
        self.report = Report(source=source.name)

    def carry_out(self) -> Report:
        for experiment in self.source.experiments():
            self._experiment(experiment)
        for model in self.source.models():
            self._model(model)
        self.report.here = Count(**self.session.get("/imports/count", source=self.source.name))
        return self.report

    def _experiment(self, past: PastExperiment) -> None:
        self.report.there.experiments += 1
        body = {
            "name": past.name,
            "tags": dict(past.tags),
            "created_at": _wire(past.created_at),
            "is_deleted": past.is_deleted,
        }
        known = self.session.get("/imports/experiment", source=self.source.name, name=past.name)
        runs, models = set(known["runs"]), set(known["logged_models"])
        self._post("/imports/experiments", body)
        for run in self.source.runs(past.id):
            self._run(run, past.name, is_here=run.id in runs)
        for model in self.source.logged_models(past.id):
            self._logged_model(model, past.name, is_here=model.id in models)
        self.tell("experiment", past.name)

    def _run(self, past: PastRun, experiment: str, *, is_here: bool) -> None:
        self.report.there.runs += 1
        if not is_here:
            self._begin(past, experiment)
        for metric in past.metrics:
            for points in _batches(self.source.points(past, metric)):
                self.report.there.points += len(points)
                if not is_here:
                    self.session.post(f"/runs/{past.id}/points", {"series": [_series(metric, points)]})
        for path, file in self._files(past, send=not is_here).items():
            if not is_here:
                self.session.post(f"/runs/{past.id}/artifacts", {"path": path, **file})
        if not is_here:
            end = {"state": past.state, "ended_at": _wire(past.ended_at), "parent": past.parent}
            self._post(f"/imports/runs/{past.id}/complete", end | {"is_deleted": past.is_deleted})
        self.tell("run", past.name or past.id)

    def _begin(self, past: PastRun, experiment: str) -> None:
        body = {
            "id": past.id,
            "experiment": experiment,
            "name": past.name,
            "started_at": _wire(past.started_at),
            "user": past.user,
            "params": dict(past.params),
            "tags": dict(past.tags),
            "datasets": [dict(each) for each in past.datasets],
        }
        self._post("/imports/runs", body)

    def _logged_model(self, past: PastLoggedModel, experiment: str, *, is_here: bool) -> None:
        self.report.there.logged_models += 1
        files = self._files(past, send=not is_here)
        if is_here:
            return
        body = {
            "id": past.id,
            "experiment": experiment,
            "name": past.name,
            "run": past.run,
            "state": past.state,
            "kind": past.kind,
            "created_at": _wire(past.created_at),
            "params": dict(past.params),
            "tags": dict(past.tags),
            "files": files,
        }
        self._post("/imports/logged-models", body)
        self.tell("logged model", past.name)

    def _model(self, past: PastModel) -> None:
        self.report.there.models += 1
        known = self.session.get("/imports/model", source=self.source.name, name=past.name)
        if not known["is_here"]:
            body = {"name": past.name, "description": past.description, "tags": dict(past.tags)}
            self._post("/imports/models", body)
        for version in self.source.versions(past.name):
            self._version(version, is_here=version.number in known["versions"])
        for alias, number in past.aliases.items():
            self.report.there.aliases += 1
            if known["aliases"].get(alias) != number:
                what = f"alias {alias} of {past.name}"
                self._if_possible(what, "/imports/aliases", {"model": past.name, "alias": alias, "number": number})
        self.tell("model", past.name)

    def _version(self, past: PastVersion, *, is_here: bool) -> None:
        self.report.there.versions += 1
        if is_here:
            return
        body = {
            "model": past.model,
            "number": past.number,
            "origin": past.origin,
            "run": past.run,
            "path": past.path,
            "logged_model": past.logged_model,
            "description": past.description,
            "tags": dict(past.tags),
        }
        if self._if_possible(f"version {past.model}/{past.number}", "/imports/versions", body):
            self.tell("version", f"{past.model}/{past.number}")

    def _if_possible(self, what: str, path: str, body: dict[str, Any]) -> bool:
        """Bring one thing; what the server will not have is said and left out, and the rest goes on."""
        try:
            self._post(path, body)
        except (Conflict, Invalid, NotFound) as error:
            self.report.left_out.append(f"{what}: {error.message}")
            return False
        return True

    def _files(self, owner: Owner, *, send: bool) -> dict[str, dict[str, Any]]:
        """The owner's files as blobs here, by path; what cannot be read is said and left out."""
        found: dict[str, dict[str, Any]] = {}
        try:
            for path in self.source.files(owner):
                self.report.there.files += 1
                found[path] = self._file(owner, path) if send else {}
        except MainstayError as error:
            self.report.left_out.append(f"files of {owner.id}: {error.message}")
        return found

    def _file(self, owner: Owner, path: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="mainstay-import-") as folder:
            local = Path(folder) / "file"
            self.source.fetch(owner, path, local)
            media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
            return {"digest": self.session.put_blob(local), "size": local.stat().st_size, "media_type": media_type}

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        why = {"reason": f"imported from {self.source.name}"}
        answer: dict[str, Any] = self.session.post(path, body | {"source": self.source.name} | why)
        return answer


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs."""
    return asdict(report) | {"is_whole": report.is_whole}


def _series(metric: str, points: list[PastPoint]) -> dict[str, Any]:
    return {
        "key": metric,
        "steps": [point.step for point in points],
        "at_us": [int(point.at.timestamp() * 1000) * 1000 for point in points],
        "values": [_number(point.value) for point in points],
    }


def _number(value: float) -> float | str:
    if value != value:
        return "NaN"
    return value if abs(value) < float("inf") else ("Infinity" if value > 0 else "-Infinity")


def _batches(points: Iterable[PastPoint]) -> Iterator[list[PastPoint]]:
    waiting = iter(points)
    while batch := list(islice(waiting, POINTS_A_REQUEST)):
        yield batch


def _wire(moment: Any) -> str | None:
    return None if moment is None else to_wire(moment)
