# SPDX-License-Identifier: Apache-2.0
"""Histories of metrics as MLflow's page and clients ask for them."""

from __future__ import annotations

from typing import Any

import pytest

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
INTERVAL = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"


def make(served, points: list[dict[str, Any]]) -> str:
    run = served.ask("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    body = {"run_id": run, "metrics": [{"key": "m", **point} for point in points]}
    assert served.ask("POST", "/api/2.0/mlflow/runs/log-batch", json=body).status_code == 200
    return run


def point(step: int, value: float, timestamp: int = 1) -> dict[str, Any]:
    return {"step": step, "value": value, "timestamp": timestamp}


def test_histories_of_several_runs_come_by_run_and_time(served) -> None:
    several = [point(3, 12.0, 2), point(2, 10.0), point(3, 12.0), point(3, 11.0), point(3, 11.0)]
    runs = sorted([make(served, several), make(served, [point(-2, -1.5)]), make(served, [])])

    found = served.ask("GET", BULK, params={"run_id": runs, "metric_key": "m"}).json()["metrics"]
    few = served.ask("GET", BULK, params={"run_id": runs, "metric_key": "m", "max_results": 2}).json()["metrics"]

    by_run = {run: [(p["timestamp"], p["step"], p["value"]) for p in found if p["run_id"] == run] for run in runs}
    assert sorted(by_run.values()) == [[], [(1, -2, -1.5)], [(1, 2, 10.0), (1, 3, 11.0), (1, 3, 12.0), (2, 3, 12.0)]]
    assert [each["run_id"] for each in found] == sorted(each["run_id"] for each in found)
    assert few == found[:2]


def test_a_sample_is_spread_evenly_and_keeps_both_ends(served) -> None:
    dense = make(served, [point(n, n / 10) for n in range(10)])
    sparse = make(served, [point(n * n, 1.0) for n in range(20)])
    one_step = make(served, [point(0, float(n), n) for n in range(30)])

    def steps(run: str, **wanted: Any) -> list[int]:
        reply = served.ask("GET", INTERVAL, params={"run_ids": [run], "metric_key": "m", **wanted})
        return [each["step"] for each in reply.json()["metrics"]]

    assert steps(dense, max_results=5) == [0, 2, 4, 6, 9]
    assert steps(dense, max_results=5, start_step=0, end_step=4) == [0, 1, 2, 3, 4]
    assert steps(dense) == list(range(10))
    assert steps(dense, max_results=1) == [9]
    assert steps(sparse, max_results=4) == [0, 25, 100, 361]
    assert len(steps(one_step, max_results=4)) == 4
    assert steps("0" * 32) == []


@pytest.mark.parametrize(
    ("path", "wanted", "says"),
    [
        (BULK, {"metric_key": "m"}, "GetMetricHistoryBulk request must specify at least one run_id."),
        (BULK, {"run_id": ["a"] * 101, "metric_key": "m"}, "cannot specify more than 100 run_ids"),
        (BULK, {"run_id": ["a"]}, "GetMetricHistoryBulk request must specify a metric_key."),
        (INTERVAL, {"metric_key": "m"}, "Missing value for required parameter 'run_ids'"),
        (INTERVAL, {"run_ids": ["a"] * 101, "metric_key": "m"}, "must specify at most 100 run_ids."),
        (INTERVAL, {"run_ids": ["a"], "metric_key": "m", "max_results": 0}, "max_results must be between 1 and 2500"),
        (INTERVAL, {"run_ids": ["a"], "metric_key": ""}, "Missing value for required parameter 'metric_key'"),
        (INTERVAL, {"run_ids": ["a"]}, "Missing value for required parameter 'metric_key'"),
        (
            INTERVAL,
            {"run_ids": ["a"], "metric_key": "m", "start_step": 1, "end_step": 0},
            "end_step must be greater than start_step. ",
        ),
        (
            INTERVAL,
            {"run_ids": ["a"], "metric_key": "m", "start_step": 1},
            "If either start step or end step are specified, both must be specified.",
        ),
    ],
)
def test_a_history_that_cannot_be_asked_for_is_refused(served, path: str, wanted: dict[str, Any], says: str) -> None:
    reply = served.ask("GET", path, params=wanted)

    assert (reply.status_code, reply.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert says in reply.json()["message"]


def test_a_history_pages_by_time_without_gap_or_repetition(served) -> None:
    run = make(served, [point(n % 4, n / 7, n // 3) for n in range(23)])
    found, token = [], None
    while True:
        wanted = {"run_id": run, "metric_key": "m", "max_results": 4} | ({"page_token": token} if token else {})
        page = served.ask("GET", "/api/2.0/mlflow/metrics/get-history", params=wanted).json()
        found += [(each["timestamp"], each["step"], each["value"]) for each in page["metrics"]]
        token = page.get("next_page_token")
        if token is None:
            break

    assert found == sorted((n // 3, n % 4, n / 7) for n in range(23))


@pytest.mark.parametrize(
    ("wanted", "content", "says"),
    [
        ({"path": "a.txt"}, b"x", "Request must specify run_uuid."),
        ({"run_uuid": "RUN"}, b"x", "Request must specify path."),
        ({"run_uuid": "RUN", "path": "a.txt"}, b"", "Request must specify data."),
        (
            {"run_uuid": "RUN", "path": "a.txt"},
            b"x" * ((10 << 20) + 1),
            "Artifact size is too large. Max size is 10MB.",
        ),
    ],
)
def test_a_page_sends_small_files_only(served, wanted: dict[str, str], content: bytes, says: str) -> None:
    if "run_uuid" in wanted:
        wanted = wanted | {"run_uuid": make(served, [])}

    reply = served.ask("POST", "/ajax-api/2.0/mlflow/upload-artifact", params=wanted, content=content)

    assert (reply.status_code, reply.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert says in reply.json()["message"]
