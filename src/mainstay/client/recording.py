# SPDX-License-Identifier: Apache-2.0
"""Recording a run from any script: ``with ms.run("tuning"): ms.log_metric("auc", 0.7)``.

Inside a step of a pipeline the same verbs write to that step's own run. What a script logs is sent in batches, at least
every second and at the end of the block; an error inside the block ends the run as failed, with the error's last line.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from mainstay.client import session as sessions
from mainstay.client.session import Session
from mainstay.domain.clock import to_wire, utc_now
from mainstay.domain.errors import Invalid

SENDS_EVERY_S = 1.0
MOST_METRICS = 1000

_open: ContextVar[Recording | None] = ContextVar("mainstay_run", default=None)
# A step of a pipeline keeps its own log; the engine, which stands above this room, puts it here while a step runs.
step_sink: ContextVar[Callable[..., None] | None] = ContextVar("mainstay_step_sink", default=None)


class Recording:
    """A run that is being recorded. ``id`` names it everywhere."""

    def __init__(self, session: Session, identity: str) -> None:
        self.id = identity
        self._session = session
        self._metrics: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._sent_at = time.monotonic()

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Settings of the run. The same key with another value is refused: a run has one configuration."""
        self._session.post(f"/runs/{self.id}/log", {"params": dict(params), "metrics": [], "tags": {}})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Numbers of the run, at ``step``."""
        at = to_wire(utc_now())
        points = [{"key": key, "value": float(value), "step": step or 0, "at": at} for key, value in metrics.items()]
        with self._lock:
            self._metrics.extend(points)
            due = len(self._metrics) >= MOST_METRICS or time.monotonic() - self._sent_at > SENDS_EVERY_S
        if due:
            self.send()

    def log_artifact(self, path: str, content: bytes | str | Path, media_type: str | None = None) -> str:
        """A file of the run, under a relative ``path``; its digest."""
        import mimetypes

        data = content.encode() if isinstance(content, str) else content
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        digest = self._session.put_blob(data)
        guess = media_type or mimetypes.guess_type(path)[0] or "application/octet-stream"
        body = {"path": path, "digest": digest, "size": size, "media_type": guess}
        self._session.post(f"/runs/{self.id}/artifacts", body)
        return digest

    def send(self) -> None:
        """Send what has been collected."""
        with self._lock:
            points, self._metrics = self._metrics, []
            self._sent_at = time.monotonic()
        for first in range(0, len(points), MOST_METRICS):
            chunk = points[first : first + MOST_METRICS]
            self._session.post(f"/runs/{self.id}/log", {"params": {}, "metrics": chunk, "tags": {}})

    def finish(self, error: str | None = None) -> None:
        """Send the rest and end the run."""
        self.send()
        body: dict[str, Any] = {"state": "failed" if error else "succeeded"}
        self._session.post(f"/runs/{self.id}/finish", body | ({"error": error} if error else {}))


@contextmanager
def run(
    name: str,
    *,
    experiment: str = "Default",
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    reason: str = "",
    session: Session | None = None,
) -> Iterator[Recording]:
    """Record what the block does as a run of ``experiment``."""
    chosen = session or sessions.default()
    body = {
        "experiment": experiment,
        "name": name,
        "kind": "run",
        "params": dict(params or {}),
        "tags": dict(tags or {}),
        "code": code_now(),
        "environment": environment_now(),
        "reason": reason,
    }
    recording = Recording(chosen, str(chosen.post("/runs", body)["id"]))
    token = _open.set(recording)
    try:
        yield recording
    except BaseException as error:
        recording.finish(_last_line(error))
        raise
    else:
        recording.finish()
    finally:
        _open.reset(token)


def log_params(params: Mapping[str, Any]) -> None:
    """Settings of the run, or of the step, that is open."""
    if sink := step_sink.get():
        sink("params", params)
        return
    _current("log_params").log_params(params)


def log_metric(key: str, value: float, step: int | None = None) -> None:
    """A number of the run, or of the step, that is open."""
    if sink := step_sink.get():
        sink("metric", key, value, step)
        return
    _current("log_metric").log_metrics({key: value}, step)


def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Several numbers at once."""
    for key, value in metrics.items():
        log_metric(key, value, step)


def log_artifact(path: str, content: Any) -> None:
    """A file of the run, or of the step, that is open."""
    if sink := step_sink.get():
        sink("artifact", path, content)
        return
    _current("log_artifact").log_artifact(path, content)


def code_now() -> dict[str, Any]:
    """What code is running: the script, and the git commit with whether anything is uncommitted."""
    entry = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "interactive"
    found: dict[str, Any] = {"entry": entry}
    commit = _git("rev-parse", "HEAD")
    if commit:
        found |= {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}
    return found


def environment_now() -> dict[str, Any]:
    """Interpreter, system and installed packages."""
    from importlib import metadata

    packages = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    return {"python": platform.python_version(), "system": platform.system().lower(), "packages": packages}


def _current(verb: str) -> Recording:
    recording = _open.get()
    if recording is None:
        raise Invalid(f'{verb} is called outside of a run; open one with `with ms.run("name"):`.')
    return recording


def _git(*arguments: str) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        if done.returncode == 0:
            return done.stdout.strip()
    return ""


def _last_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
