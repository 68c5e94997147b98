# SPDX-License-Identifier: Apache-2.0
"""An MLflow server that is running, asked page by page over its REST API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mainstay.adoption.history import (
    Owner,
    PastExperiment,
    PastLoggedModel,
    PastModel,
    PastPoint,
    PastRun,
    PastVersion,
)
from mainstay.adoption.mlflow import NAME, PARENT, STATE_BY_STATUS, dataset, moment, staged, whence
from mainstay.adoption.mlflow.folder import local_folder
from mainstay.client.wire import Wire
from mainstay.domain.errors import MainstayError, Unavailable

_API = "/api/2.0/mlflow/"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 1000
_PAGE_OF_EXPERIMENTS = 200
_PAGE_OF_POINTS = 25_000


class Server:
    """See `mainstay.adoption.history.Source`."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.wire = Wire(url, token, retry_s=10)
        self.name = f"mlflow server {urlsplit(url).netloc.rpartition('@')[2]}"

    def experiments(self) -> Iterator[PastExperiment]:
        """See `Source.experiments`."""
        body = {"view_type": "ALL", "max_results": _PAGE_OF_EXPERIMENTS, "order_by": ["experiment_id ASC"]}
        for found in self._pages("experiments/search", body, "experiments"):
            yield PastExperiment(
                id=str(found["experiment_id"]),
                name=found["name"],
                is_deleted=found.get("lifecycle_stage") == "deleted",
                created_at=moment(found.get("creation_time")),
                tags=_texts(found.get("tags")),
            )

    def runs(self, experiment: str) -> Iterator[PastRun]:
        """See `Source.runs`."""
        body = {
            "experiment_ids": [experiment],
            "run_view_type": "ALL",
            "max_results": _PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        for found in self._pages("runs/search", body, "runs"):
            yield _run(found, experiment)

    def points(self, run: PastRun, metric: str) -> Iterator[PastPoint]:
        """See `Source.points`."""
        query = {"run_id": run.id, "metric_key": metric, "max_results": _PAGE_OF_POINTS}
        token = ""
        while True:
            page = self._ask("GET", "metrics/get-history", params=query | ({"page_token": token} if token else {}))
            for found in page.get("metrics", []):
                at = moment(found.get("timestamp")) or run.started_at
                if at is not None:
                    yield PastPoint(step=int(found.get("step", 0)), at=at, value=float(found.get("value", 0.0)))
            token = page.get("next_page_token", "")
            if not token:
                return

    def logged_models(self, experiment: str) -> Iterator[PastLoggedModel]:
        """See `Source.logged_models`; a server of 2.x has none."""
        try:
            pages = list(self._pages("logged-models/search", {"experiment_ids": [experiment]}, "models"))
        except Unavailable:
            return
        for found in pages:
            info, data = found["info"], found.get("data", {})
            yield PastLoggedModel(
                id=info["model_id"],
                experiment=experiment,
                name=info.get("name", "model"),
                run=info.get("source_run_id") or None,
                state=str(info.get("status", "READY")).rpartition("_")[2].lower(),
                kind=info.get("model_type", ""),
                created_at=moment(info.get("creation_timestamp_ms")),
                place=info.get("artifact_uri", ""),
                params=_texts(data.get("params")),
                tags=_texts(info.get("tags")),
            )

    def models(self) -> Iterator[PastModel]:
        """See `Source.models`."""
        for found in self._queried(
            "registered-models/search", {"max_results": _PAGE_OF_EXPERIMENTS}, "registered_models"
        ):
            yield PastModel(
                name=found["name"],
                description=found.get("description", ""),
                created_at=moment(found.get("creation_timestamp")),
                tags=_texts(found.get("tags")),
                aliases={each["alias"]: int(each["version"]) for each in found.get("aliases", [])},
            )

    def versions(self, model: str) -> Iterator[PastVersion]:
        """See `Source.versions`."""
        quoted = model.replace("'", "\\'")
        query = {"filter": f"name = '{quoted}'", "max_results": _PAGE}
        for found in sorted(
            self._queried("model-versions/search", query, "model_versions"), key=lambda each: int(each["version"])
        ):
            yield PastVersion(
                model=model,
                number=int(found["version"]),
                origin=found.get("source", ""),
                **whence(found.get("source", ""), found.get("run_id") or None)._asdict(),
                description=found.get("description", ""),
                created_at=moment(found.get("creation_timestamp")),
                tags=staged(_texts(found.get("tags")), found.get("current_stage")),
            )

    def files(self, owner: Owner) -> Iterator[str]:
        """See `Source.files`."""
        place = urlsplit(owner.place)
        if place.scheme == "mlflow-artifacts":
            yield from self._proxied(place.path.lstrip("/"), "")
        elif isinstance(owner, PastRun):
            yield from self._listed(owner.id, "")
        elif (folder := local_folder(owner.place)) is not None and folder.is_dir():
            yield from sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
        else:
            raise Unavailable(f"the files of {owner.id} lie at {owner.place[:80]!r}, which an import does not reach.")

    def fetch(self, owner: Owner, path: str, into: Path) -> None:
        """See `Source.fetch`."""
        place = urlsplit(owner.place)
        with into.open("wb") as file:
            if place.scheme == "mlflow-artifacts":
                self.wire.stream_to(f"{_FILES}/{quote(place.path.lstrip('/'))}/{quote(path)}", file.write)
            elif isinstance(owner, PastRun):
                self.wire.stream_to(f"/get-artifact?run_id={owner.id}&path={quote(path, safe='')}", file.write)
            else:
                file.write((Path(place.path) / path).read_bytes())

    def close(self) -> None:
        """See `Source.close`."""
        self.wire.close()

    def _proxied(self, root: str, below: str) -> Iterator[str]:
        at = f"{root}/{below}".rstrip("/")
        for found in self.wire.ask("GET", _FILES, params={"path": at}).json().get("files", []):
            name = found["path"].rpartition("/")[2]
            path = f"{below}/{name}".lstrip("/")
            if found.get("is_dir"):
                yield from self._proxied(root, path)
            else:
                yield path

    def _listed(self, run: str, below: str) -> Iterator[str]:
        query = {"run_id": run} | ({"path": below} if below else {})
        for found in self._ask("GET", "artifacts/list", params=query).get("files", []):
            if found.get("is_dir"):
                yield from self._listed(run, found["path"])
            else:
                yield found["path"]

    def _pages(self, path: str, body: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._ask("POST", path, json=body | ({"page_token": token} if token else {}))
            yield from page.get(what, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _queried(self, path: str, query: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._ask("GET", path, params=query | ({"page_token": token} if token else {}))
            yield from page.get(what, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.wire.ask(method, _API + path, **more).json()
        except MainstayError:
            raise
        except ValueError as error:
            raise Unavailable(f"{self.name} answered {path} with something that is no JSON; is it MLflow?") from error
        return found


def _run(found: dict[str, Any], experiment: str) -> PastRun:
    info, data = found["info"], found.get("data", {})
    tags = _texts(data.get("tags"))
    return PastRun(
        id=info.get("run_id") or info["run_uuid"],
        experiment=experiment,
        name=info.get("run_name") or tags.get(NAME, ""),
        state=STATE_BY_STATUS.get(info.get("status", ""), "killed"),
        started_at=moment(info.get("start_time")),
        ended_at=moment(info.get("end_time")),
        user=info.get("user_id") or None,
        is_deleted=info.get("lifecycle_stage") == "deleted",
        place=info.get("artifact_uri", ""),
        params=_texts(data.get("params")),
        tags=tags,
        parent=tags.get(PARENT),
        metrics=tuple(sorted(each["key"] for each in data.get("metrics", []))),
        datasets=tuple(
            dataset(each["dataset"], _texts(each.get("tags")))
            for each in found.get("inputs", {}).get("dataset_inputs", [])
        ),
    )


def _texts(pairs: list[dict[str, Any]] | None) -> dict[str, str]:
    return {each["key"]: each.get("value", "") for each in pairs or []}
