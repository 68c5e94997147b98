# SPDX-License-Identifier: Apache-2.0
"""The API's description: valid, complete, and true of what the server answers to whatever fits it."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mainstay.domain.governance import PERMISSIONS_BY_ROLE
from mainstay.server.app import all_routes
from mainstay.server.faults import STATUS_BY_KIND

from .conftest import House

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25
# These answer without end, or hold the line for as long as they are asked to.
ENDLESS = {"/api/events/stream", "/api/gateway/table", "/api/runs/{run_id}/lines/stream"}


@pytest.fixture(scope="module")
def described(house: House) -> dict[str, Any]:
    return dict(house.ask("GET", "/openapi.json").json())


def test_the_description_is_valid_openapi(described: dict[str, Any]) -> None:
    validate(described)


def test_every_route_is_described_with_its_permission(described: dict[str, Any]) -> None:
    said = {
        (method.upper(), path): operation["x-permission"]
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    }

    assert said == {(r.method, as_described(r.path)): r.permission for r in all_routes()}
    assert set(said.values()) <= frozenset.union(*PERMISSIONS_BY_ROLE.values())


def test_every_error_and_no_success_but_its_own_is_described(described: dict[str, Any]) -> None:
    for route in all_routes():
        said = set(described["paths"][as_described(route.path)][route.method.lower()]["responses"])
        errors = {str(status) for kind, status in STATUS_BY_KIND.items() if kind not in {"too_large", "storage_full"}}
        assert errors <= said
        assert "default" not in said
        if route.style != "raw":
            assert str(route.status) in said


def as_described(path: str) -> str:
    return "/api" + re.sub(r":\w+}", "}", path)


@pytest.fixture(scope="module")
def there(house: House) -> dict[str, str]:
    """What there is to ask for, by path prefix or parameter: one of each noun that can be made over HTTP alone."""
    table = "carrier,late\n" + "UA,1\nAA,0\n" * 20
    digest = hashlib.sha256(table.encode()).hexdigest()
    assert house.ask("PUT", f"/api/blobs/{digest}", content=table.encode()).status_code == 201

    def post(path: str, **body: Any) -> Any:
        reply = house.ask("POST", "/api" + path, json=body)
        assert reply.status_code in (200, 201), (path, reply.text)
        return reply.json()

    owner = "one-admin"
    post("/datasets", name="flights", owner=owner)
    post("/datasets/flights/snapshots", blob=digest, format="csv", source="a file")
    run = post("/runs", name="training", kind="run")["id"]
    post(f"/runs/{run}/log", metrics=[{"key": "auc", "value": 0.7, "step": 1}])
    post("/models", name="flights-late", owner=owner)
    files = {"model.skops": digest}
    post("/models/flights-late/versions", run_id=run, format="sklearn", files=files, environment={"digest": digest})
    post("/policies/prod", gates=["true"], approvals={"count": 0})
    post("/deployments", name="flights", environment="prod", model="flights-late", owner=owner, policy="prod")
    post("/monitors", name="flights", deployment="flights", owner=owner)
    post(
        "/triggers", name="retrain", deployment="flights", when="true", pipeline="flights.py:flights_late", owner=owner
    )
    job = post("/jobs", kind="run_pipeline", body={})["id"]
    return {
        "/api/datasets": "flights",
        "/api/models": "flights-late",
        "/api/deployments": "flights",
        "/api/monitors": "flights",
        "/api/triggers": "retrain",
        "/api/policies": "prod",
        "/api/people": "one-viewer",
        "run_id": run,
        "job_id": job,
        "digest": digest,
        "snapshot": "flights@1",
        "key": "auc",
        "subject": "snapshot:flights@1",
        "number": "1",
        "deployment": "flights",
    }


@pytest.fixture(scope="module")
def api(house: House, described: dict[str, Any]) -> Any:
    schema = schemathesis.openapi.from_dict(described)
    schema.app = house.transport._app
    return schema


ASKED = sorted((r.method, as_described(r.path)) for r in all_routes() if as_described(r.path) not in ENDLESS)


@pytest.mark.parametrize(("method", "path"), ASKED, ids=[" ".join(asked) for asked in ASKED])
def test_whatever_fits_the_description_is_answered_as_described(
    house: House, api: Any, there: dict[str, str], method: str, path: str
) -> None:
    headers = {"Authorization": f"Bearer {house.transport.token}", "Host": "127.0.0.1"}
    prefix = "/".join(path.split("/")[:3])

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=api[path][method].as_strategy(), known=st.booleans() | st.just(True))
    def ask(case: Any, known: bool) -> None:
        if isinstance(case.body, dict):
            case.body.pop("because", None)  # a made-up event is always refused
        for told in (case.body, case.query):
            if isinstance(told, dict) and isinstance(told.get("wait"), int | float):
                told["wait"] = min(told["wait"], 0.1)  # nothing will happen
        if known:
            names = {"name": there.get(prefix), "subject": there["subject"]} | there
            case.path_parameters = {n: names.get(n) or v for n, v in (case.path_parameters or {}).items()}
            if "subject" in (case.query or {}):
                case.query["subject"] = there["subject"]
        case.call_and_validate(checks=CHECKS, headers=headers, base_url="http://127.0.0.1")

    ask()
