# SPDX-License-Identifier: Apache-2.0
"""The wire: it insists, with one key a request, and gives the error that the server raised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mainstay.client import wire as wires
from mainstay.client.wire import Wire
from mainstay.domain import errors
from mainstay.store import ledger, open_store

from .conftest import ServerProcess


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[float]:
    """Time passes by sleeping only, except where there is a real server to wait for."""
    pauses: list[float] = []
    if "server" not in request.fixturenames:
        monkeypatch.setattr(wires.time, "sleep", pauses.append)
        monkeypatch.setattr(wires.time, "monotonic", lambda: sum(pauses))
    return pauses


def answering(*replies: httpx.Response | Exception) -> tuple[Callable[..., Wire], list[httpx.Request]]:
    """A wire to something that gives these answers in turn, the last one for ever; and what it was asked."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        reply = replies[min(len(asked), len(replies) - 1)]
        asked.append(request)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return lambda **more: Wire("http://127.0.0.1", None, transport=httpx.MockTransport(answer), **more), asked


def told(status: int, kind: str = "unavailable") -> httpx.Response:
    return httpx.Response(
        status, json={"error": {"kind": kind, "message": "it is so.", "facts": {"n": 1}, "request_id": "r"}}
    )


AWAY = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "passing", [AWAY, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut"), told(503), told(502)]
)
def test_a_request_is_sent_again_with_the_same_key_until_it_is_answered(passing: Any, slept: list[float]) -> None:
    make, asked = answering(passing, passing, passing, httpx.Response(200, json={"ok": True}))

    assert make().ask("POST", "/api/x", json={"a": 1}).json() == {"ok": True}

    assert len({request.headers["idempotency-key"] for request in asked}) == 1
    assert {request.content for request in asked} == {b'{"a":1}'}
    assert (len(asked), len(slept)) == (4, 3)


def test_each_request_has_a_key_of_its_own_and_a_read_has_none() -> None:
    make, asked = answering(httpx.Response(200, json={}))
    wire = make()
    for method in ("POST", "POST", "GET", "PUT"):
        wire.ask(method, "/api/x")

    keys = [request.headers.get("idempotency-key") for request in asked]
    assert len(keys[0] or "") >= 32
    assert (keys[0] != keys[1], keys[2:]) == (True, [None, None])


def test_it_insists_for_as_long_as_it_was_told_and_says_whom_it_asked(slept: list[float]) -> None:
    make, asked = answering(AWAY)

    with pytest.raises(errors.Unavailable, match=r"no answer from http://127.0.0.1 \(ConnectError\); start it with"):
        make(retry_s=30).ask("GET", "/api/x")

    assert 25 < sum(slept) <= 30
    assert max(slept) <= 2
    assert len(asked) == len(slept) + 1


def test_without_patience_it_asks_once() -> None:
    make, asked = answering(told(503))

    with pytest.raises(errors.Unavailable, match="it is so"):
        make(retry_s=0).ask("GET", "/api/x")

    assert len(asked) == 1


@pytest.mark.parametrize("kind", errors.BY_KIND)
def test_an_error_is_raised_as_it_was_raised_there_and_not_asked_again(kind: str) -> None:
    make, asked = answering(told(418, kind))

    with pytest.raises(errors.BY_KIND[kind], match="it is so") as raised:
        make().ask("POST", "/api/x")

    assert (type(raised.value), raised.value.facts, len(asked)) == (errors.BY_KIND[kind], {"n": 1}, 1)


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[]", b'{"error":"x"}', b'{"error":{"kind":1}}', b'{"error":{"message":"x"}}', b"\xff"]
)
def test_an_answer_in_foreign_words_is_told_apart(body: bytes) -> None:
    make, _ = answering(httpx.Response(404, content=body))

    with pytest.raises(errors.Unavailable, match="not in Mainstay's words"):
        make().ask("GET", "/api/x")


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1", "http://", "http://[", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused_at_once(url: str, slept: list[float]) -> None:
    with pytest.raises((errors.Unavailable, errors.Invalid)):
        Wire(url, None).ask("GET", "/health")

    assert slept == []


def test_a_blob_is_asked_again_only_while_nothing_of_it_arrived() -> None:
    class Breaks(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"half"
            raise httpx.ReadError("cut")

    make, asked = answering(AWAY, told(503), httpx.Response(200, stream=Breaks()))
    pieces: list[bytes] = []

    with pytest.raises(errors.Unavailable):
        make().stream_to("/api/blobs/x", pieces.append)

    assert (pieces, len(asked)) == ([b"half"], 3)


def test_an_upload_begins_anew_at_each_try() -> None:
    make, asked = answering(AWAY, AWAY, httpx.Response(201, json={}))

    make().send_stream("/api/blobs/x", lambda: iter([b"one", b"two"]))

    assert [request.content for request in asked] == [b"onetwo"] * 3


def test_the_token_is_sent_and_a_proxy_of_the_environment_never_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(302, headers={"Location": "http://192.0.2.1/"})

    reply = Wire("http://127.0.0.1", "mst_a_b", transport=httpx.MockTransport(answer)).ask("GET", "/api/me")

    assert (reply.status_code, len(asked), asked[0].headers["authorization"]) == (302, 1, "Bearer mst_a_b")


# A real server that is killed


def test_nothing_is_lost_or_done_twice_while_the_server_is_killed_and_comes_back(server: ServerProcess) -> None:
    done: list[str] = []
    lock, killed = threading.Lock(), threading.Event()

    def work(thread: int) -> None:
        wire = Wire(server.url, server.token, retry_s=60)
        for n in range(12):
            name = f"p{thread}-{n}"
            reply = wire.ask("POST", "/api/people", json={"name": name, "reason": "crash"}).json()
            assert reply["name"] == name
            with lock:
                done.append(name)
            if len(done) >= 8:
                killed.set()
        wire.close()

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work, thread) for thread in range(3)]
        for _ in range(2):
            killed.wait(timeout=60)
            server.kill()
            server.start()
        for one in working:
            one.result(timeout=90)

    server.kill()
    store = open_store(server.folder)
    with store.view() as view:
        assert ledger.verify(view).ok
        added = [e.body["name"] for e in ledger.search(view, kind="person.added", limit=1000) if e.reason == "crash"]
    store.close()
    assert sorted(added) == sorted(done)
    assert len(set(done)) == 36
