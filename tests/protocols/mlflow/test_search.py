# SPDX-License-Identifier: Apache-2.0
"""MLflow's search language: what it finds through the unmodified client; what cannot be read never finds everything."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.domain.errors import Invalid
from mainstay.domain.search import Comparison, Order
from mainstay.server.protocols.mlflow import experiments, runs

from ..conftest import talk

SEARCHES = {
    "metrics.acc > 0.85": {9, 10, 11},
    "metrics.acc >= 0.5 and metrics.acc < 0.7": {5, 6},
    "metric.acc != 0.5": set(range(12)) - {5},
    "metrics.gap > 0": set(),
    "params.model = 'tree'": {1, 3, 5, 7, 9, 11},
    "param.model != 'tree'": {0, 2, 4, 6, 8, 10},
    "parameters.model LIKE 'Lin%'": {0, 2, 4, 6, 8, 10},
    "params.model LIKE 'lin%'": set(),
    "params.model ILIKE 'lin%'": {0, 2, 4, 6, 8, 10},
    "params.rare IS NULL": set(range(12)) - {3},
    "params.rare IS NOT NULL": {3},
    "tags.stage = 'prod'": {9, 10, 11},
    'tags."stage" = "prod" and params.model = "tree"': {9, 11},
    "attributes.status = 'FINISHED'": {6, 7, 8, 9, 10, 11},
    "status != 'FINISHED'": {0, 1, 2, 3, 4, 5},
    "attr.status LIKE 'FIN%'": {6, 7, 8, 9, 10, 11},
    "attributes.status IN ('RUNNING', 'FAILED')": {0, 1, 2, 3, 4, 5},
    "attributes.run_name = 'run-04'": {4},
    "run_name LIKE 'run-1%'": {10, 11},
    "`run name` = 'run-04'": {4},
    "attributes.start_time >= 1010": {10, 11},
    "start_time = 1003": {3},
    "created < 1002 AND start_time > 1000": {1},
    "attributes.end_time > 0": {6, 7, 8, 9, 10, 11},
    "attributes.user_id = 'bo'": {2},
    "tags.mlflow.runName = 'run-07'": {7},
    'metrics."odd key/with-sign" = 1': {3},
    "metrics.`odd key/with-sign` = 1": {3},
    'tags.quote = "it\'s"': {3},
    "": set(range(12)),
}

ORDERS = {
    "metrics.acc DESC": list(range(11, -1, -1)),
    "attributes.start_time ASC": list(range(12)),
    "run_name": list(range(12)),
    "tags.stage ASC, metrics.acc DESC": [8, 7, 6, 5, 4, 3, 2, 1, 0, 11, 10, 9],
    "metrics.gap ASC": [4, 2, 11, 10, 9, 8, 7, 6, 5, 3, 1, 0],
    "metrics.gap DESC": [4, 2, 11, 10, 9, 8, 7, 6, 5, 3, 1, 0],
    "params.`rare` DESC": [3, 11, 10, 9, 8, 7, 6, 5, 4, 2, 1, 0],
}

SCRIPT = """
import json, math, mlflow
client = mlflow.MlflowClient()
searches, orders = (SEARCHES, ORDERS)
experiment = client.create_experiment("search")
for i in range(12):
    tags = {"mlflow.user": "bo"} if i == 2 else {}
    run = client.create_run(experiment, run_name=f"run-{i:02d}", start_time=1000 + i, tags=tags).info.run_id
    client.log_metric(run, "acc", i / 10)
    client.log_param(run, "model", "tree" if i % 2 else "Linear")
    client.set_tag(run, "stage", "prod" if i > 8 else "dev")
    if i == 2:
        client.log_metric(run, "gap", math.nan)
    if i == 3:
        client.log_metric(run, "odd key/with-sign", 1)
        client.set_tag(run, "quote", "it's")
        client.log_param(run, "rare", "x")
    if i == 4:
        client.log_metric(run, "gap", -1.0)
    if i > 5:
        client.set_terminated(run)
def number(run):
    return int(run.info.run_name[-2:])
def pages(order):
    found, token = [], None
    while True:
        page = client.search_runs([experiment], order_by=order, max_results=5, page_token=token)
        found += [number(run) for run in page]
        token = page.token
        if not token:
            return found
print(json.dumps({
    "found": {text: sorted(number(run) for run in client.search_runs([experiment], text)) for text in searches},
    "sorted": {order: pages([part.strip() for part in order.split(",")]) for order in orders},
}))
"""


@pytest.fixture(scope="module")
def answers(served):
    script = SCRIPT.replace("(SEARCHES, ORDERS)", repr((list(SEARCHES), list(ORDERS))))
    return talk(served.url, script)


@pytest.mark.parametrize("text", SEARCHES)
def test_a_filter_finds_exactly_what_it_says(answers, text: str) -> None:
    assert set(answers["found"][text]) == SEARCHES[text]


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_holds_across_pages_and_what_lacks_the_value_is_last(answers, order: str) -> None:
    assert answers["sorted"][order] == ORDERS[order]


@pytest.mark.parametrize(
    ("filter", "says"),
    [
        ("metrics.a ~~ 3", "cannot be read"),
        ("metrics.a > 'b'", "Expected numeric value type for metric"),
        ("metrics.a LIKE 'b'", "Invalid comparator 'LIKE'"),
        ("params.a = 3", "Expected a quoted string value for params.a"),
        ("params.a = unquoted", "it is either not quoted"),
        ("params.a > 'b'", "Invalid comparator '>'"),
        ("attributes.password = 'x'", "Invalid attribute key 'password'"),
        ("secrets.a = 'x'", "Invalid entity type 'secrets'"),
        ("datasets.schema = 'x'", "Invalid datasets key 'schema'"),
        ("metrics.a > 1 OR metrics.a < 0", "Invalid clause(s) in filter string: 'OR'"),
        ("(metrics.a > 1)", "Invalid clause(s) in filter string: '('"),
        ("metrics.a > 1 metrics.b > 2", "Invalid clause(s)"),
        ("metrics.a > 1;", "cannot be read"),
        ("metrics.a", "Invalid clause(s)"),
        ("metrics.a >", "Expected 3 tokens found 2"),
        ("attributes.run_id IN ()", "non-empty list"),
        ("attributes.run_id IN ('a' 'b')", "ill-formed list"),
        ("attributes.run_id IN (1)", "got '1' in it"),
        ("tags.a IN ('x')", "Invalid comparator 'IN'"),
        ("metrics.a IS NULL", "Invalid comparator 'IS NULL'"),
        ("attributes.start_time > 'noon'", "Expected numeric value type"),
        ("AND", "Invalid clause(s)"),
        ("tags.a = 'unfinished", "cannot be read"),
        ("x" * 20_001, "at most 20000 are read"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_with_the_place(filter: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        runs.GRAMMAR.comparisons(filter)

    assert says in refused.value.message


@pytest.mark.parametrize(
    "order", ["metrics.a up", "password", "metrics.a DESC NULLS", "", "artifact_uri", "datasets.name", "metrics.a, b"]
)
def test_an_order_that_cannot_be_read_is_refused(order: str) -> None:
    with pytest.raises(Invalid):
        runs.GRAMMAR.orders([order])


def test_an_order_names_nothing_twice() -> None:
    with pytest.raises(Invalid, match="duplicate fields"):
        runs.GRAMMAR.orders(["metrics.a", "metrics.`a` DESC"])


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("tags.`a.b c` != 'd'", Comparison("tags", "a.b c", "!=", "d")),
        ("tag.mlflow.source.name like '%x'", Comparison("tags", "mlflow.source.name", "LIKE", "%x")),
        ("metrics.a>=-1.5e-3", Comparison("metrics", "a", ">=", -1.5e-3)),
        ("attributes.run_id not in ('a', \"b\")", Comparison("attribute", "id", "NOT IN", ["a", "b"])),
        ("params.a is  not null", Comparison("params", "a", "IS NOT NULL", None)),
    ],
)
def test_a_comparison_is_read_as_it_is_written(filter: str, expected: Any) -> None:
    assert runs.GRAMMAR.comparisons(filter) == [expected]


def test_an_order_is_read_as_it_is_written() -> None:
    assert experiments.GRAMMAR.orders(["name DESC", "creation_time"]) == [
        Order("attribute", "name", True),
        Order("attribute", "created_at", False),
    ]


def test_experiments_are_found_and_sorted(served) -> None:
    def call(path: str, **body: Any) -> Any:
        return served.ask("POST", f"/api/2.0/mlflow/experiments/{path}", json=body).json()

    made = {}
    for name, tags in [("a", {"key": "value"}), ("ab", {"key": "vaLue"}), ("Abc", {})]:
        made[name] = call("create", name=name, tags=[{"key": k, "value": v} for k, v in tags.items()])["experiment_id"]

    def found(**wanted: Any) -> list[str]:
        page = call("search", max_results=100, **wanted)
        return [each["name"] for each in page.get("experiments", []) if each["name"] in made]

    assert found(filter="attribute.name = 'a'") == ["a"]
    assert found(filter="name LIKE 'a%'") == ["ab", "a"]
    assert found(filter="tag.key = 'value'") == ["a"]
    assert found(filter="tag.key != 'value'") == ["ab"]
    assert found(filter="tags.key ILIKE '%alu%'") == ["ab", "a"]
    assert found(filter=f"experiment_id IN ('{made['ab']}')") == ["ab"]
    assert found(order_by=["name DESC"]) == ["ab", "a", "Abc"]
    assert found() == ["Abc", "ab", "a"]
    call("delete", experiment_id=made["ab"])
    assert found() == ["Abc", "a"]
    assert found(view_type="DELETED_ONLY") == ["ab"]
    assert found(view_type="ALL") == ["ab", "Abc", "a"]
