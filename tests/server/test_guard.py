# SPDX-License-Identifier: Apache-2.0
"""The guard: nobody gets in by leaving something out, writing it oddly, or coming through somebody's browser."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from mainstay.lifecycle.governance import people, tokens
from mainstay.server.app import all_routes
from mainstay.server.guard import SECURITY_HEADERS

from .conftest import House

ROUTES = sorted({(route.method, route.path) for route in all_routes()})


def filled(path: str) -> str:
    """A path with something in each of its places."""
    parts = ["1" if ":int}" in part else "x" if part.startswith("{") else part for part in path.split("/")]
    return "/api" + "/".join(parts)


# Who asks


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
def test_no_route_answers_a_stranger(house: House, method: str, path: str) -> None:
    reply = house.http.request(method, filled(path), json={})

    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.json()["error"]["kind"] == "unauthenticated"


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/api", "/api/", "/api/nothing", "/metrics", "/docs", "/api%2Fme", "/%61pi/me"]
)
def test_what_describes_the_api_is_not_for_strangers_either(house: House, path: str) -> None:
    assert house.http.get(path).status_code == 401


@pytest.mark.parametrize(
    "path", ["//api/me", "/./api/me", "/x/../api/me", "/API/me", "/api;x/me", "/%2Fapi/me", "/api\\me"]
)
def test_another_spelling_of_an_api_path_shows_nothing(house: House, path: str) -> None:
    reply = house.http.get(httpx.URL("http://127.0.0.1").copy_with(raw_path=path.encode()))

    assert reply.status_code in (401, 404) or reply.headers["content-type"].startswith("text/html")
    assert b"one-admin" not in reply.content
    assert b'"via"' not in reply.content


@pytest.mark.parametrize("path", ["/health", "/", "/models/flights-late", "/nothing.js"])
def test_the_page_and_health_need_nobody(house: House, path: str) -> None:
    assert house.http.get(path).status_code == 200
    assert house.http.head(path).status_code == 200


def wrong_credentials(good: str) -> dict[str, str]:
    prefix, identity, secret = good.split("_")
    return {
        "nothing": "",
        "no scheme": good,
        "another scheme": f"Basic {good}",
        "empty": "Bearer ",
        "another secret": f"Bearer {prefix}_{identity}_{'0' * len(secret)}",
        "another id": f"Bearer {prefix}_{'0' * 16}_{secret}",
        "no secret": f"Bearer {prefix}_{identity}_",
        "only the id": f"Bearer {prefix}_{identity}",
        "another prefix": f"Bearer xyz_{identity}_{secret}",
        "cut": f"Bearer {good[:-1]}",
        "longer": f"Bearer {good}0",
        "a wildcard": f"Bearer {prefix}_%_{secret}",
        "a quote": f"Bearer {prefix}_' or 1=1 --_{secret}",
        "not ASCII": f"Bearer {good}\xe9",
        "very long": "Bearer mst_x_" + "y" * 20_000,
    }


@pytest.mark.parametrize("way", wrong_credentials("mst_a_b"))
def test_a_token_that_is_not_exactly_right_opens_nothing(house: House, way: str) -> None:
    credential = wrong_credentials(house.transport.token)[way]

    reply = house.http.get("/api/me", headers={b"authorization": credential.encode("latin-1")})  # type: ignore[dict-item]

    assert reply.status_code == 401


def test_whoever_was_recognised_is_looked_up_once_until_something_governed_changes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    found, now = tokens.holder, house.store.clock()
    monkeypatch.setattr(house.store, "clock", lambda: now)
    monkeypatch.setattr(tokens, "holder", lambda view, **what: looks.append(what) or found(view, **what))
    with house.store.change(actor="system") as change:
        people.add(change, name="often", roles=["viewer"])
        issued = tokens.issue(change, name="often")

    def ask() -> int:
        return house.ask("GET", "/api/runs", headers={"Authorization": f"Bearer {issued.secret}"}).status_code

    assert [ask() for _ in range(5)] == [200] * 5
    assert len(looks) == 1
    with house.store.change(actor="system") as change:
        tokens.revoke(change, identity=issued.id)
    assert ask() == 401


def test_revoked_tokens_and_those_of_disabled_or_expired_people_open_nothing(house: House) -> None:
    with house.store.change(actor="system") as change:
        people.add(change, name="leaver", roles=["viewer"])
        issued = tokens.issue(change, name="leaver", days=1)
    leaver = {"Authorization": f"Bearer {issued.secret}"}
    assert house.ask("GET", "/api/me", headers=leaver).json()["via"] == f"token:{issued.id}"

    assert house.ask("POST", f"/api/tokens/{issued.id}/revoke").status_code == 200

    assert house.ask("GET", "/api/me", headers=leaver).status_code == 401
    assert house.ask("POST", f"/api/tokens/{issued.id}/revoke").status_code == 404


# Through which name, from which page


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "evil@127.0.0.1",
        "127.0.0.1/x",
        "127.0.0.1?x",
        "127.0.0.1#x",
        "",
        "127.0.0.1:port",
        "127.0.0.1:",
        "[::1",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "127.0.0.1,evil.example",
        "127.0.0.1 ",
    ],
)
def test_a_name_that_is_not_ours_is_refused(house: House, host: str) -> None:
    for path in ("/api/me", "/health", "/"):
        assert house.ask("GET", path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7777", "localhost:7777", "LOCALHOST", "[::1]:7777"])
def test_the_names_of_this_machine_are_ours(house: House, host: str) -> None:
    assert house.ask("GET", "/api/me", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1@evil.example"},
        {"Origin": "ftp://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "Cross-Site"},
        {"Sec-Fetch-Site": "something-new"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/me"), ("POST", "/api/people"), ("PUT", "/api/x"), ("GET", "/openapi.json")]
)
def test_another_sites_page_can_ask_nothing(house: House, said: dict[str, str], method: str, path: str) -> None:
    reply = house.ask(method, path, headers=said, json={"name": "x"})

    assert (reply.status_code, reply.json()["error"]["kind"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    "said", [{"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}], ids=str
)
def test_our_own_page_can_ask(house: House, said: dict[str, str]) -> None:
    assert house.ask("GET", "/api/me", headers=said).status_code == 200


def test_a_link_from_elsewhere_to_the_page_may_be_followed(house: House) -> None:
    assert house.http.get("/runs/1", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "GETS"])
def test_methods_that_nothing_uses_are_refused(house: House, method: str) -> None:
    assert house.ask(method, "/api/people").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [[("Content-Length", "2"), ("Transfer-Encoding", "chunked")], [("Content-Length", "2"), ("Content-Length", "3")]],
)
def test_a_length_stated_twice_is_refused(house: House, headers: list[tuple[str, str]]) -> None:
    request = httpx.Request("POST", "http://127.0.0.1/api/people", content=b"{}")
    request.headers = httpx.Headers(
        [("Host", "127.0.0.1"), ("Authorization", f"Bearer {house.transport.token}"), *headers]
    )

    assert house.http.send(request).status_code == 400


def test_a_websocket_is_closed_before_it_is_open(house: House) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(house.transport._app({"type": "websocket", "path": "/api/events/stream", "headers": []}, receive, send))

    assert sent == [{"type": "websocket.close", "code": 1008}]


# What every answer carries


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/api/me", 200),
        ("GET", "/api/nothing", 404),
        ("POST", "/api/me", 405),
        ("POST", "/api/people", 400),
        ("DELETE", "/api/people", 403),
        ("GET", "/login?code=x", 401),
        ("GET", "/openapi.json", 200),
        ("GET", "/" + "x" * 5000, 200),
        ("GET", "/api/events/" + "9" * 5000, 404),
    ],
)
def test_every_answer_carries_the_security_headers(house: House, method: str, path: str, status: int) -> None:
    reply = house.ask(method, path, content=b"{")

    assert reply.status_code == status
    assert {name: reply.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    if path.startswith(("/api", "/login", "/health", "/openapi")):
        assert reply.headers["cache-control"] == "no-store"


def test_scripts_of_other_origins_and_inline_ones_do_not_run() -> None:
    policy = dict(part.strip().split(" ", 1) for part in SECURITY_HEADERS["content-security-policy"].split(";"))

    assert policy.get("script-src", policy["default-src"]) == "'self'"
    assert (policy["object-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3
