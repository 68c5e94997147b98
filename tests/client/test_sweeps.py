# SPDX-License-Identifier: Apache-2.0
"""Sweeps: real studies of Optuna, and what is on record of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

import mainstay as ms
from mainstay.client.session import Session, connect
from mainstay.domain.clock import from_wire

from ..protocols.conftest import serving


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    opened = connect(workspace=tmp_path_factory.mktemp("sweeps") / "workspace")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    monkeypatch.setenv("MAINSTAY_CAPTURE_CODE", "0")
    monkeypatch.setenv("MAINSTAY_SYSTEM_METRICS", "0")


def children(session: Session, parent: str) -> list[dict[str, Any]]:
    return list(session.get("/runs", parent=parent, limit=1000)["items"])[::-1]


def shown(session: Session, study: optuna.Study) -> dict[str, Any]:
    return dict(session.get(f"/runs/{study.user_attrs['mainstay_sweep']}"))


def parabola(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -10, 10)
    ms.log_metric("distance", abs(x - 2))
    return (x - 2) ** 2


def parabola_alone(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", -10, 10) - 2) ** 2


def test_each_trial_is_a_run_inside_the_sweep_and_the_best_is_named(session: Session) -> None:
    study = ms.sweep("valley", parabola, trials=8, session=session, experiment="search", tags={"team": "ops"})

    sweep = shown(session, study)
    runs = children(session, sweep["id"])
    best = min(runs, key=lambda run: run["metrics"]["objective"])
    assert (sweep["kind"], sweep["state"], sweep["experiment"]) == ("sweep", "succeeded", "search")
    assert sweep["params"]["direction"] == "minimize"
    assert [run["name"] for run in runs] == [f"valley-{n}" for n in range(8)]
    assert {run["state"] for run in runs} == {"succeeded"}
    assert [run["params"]["x"] for run in runs] == [trial.params["x"] for trial in study.trials]
    assert [run["metrics"]["objective"] for run in runs] == [trial.value for trial in study.trials]
    assert all(run["metrics"]["distance"] == abs(run["params"]["x"] - 2) for run in runs)
    assert (sweep["tags"]["best_run"], sweep["metrics"]["best_objective"]) == (best["id"], study.best_value)
    assert sweep["tags"]["team"] == "ops"


def test_a_pruned_trial_ended_well_and_a_failed_one_did_not(session: Session) -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.number == 1:
            raise ValueError("no luck")
        for step in range(3):
            trial.report(step * trial.number, step)
            if trial.number == 2 and step == 1:
                raise optuna.TrialPruned
        return trial.suggest_float("x", 0, 1)

    study = ms.sweep("mixed", objective, trials=4, catch=(ValueError,), session=session)

    runs = children(session, shown(session, study)["id"])
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "PRUNED", "COMPLETE"]
    assert [run["state"] for run in runs] == ["succeeded", "failed", "succeeded", "succeeded"]
    assert [run["tags"].get("trial_state") for run in runs] == ["complete", None, "pruned", "complete"]
    assert runs[1]["error"] == "ValueError: no luck"
    assert [run["metrics"].get("intermediate") for run in runs] == [0.0, None, 2.0, 6.0]


def test_an_error_that_is_not_expected_ends_the_sweep_too(session: Session) -> None:
    def objective(_trial: optuna.Trial) -> float:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        ms.sweep("hopeless", objective, trials=4, session=session)

    newest = session.get("/runs", kind="sweep", limit=1)["items"][0]
    assert (newest["name"], newest["state"]) == ("hopeless", "failed")


def test_a_study_in_a_storage_goes_on_in_the_same_sweep(session: Session, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"

    first = ms.sweep("stored", parabola, trials=3, storage=storage, session=session)
    second = ms.sweep("stored", parabola, trials=2, storage=storage, session=session)

    sweep = shown(session, first)
    assert second.user_attrs == first.user_attrs
    assert [run["name"] for run in children(session, sweep["id"])] == [f"stored-{n}" for n in range(5)]
    assert sweep["metrics"]["best_objective"] == second.best_value
    events = session.get("/events", subject=f"run:{sweep['id']}")["items"]
    assert [event["kind"] for event in events][::-1] == ["run.started", "run.finished", "run.reopened", "run.finished"]


def test_a_sweep_that_another_process_ended_goes_on(session: Session) -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.number == 0:
            session.post(f"/runs/{trial.study.user_attrs['mainstay_sweep']}/finish", {"state": "succeeded"})
        return trial.suggest_float("x", 0, 1)

    study = ms.sweep("shared", objective, trials=3, session=session)

    sweep = shown(session, study)
    assert (len(children(session, sweep["id"])), sweep["state"]) == (3, "succeeded")


def test_trials_in_threads_keep_to_their_own_runs(session: Session) -> None:
    study = ms.sweep("wide", parabola, trials=6, workers=3, session=session)

    runs = children(session, shown(session, study)["id"])
    assert sorted(run["params"]["x"] for run in runs) == sorted(trial.params["x"] for trial in study.trials)
    assert all(run["metrics"]["distance"] == abs(run["params"]["x"] - 2) for run in runs)


def test_a_study_with_several_directions_has_no_single_best(session: Session) -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])

    ms.sweep("both", lambda trial: (trial.suggest_float("x", 0, 1), 1.0), trials=2, study=study, session=session)

    sweep = shown(session, study)
    assert "best_run" not in sweep["tags"]
    assert set(children(session, sweep["id"])[0]["metrics"]) == {"objective_0", "objective_1"}


def test_a_study_that_one_runs_oneself_is_on_record_by_a_callback(session: Session) -> None:
    study = optuna.create_study(study_name="own", direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("note", "tried")
        trial.report(0.5, 1)
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise ValueError("no luck")
        return trial.suggest_float("x", 0, 1)

    with ms.SweepCallback(session=session, experiment="by callback", tags={"team": "ops"}) as recorded:
        study.optimize(objective, n_trials=4, catch=(ValueError,), callbacks=[recorded])

    sweep = shown(session, study)
    runs = children(session, sweep["id"])
    assert (sweep["name"], sweep["kind"], sweep["state"], sweep["experiment"]) == (
        "own",
        "sweep",
        "succeeded",
        "by callback",
    )
    assert (sweep["params"]["direction"], sweep["tags"]["team"]) == ("maximize", "ops")
    assert [run["name"] for run in runs] == [f"own-{n}" for n in range(4)]
    assert [run["state"] for run in runs] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert [run["tags"]["trial_state"] for run in runs] == ["complete", "pruned", "fail", "complete"]
    assert [run["metrics"].get("objective") for run in runs] == [
        t.value if t.state.name == "COMPLETE" else None for t in study.trials
    ]
    assert runs[0]["params"] == study.trials[0].params and runs[0]["tags"]["user/note"] == "tried"
    assert all(run["metrics"]["intermediate"] == 0.5 for run in runs)
    assert sweep["tags"]["best_run"] == runs[study.best_trial.number]["id"]
    begun = [from_wire(run["started_at"]).timestamp() for run in runs]
    assert begun == pytest.approx([trial.datetime_start.timestamp() for trial in study.trials], abs=0.002)


def test_a_stored_study_goes_on_in_the_sweep_of_its_callback(session: Session, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    for _ in range(2):
        study = optuna.create_study(study_name="went on", storage=storage, load_if_exists=True)
        with ms.SweepCallback("told", session=session) as recorded:
            study.optimize(parabola_alone, n_trials=2, callbacks=[recorded], n_jobs=2)

    sweep = shown(session, study)
    assert sorted(run["name"] for run in children(session, sweep["id"])) == [f"told-{n}" for n in range(4)]
    assert sweep["metrics"]["best_objective"] == study.best_value
    kinds = [event["kind"] for event in session.get("/events", subject=f"run:{sweep['id']}")["items"]][::-1]
    assert kinds == ["run.started", "run.finished", "run.reopened", "run.finished"]


def test_a_study_that_breaks_ends_its_sweep_as_failed(session: Session) -> None:
    study = optuna.create_study(study_name="broken")

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 1:
            raise ValueError("no luck")
        return trial.suggest_float("x", 0, 1)

    with pytest.raises(ValueError, match="no luck"), ms.SweepCallback(session=session) as recorded:
        study.optimize(objective, n_trials=3, callbacks=[recorded])

    sweep = shown(session, study)
    assert (sweep["state"], sweep["error"], len(children(session, sweep["id"]))) == ("failed", "ValueError: no luck", 1)


WORKER = """
import sys, optuna, mainstay as ms
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(study_name="many hands", storage=sys.argv[1], load_if_exists=True)
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=6, callbacks=[ms.SweepCallback()])
"""


def test_processes_that_share_a_study_share_its_sweep(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name="many hands", storage=storage)
    with serving(tmp_path / "house") as served:
        told = {"MAINSTAY_URL": served.url, "MAINSTAY_TOKEN": served.token, "MAINSTAY_CAPTURE_CODE": "0"}
        command = [sys.executable, "-c", WORKER, storage]
        workers = [
            subprocess.Popen(command, env={**os.environ, **told}, cwd=tmp_path, stdin=subprocess.DEVNULL)
            for _ in range(2)
        ]
        assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
        sweeps = served.ask("GET", "/api/runs?kind=sweep").json()["items"]
        runs = served.ask("GET", f"/api/runs?parent={sweeps[0]['id']}&limit=100").json()["items"]

    assert len(sweeps) == 1 and sweeps[0]["state"] == "succeeded"
    assert sorted(run["tags"]["trial"] for run in runs) == sorted(str(number) for number in range(12))
    assert {run["tags"]["trial"]: run["params"]["x"] for run in runs} == {
        str(t.number): t.params["x"] for t in study.trials
    }
