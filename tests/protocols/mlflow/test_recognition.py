# SPDX-License-Identifier: Apache-2.0
"""What clients and scripts recognise by its words: files by their headers, what is missing by the beginning of a sentence."""

from __future__ import annotations

import pytest

from ..conftest import Served, talk


@pytest.fixture
def run(served: Served) -> tuple[str, str]:
    """A run, and where its files are sent."""
    made = served.ask("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    return made["run_id"], f"/api/2.0/mlflow-artifacts/artifacts/0/{made['run_id']}/artifacts/"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("a.txt", "text/plain", "attachment; filename=a.txt"),
        ("MLmodel", "text/plain", "attachment; filename=MLmodel"),
        ("conda.yaml", "text/plain", "attachment; filename=conda.yaml"),
        ("c.png", "image/png", "attachment; filename=c.png"),
        ("b.pkl", "application/octet-stream", "attachment; filename=b.pkl"),
        ("dog+step+20.png", "image/png", "attachment; filename=dog+step+20.png"),
        ('q"; x=.txt', "text/plain", "attachment; filename*=utf-8''q%22%3B%20x%3D.txt"),
        ("größe.txt", "text/plain", "attachment; filename*=utf-8''gr%C3%B6%C3%9Fe.txt"),
    ],
)
def test_a_file_goes_out_under_its_own_name_and_kind(
    served: Served, run: tuple[str, str], name: str, kind: str, said: str
) -> None:
    identity, files = run
    served.ask("PUT", files + name.replace('"', "%22").replace(";", "%3B").replace(" ", "%20"), content=b"x")

    for reply in (
        served.ask("GET", "/get-artifact", params={"run_id": identity, "path": name}),
        served.ask("GET", files + name.replace('"', "%22").replace(";", "%3B"), headers={"Accept": "text/html"}),
    ):
        assert (reply.status_code, reply.headers["content-type"], reply.headers["content-disposition"]) == (
            200,
            kind,
            said,
        )


def test_a_climbing_path_is_refused_behind_two_slashes_too(served: Served) -> None:
    asked = {"name": "model", "version": "1", "path": "../path"}

    reply = served.ask("GET", "//model-versions/get-artifact", params=asked)

    assert (reply.status_code, reply.json()) == (
        400,
        {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid path"},
    )


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/api/2.0/mlflow/webhooks/nobody", "Webhook with ID nobody not found"),
        ("GET", "/api/3.0/mlflow/datasets/d-nobody", "Evaluation dataset with id 'd-nobody' not found"),
        (
            "POST",
            "/api/3.0/mlflow/datasets/d-nobody/add-experiments",
            "Evaluation dataset with id 'd-nobody' not found",
        ),
    ],
)
def test_what_is_missing_is_said_in_the_words_that_clients_know(
    served: Served, method: str, path: str, words: str
) -> None:
    reply = served.ask(method, path, **({"json": {"experiment_ids": ["0"]}} if method == "POST" else {}))

    assert reply.status_code == 404 and words in reply.json()["message"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("   ", "Webhook URL cannot be empty or just whitespace"),
        ("ftp://example.com", "Invalid webhook URL scheme"),
        ("http://[invalid", "Invalid webhook URL"),
    ],
)
def test_an_address_that_cannot_be_told_is_refused_in_the_same_way(served: Served, url: str, words: str) -> None:
    events = [{"entity": "MODEL_VERSION", "action": "CREATED"}]
    made = {"name": "hook", "url": "https://example.com/x", "events": events}
    hook = served.ask("POST", "/api/2.0/mlflow/webhooks", json=made).json()["webhook"]["webhook_id"]

    for reply in (
        served.ask("POST", "/api/2.0/mlflow/webhooks", json=made | {"url": url}),
        served.ask("PATCH", f"/api/2.0/mlflow/webhooks/{hook}", json={"url": url}),
    ):
        assert (reply.status_code, reply.json()["message"].startswith(words)) == (400, True)


@pytest.mark.parametrize(
    ("what", "filter"),
    [
        ("registered-models", "name IN ('a')"),
        ("registered-models", "owner = 'ana'"),
        ("registered-models", "creation_timestamp > 0"),
        ("model-versions", "run_id IN (1)"),
        ("model-versions", "version_number = 'x'"),
        ("model-versions", "tags.k > 'x'"),
        ("model-versions", "format = 'onnx'"),
    ],
)
def test_a_registry_filter_knows_mlflows_words_and_no_others(served: Served, what: str, filter: str) -> None:
    reply = served.ask("GET", f"/api/2.0/mlflow/{what}/search", params={"filter": filter})

    assert (reply.status_code, reply.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


LONG = """
import json
import mlflow
from mlflow.exceptions import MlflowException
try:
    mlflow.MlflowClient().register_prompt("long", template="a" * 100_001)
except MlflowException as error:
    print(json.dumps({"refused": error.message}))
"""


def test_a_prompt_that_is_too_long_is_refused_as_one(served: Served) -> None:
    assert "Prompt text exceeds max length of" in talk(served.url, LONG)["refused"]
