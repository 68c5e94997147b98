# SPDX-License-Identifier: Apache-2.0
"""A control plane in memory, with the answers that the API promises, and strict about what it is sent."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mainstay.domain import folders
from mainstay.domain.digests import digest_of, is_digest
from mainstay.domain.errors import Conflict, Invalid, NotFound, Unavailable
from mainstay.domain.ids import uuid7

RUN_FIELDS = set(
    [
        "experiment",
        "name",
        "kind",
        "parent",
        "params",
        "tags",
        "code",
        "environment",
        "seeds",
        "hardware",
        "because",
        "reason",
        "lease",
        "blobs",
    ]
)
COMMIT_FIELDS = set(
    [
        "name",
        "key",
        "key_parts",
        "why",
        "hit_of",
        "upstream",
        "inputs",
        "outputs",
        "seconds",
        "state",
        "error",
        "cacheable",
        "renew",
        "built_on",
        "said",
    ]
)
VERSION_FIELDS = set(
    ["run_id", "format", "files", "environment", "signature", "metrics", "evaluation_blob", "snapshots", "description"]
)
SNAPSHOT_FIELDS = {"blob", "format", "source", "period", "run_id", "parents"}


class MemoryPlatform:
    """``asked`` holds every request as (method, path); ``fail`` makes a path unavailable the next so many times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs: dict[str, bytes] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.cache: dict[str, dict[str, Any]] = {}
        self.datasets: dict[str, list[dict[str, Any]]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.accepted: list[dict[str, Any]] = []
        self.fail: dict[str, int] = {}
        self.refuse_columns: set[str] = set()
        self.small, self.most_of_family = 64 << 10, 2_000

    # blobs

    def put_folder(self, path: Path) -> str:
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        top = path.parent if path.is_file() else path
        kept = [
            folders.File(path=file.relative_to(top).as_posix(), digest=self.put_blob(file), size=file.stat().st_size)
            for file in files
        ]
        return folders.write(kept, self.put_blob)[0]

    def lay_folder(self, digest: str, folder: Path) -> None:
        root = folders.read_root(self.get_blob(digest))
        for file in folders.walk(self.get_blob, root.folder):
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).write_bytes(self.get_blob(file.digest))

    def put_blob(self, data: bytes | Path) -> str:
        content = data if isinstance(data, bytes) else data.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        self._maybe_away("blobs")
        self.blobs[digest] = content
        return digest

    def get_blob(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise NotFound(f"no blob {digest}")
        return self.blobs[digest]

    def blob_path(self, digest: str) -> Path:
        path = self.folder / digest
        if not path.exists():
            path.write_bytes(self.get_blob(digest))
        return path

    # wire

    def get(self, path: str, **params: Any) -> Any:
        self.asked.append(("GET", path))
        self._maybe_away(path)
        match path.strip("/").split("/"):
            case ["me"]:
                return {"actor": "ana", "roles": ["admin"], "via": "test"}
            case ["pipelines", name, "history"]:
                return {"runs": self._history(name, params.get("besides"))}
            case ["runs", identity]:
                return self._known(self.runs, identity, "run")
            case ["runs", identity, "lease"]:
                return {"run_id": identity, **self._known(self.runs, identity, "run")["lease"]}
            case ["datasets", name]:
                return {"name": name, "snapshots": self._known(self.datasets, name, "dataset")[::-1]}
            case ["snapshots", name]:
                dataset, _, number = name.partition("@")
                return self._known(self.datasets, dataset, "dataset")[int(number) - 1]
            case ["models", name]:
                model = self._known(self.models, name, "model")
                brief = [{k: each[k] for k in ("id", "number", "digest", "state")} for each in model["versions"]]
                return {
                    "name": name,
                    "owner": model["owner"],
                    "tier": model["tier"],
                    "aliases": {},
                    "versions": brief[::-1],
                }
            case ["models", name, "versions", number]:
                return self._known(self.models, name, "model")["versions"][int(number) - 1]
            case ["jobs", identity]:
                return self._known(self.jobs, identity, "job")
        raise NotFound(f"no route GET {path}")

    def post(self, path: str, body: Any = None) -> Any:
        self.asked.append(("POST", path))
        self._maybe_away(path)
        match path.strip("/").split("/"):
            case ["runs"]:
                return self._start_run(body)
            case ["runs", identity, "log"]:
                run = self._known(self.runs, identity, "run")
                run["params"] |= body.get("params", {})
                run["metrics"] |= {point["key"]: point["value"] for point in body["metrics"]}
                return {}
            case ["runs", identity, "artifacts"]:
                self._check_blob(body["digest"])
                self._known(self.runs, identity, "run")["artifacts"].append(body)
                return {}
            case ["runs", identity, "finish"]:
                run = self._known(self.runs, identity, "run")
                if run["state"] != "running":
                    raise Conflict(f"run {identity} is {run['state']}")
                run |= {"state": body["state"], "error": body.get("error")}
                return run
            case ["steps", "lookup"]:
                return self._lookup(body)
            case ["steps", "commit-all"]:
                return self._commit_all(body)
            case ["runs", identity, "alive"]:
                return self._known(self.runs, identity, "run")["lease"]
            case ["runs", identity, "lines"]:
                self._known(self.runs, identity, "run")["lines"] += body["lines"]
                return {"last": len(self.runs[identity]["lines"])}
            case ["runs", identity, "resume"]:
                run = self._known(self.runs, identity, "run")
                if run["state"] == "succeeded":
                    raise Conflict(f"run {identity} has succeeded")
                run |= {"state": "running", "error": None, "lease": {**run["lease"], "worker": body["worker"]}}
                return run["lease"]
            case ["steps", "accept"]:
                self.accepted.append(body)
                self.cache[body["key"]] = self.cache[body["instead_of"]]
                return self.cache[body["key"]]
            case ["datasets"]:
                self.datasets[body["name"]] = []
                return {"name": body["name"]}
            case ["datasets", name, "snapshots"]:
                return self._snapshot(name, body)
            case ["models"]:
                self.models[body["name"]] = {**body, "versions": []}
                return body
            case ["models", name, "versions"]:
                return self._version(name, body)
            case ["jobs"]:
                identity = uuid7()
                self.jobs[identity] = {"id": identity, "state": "queued", "attempt": 0, "beats": 0, **body}
                return self.jobs[identity]
            case ["jobs", "lease"]:
                return self._lease(body)
            case ["jobs", identity, "heartbeat"]:
                job = self._known(self.jobs, identity, "job")
                job |= {
                    "beats": job["beats"] + 1,
                    "told": [*job.get("told", []), *([body["progress"]] if "progress" in body else [])],
                }
                return {}
            case ["jobs", identity, "finish"]:
                job = self._known(self.jobs, identity, "job")
                job |= {
                    "state": "done" if body["ok"] else "failed",
                    "result": body.get("result"),
                    "error": body.get("error"),
                }
                return job
        raise NotFound(f"no route POST {path}")

    # what a test asks

    def count(self, method: str, path: str) -> int:
        """How often ``path`` was asked."""
        return sum(each == (method, path) for each in self.asked)

    def steps_of(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Steps of a run by name."""
        return {step["name"]: step for step in self.runs[run_id]["steps"]}

    # inside

    def _maybe_away(self, path: str) -> None:
        for prefix, left in self.fail.items():
            if left and path.startswith(prefix):
                self.fail[prefix] -= 1
                raise Unavailable(f"{path} cannot be reached")

    def _known(self, table: dict[str, Any], name: str, what: str) -> Any:
        if name not in table:
            raise NotFound(f"there is no {what} {name!r}.")
        return table[name]

    def _check_blob(self, digest: str) -> None:
        if not is_digest(digest) or digest not in self.blobs:
            raise NotFound(f"there is no blob {digest}; put it first.")

    def _check_fields(self, body: dict[str, Any], fields: set[str]) -> None:
        if unknown := set(body) - fields:
            raise Invalid(f"unknown fields {sorted(unknown)}")

    def _start_run(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check_fields(body, RUN_FIELDS)
        for content in body.pop("blobs"):
            self.put_blob(base64.b64decode(content))
        self._check_blob(body["code"]["sources_digest"])
        self._check_blob(body["environment"]["digest"])
        return self._insert_run(**body)

    def _insert_run(self, **facts: Any) -> dict[str, Any]:
        blank = {
            "parent": None,
            "params": {},
            "metrics": {},
            "artifacts": [],
            "steps": [],
            "error": None,
            "state": "running",
            "lines": [],
        }
        run = blank | facts | {"id": uuid7()}
        self.runs[run["id"]] = run
        return run

    def _history(self, name: str, besides: str | None) -> list[dict[str, Any]]:
        runs = [run for run in reversed(self.runs.values()) if (run["kind"], run["name"]) == ("pipeline", name)]
        if not runs:
            raise NotFound(f"no pipeline {name!r} was ever run here.")
        found = []
        for run in [run for run in runs if run["id"] != besides][:3]:
            facts = {"id": run["id"], "state": run["state"], "sources_digest": run["code"]["sources_digest"]}
            found.append(facts | {"steps": [step | {"pipeline_run": run["id"]} for step in run["steps"]]})
            if run["state"] == "succeeded":
                break
        return found

    def _commit_all(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check_fields(body, {"pipeline_run", "worker", "blobs", "steps", "lookup"})
        for content in body["blobs"]:
            self.put_blob(base64.b64decode(content))
        parent = self._known(self.runs, body["pipeline_run"], "run")
        assert parent["lease"]["worker"] == body["worker"]
        steps = [self._commit(parent, step) for step in body["steps"]]
        return {"steps": steps, "hits": {key: self.cache[key] for key in body["lookup"] if key in self.cache}}

    def _lookup(self, body: dict[str, Any]) -> dict[str, Any]:
        """As one whose blobs are near: what is small is looked at, what is large is told of as unsure."""
        self._check_fields(body, {"keys", "families"})
        hits = {key: self.cache[key] for key in body["keys"] if key in self.cache}
        unsure, whole = {}, []
        for family in body["families"]:
            alike = {key: hit for key, hit in self.cache.items() if key.startswith(family)}
            if len(alike) > self.most_of_family:
                continue
            whole.append(family)
            for key, hit in alike.items():
                is_large = any(output["size"] > self.small for output in hit["outputs"])
                (unsure if is_large else hits)[key] = hit
        return {"hits": hits, "unsure": unsure, "whole": whole}

    def _commit(self, parent: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        self._check_fields(body, COMMIT_FIELDS)
        assert parent["state"] == "running"
        for output in body["outputs"]:
            if output["kind"] not in ("version", "snapshot"):
                self._check_blob(output["digest"])
        run = self._insert_run(name=body["name"], kind="step", parent=parent["id"], state=body["state"])
        parent["steps"].append({**body, "run_id": run["id"]})
        said = body.get("said") or {"params": {}, "metrics": [], "artifacts": []}
        for artifact in said["artifacts"]:
            self._check_blob(artifact["digest"])
        run["params"] |= said["params"]
        run["metrics"] |= {point["key"]: point["value"] for point in said["metrics"]}
        run["artifacts"] += said["artifacts"]
        if body["cacheable"] and body["state"] == "succeeded":
            self.cache.setdefault(body["key"], {"run_id": run["id"], "outputs": body["outputs"]})
            if not body["built_on"]:
                return {"run_id": run["id"], "outputs": self.cache[body["key"]]["outputs"]}
        return {"run_id": run["id"], "outputs": body["outputs"]}

    def _snapshot(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check_fields(body, SNAPSHOT_FIELDS)
        self._check_blob(body["blob"])
        known = self._known(self.datasets, name, "dataset")
        table = pq.read_table(io.BytesIO(self.blobs[body["blob"]]))
        if bad := self.refuse_columns & set(table.column_names):
            raise Invalid(f"batch of {name!r} is refused: column {bad.pop()!r} is unknown.", problems=[], refusal="r1")
        for each in known:
            if each["blob"] == body["blob"]:
                return {**each, "is_known": True}
        number = len(known) + 1
        known.append(
            {
                "dataset": name,
                "number": number,
                "id": f"{name}@{number}",
                "digest": digest_of({"rows": body["blob"]}),
                "blob": body["blob"],
                "rows": table.num_rows,
                "size": len(self.blobs[body["blob"]]),
                "period": body.get("period"),
                "created_at": "2013-01-01T00:00:00.000000Z",
                "run_id": body["run_id"],
            }
        )
        return known[-1]

    def _version(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check_fields(body, VERSION_FIELDS)
        for digest in [*body["files"].values(), *([body["evaluation_blob"]] if body["evaluation_blob"] else [])]:
            self._check_blob(digest)
        versions = self._known(self.models, name, "model")["versions"]
        number = len(versions) + 1
        files = {each: {"digest": digest, "size": len(self.blobs[digest])} for each, digest in body["files"].items()}
        facts = {"id": f"{name}/{number}", "number": number, "digest": digest_of(body["files"]), "state": "candidate"}
        versions.append({**body, **facts, "files": files})
        return versions[-1]

    def _lease(self, body: dict[str, Any]) -> dict[str, Any]:
        for job in self.jobs.values():
            if job["state"] == "queued" and job["kind"] in body["kinds"]:
                job |= {"state": "leased", "attempt": job["attempt"] + 1, "worker": body["worker"]}
                return {"job": {name: job[name] for name in ("id", "kind", "body", "attempt")}}
        return {"job": None}
