# SPDX-License-Identifier: Apache-2.0
"""The other process of a reproduction: carries a pipeline out again from its record alone, in a workspace of its own.

In: a folder with the sources as they were, the order, and the bytes of the snapshots that the run read. Out: its steps and
their results. The workspace is empty, so that nothing is a hit; what was there before the run is answered as it was then.
Nothing of this reaches the workspace that the run is on record in.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainstay.client import session as sessions
from mainstay.client.session import Session
from mainstay.client.wire import Wire
from mainstay.domain.errors import Invalid, MainstayError, NotFound
from mainstay.engine import execution, project, steps
from mainstay.engine.calls import step_calls
from mainstay.engine.execution import Notice
from mainstay.engine.materialise import json as plain
from mainstay.engine.pipelines import Pipeline

ORDER, RESULT, BLOBS, PROJECT, SCRATCH, OUTSIDE = "order.json", "result.json", "blobs", "project", "scratch", "outside"


class Pinned:
    """A scratch workspace, and before it the snapshots that the run read, as they were when it began."""

    def __init__(self, scratch: Session, order: Mapping[str, Any], blobs: Path) -> None:
        self._scratch, self._blobs = scratch, blobs
        self._datasets: Mapping[str, Any] = order["datasets"]
        self._snapshots: Mapping[str, Any] = order["snapshots"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scratch, name)

    def get(self, path: str, **params: Any) -> Any:
        kind, _, name = path.strip("/").partition("/")
        if kind == "datasets" and name in self._datasets:
            return self._datasets[name]
        if kind == "snapshots" and name.partition("@")[0] in self._datasets:
            if name not in self._snapshots:
                raise NotFound(f"snapshot {name} was not read by the run; what is asked for here is not what was then.")
            return self._snapshots[name]
        return self._scratch.get(path, **params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        words = path.strip("/").split("/")
        if words[0] == "datasets" and words[-1] == "snapshots" and words[1] in self._datasets:
            self._make_dataset(words[1])
        return self._scratch.post(path, self._without_pins(body), **params)

    def put_blob(self, data: bytes | Path, **how: Any) -> str:
        return self._scratch.put_blob(data, **how)

    def get_blob(self, digest: str) -> bytes:
        kept = self._blobs / digest
        return kept.read_bytes() if kept.is_file() else self._scratch.get_blob(digest)

    def blob_path(self, digest: str) -> Path:
        kept = self._blobs / digest
        return kept if kept.is_file() else self._scratch.blob_path(digest)

    def _make_dataset(self, name: str) -> None:
        try:
            self._scratch.get(f"/datasets/{name}")
        except NotFound:
            self._scratch.post(
                "/datasets", {"name": name, "owner": self._scratch.get("/me")["actor"], "description": ""}
            )

    def _without_pins(self, body: Any) -> Any:
        """The scratch workspace has never heard of the pinned snapshots: they are told by their bytes, or not at all."""
        if isinstance(body, list):
            return [self._without_pins(item) for item in body]
        if not isinstance(body, Mapping):
            return body
        if body.get("kind") == "snapshot" and body.get("ref") in self._snapshots:
            return {**body, "kind": "artifact", "ref": self._snapshots[body["ref"]]["blob"]}
        kept = {name: self._without_pins(value) for name, value in body.items()}
        for name in ("snapshots", "parents"):
            if isinstance(kept.get(name), list):
                kept[name] = [each for each in kept[name] if not self._names_a_pin(each)]
        return kept

    def _names_a_pin(self, entry: Any) -> bool:
        words = entry.values() if isinstance(entry, Mapping) else entry if isinstance(entry, (list, tuple)) else [entry]
        return any(isinstance(word, str) and word in self._snapshots for word in words)


def main(folder: Path) -> None:
    """Carry the order in ``folder`` out, tell each step on standard output, and write the result."""
    order = json.loads((folder / ORDER).read_text())
    # Here, and not above: it brings the whole server, and whoever only starts this process knows this file, too.
    from mainstay.client.inprocess import URL, InProcess

    app = InProcess(folder / SCRATCH, loops=False)
    scratch = Session(
        Wire(URL, app.token, retry_s=0, transport=app), cache=folder / "cache", workspace=folder / SCRATCH
    )
    sessions.use(scratch)
    try:
        result = _carried_out(Pinned(scratch, order, folder / BLOBS), order, folder)
    except MainstayError as error:
        result = {"error": error.message, "steps": []}
    except (Exception, SystemExit) as error:  # a guest's code may raise anything; it becomes one sentence
        result = {"error": step_calls.sentence(error), "steps": []}
    finally:
        sys.stdout.flush()
    (folder / RESULT).write_text(json.dumps(result))
    scratch.close()


def _carried_out(platform: Pinned, order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    pipeline = project.load(order["entry"], folder=folder / PROJECT)
    error = None
    try:
        done = execution.execute(pipeline, platform, params=_params(pipeline, order["params"]), notify=_tell)
        run_id = done.run_id
    except MainstayError as failure:
        error, run_id = failure.message, failure.facts.get("run_id", "")
    steps_told = platform.get(f"/runs/{run_id}")["steps"] if run_id else []
    digests = {
        each["digest"] for step in steps_told for each in step["outputs"] if each["kind"] not in ("version", "snapshot")
    }
    return {
        "error": error,
        "steps": steps_told,
        "paths": {each: str(platform.blob_path(each)) for each in sorted(digests)},
    }


def _params(pipeline: Pipeline[..., Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they were given; what is no scalar is on record as the text of its value."""
    wanted = steps.annotations_of(pipeline.function)
    found: dict[str, Any] = {}
    for name, value in recorded.items():
        default = pipeline.signature.parameters[name].default if name in pipeline.signature.parameters else None
        is_text = wanted.get(name) is str or (name not in wanted and isinstance(default, (str, inspect._empty)))
        found[name] = value if is_text or not isinstance(value, str) else _restored(name, value, wanted.get(name))
    return found


def _restored(name: str, text: str, kind: Any) -> Any:
    if text.startswith("a ") and text[2:].isidentifier():
        raise Invalid(
            f"parameter {name} was {text}, which is not on record; a run with such a parameter is not repeated."
        )
    try:
        return plain.loads(text.encode())
    except ValueError:
        return project.convert(name, text, kind)


def _tell(notice: Notice) -> None:
    if notice.what in ("done", "failed", "warning"):
        print(json.dumps({"what": notice.what, "label": notice.label, "text": notice.text, "seconds": notice.seconds}))
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
