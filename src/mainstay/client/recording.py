# SPDX-License-Identifier: Apache-2.0
"""Recording a run from any script: ``with ms.run("tuning"): ms.log_metric("auc", 0.7)``.

Inside a step of a pipeline the same verbs write to that step's own run. What a script logs goes to the outbox, and from
there to the server in batches; nothing here waits for an answer but the beginning and the end. An error inside the block
ends the run as failed, with the error's last line.
"""

from __future__ import annotations

import atexit
import contextlib
import mimetypes
import operator
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import Any, NoReturn

from mainstay import settings
from mainstay.client import capture, delivery, outbox, renderings
from mainstay.client import session as sessions
from mainstay.client.outbox import MOST_WAITING, Outbox
from mainstay.client.session import Session
from mainstay.client.system_metrics import Sampler
from mainstay.domain import ids
from mainstay.domain.clock import to_wire, utc_now
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Conflict, Invalid, MainstayError, TooLarge
from mainstay.domain.tracking import (
    LONGEST_PARAM,
    LONGEST_TAG,
    MOST_PARAMS,
    MOST_TAGS,
    check_key,
    check_path,
    check_step,
    same_params,
)

_INT64 = 1 << 63

_open: ContextVar[Recording | None] = ContextVar("mainstay_run", default=None)
_going_on: dict[str, Recording] = {}  # the runs of this process, for a thread or a cell that has no context of its own
# A step of a pipeline keeps its own log; the engine, which stands above this room, puts it here while a step runs.
step_sink: ContextVar[Callable[..., None] | None] = ContextVar("mainstay_step_sink", default=None)


class Recording:
    """A run that is being recorded. ``id`` names it everywhere. As a block, it ends with the block.

    Its verbs may be called from any thread.
    """

    def __init__(self, identity: str, out: Outbox, *, params: Mapping[str, Any], parent: str | None = None) -> None:
        self.id = identity
        self.parent = parent
        self.is_open = True
        self._outbox = out
        self._params = dict(params)
        self._keys: set[str] = set()
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._sources: dict[str, int] = {}
        self._sampler: Sampler | None = None
        self._outer: Recording | None = None

    def __enter__(self) -> Recording:
        self._outer = _open.get()
        _open.set(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        self.finish(None if error is None else _last_line(error))

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """A number of the run, at ``step``, which counts whatever the run counts; NaN and infinity are numbers too."""
        if type(value) is not float:
            value = _number(key, value)
        if step is None:
            step = 0
        elif type(step) is not int or not -_INT64 <= step < _INT64:
            step = _whole(key, step)
        if key not in self._keys:
            self._admit(key)
        out = self._outbox
        out.add((self.id, key, step, time_ns(), value))
        if len(out.points) > MOST_WAITING:
            out.help_drain()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Several numbers at once."""
        for key, value in metrics.items():
            self.log_metric(key, value, step)

    def log_param(self, key: str, value: Any) -> None:
        """A setting of the run."""
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Settings of the run; what JSON has no form for is kept as text.

        Raises:
            Conflict: one has another value already: a run has one configuration. Invalid, TooLarge.
        """
        plain = {check_key("parameter", key): _plain(key, value) for key, value in params.items()}
        with self._lock:
            if changed := same_params(self._params, plain):
                key = changed[0]
                raise Conflict(
                    f"run {self.id} has parameter {key!r} = {self._params[key]!r} and cannot have {plain[key]!r} too; "
                    "log a value that changes as a metric, or start another run.",
                    key=key,
                )
            fresh = {key: value for key, value in plain.items() if key not in self._params}
            self._params |= fresh
        self._log_parts("params", fresh, MOST_PARAMS)

    def set_tag(self, key: str, value: Any) -> None:
        """A remark on the run; the same key again replaces it."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Remarks on the run, as text."""
        told = {check_key("tag", key): str(value) for key, value in tags.items()}
        if long := [key for key, value in told.items() if len(value) > LONGEST_TAG]:
            raise TooLarge(f"tag {long[0]!r} has more than {LONGEST_TAG} characters; log an artifact.")
        self._log_parts("tags", told, MOST_TAGS)

    def log_artifact(
        self, path: str | Path, content: bytes | str | Path | None = None, media_type: str | None = None
    ) -> str:
        """A file of the run, under a relative ``path``; its digest. A copy is kept until it is sent.

        Args:
            content: bytes, text, or the Path of a file; without it, ``path`` is that of a file, kept under its name.
        """
        if content is None:
            content = Path(path)
            path = content.name
        name = check_path(str(path))
        data = content.encode() if isinstance(content, str) else content
        if isinstance(data, Path) and not data.is_file():
            raise Invalid(f"artifact {name!r} is to be read from {data}, which is not a file.")
        self._must_be_open()
        return self._keep_file(name, data, media_type or mimetypes.guess_type(name)[0] or "application/octet-stream")

    def log_text(self, path: str, text: str) -> str:
        """A text as a file of the run."""
        return self.log_artifact(path, text)

    def log_dict(self, path: str, value: Any) -> str:
        """A value as a JSON file of the run."""
        return self.log_artifact(path, renderings.as_json(path, value))

    def log_figure(self, path: str, figure: Any) -> str:
        """A figure of Matplotlib, Plotly or Pillow as a file of the run; the name's ending says how it is written."""
        return self.log_artifact(path, renderings.figure(path, figure))

    def log_table(self, path: str, table: Any) -> str:
        """A table as a ``.parquet``, ``.csv`` or ``.json`` file of the run."""
        return self.log_artifact(path, renderings.table(path, table))

    def flush(self) -> bool:
        """Wait until everything that was said has been answered; whether it was, in the time that a client insists."""
        return self._outbox.flush()

    def finish(self, error: str | None = None) -> None:
        """Say the rest and end the run, once; with ``error``, as failed.

        What the server has not taken by then stays on disk, and a warning says so.
        """
        self._leave()
        if os.getpid() != self._process:
            self._outbox.drain()  # a forked child has lent the run
            return
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        _going_on.pop(self.id, None)
        if self._sampler is not None:
            self._sampler.stop()
        if self._sources:
            self._keep_sources()
        self._outbox.gather()
        body: dict[str, Any] = {"state": "failed" if error else "succeeded", "ended_at": to_wire(utc_now())}
        self._put(f"/runs/{self.id}/finish", body | ({"error": error} if error else {}))
        self._settle()

    def let_go(self) -> None:
        """Say the rest, and leave the run open: another process goes on with it."""
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        _going_on.pop(self.id, None)
        if self._sampler is not None:
            self._sampler.stop()
        self._outbox.gather()
        self._settle()

    def _begin(self, sampler: Sampler | None, *, keeps_code: bool) -> None:
        _going_on[self.id] = self
        if keeps_code:
            if (changed := capture.difference()) is not None:
                self.log_artifact("code/diff.patch", changed, "text/x-diff")
            self._keep_sources()
        self._sampler = sampler
        if sampler is not None:
            sampler.start()

    def _keep_sources(self) -> None:
        """What is loaded of the project by now and was not kept yet; the cells of a notebook grow until the end."""
        for path, data in capture.sources().items():
            known = self._sources.get(path)
            if known is None or (path == capture.NOTEBOOK and known != hash(data)):
                self._sources[path] = hash(data)
                # Where there is no room for it, the run goes on without.
                with contextlib.suppress(OSError):
                    self._keep_file(f"code/{path}", data, "text/x-python")

    def _keep_file(self, name: str, data: bytes | Path, media_type: str) -> str:
        blob, digest, size = self._outbox.keep_blob(data)
        body = {"path": name, "digest": digest, "size": size, "media_type": media_type}
        self._put(f"/runs/{self.id}/artifacts", body, blob=blob)
        return digest

    def _settle(self) -> None:
        is_there = self._outbox.flush()
        if refused := [each.message for each in self._outbox.refused if each.run == self.id]:
            warnings.warn(
                f"the server did not take {len(refused)} of what run {self.id} said, first: {refused[0]} "
                f"It is kept in {self._outbox.folder}.",
                stacklevel=4,
            )
        if not is_there and self._outbox.session is not None:
            warnings.warn(
                f"run {self.id} is kept in {self._outbox.folder}, for {self._outbox.last_failure} "
                "`mainstay runs sync` delivers it, and so does the next run.",
                stacklevel=4,
            )

    def _put(self, path: str, body: Any, *, blob: str | None = None) -> None:
        try:
            self._outbox.put(self.id, path, body, blob=blob)
        except OSError as error:
            warnings.warn(f"what run {self.id} said is lost: {error.strerror}.", stacklevel=4)

    def _log_parts(self, what: str, told: Mapping[str, Any], most: int) -> None:
        if not (what == "tags" or self.is_open):
            self._must_be_open()
        pairs = list(told.items())
        for first in range(0, len(pairs), most):
            self._put(f"/runs/{self.id}/log", {what: dict(pairs[first : first + most])})

    def _admit(self, key: str) -> None:
        self._must_be_open()
        self._keys.add(check_key("metric", key))

    def _must_be_open(self) -> None:
        if not self.is_open:
            raise Conflict(f"run {self.id} has ended, so its record is closed; start a new run for what comes after.")

    def _leave(self) -> None:
        self._keys = set()  # so that whoever logs on is told that the run has ended
        if _open.get() is self:
            _open.set(self._outer)


def run(
    name: str | None = None,
    *,
    experiment: str = "Default",
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    reason: str = "",
    parent: str | None = None,
    kind: str = "run",
    resume: str | None = None,
    identity: str | None = None,
    offline: bool | None = None,
    system_metrics: bool | None = None,
    session: Session | None = None,
) -> Recording:
    """Record what the block does as a run of ``experiment``.

    Args:
        name: by default, that of the script. resume: the id of a run that goes on here; nothing else of it changes.
        identity: the id to give it, of `domain.ids`, where others know it, too; the run began at the time in it.
        offline: only write to disk; `mainstay runs sync` delivers it. By default, as ``MAINSTAY_OFFLINE`` says.
        system_metrics: how the machine fares; by default, as ``MAINSTAY_SYSTEM_METRICS`` says.

    Raises:
        MainstayError: the server refuses such a run. That it does not answer is no error: a warning says so.
    """
    is_offline = settings.get("offline") if offline is None else offline
    chosen = None if is_offline else session or sessions.default()
    out = outbox.of(chosen, _root(chosen))
    _end_at_exit()
    if resume is not None:
        recording = _resumed(resume, out)
    else:
        recording = _begun(
            name or Path(capture.entry()).stem, out, experiment, params, tags, reason, parent, kind, identity
        )
    measures = settings.get("system_metrics") if system_metrics is None else system_metrics
    is_own = parent is None and resume is None  # a run inside another has its code, and its machine
    recording._begin(
        Sampler(recording.log_metrics) if measures and parent is None else None,
        keeps_code=is_own and settings.get("capture_code"),
    )
    return recording


def start_run(name: str | None = None, **facts: Any) -> Recording:
    """`run` where a block would be in the way, as in a notebook: what follows belongs to it, until ``finish()``."""
    return run(name, **facts).__enter__()


def current_run() -> Recording | None:
    """The run that log verbs mean here: of this block, else the only one that goes on in this process."""
    found = _open.get()
    if found is not None and found.is_open:
        return found
    outer = {recording.parent for recording in _going_on.values()}
    inner = [recording for recording in _going_on.values() if recording.id not in outer]
    return inner[0] if len(inner) == 1 else None


def is_here() -> bool:
    """Whether this very context is inside the block of a run, or in a step."""
    found = _open.get()
    return step_sink.get() is not None or (found is not None and found.is_open)


def log_params(params: Mapping[str, Any]) -> None:
    """Settings of the run, or of the step, that is open."""
    if sink := step_sink.get():
        sink("params", params)
        return
    _current("log_params").log_params(params)


def log_param(key: str, value: Any) -> None:
    """One setting of the run, or of the step, that is open."""
    log_params({key: value})


def log_metric(key: str, value: float, step: int | None = None) -> None:
    """A number of the run, or of the step, that is open."""
    if sink := step_sink.get():
        sink("metric", key, value, step)
        return
    found = _open.get()
    if found is None or not found.is_open:
        found = _current("log_metric")
    found.log_metric(key, value, step)


def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Several numbers at once."""
    for key, value in metrics.items():
        log_metric(key, value, step)


def log_artifact(path: str | Path, content: Any = None) -> None:
    """A file of the run, or of the step, that is open: ``content``, or without it the file at ``path``."""
    if sink := step_sink.get():
        sink("artifact", *((Path(path).name, Path(path)) if content is None else (str(path), content)))
        return
    _current("log_artifact").log_artifact(path, content)


def log_text(path: str, text: str) -> None:
    """A text as a file of the run, or of the step, that is open."""
    log_artifact(path, text)


def log_dict(path: str, value: Any) -> None:
    """A value as a JSON file of the run, or of the step, that is open."""
    log_artifact(path, renderings.as_json(path, value))


def log_figure(path: str, figure: Any) -> None:
    """A figure as a file of the run, or of the step, that is open."""
    log_artifact(path, renderings.figure(path, figure))


def log_table(path: str, table: Any) -> None:
    """A table as a file of the run, or of the step, that is open."""
    log_artifact(path, renderings.table(path, table))


def set_tags(tags: Mapping[str, Any]) -> None:
    """Remarks on the run that is open.

    Raises:
        Invalid: no run is, or it is a step, which has none.
    """
    if step_sink.get():
        raise Invalid("a step has no tags of its own; log a parameter, or tag the run of its pipeline.")
    _current("set_tags").set_tags(tags)


def _begun(
    name: str,
    out: Outbox,
    experiment: str,
    params: Mapping[str, Any] | None,
    tags: Mapping[str, str] | None,
    reason: str,
    parent: str | None,
    kind: str,
    identity: str | None,
) -> Recording:
    plain = {check_key("parameter", key): _plain(key, value) for key, value in (params or {}).items()}
    body: dict[str, Any] = {
        "id": identity or ids.uuid7(),
        "experiment": experiment,
        "name": name,
        "kind": kind,
        "params": dict(list(plain.items())[:MOST_PARAMS]),
        "tags": {key: str(value) for key, value in (tags or {}).items()},
        "reason": reason,
    }
    if parent is not None:
        body["parent"] = parent
    if settings.get("capture_code"):
        body["code"] = capture.code()
    if settings.get("capture_environment"):
        body |= {
            "environment": capture.environment(),
            "hardware": capture.hardware(),
            "seeds": capture.seeds(),
        }
    _ask(out, body["id"], "/runs", body)
    recording = Recording(body["id"], out, params=body["params"], parent=parent)
    recording.log_params(plain)
    return recording


def _resumed(identity: str, out: Outbox) -> Recording:
    """The run goes on where it was: what a process that died had still to say comes first."""
    if not ids.is_id(identity):
        raise Invalid(f"{identity[:80]!r} is not the id of a run; `mainstay runs list --json` shows them whole.")
    if out.session is None or out.is_away:
        return Recording(identity, out, params={})
    with contextlib.suppress(OSError):
        delivery.sync(out.session, out.root, unaddressed=False)
    known = out.session.get(f"/runs/{identity}")
    if known["state"] != "running":
        _ask(out, identity, f"/runs/{identity}/reopen", {})
    return Recording(identity, out, params=known["params"], parent=known["parent"])


def _ask(out: Outbox, identity: str, path: str, body: Any) -> None:
    """Put a request and wait a moment for the answer: a refusal is the caller's to know, silence is not."""
    answered = out.put(identity, path, body, is_asked=out.session is not None)
    if out.session is None or out.is_away:
        return
    try:
        answered.result(timeout=outbox.PATIENCE_AT_START_S)
    except TimeoutError:
        out.ask_no_more(answered)
        warnings.warn(
            f"no answer from {out.session.wire.url} yet; the run is kept in {out.folder} and delivered later.",
            stacklevel=4,
        )


def _root(session: Session | None) -> Path:
    workspace = session.workspace if session is not None and session.workspace else settings.workspace()
    return workspace / delivery.FOLDER


_ends_at_exit = False


def _end_at_exit() -> None:
    # After the session was made: what is registered last is called first, and then there still is a session.
    global _ends_at_exit
    if not _ends_at_exit:
        _ends_at_exit = True
        atexit.register(_at_exit)


def _at_exit() -> None:
    """End what nobody ended, and send the rest. An error that ended the script ends its runs as failed."""
    error = getattr(sys, "last_value", None) if capture.entry() != "notebook" else None
    for recording in reversed(list(_going_on.values())):
        with contextlib.suppress(MainstayError):
            recording.finish(None if error is None else _last_line(error))
    for out in outbox.all_known():
        out.close()


def _current(verb: str) -> Recording:
    found = current_run()
    if found is not None:
        return found
    if _going_on:
        raise Invalid(f"{verb} is called where {len(_going_on)} runs go on; call it on the one that is meant.")
    raise Invalid(f'{verb} is called outside of a run; open one with `with ms.run("name"):`.')


def _number(key: str, value: Any) -> float:
    """A number now: an array or a tensor may have changed by the time it is sent."""
    if isinstance(value, (str, bytes)):
        _no_number(key, value)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        _no_number(key, value)


def _no_number(key: str, value: Any) -> NoReturn:
    raise Invalid(f"metric {key!r} is a {type(value).__name__}; a number is expected.", metric=key)


def _whole(key: str, step: Any) -> int:
    try:
        return check_step(key, operator.index(step))
    except TypeError as error:
        raise Invalid(f"metric {key!r} has step {step!r}; a whole number is expected.", metric=key) from error


def _plain(key: str, value: Any) -> Any:
    """A parameter in a form that JSON has."""
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        value = value.item()
    try:
        size = len(canonical_json(value).decode())
    except (TypeError, ValueError, RecursionError):
        value = str(value)
        size = len(value) + 2
    if size > LONGEST_PARAM:
        raise TooLarge(f"parameter {key!r} has {size} characters; at most {LONGEST_PARAM} are kept. Log an artifact.")
    return value


def _last_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
