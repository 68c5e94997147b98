# SPDX-License-Identifier: Apache-2.0
"""Signing in with a browser: a link works once, for five minutes, and leaves a cookie that no script can read."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie

import httpx
import pytest

from mainstay.server.guard import COOKIE

from .conftest import House


def link(house: House, role: str | None = None) -> str:
    return str(house.ask("POST", "/api/links", role=role, json={}).json()["url_path"])


def cookie_of(reply: httpx.Response) -> str:
    return SimpleCookie(reply.headers["set-cookie"])[COOKIE].value


def signed_in(house: House, value: str) -> int:
    house.http.cookies.clear()
    return house.http.get("/api/me", headers={"Cookie": f"{COOKIE}={value}"}).status_code


def test_a_link_signs_in_whoever_made_it_and_leads_to_the_page(house: House) -> None:
    reply = house.http.get(link(house, "viewer"))
    me = house.http.get("/api/me", headers={"Cookie": f"other=1; {COOKIE}={cookie_of(reply)}"}).json()

    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert (me["actor"], me["roles"], me["via"].partition(":")[0]) == ("one-viewer", ["viewer"], "cookie")


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(house: House) -> None:
    morsel = SimpleCookie(house.http.get(link(house)).headers["set-cookie"])[COOKIE]

    assert (morsel["httponly"], morsel["samesite"].lower(), morsel["path"], morsel["domain"]) == (
        True,
        "strict",
        "/",
        "",
    )
    assert int(morsel["max-age"]) == timedelta(hours=12).total_seconds()


def test_a_link_works_once(house: House) -> None:
    path = link(house)

    assert [house.http.get(path).status_code for _ in range(3)] == [303, 401, 401]


def test_looking_at_a_link_does_not_use_it_up(house: House) -> None:
    path = link(house)

    house.http.head(path)

    assert house.http.get(path).status_code == 303


def test_a_link_works_for_five_minutes_and_a_session_for_twelve_hours(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = house.store.clock()

    def later(**units: float) -> None:
        monkeypatch.setattr(house.store, "clock", lambda: now + timedelta(**units))

    early, late = link(house), link(house)
    later(minutes=4.9)
    session = cookie_of(house.http.get(early))
    later(minutes=5.1)
    assert house.http.get(late).status_code == 401

    for hours, status in ((12, 200), (12.1, 401)):
        later(hours=hours)
        assert signed_in(house, session) == status


@pytest.mark.parametrize("code", ["", "x", "mst_x_y", "%00", "mst_%25_x"])
def test_a_code_that_was_never_made_signs_nobody_in(house: House, code: str) -> None:
    reply = house.http.get(f"/login?code={code}")

    assert (reply.status_code, "set-cookie" in reply.headers) == (401, False)


def test_each_secret_is_good_for_its_own_use_only(house: House) -> None:
    code = link(house).partition("=")[2]
    session = cookie_of(house.http.get(link(house)))

    assert signed_in(house, code) == 401
    assert signed_in(house, house.transport.token) == 401
    assert house.ask("GET", "/api/me", headers={"Authorization": f"Bearer {code}"}).status_code == 401
    assert house.ask("GET", "/api/me", headers={"Authorization": f"Bearer {session}"}).status_code == 401
    assert house.http.get(f"/login?code={house.transport.token}").status_code == 401


@pytest.mark.parametrize(
    ("to", "leads"),
    [
        ("/models/a", "/models/a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("evil", "/"),
        ("/%09/evil.example", "/%09/evil.example"),
        ("/%0d%0aSet-Cookie:x", "/%0D%0ASet-Cookie:x"),
    ],
)
def test_a_link_leads_to_a_path_of_this_server_only(house: House, to: str, leads: str) -> None:
    reply = house.http.get(f"{link(house)}&to={to}")

    assert reply.headers["location"] == leads
    assert reply.headers.get_list("set-cookie") == [reply.headers["set-cookie"]]


def test_a_cookie_alone_cannot_be_used_from_another_site(house: House) -> None:
    session = cookie_of(house.http.get(link(house)))

    reply = house.http.post(
        "/api/people", json={"name": "x"}, headers={"Cookie": f"{COOKIE}={session}", "Origin": "http://evil.example"}
    )

    assert reply.status_code == 403
