# SPDX-License-Identifier: Apache-2.0
"""A run that is being recorded, as an object: its verbs, and its end.

In: numbers, parameters, files, from any thread. Out: points and requests in the outbox. Which recordings go on in this process,
and which of them this context is in, is kept here too.
"""

from __future__ import annotations

import contextlib
import mimetypes
import operator
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import Any, NoReturn

from mainstay.client import capture, renderings
from mainstay.client.outbox import MOST_WAITING, Outbox
from mainstay.client.system_metrics import Sampler
from mainstay.domain.clock import to_wire, utc_now
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Conflict, Invalid, TooLarge
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

opened: ContextVar[Recording | None] = ContextVar("mainstay_run", default=None)
going_on: dict[str, Recording] = {}  # the runs of this process, for a thread or a cell that has no context of its own
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
        self._outer = opened.get()
        opened.set(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        self.finish(None if error is None else last_line(error))

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
        plain = {check_key("parameter", key): plain_param(key, value) for key, value in params.items()}
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
        going_on.pop(self.id, None)
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
        going_on.pop(self.id, None)
        if self._sampler is not None:
            self._sampler.stop()
        self._outbox.gather()
        self._settle()

    def _begin(self, sampler: Sampler | None, *, keeps_code: bool) -> None:
        going_on[self.id] = self
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
        if opened.get() is self:
            opened.set(self._outer)


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


def plain_param(key: str, value: Any) -> Any:
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


def last_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
