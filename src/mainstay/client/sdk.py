# SPDX-License-Identifier: Apache-2.0
"""The SDK's verbs beyond recording: predict, feedback, release, schedule, backfill, and the answers; each is one request of
the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mainstay.client import session as sessions
from mainstay.client.session import Session
from mainstay.client.wire import Wire
from mainstay.domain.errors import Unavailable


def connect(url: str | None = None, *, token: str | None = None, workspace: str | Path | None = None) -> Session:
    """Choose whom everything that follows asks; without it, the order of `mainstay.client.session` decides."""
    session = sessions.connect(url, token=token, workspace=workspace)
    sessions.use(session)
    return session


def predict(
    deployment: str, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, key: str | None = None
) -> dict[str, Any]:
    """Ask a deployment about one row or several; the gateway's answer, with an id for each prediction.

    Raises:
        Unavailable: no gateway is known here.
    """
    session = sessions.default()
    if session.gateway_url is None:
        raise Unavailable("no gateway is known here; start one with `mainstay up`, or set MAINSTAY_URL.")
    body: dict[str, Any] = {"rows": [dict(rows)] if isinstance(rows, Mapping) else [dict(row) for row in rows]}
    if key is not None:
        body["key"] = key
    wire = Wire(session.gateway_url, session.wire.token, retry_s=session.wire.retry_s)
    try:
        answer: dict[str, Any] = wire.ask("POST", f"/deployments/{deployment}/predict", json=body).json()
        return answer
    finally:
        wire.close()


def feedback(prediction: str, label: float | str, *, at: str | None = None) -> dict[str, Any]:
    """Tell what turned out to be true of a prediction: a number, or the class itself.

    It goes by way of the gateway where one is known: a gateway hands over what it has just logged before it passes it on.
    """
    session = sessions.default()
    body = {"id": prediction, "label": label} | ({"at": at} if at else {})
    if session.gateway_url is None:
        answer: dict[str, Any] = session.post("/feedback", body)
        return answer
    wire = Wire(session.gateway_url, session.wire.token, retry_s=session.wire.retry_s)
    try:
        answer = wire.ask("POST", "/feedback", json=body).json()
        return answer
    finally:
        wire.close()


def release(model: str, version: int, *, to: str, reason: str = "") -> dict[str, Any]:
    """Ask for a version to go live on a deployment; the release as it begins to be judged."""
    body = {"model": model, "version": version, "reason": reason}
    answer: dict[str, Any] = sessions.default().post(f"/deployments/{to}/releases", body)
    return answer


def schedule(
    name: str,
    pipeline: str,
    *,
    cron: str | None = None,
    every: str | None = None,
    timezone: str = "UTC",
    catch_up: str = "latest",
    params: Mapping[str, Any] | None = None,
    reason: str = "",
) -> dict[str, Any]:
    """Say when ``pipeline`` (``file.py:function``) is to run; said again, the schedule is another."""
    body: dict[str, Any] = {"name": name, "pipeline": pipeline, "cron": cron, "every": every, "timezone": timezone}
    body |= {"catch_up": catch_up, "params": dict(params or {}), "reason": reason}
    answer: dict[str, Any] = sessions.default().post("/schedules", body)
    return answer


def backfill(
    pipeline: str,
    since: str,
    until: str,
    *,
    by: str = "day",
    timezone: str = "UTC",
    params: Mapping[str, Any] | None = None,
    concurrency: int = 2,
    reason: str = "",
) -> dict[str, Any]:
    """Ask for ``pipeline`` once for each partition from ``since`` up to but not with ``until``; the workers carry it out."""
    body: dict[str, Any] = {"pipeline": pipeline, "since": since, "until": until, "by": by, "timezone": timezone}
    body |= {"params": dict(params or {}), "concurrency": concurrency, "reason": reason}
    answer: dict[str, Any] = sessions.default().post("/backfills", body)
    return answer


def live() -> list[dict[str, Any]]:
    """What is live, as reported by what is loaded."""
    return list(sessions.default().get("/live")["items"])


def diff(before: str, after: str, *, key: str | Sequence[str] = ()) -> dict[str, Any]:
    """What is different between two snapshots (``flights@2``, ``flights@current``): schema, rows, each column's values.

    Args:
        key: the columns that name a row, to be told which rows came, went or changed; by default those that the contract
            calls a key or unique.
    """
    path = f"/snapshots/{quote(before, safe='@')}/diff/{quote(after, safe='@')}"
    named = [key] if isinstance(key, str) else list(key)
    answer: dict[str, Any] = sessions.default().get(path, **({"key": named} if named else {}))
    return answer


def why(subject: str, *, verify: bool = False) -> dict[str, Any]:
    """The chain behind a prediction id, or behind any ``kind:name``."""
    answer: dict[str, Any] = sessions.default().get(f"/why/{quote(subject, safe=':@/')}", verify=1 if verify else None)
    return answer


def explain(a: str, b: str) -> dict[str, Any]:
    """Why the results of two runs or versions differ: ids of runs, or versions such as ``flights-late/3``."""
    answer: dict[str, Any] = sessions.default().get("/diff", a=a, b=b)
    return answer
