# SPDX-License-Identifier: Apache-2.0
"""What MLflow's clients ask first, who is let in, and how a refusal looks."""

from __future__ import annotations

import httpx
import pytest

from mainstay.server.protocols.mlflow import all_calls, wire

CALLS = sorted(
    {(call.method, path, call.permission) for calls in all_calls() for call in calls.all for path in call.paths},
    key=str,
)


def filled(path: str) -> str:
    """A path with something in each of its places."""
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))


def test_the_version_is_the_protocols(served) -> None:
    assert httpx.get(served.url + "/version", trust_env=False).text == wire.VERSION


def test_what_the_server_can_do_is_told_to_everybody(served) -> None:
    reply = httpx.get(served.url + "/api/3.0/mlflow/server-info", trust_env=False)

    assert reply.status_code == 200
    assert reply.json()["workspaces_enabled"] is False


@pytest.mark.parametrize(("method", "path", "permission"), CALLS, ids=[f"{m} {p}" for m, p, _ in CALLS])
def test_no_call_answers_a_stranger(served, method: str, path: str, permission: str | None) -> None:
    # What a browser sends is never taken for the server's own user.
    reply = httpx.request(method, served.url + filled(path), headers={"Referer": served.url}, trust_env=False)

    if permission is None:
        assert reply.status_code == 200
    else:
        assert reply.status_code == 401
        assert reply.json()["error_code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/nothing", "/ajax-api/2.0/mlflow/nothing", "/graphql"])
def test_an_unknown_call_is_refused_in_mlflows_words(served, path: str) -> None:
    reply = served.ask("POST", path, json={})

    assert reply.status_code == 404
    assert reply.json()["error_code"] == "ENDPOINT_NOT_FOUND"
