# SPDX-License-Identifier: Apache-2.0
"""Webhooks by MLflow's client: what a receiver gets, signed as it checks it, and again when it did not answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest

from ..conftest import Served, serving, talk


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that may call this machine."""
    with serving(tmp_path_factory.mktemp("hooks") / ".mainstay", MAINSTAY_WEBHOOKS_TO_LOOPBACK="1") as one:
        yield one


@pytest.fixture
def received() -> Iterator[tuple[str, Queue[tuple[dict[str, str], bytes]]]]:
    queue: Queue[tuple[dict[str, str], bytes]] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queue.put((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"thanks")

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", queue
    server.shutdown()
    server.server_close()


BEGIN = """
import json, logging, os, warnings
warnings.simplefilter("ignore"); logging.disable(logging.INFO)
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException
c = MlflowClient()
"""


def test_a_receiver_is_told_what_it_asked_for_and_can_check_who_says_it(open_house, received) -> None:
    url, queue = received

    made = talk(
        open_house.url,
        BEGIN
        + """
events = [WebhookEvent.from_str(e) for e in ("model_version.created", "model_version_alias.created", "model_version_tag.set")]
w = c.create_webhook(name="chat", url=os.environ["HOOK"], events=events, secret="word", description="d")
c.create_registered_model("told"); c.create_model_version("told", "s3://b/x", run_id="r", tags={"t": "1"}, description="first")
c.set_registered_model_alias("told", "champion", "1"); c.set_model_version_tag("told", "1", "k", "v")
tried = c.test_webhook(w.webhook_id)
listed = [x.webhook_id for x in c.list_webhooks()]
print(json.dumps({"id": w.webhook_id, "listed": listed, "repr": repr(w), "tried": [tried.success, tried.response_status]}))
""",
        HOOK=url,
    )

    assert made["listed"] == [made["id"]] and "word" not in made["repr"]
    assert made["tried"] == [True, 200]
    messages = [queue.get(timeout=30) for _ in range(4)]
    told = {}
    for headers, body in messages:
        signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(b"word", signed, hashlib.sha256).digest()).decode()
        assert headers["X-MLflow-Signature"] == f"v1,{mac}"
        content = json.loads(body)
        if content["data"]["name"] == "told":
            told[f"{content['entity']}.{content['action']}"] = content["data"]
    assert told == {
        "model_version.created": {
            "name": "told",
            "version": "1",
            "source": "s3://b/x",
            "run_id": None,
            "tags": {"t": "1"},
            "description": "first",
        },
        "model_version_alias.created": {"name": "told", "alias": "champion", "version": "1"},
        "model_version_tag.set": {"name": "told", "version": "1", "key": "k", "value": "v"},
    }


def test_a_webhook_changes_rests_and_goes(open_house, received) -> None:
    url, queue = received

    found = talk(
        open_house.url,
        BEGIN
        + """
w = c.create_webhook(name="a", url=os.environ["HOOK"], events=[WebhookEvent.from_str("registered_model.created")])
c.update_webhook(w.webhook_id, name="b", status=WebhookStatus.DISABLED)
c.create_registered_model("quiet")
b = c.get_webhook(w.webhook_id)
c.delete_webhook(w.webhook_id)
try:
    c.get_webhook(w.webhook_id)
except MlflowException as error:
    print(json.dumps([b.name, str(b.status), error.error_code]))
""",
        HOOK=url,
    )

    assert found == ["b", "DISABLED", "RESOURCE_DOES_NOT_EXIST"]
    assert queue.empty()


def test_an_address_inside_is_refused(served) -> None:
    found = talk(
        served.url,
        BEGIN
        + """
codes = []
for url in ("http://169.254.169.254/latest", "http://10.0.0.1", "http://[fd00::1]/", "ftp://example.com", "http://u:p@example.com"):
    try:
        c.create_webhook(name="a", url=url, events=[WebhookEvent.from_str("registered_model.created")])
    except MlflowException as error:
        codes.append(error.error_code)
print(json.dumps(codes))
""",
    )

    assert found == ["INVALID_PARAMETER_VALUE"] * 5


def test_this_machine_is_not_called_unless_the_setting_opens_it(served, received) -> None:
    url, queue = received

    found = talk(
        served.url,
        BEGIN
        + """
w = c.create_webhook(name="a", url=os.environ["HOOK"], events=[WebhookEvent.from_str("registered_model.created")])
tried = c.test_webhook(w.webhook_id)
c.delete_webhook(w.webhook_id)
print(json.dumps([tried.success, tried.error_message]))
""",
        HOOK=url,
    )

    assert found[0] is False
    assert "not a public address" in found[1]
    assert queue.empty()


def test_only_an_admin_makes_one(served) -> None:
    served.ask("POST", "/api/people", json={"name": "bo", "roles": ["contributor"]})
    secret = served.ask("POST", "/api/people/bo/tokens", json={}).json()
    token = secret["token"]
    body = {"name": "a", "url": "https://example.com", "events": [{"entity": "PROMPT", "action": "CREATED"}]}

    reply = served.ask("POST", "/api/2.0/mlflow/webhooks", json=body, headers={"Authorization": f"Bearer {token}"})

    assert (reply.status_code, reply.json()["error_code"]) == (403, "PERMISSION_DENIED")
