# SPDX-License-Identifier: Apache-2.0
"""Routes: permissions, strict bodies, and one happening a request however often it is sent."""

from __future__ import annotations

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.domain.governance import PERMISSIONS_BY_ROLE
from mainstay.server.app import all_routes
from mainstay.server.routes import MOST_BODY_BYTES, Route

from ..databases import on_sqlite
from .conftest import House

PERMISSIONS = frozenset.union(*PERMISSIONS_BY_ROLE.values())
ROUTES = sorted(all_routes(), key=lambda route: (route.path, route.method))
POSTS = [route for route in ROUTES if route.style in ("ask", "post", "ingest")]


def called(routes: list[Route]) -> Any:
    return pytest.mark.parametrize("route", routes, ids=[f"{route.method} {route.path}" for route in routes])


def url(route: Route) -> str:
    return "/api" + re.sub(r"{(\w+)(:\w+)?}", lambda part: "1" if part[2] == ":int" else "nothing", route.path)


def test_no_two_routes_answer_the_same_request() -> None:
    shapes = [(route.method, re.sub(r"{\w+", "{", route.path)) for route in ROUTES]

    assert len(shapes) == len(set(shapes))
    assert len({route.name for route in ROUTES}) == len(ROUTES)


# They change nothing governed: a link for oneself, questions that are too long for a query, and one that takes a while.
ASKED_BY_POST = {
    "/links",
    "/steps/lookup",
    "/backfills/preview",
    "/features/{name}/lookup",
    "/features/{name}/rows/known",
    "/snapshots/{snapshot}/verify",
}


@called(ROUTES)
def test_a_route_declares_a_known_permission_and_describes_itself(route: Route) -> None:
    assert route.permission in PERMISSIONS
    assert (route.function.__doc__ or "").strip()
    assert route.method in {"GET", "HEAD", "POST", "PUT"}
    assert route.permission != "read" or route.method in {"GET", "HEAD"} or route.path in ASKED_BY_POST


@called([route for route in ROUTES if not route.path.endswith("/stream")])  # that one answers without end
def test_a_role_gets_past_exactly_the_routes_that_it_permits(house: House, route: Route) -> None:
    for role, granted in PERMISSIONS_BY_ROLE.items():
        if route.permission in granted and role == "admin":
            continue  # would really do it; the other tests do
        reply = house.ask(route.method, url(route), role=role, json={"unknown field": 1})

        refused = reply.status_code == 403 and "permission" in (reply.json() if reply.content else {}).get(
            "error", {}
        ).get("facts", {})
        assert refused is (route.permission not in granted), (role, reply.status_code, reply.text[:200])


def test_somebody_without_a_role_may_nothing(house: House) -> None:
    house.ask("POST", "/api/people", json={"name": "nobody", "roles": []})
    token = house.ask("POST", "/api/people/nobody/tokens", json={}).json()["token"]

    reply = house.ask("GET", "/api/people", headers={"Authorization": f"Bearer {token}"})

    assert reply.status_code == 403
    assert reply.json()["error"]["message"] == (
        "nobody may not GET /people: that takes permission 'read' (roles admin, approver, contributor, gateway, viewer, worker), "
        "and nobody is without a role. Ask an admin."
    )


# Bodies

MALFORMED = {
    "nothing that is JSON": b"{",
    "two values": b"{} {}",
    "not UTF-8": b'{"name":"\xff"}',
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "a boolean": b"true",
    "null": b"null",
    "a key twice": b'{"name":"a","name":"b"}',
    "NaN": b'{"name":NaN}',
    "2^63": b'{"name":9223372036854775808}',
    "10^5000": b'{"name":1' + b"0" * 5000 + b"}",
    "100,000 levels": b"[" * 100_000,
    "a lone surrogate": b'{"name":"\\ud800"}',
    "a NUL": b'{"name":"a\\u0000"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@called([route for route in POSTS if route.path in {"/people", "/policies/{name}", "/tokens/{token_id}/revoke"}])
def test_what_is_not_strict_json_is_a_400(house: House, route: Route, body: bytes) -> None:
    reply = house.ask("POST", url(route), content=body)

    assert (reply.status_code, reply.json()["error"]["kind"]) == (400, "malformed")


@called(POSTS)
def test_no_route_takes_half_a_json_or_breaks_on_it(house: House, route: Route) -> None:
    for body in (b"{", b"[]", b'{"a":1,"a":2}', b"\xff", b"[" * 100_000):
        reply = house.ask("POST", url(route), content=body)
        assert 400 <= reply.status_code < 500, (body[:20], reply.text)


@called(POSTS)
def test_an_unknown_field_is_refused_by_its_name(house: House, route: Route) -> None:
    reply = house.ask("POST", url(route), json={"no_such_field": 1})

    assert reply.status_code == 422
    assert "no_such_field" in reply.text or "missing required field" in reply.text


@called([route for route in ROUTES if route.style != "raw"])
def test_an_unknown_query_parameter_is_refused_by_its_name(house: House, route: Route) -> None:
    reply = house.ask(route.method, url(route) + "?no_such_parameter=1", json={} if route.method == "POST" else None)

    assert (reply.status_code, "'no_such_parameter'" in reply.text) == (422, True)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "limit=", "after=1.5", f"after={'9' * 30}"]
)
def test_a_query_parameter_has_a_type_and_a_range(house: House, query: str) -> None:
    assert house.ask("GET", f"/api/events?{query}").status_code == 422


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded; charset=utf-8", "Multipart/Form-Data; boundary=x"]
)
def test_what_a_foreign_form_can_send_is_no_json(house: House, kind: str) -> None:
    reply = house.ask("POST", "/api/people", content=b'{"name":"x"}', headers={"Content-Type": kind})

    assert (reply.status_code, "Content-Type: application/json" in reply.text) == (400, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reason": 1}, 422),
        ({"reason": ["x"]}, 422),
        ({"reason": False}, 422),
        ({"reason": "x" * 4001}, 422),
        ({"because": "1"}, 422),
        ({"because": True}, 422),
        ({"because": 10**18}, 422),
        ({"because": 0}, 422),
        ({"reason": None, "because": None}, 201),
        ({"reason": "she joins", "because": 1}, 201),
    ],
    ids=str,
)
def test_a_reason_is_a_text_and_because_is_an_event(house: House, body: dict[str, Any], status: int) -> None:
    assert house.ask("POST", "/api/people", json={"name": "reasoned", **body}).status_code == status


def test_reason_and_because_become_those_of_the_event(house: House) -> None:
    house.ask("POST", "/api/people", json={"name": "joiner", "reason": "she joins", "because": 1})

    (event,) = house.events(subject="person:joiner")
    assert (event.reason, event.because, event.actor) == ("she joins", 1, house.ask("GET", "/api/me").json()["actor"])


def test_a_body_over_the_limit_is_a_413_and_one_below_is_read(house: House) -> None:
    def padded(size: int) -> bytes:
        return b'{"name":"x"' + b" " * (size - 12) + b"}"

    assert house.ask("POST", "/api/people", content=padded(MOST_BODY_BYTES)).status_code == 201
    reply = house.ask("POST", "/api/people", content=padded(MOST_BODY_BYTES + 1))
    assert (reply.status_code, reply.json()["error"]["kind"]) == (413, "too_large")


def test_a_stream_over_the_limit_is_not_read_to_its_end(house: House) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 1 << 20
            yield b" " * (1 << 20)

    assert house.ask("POST", "/api/people", content=endless()).status_code == 413
    assert sent < 2 * MOST_BODY_BYTES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(
        st.sampled_from(["name", "kind", "roles", "gates", "approvals", "days", "reason", "because"]), JSON
    ),
    path=st.sampled_from(
        ["/api/people", "/api/people/one-viewer/tokens", "/api/policies/prod", "/api/tokens/x/revoke"]
    ),
)
def test_no_body_breaks_the_server(house: House, body: Any, path: str) -> None:
    reply = house.ask("POST", path, content=json.dumps(body).encode())

    assert reply.status_code < 500, reply.text


# Once


def once(house: House, path: str, key: str, **more: Any) -> Any:
    return house.ask("POST", path, headers={"Idempotency-Key": key}, **more)


def test_a_repeated_request_is_answered_again_and_happens_once(house: House) -> None:
    sent = {"name": "once", "roles": ["viewer"], "reason": "first"}

    first, again = (once(house, "/api/people", "k-once", json=sent) for _ in range(2))

    assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
    assert ("idempotency-replayed" in first.headers, again.headers.get("idempotency-replayed")) == (False, "true")
    assert len(house.events(subject="person:once")) == 1


def test_a_key_that_comes_back_with_another_body_is_a_conflict(house: House) -> None:
    once(house, "/api/people", "k-other", json={"name": "other"})

    assert once(house, "/api/people", "k-other", json={"name": "another"}).status_code == 409


def test_a_key_of_somebody_else_is_another_key(house: House) -> None:
    sent = {"days": 1}
    mine = once(house, "/api/policies/mine", "k-shared", json={"gates": ["true"]})
    theirs = house.ask("POST", "/api/policies/mine", role="viewer", headers={"Idempotency-Key": "k-shared"}, json=sent)

    assert (mine.status_code, theirs.status_code) == (201, 403)


def test_a_refused_request_may_be_corrected_under_the_same_key(house: House) -> None:
    assert once(house, "/api/people", "k-fix", json={"name": "a b"}).status_code == 422
    assert once(house, "/api/people", "k-fix", json={"name": "ab"}).status_code == 201


def test_requests_of_one_key_at_the_same_time_happen_once(house: House) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: once(house, "/api/people", "k-race", json={"name": "raced"}), range(16)))

    assert {(reply.status_code, reply.content) for reply in replies} == {(201, replies[0].content)}
    assert len(house.events(subject="person:raced")) == 1


def test_a_key_that_is_too_long_is_refused(house: House) -> None:
    assert once(house, "/api/people", "k" * 201, json={"name": "x"}).status_code == 422


# A body for each POST that needs nothing to be there before; every other route is asked for something that is not there.
BODIES: dict[str, dict[str, Any]] = {
    "/people": {"name": "walked"},
    "/policies/{name}": {"gates": ["1 < 2"]},
    "/datasets": {"name": "walked", "owner": "ana"},
    "/experiments": {"name": "walked"},
    "/runs": {"name": "walked", "kind": "run"},
    "/models": {"name": "walked", "owner": "ana"},
    "/jobs": {"kind": "run_pipeline", "body": {}},
}


@called(POSTS)
def test_every_post_answers_a_repetition_exactly_as_the_first_time(house: House, route: Route) -> None:
    def ask() -> Any:
        return once(house, url(route), f"walk {route.name}", json=BODIES.get(route.path, {}))

    before = len(house.events())
    first = ask()
    between = len(house.events())
    again = ask()

    if first.status_code >= 400:  # nothing happened, so it may be tried again; it fails in the same way
        assert first.status_code < 500, first.text
        assert (again.status_code, again.json()["error"]["message"]) == (
            first.status_code,
            first.json()["error"]["message"],
        )
        assert len(house.events()) == before
    elif route.style == "ask":  # a question is asked anew, and nothing of it is kept
        assert "idempotency-replayed" not in again.headers
        assert len(house.events()) == before
    elif route.remembers:
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert len(house.events()) == between


def test_the_walk_above_reached_real_answers(house: House) -> None:
    for path in ("/people", "/policies/{name}", "/datasets", "/experiments", "/runs", "/models"):
        reply = house.ask("POST", "/api" + path.replace("{name}", "walked"), json=BODIES[path])
        assert reply.status_code in (200, 201, 409), (path, reply.text)


# Secrets


@on_sqlite  # reads the whole file
def test_a_token_is_kept_nowhere(house: House) -> None:
    house.ask("POST", "/api/people", json={"name": "secretive"})
    issued = once(house, "/api/people/secretive/tokens", "k-token", json={"days": 1}).json()
    link = house.ask("POST", "/api/links", json={}).json()["url_path"].partition("=")[2]
    house.http.get(f"/login?code={link}")

    clear = [text.rpartition("_")[2] for text in (issued["token"], link, house.transport.token)]
    with sqlite3.connect(house.folder / "mainstay.db") as database:
        content = "\n".join(database.iterdump())
        remembered = b"\n".join(row[0] for row in database.execute("select response from requests"))
        written = b"\n".join(row[0] for row in database.execute("select body from ledger"))

    assert issued["id"] in content
    for secret in clear:
        assert len(secret) == 64
        assert secret not in content
        assert secret.encode().hex() not in content.lower()
        assert secret.encode() not in remembered + written
    assert len(house.events(kind="token.issued", subject="person:secretive")) == 1
