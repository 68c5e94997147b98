# SPDX-License-Identifier: Apache-2.0
"""Webhooks over HTTP, in our own words: added, shown with what it was told, changed, tried, removed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import httpx
import pytest

NEW = {"name": "chat", "url": "https://example.com/x", "events": ["model_version.created"], "secret": "s3cret"}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Queue[tuple[dict[str, str], bytes]]]]:
    """An address of this machine that may be called, and what came there."""
    queue: Queue[tuple[dict[str, str], bytes]] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queue.put((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(202)
            self.end_headers()
            self.wfile.write(b"thanks")

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    monkeypatch.setenv("MAINSTAY_WEBHOOKS_TO_LOOPBACK", "1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", queue
    server.shutdown()
    server.server_close()


def test_a_webhook_is_added_shown_changed_and_removed_and_its_secret_is_never_told(web: httpx.Client) -> None:
    made = web.post("/webhooks", json=NEW | {"reason": "the team wants to know"})
    hook = made.json()
    rests = web.post(f"/webhooks/{hook['id']}/change", json={"state": "disabled", "description": "for the team"})
    shown = web.get(f"/webhooks/{hook['id']}").json()

    assert made.status_code == 201 and (hook["state"], hook["is_signed"]) == ("active", True)
    assert "s3cret" not in made.text + rests.text + web.get("/webhooks").text + web.get("/events").text
    assert (shown["state"], shown["description"], shown["url"], shown["deliveries"]) == (
        "disabled",
        "for the team",
        NEW["url"],
        [],
    )
    assert web.post(f"/webhooks/{hook['id']}/remove", json={}).json() == {"removed": hook["id"]}
    assert web.get(f"/webhooks/{hook['id']}").status_code == 404


def test_a_list_says_what_one_can_be_told_of_and_comes_in_pages(web: httpx.Client) -> None:
    for n in range(3):
        web.post("/webhooks", json=NEW | {"name": f"hook {n}"})

    first = web.get("/webhooks", params={"limit": 2}).json()
    rest = web.get("/webhooks", params={"limit": 2, "after": first["next"]}).json()

    assert "model_version.created" in first["events"]
    assert [each["name"] for each in first["items"]] == ["hook 2", "hook 1"]
    assert rest["items"][0]["name"] == "hook 0"


def test_an_example_is_sent_at_once_and_the_answer_is_told(
    web: httpx.Client, receiver: tuple[str, Queue[tuple[dict[str, str], bytes]]]
) -> None:
    url, came = receiver
    hook = web.post("/webhooks", json=NEW | {"url": url, "events": ["model_version_alias.created"]}).json()

    told = web.post(f"/webhooks/{hook['id']}/test", json={}).json()

    headers, body = came.get(timeout=10)
    assert (told["event"], told["is_done"], told["status"], told["body"]) == (
        "model_version_alias.created",
        True,
        202,
        "thanks",
    )
    assert json.loads(body)["data"]["alias"] == "champion" and headers["X-MLflow-Signature"].startswith("v1,")


def test_an_example_that_reaches_nobody_says_why(web: httpx.Client) -> None:
    hook = web.post("/webhooks", json=NEW | {"url": "http://127.0.0.1:9/hook"}).json()

    told = web.post(f"/webhooks/{hook['id']}/test", json={"event": "model_version.created"}).json()

    assert told["is_done"] is False and told["status"] is None and told["error"]


@pytest.mark.parametrize(
    "odd",
    [
        {"events": []},
        {"events": ["model.exploded"]},
        {"url": "ftp://example.com"},
        {"url": "http://10.0.0.1/x"},
        {"name": " "},
    ],
)
def test_what_could_never_be_told_is_refused(web: httpx.Client, odd: dict[str, Any]) -> None:
    assert web.post("/webhooks", json=NEW | odd).status_code == 422


def test_an_event_that_there_is_not_is_neither_tried_nor_changed_to(web: httpx.Client) -> None:
    hook = web.post("/webhooks", json=NEW).json()

    assert web.post(f"/webhooks/{hook['id']}/test", json={"event": "nothing"}).status_code == 422
    assert web.post(f"/webhooks/{hook['id']}/change", json={"events": ["nothing"]}).status_code == 422
    assert web.post("/webhooks/nobody/test", json={}).status_code == 404
