# SPDX-License-Identifier: Apache-2.0
"""Two teams' scripts log at once, from several processes and threads each; nobody sees a lost point or a foreign one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ..protocols.conftest import Served, serving, talk

TEAMS = {"red": 1.0, "blue": -1.0}
PROCESSES, THREADS, STEPS = 2, 3, 60

SCRIPT = """
import json, threading, mlflow
from mlflow.entities import Metric
client = mlflow.MlflowClient()
experiment = mlflow.set_experiment(f"{TEAM}'s").experiment_id
made, wrong = {}, []

def work(number):
    run = client.create_run(experiment, run_name=f"{PROCESS}-{number}", tags={"team": TEAM}).info.run_id
    made[f"{PROCESS}-{number}"] = run
    for step in range(STEPS):
        client.log_metric(run, "loss", SIGN * (1000 * number + step), step=step, timestamp=1 + step)
        if step % 10 == 0:
            client.log_batch(run, [Metric("many", SIGN * n, 1 + n, step * 100 + n) for n in range(100)])
            seen = client.search_runs([experiment], "tags.team != '%s'" % TEAM)
            wrong.extend(other.info.run_id for other in seen)
    client.log_param(run, "team", TEAM)
    client.log_text(run, f"{TEAM} {PROCESS} {number}", "who.txt")
    client.set_terminated(run)

threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps({"made": made, "wrong": wrong, "experiment": experiment}))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    # Nobody is known by being a program of the owner's: each client shows the token of its team.
    with serving(tmp_path_factory.mktemp("teams") / ".mainstay", MAINSTAY_TRUST_SAME_USER="no") as one:
        yield one


@pytest.fixture(scope="module")
def told(served: Served) -> dict[str, list[dict[str, Any]]]:
    """What the processes of each team said when they were done."""
    tokens = {team: token_of(served, team) for team in TEAMS}
    work = [(team, process) for process in range(PROCESSES) for team in TEAMS]
    with ThreadPoolExecutor(len(work)) as at_once:
        waiting = [(team, at_once.submit(run, served.url, team, process, tokens[team])) for team, process in work]
    found: dict[str, list[dict[str, Any]]] = {team: [] for team in TEAMS}
    for team, answer in waiting:
        found[team].append(answer.result())
    return found


def token_of(served: Served, team: str) -> str:
    assert served.ask("POST", "/api/people", json={"name": team, "roles": ["contributor"]}).status_code == 201
    return str(served.ask("POST", f"/api/people/{team}/tokens", json={}).json()["token"])


def run(url: str, team: str, process: int, token: str) -> dict[str, Any]:
    words = {"TEAM": team, "PROCESS": process, "SIGN": TEAMS[team], "STEPS": STEPS, "THREADS": THREADS}
    head = "".join(f"{name} = {value!r}\n" for name, value in words.items())
    return talk(url, head + SCRIPT, MLFLOW_TRACKING_TOKEN=token)


def history(served: Served, run: str, key: str) -> list[tuple[int, float]]:
    asked = {"run_id": run, "metric_key": key}
    points = served.ask("GET", "/api/2.0/mlflow/metrics/get-history", params=asked).json()["metrics"]
    return sorted((point["step"], point["value"]) for point in points)


@pytest.mark.parametrize("team", TEAMS)
def test_a_team_finds_its_own_runs_and_no_others(served: Served, told: dict[str, Any], team: str) -> None:
    made = {name: identity for each in told[team] for name, identity in each["made"].items()}

    body = {"experiment_ids": [told[team][0]["experiment"]], "max_results": 1000}
    found = served.ask("POST", "/api/2.0/mlflow/runs/search", json=body).json()["runs"]

    assert {run["info"]["run_name"]: run["info"]["run_id"] for run in found} == made
    assert len(found) == PROCESSES * THREADS
    assert [each["wrong"] for each in told[team]] == [[]] * PROCESSES
    assert len({each["experiment"] for each in told[team]}) == 1
    actors = {served.ask("GET", f"/api/runs/{identity}").json()["actor"] for identity in made.values()}
    assert actors == {team}


@pytest.mark.parametrize("team", TEAMS)
def test_every_point_is_there_once_and_is_the_teams_own(served: Served, told: dict[str, Any], team: str) -> None:
    sign = TEAMS[team]
    for process, each in enumerate(told[team]):
        for name, identity in each["made"].items():
            number = int(name.partition("-")[2])
            steps = range(STEPS)
            assert history(served, identity, "loss") == [(step, sign * (1000 * number + step)) for step in steps]
            batches = [(step * 100 + n, sign * n) for step in steps if step % 10 == 0 for n in range(100)]
            assert history(served, identity, "many") == batches
            file = served.ask("GET", "/get-artifact", params={"run_id": identity, "path": "who.txt"})
            assert file.text.split()[0] == team and file.text.split()[2] == str(number), process


def test_the_ledger_verifies_and_knows_who_began_each_run(served: Served, told: dict[str, Any]) -> None:
    assert served.ask("GET", "/api/audit/verify").json()["ok"]

    events = served.ask("GET", "/api/events", params={"kind": "run.started", "limit": 1000}).json()["items"]

    assert sorted(event["actor"] for event in events) == sorted([*TEAMS] * PROCESSES * THREADS)


def test_a_stranger_sees_nothing(served: Served, told: dict[str, Any]) -> None:
    headers = {"Authorization": "Bearer mst_nobody"}

    reply = served.ask("POST", "/api/2.0/mlflow/runs/search", json={"experiment_ids": ["1"]}, headers=headers)

    assert reply.status_code == 401
