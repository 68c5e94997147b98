# SPDX-License-Identifier: Apache-2.0
"""A client about a year old, one without the heavy libraries, and two teams' at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..conftest import talk

STORY = """
import json, os, tempfile, mlflow
client = mlflow.MlflowClient()
mlflow.set_experiment("NAME")
with mlflow.start_run(run_name="one") as run:
    mlflow.log_params({"depth": 6})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.set_tag("team", "NAME")
    mlflow.log_text("hello", "notes/n.txt")
found = client.search_runs([run.info.experiment_id], "params.depth = '6' AND metrics.loss < 0.5", order_by=["metrics.loss ASC"])
print(json.dumps({
    "version": mlflow.__version__,
    "found": [r.info.run_id for r in found], "id": run.info.run_id, "team": found[0].data.tags["team"],
    "history": [m.value for m in client.get_metric_history(run.info.run_id, "loss")],
    "files": [f.path for f in client.list_artifacts(run.info.run_id, "notes")],
    "text": mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/n.txt"),
}))
"""

OLD_MODEL = """
import json, mlflow
from sklearn.linear_model import LogisticRegression
x = [[0.0], [1.0], [2.0], [3.0]]
mlflow.sklearn.autolog(silent=True)
with mlflow.start_run() as run:
    LogisticRegression(max_iter=300).fit(x, [0, 0, 1, 1])
model = mlflow.get_run(run.info.run_id).outputs.model_outputs[0].model_id
print(json.dumps({
    "params": mlflow.get_run(run.info.run_id).data.params["max_iter"],
    "predictions": [int(v) for v in mlflow.sklearn.load_model(f"models:/{model}").predict(x)],
}))
"""


@pytest.mark.parametrize("client", ["mlflow", "mlflow-old", "mlflow-skinny"])
def test_the_same_script_tells_the_same_story_to_every_client(served, client: str) -> None:
    told = talk(served.url, STORY.replace("NAME", f"story of {client}"), client=client)

    assert told["found"] == [told["id"]]
    assert told["history"] == [1 / (step + 1) for step in range(5)]
    assert (told["files"], told["text"]) == (["notes/n.txt"], "hello")


def test_an_older_client_logs_its_models_too(served) -> None:
    told = talk(served.url, OLD_MODEL, client="mlflow-old")

    assert (told["params"], told["predictions"]) == ("300", [0, 0, 1, 1])


def test_a_client_with_a_token_is_its_person_and_one_with_a_wrong_one_nobody(served) -> None:
    who = "import json, mlflow; print(json.dumps({'id': mlflow.MlflowClient().create_run('0').info.run_id}))"
    refused = (
        "import json, mlflow\n"
        "try:\n    mlflow.MlflowClient().create_run('0'); said = 'done'\n"
        "except mlflow.MlflowException as error: said = error.error_code\n"
        "print(json.dumps({'said': said}))"
    )

    made = talk(served.url, who, MLFLOW_TRACKING_TOKEN=served.token)["id"]
    basic = talk(served.url, who, MLFLOW_TRACKING_USERNAME="anybody", MLFLOW_TRACKING_PASSWORD=served.token)["id"]
    wrong = talk(served.url, refused, MLFLOW_TRACKING_TOKEN="mst_wrong")["said"]

    owner = served.ask("GET", "/api/me").json()["actor"]
    assert {served.ask("GET", f"/api/runs/{run}").json()["actor"] for run in (made, basic)} == {owner}
    assert wrong == "UNAUTHENTICATED"


def test_two_teams_at_once_do_not_meet(served) -> None:
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda team: talk(served.url, STORY.replace("NAME", team)), ["reds", "blues"]))

    assert [each["team"] for each in told] == ["reds", "blues"]
    assert all(each["found"] == [each["id"]] for each in told), json.dumps(told)
