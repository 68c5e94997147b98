# SPDX-License-Identifier: Apache-2.0
"""Evaluation sets and scorers through MLflow's unmodified clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..conftest import Served, talk

CLIENTS = ["mlflow", "mlflow-old"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_dataset_lives_as_the_client_expects(served: Served, client: str) -> None:
    said = talk(
        served.url,
        """
import json, os, mlflow
from mlflow.genai import datasets
name = "set-" + os.urandom(4).hex()
made = datasets.create_dataset(name=name, experiment_id=["0"], tags={"t": "1"})
made.merge_records([
    {"inputs": {"q": "1+1"}, "expectations": {"a": "2"}},
    {"inputs": {"q": "2+2"}, "expectations": {"a": "4"}, "tags": {"z": "1"}},
])
made.merge_records([{"inputs": {"q": "1+1"}, "expectations": {"b": "two"}}])
found = datasets.get_dataset(dataset_id=made.dataset_id)
frame = found.to_df()
by = {row["inputs"]["q"]: row for row in frame.to_dict("records")}
sets = lambda **more: [each.name for each in datasets.search_datasets(**more)]
datasets.set_dataset_tags(dataset_id=made.dataset_id, tags={"u": "2"})
datasets.delete_dataset_tag(dataset_id=made.dataset_id, key="t")
told = {
    "expectations": [by["1+1"]["expectations"], by["2+2"]["expectations"]], "tag": by["2+2"]["tags"]["z"],
    "schema": json.loads(found.schema)["inputs"], "profile": json.loads(found.profile), "experiments": found.experiment_ids,
    "found": name in sets(experiment_ids=["0"]), "elsewhere": sets(experiment_ids=["7777"]),
    "by_name": sets(filter_string=f"name LIKE '{name}%'", order_by=["name ASC"]) == [name],
    "tags": datasets.get_dataset(dataset_id=made.dataset_id).tags,
}
del told["tags"]["mlflow.user"]
datasets.delete_dataset(dataset_id=made.dataset_id)
try:
    datasets.get_dataset(dataset_id=made.dataset_id)
except mlflow.exceptions.MlflowException as error:
    told["gone"] = error.error_code
print(json.dumps(told))""",
        client=client,
    )

    assert said == {
        "expectations": [{"a": "2", "b": "two"}, {"a": "4"}],
        "tag": "1",
        "schema": {"q": "string"},
        "profile": {"num_records": 2},
        "experiments": ["0"],
        "found": True,
        "by_name": True,
        "elsewhere": [],
        "tags": {"u": "2"},
        "gone": "RESOURCE_DOES_NOT_EXIST",
    }


def test_records_come_in_pages_and_can_be_deleted(served: Served) -> None:
    made = ask(served, "POST", "datasets/create", name="paged", experiment_ids=["0"])["dataset"]["dataset_id"]
    records = '[{"inputs": {"n": 1}}, {"inputs": {"n": 2}}, {"inputs": {"n": 3}}, {"inputs": {"n": 1}}]'
    assert ask(served, "POST", f"datasets/{made}/records", records=records) == {"inserted_count": 3, "updated_count": 1}

    seen, token = [], {}
    while token is not None:
        page = ask(served, "GET", f"datasets/{made}/records", max_results=2, **token)
        seen += json.loads(page["records"])
        token = {"page_token": page["next_page_token"]} if "next_page_token" in page else None

    assert [each["inputs"]["n"] for each in seen] == [1, 2, 3]
    gone = ask(served, "DELETE", f"datasets/{made}/records", dataset_record_ids=[seen[0]["dataset_record_id"]])
    assert gone == {"deleted_count": 1}
    assert ask(served, "GET", f"datasets/{made}/experiment-ids") == {"experiment_ids": ["0"]}
    assert (
        "experiment_ids"
        not in ask(served, "POST", f"datasets/{made}/remove-experiments", experiment_ids=["0"])["dataset"]
    )
    ask(served, "POST", f"datasets/{made}/add-experiments", experiment_ids=["0"])
    assert ask(served, "GET", f"datasets/{made}/experiment-ids") == {"experiment_ids": ["0"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "datasets/create", {}, "INVALID_PARAMETER_VALUE"),
        ("POST", "datasets/create", {"name": "x", "tags": "{"}, "INVALID_PARAMETER_VALUE"),
        ("POST", "datasets/create", {"name": "x", "experiment_ids": ["77777"]}, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "datasets/search", {"filter_string": "colour = 'x'"}, "INVALID_PARAMETER_VALUE"),
        ("POST", "datasets/search", {"order_by": ["colour"]}, "INVALID_PARAMETER_VALUE"),
        ("POST", "datasets/search", {"page_token": "x"}, "INVALID_PARAMETER_VALUE"),
        ("GET", "datasets/d-none", {}, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "datasets/d-none/records", {"records": "[]"}, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "datasets/d-none/records", {"records": '[{"inputs": {"n": NaN}}]'}, "INVALID_PARAMETER_VALUE"),
        ("POST", "datasets/d-none/records", {"records": '[{"inputs": 5}]'}, "INVALID_PARAMETER_VALUE"),
        ("POST", "datasets/d-none/records", {"records": '[{"inputs": {"\\ud800": 1}}]'}, "INVALID_PARAMETER_VALUE"),
        ("PATCH", "datasets/d-none/tags", {"tags": "{}"}, "RESOURCE_DOES_NOT_EXIST"),
        (
            "POST",
            "scorers/register",
            {"experiment_id": "0", "name": "x", "serialized_scorer": "{"},
            "INVALID_PARAMETER_VALUE",
        ),
        ("GET", "scorers/get", {"experiment_id": "0", "name": "none"}, "RESOURCE_DOES_NOT_EXIST"),
        ("DELETE", "scorers/delete", {"experiment_id": "0", "name": "none"}, "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_a_mistake_is_told_with_mlflows_code(served: Served, method: str, path: str, body: Any, code: str) -> None:
    assert ask(served, method, path, **body)["error_code"] == code


@pytest.mark.parametrize("client", CLIENTS)
def test_scorers_are_numbered_listed_and_deleted(served: Served, client: str) -> None:
    said = talk(
        served.url,
        """
import json, os, mlflow
from mlflow.tracking._tracking_service.utils import _get_store
store, name = _get_store(), "tone-" + os.urandom(4).hex()
for _ in range(2):
    last = store.register_scorer("0", name, json.dumps({"name": name}))
told = {
    "last": last.scorer_version, "versions": [each.scorer_version for each in store.list_scorer_versions("0", name)],
    "listed": [each.scorer_version for each in store.list_scorers("0") if each.scorer_name == name],
    "got": [store.get_scorer("0", name, 1).scorer_version, store.get_scorer("0", name).scorer_version],
}
store.delete_scorer("0", name, 2)
told["left"] = store.get_scorer("0", name).scorer_version
store.delete_scorer("0", name)
try:
    store.get_scorer("0", name)
except mlflow.exceptions.MlflowException as error:
    told["gone"] = error.error_code
print(json.dumps(told))""",
        client=client,
    )

    assert said == {
        "last": 2,
        "versions": [1, 2],
        "listed": [2],
        "got": [1, 2],
        "left": 1,
        "gone": "RESOURCE_DOES_NOT_EXIST",
    }


def ask(served: Served, method: str, path: str, **body: Any) -> Any:
    how = {"params": body} if method == "GET" else {"json": body}
    return served.ask(method, f"/api/3.0/mlflow/{path}", **how).json()
