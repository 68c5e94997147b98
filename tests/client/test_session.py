# SPDX-License-Identifier: Apache-2.0
"""A session: whom it asks, what it shows to whom, and blobs that arrive whole or not at all."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import mainstay
from mainstay.client import session as sessions
from mainstay.client.inprocess import InProcess
from mainstay.client.session import Session, connect
from mainstay.client.wire import Wire
from mainstay.domain.errors import Conflict, Corrupt, Invalid, MainstayError, NotFound, Unavailable

from .conftest import ServerProcess


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Session]:
    session = connect(workspace=tmp_path / "embedded")
    yield session
    session.close()


class Impostor(BaseHTTPRequestHandler):
    """Some other program, by now on the port of a server that was killed."""

    shown: list[str | None] = []  # noqa: RUF012
    health: dict[str, Any] = {"status": "ok", "version": "0.1.0"}  # noqa: RUF012

    def do_GET(self) -> None:
        self.shown.append(self.headers.get("Authorization"))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.health).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def impostor() -> Iterator[str]:
    Impostor.shown.clear()
    with HTTPServer(("127.0.0.1", 0), Impostor) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{other.server_port}"
        other.shutdown()


# Whom it asks


def is_embedded(session: Session) -> bool:
    return isinstance(session.wire._http._transport, InProcess)


def test_an_address_comes_first_then_the_running_server_then_this_process(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(server.folder))

    with_url = connect("http://127.0.0.1:1", token="mst_a_b", retry_s=0)
    assert (with_url.wire.url, with_url.workspace) == ("http://127.0.0.1:1", None)

    monkeypatch.setenv("MAINSTAY_URL", "http://127.0.0.1:2")
    assert connect(retry_s=0).wire.url == "http://127.0.0.1:2"
    by_folder = connect(workspace=server.folder)
    assert by_folder.wire.url == server.url  # a folder that was named wins over the environment
    assert by_folder.get("/me")["actor"]

    monkeypatch.delenv("MAINSTAY_URL")
    assert connect().wire.url == server.url

    server.kill()
    assert (server.folder / "server.json").exists()
    again = connect()
    assert is_embedded(again)
    assert again.get("/me") == by_name(again)
    again.close()


def by_name(session: Session) -> dict[str, Any]:
    me = session.get("/me")
    (person,) = [person for person in session.get("/people")["items"] if person["name"] == me["actor"]]
    return {"actor": person["name"], "roles": person["roles"], "via": me["via"]}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        "{}",
        '{"url": 7}',
        '{"url": "nonsense", "instance": "x"}',
        '{"url": "http://127.0.0.1:1", "instance": "x"}',
    ],
)
def test_a_stale_server_file_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "server.json").write_text(content)

    session = connect(workspace=tmp_path / "w")

    assert is_embedded(session)
    session.close()


@pytest.mark.parametrize(
    "health", [{"status": "ok"}, {"status": "ok", "instance": "another"}, {"instance": None}, [], "x"]
)
def test_another_program_on_the_port_of_a_killed_server_is_not_taken_for_it(
    tmp_path: Path, impostor: str, health: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Impostor, "health", health)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "server.json").write_text(json.dumps({"url": impostor, "instance": "ours", "pid": 1}))

    session = connect(workspace=tmp_path / "w")

    assert is_embedded(session)
    assert Impostor.shown == [None]
    session.close()


def test_the_workspaces_token_is_never_shown_to_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(workspace=tmp_path / "w").close()
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "w"))

    for address in ("http://models.example:7777", "http://127.0.0.1.example", "http://127.0.0.1@models.example"):
        with pytest.raises(Unavailable, match="set MAINSTAY_TOKEN to one that was made for you there"):
            connect(address)
        assert connect(address, token="mst_a_b").wire._http.headers["Authorization"] == "Bearer mst_a_b"

    near = connect("http://localhost:7777")
    assert near.wire._http.headers["Authorization"] == "Bearer " + (tmp_path / "w" / "token").read_text().strip()


def test_an_address_without_any_token_to_show_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "empty"))

    with pytest.raises(Unavailable, match="set MAINSTAY_TOKEN"):
        connect("http://127.0.0.1:7777")


def test_an_address_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="'nonsense' is not the address of a server"):
        connect("nonsense", token="mst_a_b")


def test_there_is_one_default_session_and_it_can_be_replaced(embedded: Session) -> None:
    sessions.use(embedded)
    try:
        assert sessions.default() is sessions.default() is embedded
    finally:
        sessions.use(None)


# The same answers, whichever way


def test_in_this_process_and_over_a_socket_the_answers_are_the_same(standing: ServerProcess) -> None:
    def told(ask: Any) -> Any:
        try:
            answer = ask()
        except MainstayError as error:
            return type(error).__name__, error.message, error.facts
        if isinstance(answer, dict):
            answer.pop("via", None)
        return answer

    def sample(session: Session) -> list[Any]:
        return [
            told(lambda: session.get("/me")),
            told(lambda: session.get("/events", kind="person.*", limit=3)),
            told(lambda: session.get("/events", limit=0)),
            told(lambda: session.get("/events", nothing=1)),
            told(lambda: session.get("/events/1")),
            told(lambda: session.get("/policies/none")),
            told(lambda: session.get("/nothing")),
            told(lambda: session.post("/people", {"name": "a b"})),
            told(lambda: session.post("/people", {"nome": "ab"})),
            told(lambda: session.post("/policies/prod", {"gates": ["1 <"]})),
            told(lambda: session.get_blob("0" * 64)),
            told(lambda: session.get_blob("../token")),
            told(lambda: session.get("/audit/verify")),
            {
                k: v
                for k, v in session.wire.ask("GET", "/api/me").headers.items()
                if k not in ("date", "content-length")
            },
        ]

    over_socket = connect(workspace=standing.folder)
    transport = InProcess(standing.folder, loops=False)
    here = Session(Wire("http://127.0.0.1", transport.token, transport=transport), cache=standing.folder / "c")

    assert not is_embedded(over_socket)
    assert sample(here) == sample(over_socket)
    here.close()


def test_a_write_in_this_process_is_the_same_event(embedded: Session) -> None:
    embedded.post("/people", {"name": "bo", "reason": "joins"})

    (event,) = embedded.get("/events", subject="person:bo")["items"]
    assert (event["kind"], event["reason"], event["body"]["roles"]) == ("person.added", "joins", ["viewer"])
    with pytest.raises(Conflict):
        embedded.post("/people", {"name": embedded.get("/me")["actor"], "roles": []})


def test_only_whoever_asks_for_what_it_answers_waits_for_the_web_framework(tmp_path: Path) -> None:
    script = (
        "import sys; from mainstay.client.session import connect; asked = connect(workspace=sys.argv[1]);"
        "asked.post('/runs', {'name': 'a'}); asked.get('/runs'); print('fastapi' in sys.modules);"
        "print(sorted(asked.wire.ask('GET', '/openapi.json').json())); asked.close()"
    )

    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "w")], capture_output=True, text=True, check=True
    )

    assert told.stdout.split("\n")[:2] == ["False", "['components', 'info', 'openapi', 'paths']"]


def test_a_session_that_was_closed_can_be_closed_again(tmp_path: Path) -> None:
    session = connect(workspace=tmp_path / "w")

    session.close()
    session.close()

    connect(workspace=tmp_path / "w").close()


# Blobs


BIG = 24 << 20


@pytest.fixture
def big(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    file = tmp_path / "big"
    file.write_bytes(hashlib.shake_256(request.node.name.encode()).digest(1 << 20) * (BIG >> 20))
    return file


def test_a_large_file_goes_and_comes_in_pieces(
    standing: ServerProcess, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connect(workspace=standing.folder)
    pieces: list[int] = []
    read = sessions._read

    def watched(data: bytes | Path) -> Iterator[bytes]:
        for piece in read(data):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(sessions, "_read", watched)
    digest = session.put_blob(big)

    assert (sum(pieces), max(pieces)) == (BIG, 1 << 20)
    assert session.blob_path(digest).read_bytes() == big.read_bytes()
    assert session.blob_path(digest).parent == standing.folder / "cache"

    pieces.clear()
    assert session.put_blob(big) == digest
    assert pieces == []  # it is known there


def test_a_blob_that_was_damaged_there_is_refused_and_healed_by_sending_it_again(
    standing: ServerProcess, big: Path
) -> None:
    session = connect(workspace=standing.folder, retry_s=0)
    digest = session.put_blob(big)
    needle = big.read_bytes()[:64]
    (pack,) = [each for each in (standing.folder / "blobs" / "packs").iterdir() if needle in each.read_bytes()]
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes().replace(needle, needle[::-1]))

    with pytest.raises(Corrupt):
        session.get_blob(digest)
    session.put_blob(big)

    assert session.get_blob(digest) == big.read_bytes()


@pytest.mark.parametrize("damaged", [b"other bytes", b""])
def test_bytes_that_were_damaged_on_the_way_are_refused_and_not_kept(tmp_path: Path, damaged: bytes) -> None:
    digest = hashlib.sha256(b"the bytes").hexdigest()
    there = httpx.MockTransport(lambda request: httpx.Response(200, content=damaged))
    session = Session(Wire("http://127.0.0.1", None, transport=there, retry_s=0), cache=tmp_path / "cache")

    with pytest.raises(Corrupt, match="arrived damaged"):
        session.get_blob(digest)
    with pytest.raises(Corrupt, match="arrived damaged"):
        session.blob_path(digest)

    assert list((tmp_path / "cache").iterdir()) == []


def test_a_kept_blob_is_not_fetched_again_unless_it_was_damaged_here(
    embedded: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = embedded.put_blob(b"rows")
    kept = embedded.blob_path(digest)
    fetched: list[str] = []
    stream_to = embedded.wire.stream_to

    def watched(path: str, write: Any) -> None:
        fetched.append(path)
        stream_to(path, write)

    monkeypatch.setattr(embedded.wire, "stream_to", watched)
    embedded.blob_path(digest)
    assert fetched == []

    kept.write_bytes(b"damaged")
    assert embedded.blob_path(digest).read_bytes() == b"rows"
    assert len(fetched) == 1


def test_a_fetch_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    session = Session(
        Wire("http://127.0.0.1", None, transport=httpx.MockTransport(answer), retry_s=0), cache=tmp_path / "c"
    )

    with pytest.raises(Unavailable):
        session.blob_path("0" * 64)

    assert list((tmp_path / "c").iterdir()) == []


def test_a_blob_that_is_not_there_is_not_found(embedded: Session) -> None:
    for ask in (embedded.get_blob, embedded.blob_path):
        with pytest.raises(NotFound, match="upload it first"):
            ask("0" * 64)


def test_a_schedule_and_a_backfill_are_asked_for_from_python(embedded: Session) -> None:
    sessions.use(embedded)
    try:
        made = mainstay.schedule("nightly", "flights.py:late", cron="0 3 * * *", params={"day": "{date}"}, reason="try")
        asked = mainstay.backfill("flights.py:late", "2013-01-01", "2013-03-01", by="month", params={"day": "{since}"})
    finally:
        sessions.use(None)

    assert embedded.get("/schedules/nightly")["schedule"] == made
    assert asked["counts"] == {"waiting": 2}
