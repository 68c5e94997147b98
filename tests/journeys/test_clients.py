# SPDX-License-Identifier: Apache-2.0
"""One script of the usual calls, with the newest client, the one a year old and the light one: the same results each time."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from ..protocols.conftest import Served, talk

CLIENTS = ("mlflow", "mlflow-old", "mlflow-skinny")

SCRIPT = """
import json, os, tempfile, mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

client = MlflowClient()
name = f"usual by {WHO}"
experiment = mlflow.set_experiment(name).experiment_id
mlflow.set_experiment_tag("team", "red")
folder = tempfile.mkdtemp()
with open(folder + "/a.txt", "w") as file:
    file.write("hello")

with mlflow.start_run(run_name="parent", tags={"kind": "sweep"}, description="why") as parent:
    mlflow.log_param("depth", 6)
    mlflow.log_params({"rate": 0.1, "loss": "log"})
    mlflow.log_artifact(folder + "/a.txt", "texts")
    mlflow.log_dict({"a": [1, 2]}, "facts.json")
    mlflow.log_text("one\\ntwo", "texts/b.txt")
    for n in range(3):
        with mlflow.start_run(run_name=f"child {n}", nested=True):
            mlflow.log_param("n", n)
            for step in range(5):
                mlflow.log_metric("loss", 1 / (1 + n + step), step=step)
            mlflow.log_metrics({"auc": 0.7 + n / 10, "acc": 0.5}, step=4)
client.log_batch(parent.info.run_id, [Metric("m", v, 1000 + v, v) for v in range(3)], [Param("late", "1")], [RunTag("t", "v")])
failed = client.create_run(experiment, run_name="failed")
client.set_terminated(failed.info.run_id, "FAILED")
client.delete_run(failed.info.run_id)

def names(text="", order=None, view=ViewType.ACTIVE_ONLY, most=100):
    return [r.info.run_name for r in client.search_runs([experiment], text, view, most, order)]

def refused(call, *arguments):
    try:
        call(*arguments)
    except MlflowException as error:
        return error.error_code
    return "not refused"

found = client.get_run(parent.info.run_id)
best = client.search_runs([experiment], "metrics.auc > 0.75", order_by=["metrics.auc DESC"])[0]
model = f"usual-{WHO}"
client.create_registered_model(model, tags={"a": "b"}, description="d")
version = client.create_model_version(model, f"runs:/{parent.info.run_id}/texts", parent.info.run_id, tags={"v": "1"})
client.set_registered_model_alias(model, "champion", version.version)
client.set_model_version_tag(model, version.version, "seen", "yes")
by_alias = client.get_model_version_by_alias(model, "champion")
local = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model}@champion", dst_path=tempfile.mkdtemp())
history = client.get_metric_history(best.info.run_id, "loss")
print(json.dumps({
    "experiment": [client.get_experiment_by_name(name).experiment_id == experiment,
                   client.get_experiment(experiment).tags.get("team")],
    "params": found.data.params, "metrics": found.data.metrics,
    "tags": {k: v for k, v in found.data.tags.items() if k in ("kind", "t", "mlflow.runName", "mlflow.note.content")},
    "state": [found.info.status, found.info.lifecycle_stage],
    "children": names(f"tags.mlflow.parentRunId = '{parent.info.run_id}'", ["metrics.auc DESC"]),
    "found": [names("params.n = '1'"), names("tags.kind = 'sweep' AND attributes.status = 'FINISHED'"),
              names("attributes.run_name LIKE 'child%'", ["params.n ASC"], most=2),
              names("metrics.auc < 0.75 and metrics.acc = 0.5")],
    "deleted": names(view=ViewType.DELETED_ONLY),
    "best": [best.info.run_name, best.data.metrics],
    "history": [(p.step, p.value) for p in history],
    "files": [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(parent.info.run_id)],
    "texts": [(f.path, f.file_size) for f in client.list_artifacts(parent.info.run_id, "texts")],
    "read": [mlflow.artifacts.load_dict(found.info.artifact_uri + "/facts.json"),
             mlflow.artifacts.load_text(found.info.artifact_uri + "/texts/b.txt")],
    "version": [int(by_alias.version), by_alias.tags, by_alias.status, list(by_alias.aliases),
                by_alias.run_id == parent.info.run_id],
    "pinned": sorted(f for f in os.listdir(local) if f.endswith(".txt")),
    "models": [m.name == model for m in client.search_registered_models(f"name = '{model}'")],
    "refused": [refused(client.get_run, "0" * 32), refused(client.log_param, parent.info.run_id, "depth", "7"),
                refused(client.search_runs, [experiment], "nonsense"), refused(client.create_experiment, name),
                refused(client.create_registered_model, model), refused(client.get_model_version, model, "9")],
}))
"""

EXPECTED = {
    "experiment": [True, "red"],
    "params": {"depth": "6", "rate": "0.1", "loss": "log", "late": "1"},
    "metrics": {"m": 2.0},
    "tags": {"kind": "sweep", "t": "v", "mlflow.runName": "parent", "mlflow.note.content": "why"},
    "state": ["FINISHED", "active"],
    "children": ["child 2", "child 1", "child 0"],
    "found": [["child 1"], ["parent"], ["child 0", "child 1"], ["child 0"]],
    "deleted": ["failed"],
    "best": ["child 2", {"loss": 1 / 7, "auc": 0.7 + 2 / 10, "acc": 0.5}],
    "history": [[step, 1 / (3 + step)] for step in range(5)],
    "files": [["facts.json", False, 29], ["texts", True, None]],
    "texts": [["texts/a.txt", 5], ["texts/b.txt", 7]],
    "read": [{"a": [1, 2]}, "one\ntwo"],
    "version": [1, {"v": "1", "seen": "yes"}, "READY", ["champion"], True],
    "pinned": ["a.txt", "b.txt"],
    "models": [True],
    "refused": [
        "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def told(served: Served) -> Any:
    """What the script of a client printed."""
    return cache(lambda client: talk(served.url, f"WHO = {client!r}\n" + SCRIPT, client=client))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("what", EXPECTED)
def test_every_client_sees_the_same(told: Any, what: str, client: str) -> None:
    assert told(client)[what] == EXPECTED[what]
