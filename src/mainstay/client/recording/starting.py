# SPDX-License-Identifier: Apache-2.0
"""How a recording begins, goes on after a kill, and is ended for those who forget to."""

from __future__ import annotations

import atexit
import contextlib
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainstay import settings
from mainstay.client import capture, delivery, outbox
from mainstay.client import session as sessions
from mainstay.client.outbox import Outbox
from mainstay.client.recording.recordings import Recording, going_on, last_line, plain_param
from mainstay.client.session import Session
from mainstay.client.system_metrics import Sampler
from mainstay.domain import ids
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.domain.tracking import (
    MOST_PARAMS,
    check_key,
)


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
    plain = {check_key("parameter", key): plain_param(key, value) for key, value in (params or {}).items()}
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
    for recording in reversed(list(going_on.values())):
        with contextlib.suppress(MainstayError):
            recording.finish(None if error is None else last_line(error))
    for out in outbox.all_known():
        out.close()
