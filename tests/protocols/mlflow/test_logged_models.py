# SPDX-License-Identifier: Apache-2.0
"""Models as clients from 3.0 on log them, and the datasets that a run read."""

from __future__ import annotations

import hashlib

import pytest

from ..conftest import talk

MODELS = """
import json, mlflow
from sklearn.linear_model import LogisticRegression
client = mlflow.MlflowClient()
experiment = client.create_experiment("models")
mlflow.set_experiment(experiment_id=experiment)
made = []
for n in range(3):
    model = mlflow.initialize_logged_model(name=f"agent{n}", params={"temp": f"0.{n}"}, tags={"t": str(n)}, model_type="agent")
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", n / 10, model_id=model.model_id)
        mlflow.log_metric("acc", n / 10, model_id=model.model_id)
    client.set_logged_model_tags(model.model_id, {"u": "2"})
    client.delete_logged_model_tag(model.model_id, "t")
    client.finalize_logged_model(model.model_id, "READY" if n else "FAILED")
    made.append(model.model_id)
x = [[0.0], [1.0], [2.0], [3.0]]
with mlflow.start_run() as run:
    info = mlflow.sklearn.log_model(LogisticRegression().fit(x, [0, 0, 1, 1]), name="clf", input_example=x[:1])
again = mlflow.pyfunc.load_model(info.model_uri)
by_run = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/clf")

def found(**wanted):
    page = client.search_logged_models([experiment], **wanted)
    return [m.model_id for m in page]

first = client.search_logged_models([experiment], max_results=2, order_by=[{"field_name": "name", "ascending": True}])
rest = client.search_logged_models(
    [experiment], max_results=2, order_by=[{"field_name": "name", "ascending": True}], page_token=first.token
)
one = client.get_logged_model(made[1])
client.delete_logged_model(made[0])
print(json.dumps({
    "made": made, "clf": info.model_id, "run": run.info.run_id, "experiment": experiment,
    "one": [one.name, one.params, one.tags, one.model_type, str(one.status), [(m.key, m.value) for m in one.metrics]],
    "predictions": [int(v) for v in again.predict(x)], "by run": [int(v) for v in by_run.predict(x)],
    "outputs": [o.model_id for o in client.get_run(run.info.run_id).outputs.model_outputs],
    "by metric": found(filter_string="metrics.acc > 0.05", order_by=[{"field_name": "metrics.acc", "ascending": False}]),
    "by param": found(filter_string="params.temp = '0.1' AND tags.u = '2'"),
    "by name": found(filter_string="name LIKE 'agent%' AND name != 'agent2'"),
    "by run of": found(filter_string=f"source_run_id = '{run.info.run_id}'"),
    "by state": found(filter_string="status IN ('READY')", order_by=[{"field_name": "creation_timestamp", "ascending": True}]),
    "pages": [m.name for m in [*first, *rest]], "more": rest.token,
    "after": found(),
}))
"""

INPUTS = """
import json, mlflow, pandas as pd
client = mlflow.MlflowClient()
experiment = client.create_experiment("inputs")
frame = mlflow.data.from_pandas(pd.DataFrame({"x": [1, 2], "y": [0, 1]}), name="iris-ish", targets="y")
with mlflow.start_run(experiment_id=experiment) as run:
    mlflow.log_input(frame, context="training", tags={"v": "1"})
    mlflow.log_input(frame, context="training", tags={"v": "1"})
with mlflow.start_run(experiment_id=experiment) as other:
    mlflow.log_input(frame, context="test")
got = client.get_run(run.info.run_id).inputs.dataset_inputs
def found(text):
    return sorted(r.info.run_id for r in client.search_runs([experiment], filter_string=text))
print(json.dumps({
    "runs": [run.info.run_id, other.info.run_id], "experiment": experiment, "digest": frame.digest,
    "inputs": [[i.dataset.name, i.dataset.digest, {t.key: t.value for t in i.tags}, json.loads(i.dataset.profile)] for i in got],
    "by name": found("datasets.name = 'iris-ish'"), "by context": found("dataset.context = 'test'"),
    "by list": found(f"datasets.digest IN ('{frame.digest}', 'x')"), "by none": found("datasets.name LIKE 'nope%'"),
}))
"""


@pytest.fixture(scope="module")
def models(served):
    return talk(served.url, MODELS)


@pytest.fixture(scope="module")
def inputs(served):
    return talk(served.url, INPUTS)


def test_a_logged_model_keeps_all_that_was_said_of_it(models) -> None:
    name, params, tags, kind, status, metrics = models["one"]

    assert (name, params, kind, status) == ("agent1", {"temp": "0.1"}, "agent", "READY")
    assert (tags.get("u"), tags.get("t")) == ("2", None)
    assert metrics[0] == ["acc", 0.1]


def test_a_model_is_loaded_from_where_it_was_logged(models) -> None:
    assert models["predictions"] == models["by run"] == [0, 0, 1, 1]
    assert models["outputs"] == [models["clf"]]


def test_logged_models_are_found_by_what_was_said_of_them(models) -> None:
    made = models["made"]

    assert models["by metric"] == [made[2], made[1]]
    assert models["by param"] == [made[1]]
    assert models["by name"] == [made[1]]  # agent0 was deleted by then
    assert models["by run of"] == [models["clf"]]
    assert models["by state"] == [made[1], made[2], models["clf"]]


def test_pages_of_logged_models_are_neither_gapped_nor_repeated(models) -> None:
    assert models["pages"] == ["agent0", "agent1", "agent2", "clf"]
    assert models["more"] is None
    assert models["made"][0] not in models["after"]


def test_what_a_run_made_is_a_link_of_it(served, models) -> None:
    run = served.ask("GET", f"/api/runs/{models['run']}").json()

    assert {"kind": "logged_model", "ref": models["clf"], "name": "clf"} in run["outputs"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"filter": "name = agent"}, "Expected a quoted string"),
        ({"filter": "metrics.acc LIKE 'a'"}, "Invalid comparator 'LIKE'"),
        ({"filter": "size = 'a'"}, "Invalid attribute key 'size'"),
        ({"filter": "other.a = 'b'"}, "Invalid entity type 'other'"),
        ({"filter": "name = 'a' OR name = 'b'"}, "Invalid clause(s) in filter string: 'OR'"),
        ({"datasets": [{"dataset_digest": "d"}]}, "`dataset_name` in the `datasets` clause must be specified"),
    ],
)
def test_a_search_that_cannot_be_read_is_refused(served, models, body: dict, says: str) -> None:
    body = {"experiment_ids": [models["experiment"]], **body}

    reply = served.ask("POST", "/api/2.0/mlflow/logged-models/search", json=body)

    assert (reply.status_code, reply.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert says in reply.json()["message"]


def test_a_dataset_that_a_run_read_is_kept_once_with_its_context(inputs) -> None:
    [[name, digest, tags, profile]] = inputs["inputs"]

    assert (name, digest) == ("iris-ish", inputs["digest"])
    assert tags == {"v": "1", "mlflow.data.context": "training"}
    assert profile["num_rows"] == 2


def test_runs_are_found_by_the_datasets_they_read(inputs) -> None:
    assert inputs["by name"] == inputs["by list"] == sorted(inputs["runs"])
    assert inputs["by context"] == [inputs["runs"][1]]
    assert inputs["by none"] == []


def test_the_datasets_of_experiments_are_listed_for_a_page(served, inputs) -> None:
    found = served.ask(
        "POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", json={"experiment_ids": [inputs["experiment"]]}
    ).json()["dataset_summaries"]

    assert [(each["name"], each["context"]) for each in found] == [("iris-ish", "test"), ("iris-ish", "training")]


def test_a_dataset_that_is_a_snapshot_here_is_linked_to_it(served) -> None:
    served.ask("POST", "/api/datasets", json={"name": "flights", "owner": "ana"})
    table = b"late\n1\n0\n"
    blob = hashlib.sha256(table).hexdigest()
    served.ask("PUT", f"/api/blobs/{blob}", content=table)
    taken = served.ask(
        "POST", "/api/datasets/flights/snapshots", json={"blob": blob, "format": "csv", "source": "a test"}
    ).json()
    run = served.ask("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]

    served.ask(
        "POST",
        "/api/2.0/mlflow/runs/log-inputs",
        json={
            "run_id": run,
            "datasets": [
                {"dataset": {"name": "flights", "digest": taken["digest"], "source_type": "x", "source": "y"}}
            ],
        },
    )

    read = served.ask("GET", f"/api/runs/{run}").json()["inputs"]
    assert {(each["kind"], each["ref"]) for each in read} == {("dataset", taken["digest"]), ("snapshot", "flights@1")}
