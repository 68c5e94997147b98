# SPDX-License-Identifier: Apache-2.0
"""Experiments and runs through the unmodified client, and what it logs."""

from __future__ import annotations

import pytest

from ..conftest import talk

LOGS = """
import json, math, mlflow
from mlflow.entities import Metric, Param, RunTag
client = mlflow.MlflowClient()
mlflow.set_experiment("late flights")
with mlflow.start_run(run_name="all", tags={"team": "ops"}) as run:
    mlflow.log_params({"depth": 6, "empty": "", "long": "x" * 7000})
    mlflow.log_metric("loss", 0.5, step=1)
    for value in (math.nan, math.inf, -math.inf):
        mlflow.log_metric(f"is {value}", value)
    with mlflow.start_run(nested=True) as inner:
        pass
identity = run.info.run_id
client.log_batch(identity, [Metric("many", n / 10, 1000 + n, n) for n in range(900)], [Param("p", "1")], [RunTag("t", "u")])
found = client.get_run(identity)
again = client.get_run(inner.info.run_id)
print(json.dumps({
    "status": found.info.status, "name": found.info.run_name, "params": found.data.params, "tags": found.data.tags,
    "metrics": {k: repr(v) for k, v in found.data.metrics.items()}, "id": identity, "inner": inner.info.run_id,
    "inner_name": again.info.run_name, "inner_tags": again.data.tags, "ended": found.info.end_time >= found.info.start_time,
    "history": [m.step for m in client.get_metric_history(identity, "many")],
}))
"""


@pytest.fixture(scope="module")
def logged(served):
    return talk(served.url, LOGS)


def test_what_a_script_logs_is_read_back(logged) -> None:
    assert (logged["status"], logged["name"], logged["ended"]) == ("FINISHED", "all", True)
    assert logged["params"] == {"depth": "6", "empty": "", "long": "x" * 6000, "p": "1"}
    assert (logged["tags"]["team"], logged["tags"]["t"], logged["tags"]["mlflow.runName"]) == ("ops", "u", "all")
    assert logged["metrics"]["many"] == "89.9"
    assert logged["history"] == list(range(900))


def test_what_is_no_number_does_not_stop_a_script(logged) -> None:
    metrics = logged["metrics"]

    assert (metrics["is nan"], metrics["is inf"]) == ("nan", "1.7976931348623157e+308")
    assert metrics["is -inf"] == "-1.7976931348623157e+308"


def test_a_run_without_a_name_gets_one(logged) -> None:
    assert len(logged["inner_name"].split("-")) == 3
    assert logged["inner_tags"]["mlflow.runName"] == logged["inner_name"]
    assert logged["inner_tags"]["mlflow.parentRunId"] == logged["id"]


def test_a_run_of_the_client_is_a_run_like_any_other(served, logged) -> None:
    run = served.ask("GET", f"/api/runs/{logged['id']}").json()
    inner = served.ask("GET", "/api/runs", params={"parent": logged["id"]}).json()["items"]

    assert (run["experiment"], run["state"], run["params"]["depth"]) == ("late flights", "succeeded", "6")
    assert (run["metrics"]["is nan"], run["metrics"]["is inf"]) == (None, "Infinity")
    assert [each["id"] for each in inner] == [logged["inner"]]


def test_what_comes_after_the_end_amends_the_record(served, logged) -> None:
    run = served.ask("GET", f"/api/runs/{logged['id']}").json()
    events = served.ask("GET", "/api/events", params={"subject": f"run:{logged['id']}"}).json()["items"]

    assert (run["state"], run["closed_at"]) == ("succeeded", None)
    assert [event["kind"] for event in events][::-1][:3] == ["run.started", "run.finished", "run.amended"]


def call(served, path: str, **body):
    return served.ask("POST", f"/api/2.0/mlflow/{path}", json=body)


def create(served, name: str) -> str:
    experiment = call(served, "experiments/create", name=name).json()["experiment_id"]
    return call(served, "runs/create", experiment_id=experiment).json()["run"]["info"]["run_id"]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("experiments/create", {"name": 123}, "Invalid value 123 for parameter 'name' supplied"),
        ("experiments/create", {}, "Missing value for required parameter 'name'"),
        ("experiments/create", {"name": "x", "artifact_location": "file:///etc"}, "a client cannot choose"),
        (
            "experiments/create",
            {"name": "x", "artifact_location": 9.0},
            "Invalid value 9.0 for parameter 'artifact_location'",
        ),
        ("experiments/create", {"name": "x", "tags": "5"}, "Invalid value \"5\" for parameter 'tags'"),
        ("experiments/get", {"experiment_id": "abc"}, "Invalid experiment ID 'abc'"),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}, "Missing value for required parameter 'run_id'"),
        (
            "runs/log-metric",
            {"run_id": 31, "key": "m", "value": 1, "timestamp": 1},
            "Invalid value 31 for parameter 'run_id'",
        ),
        ("runs/log-metric", {"run_id": "RUN", "key": None, "value": 1, "timestamp": 1}, "required parameter 'key'"),
        (
            "runs/log-metric",
            {"run_id": "RUN", "key": "m", "value": 1, "timestamp": "foo"},
            'Invalid value "foo" for parameter',
        ),
        (
            "runs/log-metric",
            {"run_id": "RUN", "key": "m", "value": 1, "timestamp": -1},
            "Timestamp must be a nonnegative",
        ),
        ("runs/log-metric", {"run_id": "RUN", "key": "m;x", "value": 1, "timestamp": 1}, "Names may only contain"),
        (
            "runs/log-metric",
            {"run_id": "RUN", "key": "../m", "value": 1, "timestamp": 1},
            "Names may be treated as files",
        ),
        (
            "runs/log-batch",
            {"run_id": "RUN", "metrics": "foo"},
            "Invalid value \"foo\" for parameter 'metrics' supplied",
        ),
        (
            "runs/log-batch",
            {"run_id": "RUN", "metrics": [{"key": "mae", "value": 2.5}]},
            "Missing value for required parameter 'metrics[0].timestamp'",
        ),
        (
            "runs/log-batch",
            {"run_id": "RUN", "params": [{"key": "a", "value": "1"}] * 2},
            "Duplicate parameter keys have been submitted: ['a']",
        ),
        (
            "runs/log-batch",
            {"run_id": "RUN", "tags": [{"key": f"t{n}", "value": ""} for n in range(101)]},
            "can contain at most 100 tags. Got 101 tags",
        ),
        ("runs/set-tag", {"run_id": "RUN", "key": "k", "value": 41}, "Invalid value 41 for parameter 'value' supplied"),
        ("runs/update", {"run_id": "RUN", "status": "DONE"}, "Invalid value \"DONE\" for parameter 'status'"),
        ("runs/search", {"max_results": 123456789}, "Invalid value 123456789 for parameter 'max_results' supplied"),
        ("runs/search", {"page_token": "!!"}, "page token"),
    ],
)
def test_a_mistake_is_named_in_the_words_that_clients_know(served, path: str, body: dict, says: str) -> None:
    if body.get("run_id") == "RUN":
        body = body | {"run_id": create(served, f"mistakes {path} {says}")}

    reply = (
        served.ask("GET", f"/api/2.0/mlflow/{path}", params=body)
        if path.endswith("/get")
        else call(served, path, **body)
    )

    assert reply.status_code == 400
    assert reply.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert says in reply.json()["message"]


def test_a_parameter_keeps_its_value(served) -> None:
    run = create(served, "a parameter")

    assert call(served, "runs/log-parameter", run_id=run, key="p", value="1").status_code == 200
    assert call(served, "runs/log-parameter", run_id=run, key="p", value="1").status_code == 200
    other = call(served, "runs/log-batch", run_id=run, params=[{"key": "q", "value": "1"}, {"key": "p", "value": "2"}])

    assert (other.status_code, other.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "Changing param values is not allowed. Param with key='p' was already logged with value='1'" in other.text
    assert set(served.ask("GET", f"/api/runs/{run}").json()["params"]) == {"p"}


def test_what_is_deleted_is_read_by_its_id_and_takes_nothing(served) -> None:
    run = create(served, "deleted")
    call(served, "runs/delete", run_id=run)

    refused = [
        call(served, "runs/log-metric", run_id=run, key="m", value=1, timestamp=1),
        call(served, "runs/set-tag", run_id=run, key="k", value="v"),
        call(served, "runs/delete-tag", run_id=run, key="k"),
        call(served, "runs/update", run_id=run, status="FAILED"),
    ]
    shown = served.ask("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run}).json()["run"]
    call(served, "runs/restore", run_id=run)

    assert [reply.status_code for reply in refused] == [400] * 4
    assert all(f"The run {run} must be in the 'active' state" in reply.json()["message"] for reply in refused)
    assert shown["info"]["lifecycle_stage"] == "deleted"
    assert call(served, "runs/set-tag", run_id=run, key="k", value="v").status_code == 200


def test_a_restored_experiment_brings_back_the_runs_that_went_with_it(served) -> None:
    first = create(served, "with runs")
    experiment = served.ask("GET", f"/api/2.0/mlflow/runs/get?run_id={first}").json()["run"]["info"]["experiment_id"]
    second = call(served, "runs/create", experiment_id=experiment).json()["run"]["info"]["run_id"]
    call(served, "runs/delete", run_id=first)

    def active() -> list[str]:
        return [
            run["info"]["run_id"] for run in call(served, "runs/search", experiment_ids=[experiment]).json()["runs"]
        ]

    call(served, "experiments/delete", experiment_id=experiment)
    gone = active()
    refused = call(served, "runs/create", experiment_id=experiment)
    call(served, "experiments/restore", experiment_id=experiment)

    assert (gone, active()) == ([], [second])
    assert refused.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert f"The experiment {experiment} must be in the 'active' state" in refused.json()["message"]


def test_a_name_that_is_taken_is_known_as_such(served) -> None:
    first = call(served, "experiments/create", name="taken")
    again = call(served, "experiments/create", name="taken")
    other = call(served, "experiments/create", name="free").json()["experiment_id"]
    renamed = call(served, "experiments/update", experiment_id=other, new_name="taken")

    assert first.status_code == 200
    assert (again.status_code, again.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    assert (renamed.status_code, renamed.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("runs/get?run_id=" + "0" * 32, "Run with id=" + "0" * 32 + " not found"),
        ("experiments/get?experiment_id=99999", "No Experiment with id=99999 exists"),
        ("experiments/get-by-name?experiment_name=none", "there is no experiment 'none'"),
    ],
)
def test_what_is_not_there_is_named(served, path: str, says: str) -> None:
    reply = served.ask("GET", f"/api/2.0/mlflow/{path}")

    assert (reply.status_code, reply.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert says in reply.json()["message"]


def test_a_run_ends_goes_on_and_ends_otherwise(served) -> None:
    run = create(served, "moves")

    for status in ("FINISHED", "FINISHED", "FAILED", "RUNNING", "SCHEDULED", "RUNNING", "KILLED"):
        info = call(served, "runs/update", run_id=run, status=status, end_time=9).json()["run_info"]
        assert info["status"] == status

    events = served.ask("GET", "/api/events", params={"subject": f"run:{run}"}).json()["items"]
    assert [event["kind"] for event in events][::-1] == [
        "run.started",
        "run.finished",
        "run.reopened",
        "run.finished",
        "run.reopened",
        "run.scheduled",
        "run.running",
        "run.finished",
    ]
