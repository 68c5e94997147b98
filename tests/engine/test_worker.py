# SPDX-License-Identifier: Apache-2.0
"""Jobs: carried out, answered with a result or one sentence, never answered when they are somebody else's."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import time

import pyarrow.parquet as pq
import pytest
from http_platform import served

from mainstay.domain.errors import Conflict, MainstayError, Unavailable
from mainstay.engine import project
from mainstay.engine.jobs import plan_pipeline
from mainstay.engine.jobs.nursery import CAN_SERVE
from mainstay.engine.worker import Worker, work, work_once

FLOW = """
    import os, signal, time
    from pathlib import Path
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline

    @step
    def add(x: int) -> int:
        return x + 1

    @step
    def fail(x: int) -> int:
        raise ValueError("the sea is rough")

    @step(cache=False)
    def die(x: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)

    @step(cache=False)
    def linger(x: int) -> int:
        Path("lingering").touch()
        time.sleep(60)

    @pipeline
    def flow(x: int, what: str = "add"):
        {"add": add, "fail": fail, "die": die, "linger": linger}[what](x)
"""


@pytest.fixture
def worker(platform, make_project):
    project = make_project(flights=FLOW)
    with served(platform) as url:
        environment = {"MAINSTAY_URL": url, "MAINSTAY_TOKEN": "mst_x_y", "MAINSTAY_RETRY_SECONDS": "1"}
        yield Worker(platform=platform, folder=project.folder, name="w", environment=environment)


def ask(platform, kind, body):
    return platform.post("/jobs", {"kind": kind, "body": body})


def run_job(platform, worker, **body):
    job = ask(platform, "run_pipeline", {"entry": "flights.py:flow", "params": {"x": "1"}, **body})
    assert work_once(worker)
    return platform.jobs[job["id"]]


SERVE = """
import pathlib, sys
from mainstay.engine.worker import serve
serve(url=sys.argv[1], token="mst_x_y", project=pathlib.Path(sys.argv[2]), name="w")
"""


@pytest.fixture
def start():
    """Start a worker process; none outlives the test."""
    started = []

    def start(worker):
        order = (worker.environment["MAINSTAY_URL"], str(worker.folder))
        started.append(subprocess.Popen([sys.executable, "-c", SERVE, *order], stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_no_job_is_no_work(worker):
    assert work_once(worker) is False


def test_a_worker_that_may_leave_does_what_there_is_and_then_leaves(platform, worker):
    job = ask(platform, "run_pipeline", {"entry": "flights.py:flow", "params": {"x": "1"}})
    worker.leave_after_s, worker.wait_s = 0.2, 0

    work(worker)

    assert platform.jobs[job["id"]]["state"] == "done"
    assert not worker.stopping.is_set()


def test_a_pipeline_job_runs_in_a_child_and_answers_with_its_run(platform, worker):
    before = sys.modules.get("flights")

    job = run_job(platform, worker, because=7, reason="drift")

    run = platform.runs[job["result"]["run_id"]]
    assert (job["state"], job["result"]["summary"]) == ("done", "1 step: 1 ran")
    assert (run["state"], run["because"], run["reason"], run["params"]["x"]) == ("succeeded", 7, "drift", 1)
    assert sys.modules.get("flights") is before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"params": {"x": "1", "what": "fail"}}, "step flights.fail failed: ValueError: the sea is rough (flights.py:"),
        ({"params": {"x": "1", "what": "die"}}, "the pipeline's process was ended by SIGKILL before it could answer"),
        ({"params": {"x": "one"}}, "parameter x is 'one'; a whole number is expected."),
        ({"entry": "nowhere.py:flow"}, "there is no file 'nowhere.py'"),
        ({"entry": None}, "'NoneType' object has no attribute"),
    ],
)
def test_a_poisoned_pipeline_job_ends_failed_with_one_sentence(platform, worker, body, words):
    job = run_job(platform, worker, **body)

    assert job["state"] == "failed"
    assert words in job["error"]
    assert "\n" not in job["error"]


def test_a_job_whose_run_failed_says_which_run_that_was(platform, worker):
    job = run_job(platform, worker, params={"x": "1", "what": "fail"})

    assert platform.runs[job["result"]["run_id"]]["state"] == "failed"


def test_a_job_without_what_it_needs_ends_failed_with_one_sentence(platform, worker):
    job = ask(platform, "judge_release", {"evaluation_blob": "0" * 64, "candidate": {}})
    work_once(worker)

    assert platform.jobs[job["id"]]["error"].startswith("no blob 000")


def test_a_worker_plans_as_the_command_does_and_carries_nothing_out(platform, worker, make_project):
    run_job(platform, worker)
    source = worker.folder / "flights.py"
    source.write_text(source.read_text().replace("x + 1", "x + 10"))
    runs = len(platform.runs)

    job = ask(platform, "plan", {"entry": "flights.py:flow", "params": {"x": "1"}})
    assert work_once(worker)

    told = platform.jobs[job["id"]]["result"]
    here = project.load("flights.py:flow", folder=worker.folder).plan(platform, x=1).document()
    assert told == json.loads(json.dumps(here))
    (item,) = told["items"]
    assert (item["label"], item["why"], "-    return x + 1" in item["changes"][0]["diff"]) == (
        "flights.add",
        "code",
        True,
    )
    assert len(platform.runs) == runs


@pytest.mark.parametrize(
    ("source", "params", "words"),
    [
        ("raise RuntimeError('no bread')", {}, "flights.py cannot be imported: RuntimeError: no bread"),
        (None, {}, "pipeline flow needs x; give --x."),
        (None, {"x": "1", "y": "2"}, "pipeline flow has no parameter 'y'"),
        ("import sys; sys.exit(3)", {}, "flights.py cannot be imported: SystemExit: 3"),
    ],
)
def test_what_cannot_be_planned_says_why_in_one_sentence(platform, worker, source, params, words):
    if source is not None:
        (worker.folder / "flights.py").write_text(source)

    with pytest.raises(MainstayError, match=words) as told:
        plan_pipeline.plan(platform, {"entry": "flights.py:flow", "params": params}, worker.folder)

    assert "\n" not in told.value.message


def test_a_plan_whose_differences_are_very_long_is_told_without_them(monkeypatch):
    monkeypatch.setattr(plan_pipeline, "LARGEST", 300)
    change = {"name": "flights.add", "lines": 1, "diff": "-x\n" * 200}
    document = {"items": [{"label": "flights.add", "changes": [change]}], "remarks": []}

    told = plan_pipeline._fitting(document)

    assert told["items"][0]["changes"] == [{"name": "flights.add", "lines": 1, "diff": ""}]
    assert "mainstay plan --diff" in told["remarks"][0]


def test_the_run_behind_a_job_is_told_while_it_goes_on(platform, worker):
    def lingering():
        _wait_for(lambda: any(job.get("told") for job in platform.jobs.values()))
        worker.stopping.set()

    watch = threading.Thread(target=lingering)
    watch.start()

    job = run_job(platform, worker, params={"x": "1", "what": "linger"})

    watch.join()
    (run,) = [run for run in platform.runs.values() if run["kind"] == "pipeline"]
    assert job["told"] == [{"run_id": run["id"]}]


def test_a_lost_lease_stops_the_pipeline_and_is_not_answered(platform, worker):
    post = platform.post

    def losing(path, body=None):
        if path.endswith("/heartbeat") and (worker.folder / "lingering").exists():
            raise Conflict("the lease is another worker's")
        return post(path, body)

    platform.post, worker.lease_s = losing, 0.3

    job = run_job(platform, worker, params={"x": "1", "what": "linger"})

    assert job["state"] == "leased"
    (run,) = [run for run in platform.runs.values() if run["kind"] == "pipeline"]
    assert (run["state"], run["error"]) == ("failed", "interrupted")


@pytest.fixture
def warm(worker, monkeypatch):
    """A worker whose pipelines begin in its nursery, and nowhere else."""
    if not CAN_SERVE:
        pytest.skip("this system has no nursery")
    worker.pipelines.prepare()
    begin = worker.pipelines.begin

    def surely(*args, **kwargs):
        child = begin(*args, **kwargs)
        assert child is not None
        return child

    monkeypatch.setattr(worker.pipelines, "begin", surely)
    yield worker
    worker.pipelines.stop()


def test_pipelines_of_a_nursery_see_the_sources_as_they_are(platform, warm):
    source = warm.folder / "flights.py"

    first = run_job(platform, warm)
    again = run_job(platform, warm)
    source.write_text(source.read_text().replace("x + 1", "x + 10"))
    edited = run_job(platform, warm)
    dead = run_job(platform, warm, params={"x": "1", "what": "die"})

    told = [job["result"]["summary"] for job in (first, again, edited)]
    assert told == ["1 step: 1 ran", "1 step: 1 hit", "1 step: 1 ran"]
    assert "the pipeline's process was ended by SIGKILL" in dead["error"]


def test_a_lost_lease_stops_a_pipeline_of_a_nursery_too(platform, warm):
    test_a_lost_lease_stops_the_pipeline_and_is_not_answered(platform, warm)


def test_a_worker_outlives_a_restart_of_the_control_plane(platform, worker):
    job = ask(platform, "nonsense", {})
    platform.jobs[job["id"]]["kind"] = "run_pipeline"
    platform.jobs[job["id"]]["body"] = {"entry": "flights.py:flow", "params": {"x": 1}}
    platform.fail = {"/jobs/lease": 2, f"/jobs/{job['id']}/finish": 2}
    worker.poll_s = 0.01

    thread = threading.Thread(target=work, args=(worker,))
    thread.start()
    _wait_for(lambda: platform.jobs[job["id"]]["state"] == "done")
    worker.stopping.set()
    thread.join(timeout=30)

    assert not thread.is_alive()
    assert platform.fail == {"/jobs/lease": 0, f"/jobs/{job['id']}/finish": 0}


def test_sigterm_ends_a_worker_and_its_pipeline_and_leaves_the_job_to_the_next_one(platform, worker, start):
    job = ask(platform, "run_pipeline", {"entry": "flights.py:flow", "params": {"x": "1", "what": "linger"}})
    process = start(worker)
    _wait_for(lambda: (worker.folder / "lingering").exists())

    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)

    (run,) = [run for run in platform.runs.values() if run["kind"] == "pipeline"]
    assert (process.returncode, platform.jobs[job["id"]]["state"]) == (0, "leased")
    assert (run["state"], run["error"]) == ("failed", "interrupted")
    assert b"Traceback" not in told


def test_a_killed_worker_takes_its_pipeline_with_it(platform, worker, start):
    ask(platform, "run_pipeline", {"entry": "flights.py:flow", "params": {"x": "1", "what": "linger"}})
    process = start(worker)
    _wait_for(lambda: (worker.folder / "lingering").exists())

    process.kill()
    process.wait()

    _wait_for(lambda: all(run["state"] == "failed" for run in platform.runs.values() if run["kind"] == "pipeline"))


def _wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


# ── judging ────────────────────────────────────────────────────────────────────────────────────────────────────────

MODEL = """
    import numpy as np
    import pandas as pd
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline
    import mainstay as ms
    from sklearn.linear_model import LogisticRegression

    @step
    def load(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(250, 2))
        return pd.DataFrame(
            {
                "x": x[:, 0],
                "y": x[:, 1],
                "carrier": np.where(x[:, 1] > 0, "UA", "AA"),
                "flight": [f"no {each}" for each in range(250)],
                "due": pd.Timestamp("2013-03-01", tz="UTC") + pd.to_timedelta(np.arange(250), "h"),
                "late": (x[:, 0] + rng.normal(size=250) > 0).astype(int),
            }
        )

    @step
    def train(table: pd.DataFrame, columns: list, c: float) -> LogisticRegression:
        return LogisticRegression(C=c).fit(table[columns], table["late"])

    @pipeline
    def flow(c: float = 1.0, columns: list = ["x", "y"]):
        ms.register("late", train(load(1), columns, c), holdout=load(2), target="late")
"""


@pytest.fixture
def versions(platform, make_project):
    flow = make_project("models", flights=MODEL).load()
    flow.run(platform)
    flow.run(platform, c=0.001, columns=["x"])
    return platform.models["late"]["versions"]


def judge(platform, worker, candidate, champion):
    body = {"candidate": candidate, "champion": champion, "evaluation_blob": candidate["evaluation_blob"]}
    job = ask(platform, "judge_release", {"deployment": "d", "release": "d#1", **body})
    work_once(worker)
    return platform.jobs[job["id"]]


def test_evidence_has_both_models_scores_on_the_same_rows_and_columns_to_slice_and_cluster_by(
    platform, worker, versions
):
    champion, candidate = versions

    job = judge(platform, worker, candidate, champion)

    result = job["result"]
    table = pq.read_table(io.BytesIO(platform.blobs[result["evidence_blob"]]))
    assert table.column_names == ["_label", "_candidate", "_champion", "carrier", "due"]
    assert (result["load"]["ok"], result["load"]["largest_difference"], result["champion_error"]) == (True, 0.0, None)
    assert result["latency_p95_ms"] > 0
    evaluation = pq.read_table(io.BytesIO(platform.blobs[champion["evaluation_blob"]]))
    assert table["_champion"].to_pylist() == evaluation["_score"].to_pylist()


def test_without_a_champion_there_are_no_scores_of_one(platform, worker, versions):
    job = judge(platform, worker, versions[0], None)

    table = pq.read_table(io.BytesIO(platform.blobs[job["result"]["evidence_blob"]]))
    assert table["_champion"].null_count == table.num_rows == 250


def test_a_champion_that_needs_another_column_is_no_comparison_and_says_why(platform, worker, versions):
    champion, candidate = versions
    other = {**champion, "signature": {**champion["signature"], "inputs": [{"name": "wind", "type": "float"}]}}

    result = judge(platform, worker, candidate, other)["result"]

    assert result["champion_error"].startswith("the champion cannot be scored on these rows: column 'wind' is missing")


def test_a_candidate_that_does_not_load_is_a_result_with_the_reason(platform, worker, versions):
    damaged = platform.put_blob(b"not a model")
    candidate = {**versions[0], "files": {name: damaged for name in versions[0]["files"]}}

    job = judge(platform, worker, candidate, None)

    assert job["state"] == "done"
    assert (job["result"]["load"]["ok"], job["result"]["evidence_blob"]) == (False, None)
    assert "not a whole skops archive" in job["result"]["load"]["error"]


def test_a_job_that_raises_anything_ends_failed_and_the_worker_goes_on(platform, worker, versions):
    broken = judge(platform, worker, {**versions[0], "signature": None}, None)
    fine = judge(platform, worker, versions[0], None)

    assert (broken["state"], fine["state"]) == ("failed", "done")
    assert broken["error"] == "a signature is an object with a list 'inputs' and an object 'output'."


def test_an_absent_control_plane_is_no_answer_for_work_once(platform, worker):
    platform.fail = {"/jobs/lease": 1}

    with pytest.raises(Unavailable):
        work_once(worker)
