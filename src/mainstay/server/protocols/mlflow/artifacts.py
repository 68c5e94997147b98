# SPDX-License-Identifier: Apache-2.0
"""Artifacts, as MLflow's clients know them: files below ``mlflow-artifacts:/``, sent and fetched through this server.

A place is ``EXPERIMENT/RUN/artifacts/PATH``, ``EXPERIMENT/models/MODEL/artifacts/PATH`` or
``EXPERIMENT/traces/TRACE/artifacts/PATH``, and to read what a version pinned
``registered-models/NAME/NUMBER/PATH``; anything else is refused. A path is a name in our record and never one on a disk, and is
refused all the same if it climbs in any spelling: whoever sends it means no good. Files come and go as streams, are kept by
digest, are verified before they are shown, and are always shown as attachments.
"""

from __future__ import annotations

import mimetypes
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.tracking import Artifact, check_path
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.lifecycle.tracking.traces import files as trace_files
from mainstay.lifecycle.tracking.traces import spans
from mainstay.server import uploads
from mainstay.server.principals import Principal
from mainstay.server.protocols.mlflow import model_versions, registered, wire, wire_traces
from mainstay.server.protocols.mlflow.calls import Calls, amending
from mainstay.server.protocols.mlflow.runs import RunIn, artifact_uri
from mainstay.store import Ingest, Store, View

calls = Calls()

MOST_BYTES = 64 << 30
MOST_FROM_A_PAGE = 10 << 20
MOST_OF_SPANS = 32 << 20

# Whatever the bytes are, a browser must not take them for a page of ours.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


# Texts that no table of endings knows; what a browser would show as a page keeps its own type and is only ever attached.
_PLAIN_NAMES = frozenset({"mlmodel", "mlproject"})
_PLAIN_ENDINGS = frozenset({"cfg", "conf", "err", "ini", "log", "properties", "rst", "toml", "yaml", "yml"})
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+\-.^_`|~]+")


class Place(NamedTuple):
    """Where a file or a folder is: whose it is, and its path there, "" for the whole; and the experiment that was named."""

    owner: str
    path: str
    experiment: int | None = None
    is_trace: bool = False

    @property
    def room(self) -> Any:
        """Who keeps the files of such an owner: of a trace, of a logged model or of a run."""
        if self.is_trace:
            return trace_files
        return logged_models if self.owner.startswith("m-") else logs


class ListIn(RunIn, kw_only=True):
    path: str | None = None


class DirectoryIn(wire.Request):
    artifact_directory_path: str | None = None


@calls.raw("PUT", "mlflow-artifacts/artifacts/{path:path}", permission="write")
async def upload(*, request: Request, store: Store, actor: Principal) -> Response:
    """Keep a file of a run or of a logged model; the same path again means the newer bytes."""
    await run_in_threadpool(keep, store, actor, _raw_place(request), uploads.chunks(request, most=MOST_BYTES))
    return answer({})


@calls.raw("GET", "mlflow-artifacts/artifacts/{path:path}", permission="read")
async def download(*, request: Request, store: Store, actor: Principal) -> Response:
    """A file, or the part of it that a ``Range`` asks for; verified before the first byte is sent."""
    return await run_in_threadpool(_download, store, request.path_params["path"])


@calls.raw("DELETE", "mlflow-artifacts/artifacts/{path:path}", permission="write")
async def delete(*, request: Request, store: Store, actor: Principal) -> Response:
    """Forget a file, or all below a folder."""
    await run_in_threadpool(_forget, store, actor, _raw_place(request))
    return answer({})


@calls.raw("GET", "mlflow-artifacts/artifacts", permission="read")
async def list_below(*, request: Request, store: Store, actor: Principal) -> Response:
    """Files and folders in a folder, by their last names."""
    return answer(await run_in_threadpool(_listed_below, store, request.query_params.get("path", "")))


@calls.get("artifacts/list")
def list_artifacts(view: View, body: ListIn) -> dict[str, Any]:
    """Files and folders in a folder of a run."""
    path = checked(body.path or "", folder=True)
    run = runs.get(view, body.run)
    return {"root_uri": artifact_uri(run), "files": listed(_files(view, Place(run.id, path)), path)}


@calls.raw("GET", "/get-artifact", permission="read")
async def get_artifact(*, request: Request, store: Store, actor: Principal) -> Response:
    """A file of a run, as MLflow's page asks for it."""
    run = request.query_params.get("run_id") or request.query_params.get("run_uuid") or ""
    if not run:
        raise wire.missing("run_id")
    return await run_in_threadpool(sent, store, Place(run, checked(request.query_params.get("path", ""))))


# Two slashes: a page whose address ends in one asks so, and must not be shown another page instead.
@calls.raw("GET", "/model-versions/get-artifact", "//model-versions/get-artifact", permission="read")
async def get_of_version(*, request: Request, store: Store, actor: Principal) -> Response:
    """A file that a version pinned, as MLflow's page asks for it."""
    asked = {name: request.query_params.get(name, "") for name in ("name", "version", "path")}
    for name, value in asked.items():
        if not value:
            raise wire.missing(name)
    return await run_in_threadpool(_sent_of_version, store, asked["name"], asked["version"], asked["path"])


@calls.raw("POST", "upload-artifact", permission="write")
async def upload_from_a_page(*, request: Request, store: Store, actor: Principal) -> Response:
    """Keep a small file of a run, as MLflow's page sends it."""
    run, path = request.query_params.get("run_uuid", ""), request.query_params.get("path", "")
    if not run:
        raise Invalid("Request must specify run_uuid.")
    if not path:
        raise Invalid("Request must specify path.")
    place = Place(run, checked(path))
    length = request.headers.get("content-length", "")
    if length == "0":
        raise Invalid("Request must specify data.")
    if length.isdecimal() and int(length) > MOST_FROM_A_PAGE:
        raise Invalid("Artifact size is too large. Max size is 10MB. Send it with PUT below mlflow-artifacts.")
    await run_in_threadpool(keep, store, actor, place, uploads.chunks(request, most=MOST_FROM_A_PAGE))
    return answer({})


@calls.get("logged-models/{model_id}/artifacts/directories")
def list_of_model(view: View, model_id: str, body: DirectoryIn) -> dict[str, Any]:
    """Files and folders in a folder of a logged model."""
    path = checked(body.artifact_directory_path or "", folder=True)
    model = logged_models.get(view, model_id)
    return {
        "root_uri": model_uri(model.experiment, model.id),
        "files": listed(_files(view, Place(model.id, path)), path),
    }


@calls.raw("GET", "logged-models/{model_id}/artifacts/files", permission="read")
async def get_of_model(*, request: Request, store: Store, actor: Principal) -> Response:
    """A file of a logged model."""
    path = request.query_params.get("artifact_file_path", "")
    if not path:
        raise wire.missing("artifact_file_path")
    return await run_in_threadpool(sent, store, Place(request.path_params["model_id"], checked(path)))


@calls.raw("GET", "mlflow-artifacts/presigned/{path:path}", permission="read")
async def refuse_presigned(*, request: Request, store: Store, actor: Principal) -> Response:
    """Refused: files are kept with the workspace, and there is no other address to fetch them from."""
    checked(request.path_params["path"])
    raise wire.Refused(
        "NOT_IMPLEMENTED", "files are fetched from this server itself; ask for mlflow-artifacts/artifacts."
    )


def model_uri(experiment: int, model: str) -> str:
    """Where a logged model's files lie, in MLflow's words."""
    return f"mlflow-artifacts:/{experiment}/models/{model}/artifacts"


def checked(path: str, *, folder: bool = False) -> str:
    """A path as it is kept; of a folder, "" and "." are the whole.

    Raises:
        Invalid: it climbs, is absolute, or hides something, in whatever spelling.
    """
    whole = path.rstrip("/") if folder else path
    # A client that wants all of a folder asks for "." in it; that leads nowhere else.
    plain = "/".join(part for part in whole.split("/") if part != ".")
    if folder and not plain and not path.startswith("/"):
        return ""
    if "#" in urllib.parse.unquote(plain):  # behind it, some clients see no path any more
        _climbs()
    try:
        return check_path(plain)
    except Invalid:
        return _climbs()


def listed(files: Mapping[str, int | None], folder: str) -> list[dict[str, Any]]:
    """Files and folders in ``folder``, among files that are all below it, each with its size."""
    below = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path, size in files.items():
        if not path.startswith(below):
            continue
        name, inside, _ = path.removeprefix(below).partition("/")
        facts: dict[str, Any] = {"path": below + name, "is_dir": bool(inside)}
        found.setdefault(name, facts if inside or size is None else {**facts, "file_size": size})
    return [found[name] for name in sorted(found)]


def _climbs() -> NoReturn:
    # These two words are how MLflow's clients and tests know it.
    raise Invalid("Invalid path")


def _raw_place(request: Request) -> Place:
    return place_of(request.path_params["path"])


def place_of(path: str) -> Place:
    """Whose a path below ``mlflow-artifacts`` is.

    Raises:
        Invalid: nobody's, or it climbs.
    """
    parts = checked(path.rstrip("/")).split("/")
    if len(parts) >= 3 and parts[2] == "artifacts" and parts[0].isdecimal():
        return Place(parts[1], "/".join(parts[3:]), int(parts[0]))
    if len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts" and parts[0].isdecimal():
        return Place(parts[2], "/".join(parts[4:]), int(parts[0]))
    if len(parts) >= 4 and parts[1] == "traces" and parts[3] == "artifacts" and parts[0].isdecimal():
        return Place(parts[2], "/".join(parts[4:]), int(parts[0]), is_trace=True)
    raise Invalid(
        f"nothing is kept at {path[:200]!r}: files are those of a run (EXPERIMENT/RUN/artifacts/…), of a logged model "
        "(EXPERIMENT/models/MODEL/artifacts/…) or of a trace (EXPERIMENT/traces/TRACE/artifacts/…), and a client cannot "
        "choose another place."
    )


def _files(view: View, place: Place) -> dict[str, int | None]:
    """Every file of whoever owns the place, with its size.

    Raises:
        NotFound: there is no such owner, or not in the experiment that was named.
    """
    owner = (runs if place.room is logs else place.room).get(view, place.owner)
    if place.experiment not in (None, owner.experiment):
        raise NotFound(f"{place.owner[:80]} is not of experiment {place.experiment}, but of {owner.experiment}.")
    return {each.path: each.size for each in place.room.artifacts_of(view, place.owner)}


def check_open(store: Store, place: Place) -> None:
    """Pass if a file may be kept at a place: asked before its bytes come, for nobody sends a gigabyte to hear that there is no
    such run.

    Raises:
        Invalid: the place has no name, or its run is deleted. NotFound: there is no such owner.
    """
    if not place.path:
        raise Invalid("a file needs a name behind 'artifacts/'; send it to such a path.")
    with store.view() as view:
        _files(view, place)
        if place.room is logs:
            logs.must_be(view, place.owner)


def keep(store: Store, actor: Principal, place: Place, data: Iterable[bytes]) -> None:
    """Keep a file at a place, whose bytes come piece by piece.

    Raises:
        Invalid, NotFound: as `check_open`.
    """
    check_open(store, place)
    digest, size = store.blobs.put(data)
    media_type = _media_type(place.path)
    artifact = Artifact(path=place.path, digest=digest, size=size, media_type=media_type)

    def work(ingest: Ingest) -> None:
        place.room.add_artifact(ingest, place.owner, artifact)
        if place.is_trace and place.path == wire_traces.FILE:
            _keep_spans(ingest, place.owner, artifact)

    amending(store, actor.actor, lambda: store.ingest_together(work))


def _keep_spans(ingest: Ingest, trace: str, file: Artifact) -> None:
    """Clients before 3.4 write a trace's spans into a file instead of sending them; one that cannot be read stays a file."""
    if file.size > MOST_OF_SPANS:
        return
    found = wire_traces.spans_in(trace, ingest.blobs.path(file.digest).read_bytes())
    if found:
        spans.put(ingest, trace_files.get(ingest, trace).experiment, found)


def _forget(store: Store, actor: Principal, place: Place) -> None:
    def work(ingest: Ingest) -> None:
        _files(ingest, place)
        place.room.remove_artifacts(ingest, place.owner, place.path)

    amending(store, actor.actor, lambda: store.ingest_together(work))


def _download(store: Store, path: str) -> Response:
    plain = checked(path.rstrip("/"))
    with store.view() as view:
        pinned = model_versions.pinned(view, plain)
    if pinned is None:
        return sent(store, place_of(plain))
    name = "/".join(plain.split("/")[3:])
    if name not in pinned:
        raise NotFound(f"there is no file {plain[:200]!r}; list its folder to see those there are.")
    return _file(store, pinned[name], name, _media_type(name))


def sent(store: Store, place: Place) -> Response:
    """A file, as an attachment.

    Raises:
        NotFound: there is none. Invalid: it is a folder.
    """
    with store.view() as view:
        found = place.room.artifact_of(view, place.owner, place.path)
        if found is None or place.experiment is not None:
            files = _files(view, place)
        if found is None:
            raise _lacks(place, is_folder=bool(listed(files, place.path)))
    return _file(store, found.digest, found.path, found.media_type)


def _sent_of_version(store: Store, name: str, version: str, path: str) -> Response:
    if ".." in path.split("/"):
        _climbs()
    with store.view() as view:
        files = registered.version_named(view, name, version).files
    if path not in files:
        raise NotFound(f"version {name}/{version} has no file {path[:200]!r}; its files are those that it pinned.")
    return _file(store, files[path].digest, path, _media_type(path))


def _lacks(place: Place, *, is_folder: bool) -> Exception:
    if is_folder:
        return Invalid(
            f"Artifact path refers to a directory, not a file: '{place.path[:200]}'; list it, and ask for files."
        )
    return NotFound(f"{place.owner} has no artifact {place.path[:200]!r}; list its artifacts to see those there are.")


def _file(store: Store, digest: str, path: str, media_type: str) -> Response:
    told = {"Content-Type": media_type, "Content-Disposition": _attached(path.rpartition("/")[2])}
    return FileResponse(store.blobs.path(digest), headers={**_HEADERS, **told, "ETag": f'"{digest}"'})


def _media_type(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    if name in _PLAIN_NAMES or name.rpartition(".")[2] in _PLAIN_ENDINGS:
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _attached(name: str) -> str:
    """How a name is said in a header: as it is if it can be, for whoever compares it; else in the long form."""
    if _TOKEN.fullmatch(name):
        return f"attachment; filename={name}"
    return f"attachment; filename*=utf-8''{urllib.parse.quote(name, safe='')}"


def _listed_below(store: Store, path: str) -> dict[str, Any]:
    plain = checked(path, folder=True)
    with store.view() as view:
        pinned = model_versions.pinned(view, plain)
        if pinned is None:
            place = place_of(plain)
            files = listed(_files(view, place), place.path)
        else:
            sizes = {name: view.blobs.size(digest) for name, digest in pinned.items()}
            files = listed(sizes, "/".join(plain.split("/")[3:]))
    return {"files": [facts | {"path": facts["path"].rpartition("/")[2]} for facts in files]}


def answer(value: dict[str, Any]) -> Response:
    """A value as MLflow's clients read it."""
    return Response(wire.encode(value), media_type="application/json")
