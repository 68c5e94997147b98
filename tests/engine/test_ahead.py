# SPDX-License-Identifier: Apache-2.0
"""Steps go on while records travel behind: what may, what must not, and what a crash in between leaves."""

from __future__ import annotations

import threading

import pytest

from mainstay.domain.errors import Unavailable
from mainstay.engine import commits, execution, hits, pulse, work
from mainstay.engine.nearby import Nearby

PATIENCE_S = 30.0

STEPS = """
    from pathlib import Path
    import mainstay as ms
    calls = []

    @ms.step
    def more(x: int, by: int = 1) -> int:
        calls.append(x)
        return x + by

    @ms.step
    def half(x: int) -> int:
        return x // 2

    @ms.step(cache=False)
    def tell(x: int) -> list[str]:
        return Path("on-record").read_text().split()

    @ms.step
    def look(x: int) -> int:
        waits(x)
        return x + 1

    @ms.pipeline
    def chain(n: int = 6, by: int = 1):
        x = 0
        for _ in range(n):
            x = more(x, by)

    @ms.pipeline
    def told(n: int = 3):
        x = 0
        for _ in range(n):
            x = more(x)
        tell(x)

    @ms.pipeline
    def kept(n: int = 3):
        import pyarrow as pa
        x = 0
        for _ in range(n):
            x = more(x)
        ms.snapshot("numbers", table(x))

    @ms.step
    def table(x: int):
        import pyarrow as pa
        return pa.table({"x": [x]})

    @ms.step
    def says(x: int) -> int:
        ms.log_metric("loss", float("inf"))
        ms.log_metric("rate", 0.5)
        ms.log_params({"depth": 3})
        ms.log_artifact("notes.txt", "small")
        return x

    @ms.pipeline
    def saying():
        says(1)

    @ms.pipeline
    def two():
        half(more(7))

    @ms.pipeline
    def watched():
        look(more(0))

    def waits(x):
        raise AssertionError("a test says how")
"""


@pytest.fixture(autouse=True)
def steps_are_short(monkeypatch):
    """Whatever else the machine does meanwhile."""
    monkeypatch.setattr(work, "_SHORT_S", PATIENCE_S)


@pytest.fixture
def project(make_project, monkeypatch):
    made = make_project(flows=STEPS)
    monkeypatch.chdir(made.folder)
    (made.folder / "on-record").touch()
    return made


@pytest.fixture
def noted(platform, project):
    """``platform``, whose commits are noted in a file that steps can read."""
    post = platform.post

    def noting(path, body=None):
        answer = post(path, body)
        if path == "/steps/commit-all":
            with (project.folder / "on-record").open("a") as file:
                file.writelines(f"{step['name'].replace(' ', '-')}\n" for step in body["steps"])
        return answer

    platform.post = noting
    return platform


def on_record(platform):
    (run,) = [run for run in platform.runs.values() if run["kind"] == "pipeline"]
    return [step["name"] for step in run["steps"]]


def test_a_run_of_short_steps_is_five_requests(platform, project, monkeypatch):
    monkeypatch.setattr(commits, "_LONGEST_S", PATIENCE_S)
    monkeypatch.setattr(pulse, "LOOKS_EVERY_S", PATIENCE_S)

    execution.execute(project.load("flows.py:chain"), platform)

    (run,) = [run["id"] for run in platform.runs.values() if run["kind"] == "pipeline"]
    assert platform.asked == [
        ("POST", "/runs"),
        ("GET", "/pipelines/chain/history"),
        ("POST", "/steps/lookup"),
        ("POST", "/steps/commit-all"),
        ("POST", f"/runs/{run}/finish"),
    ]


def labels(step, n):
    return [f"flows.{step}", *(f"flows.{step} ({place})" for place in range(2, n + 1))]


def test_a_chain_of_short_steps_goes_on_while_the_first_record_is_on_its_way(platform, project):
    flow, post = project.load("flows.py:chain"), platform.post
    calls, all_called = flow.function.__globals__["calls"], threading.Event()

    def slow(path, body=None):
        if path == "/steps/commit-all":
            assert all_called.wait(PATIENCE_S), f"only {len(calls)} steps were called"
        return post(path, body)

    class Calls(list):
        def append(self, x):
            super().append(x)
            if len(self) == 6:
                all_called.set()

    flow.function.__globals__["calls"] = Calls()
    platform.post = slow

    flow.run(platform, n=6)

    assert on_record(platform) == labels("more", 6)


def test_what_a_step_logs_goes_on_record_with_it_in_one_request(platform, project):
    done = project.load("flows.py:saying").run(platform)

    own = platform.runs[done.steps[0].run_id]
    assert own["metrics"] == {"loss": "Infinity", "rate": 0.5}
    assert (own["params"], [each["path"] for each in own["artifacts"]]) == ({"depth": 3}, ["notes.txt"])
    assert [path for method, path in platform.asked if own["id"] in path] == []


def test_a_record_does_not_wait_for_company_for_long(platform, project):
    flow, post, is_there = project.load("flows.py:watched"), platform.post, threading.Event()

    def noting(path, body=None):
        answer = post(path, body)
        if path == "/steps/commit-all":
            is_there.set()
        return answer

    platform.post = noting
    flow.function.__globals__["waits"] = lambda x: is_there.wait(PATIENCE_S) or pytest.fail("it is not on record")

    flow.run(platform)


def test_a_step_that_reaches_outside_begins_when_all_before_it_is_on_record(noted, project):
    done = project.load("flows.py:told").run(noted)

    told = next(step for step in done.steps if step.label == "flows.tell")
    assert noted.blobs[told.outputs["value"].digest] == b'["flows.more","flows.more-(2)","flows.more-(3)"]'


def test_a_snapshot_is_taken_when_all_before_it_is_on_record(noted, project):
    post, seen = noted.post, []

    def looking(path, body=None):
        if path == "/datasets/numbers/snapshots":
            seen.extend(on_record(noted))
        return post(path, body)

    noted.post = looking

    project.load("flows.py:kept").run(noted)

    assert seen == [*labels("more", 3), "flows.table"]


def test_a_folder_that_is_on_its_way_can_be_read(platform, tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "a.txt").write_text("a")
    manifest = platform.blobs.pop(platform.put_folder(tmp_path / "given"))
    near = Nearby(platform)

    near.lay_folder(near.put_blob(manifest), tmp_path / "laid")

    assert (tmp_path / "laid" / "a.txt").read_text() == "a"


def test_what_follows_a_long_step_begins_when_that_is_on_record(noted, project, monkeypatch):
    monkeypatch.setattr(work, "_SHORT_S", 0.0)
    seen = []
    flow = project.load("flows.py:watched")
    flow.function.__globals__["waits"] = lambda x: seen.extend((project.folder / "on-record").read_text().split())

    flow.run(noted)

    assert seen == ["flows.more"]


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_what_a_crash_leaves_is_the_first_part_of_the_chain_and_the_rest_is_made_again(
    platform, project, monkeypatch, kept
):
    """The control plane takes so many steps and is never heard of again: as for a process that is killed there."""
    monkeypatch.setattr(commits, "_MOST_STEPS", 1)
    post = platform.post

    def away(path, body=None):
        if path == "/steps/commit-all" and platform.count("POST", path) >= kept:
            raise Unavailable("away")
        return post(path, body)

    platform.post = away
    with pytest.raises(Unavailable):
        project.load("flows.py:chain").run(platform, n=6)
    assert on_record(platform) == labels("more", 6)[:kept]
    platform.post = post
    (run_id,) = [run["id"] for run in platform.runs.values() if run["kind"] == "pipeline"]

    done = execution.resume(project.load("flows.py:chain"), platform, run_id)

    assert on_record(platform) == labels("more", 6)
    assert [step.sentence == "finished before" for step in done.steps] == [True] * kept + [False] * (6 - kept)
    assert platform.runs[run_id]["state"] == "succeeded"


def test_no_more_than_so_many_records_are_behind(platform, project, monkeypatch):
    monkeypatch.setattr(work, "_MOST_BEHIND", 3)
    monkeypatch.setattr(commits, "_LONGEST_S", PATIENCE_S * 10)
    flow, post, behind = project.load("flows.py:chain"), platform.post, []
    calls = flow.function.__globals__["calls"]

    def counting(path, body=None):
        if path == "/steps/commit-all":
            behind.append(len(calls) - len(on_record(platform)))
        return post(path, body)

    platform.post = counting

    flow.run(platform, n=20)

    assert max(behind) == 4


def test_a_new_chain_is_known_to_be_new_by_one_question(platform, project, monkeypatch):
    monkeypatch.setattr(hits, "_HOLDS_S", PATIENCE_S * 100)

    project.load("flows.py:chain").run(platform, n=100)

    assert platform.count("POST", "/steps/lookup") == 1


@pytest.mark.parametrize(("small", "questions"), [(64 << 10, 1), (0, 2)], ids=["small results", "large results"])
def test_a_chain_of_hits_is_found_by_one_question_whatever_ran_last(platform, project, small, questions):
    platform.small = small
    flow = project.load("flows.py:chain")
    flow.run(platform, n=100, by=1)
    for by in (2, 3, 4, 5):
        flow.run(platform, n=2, by=by)
    before = platform.count("POST", "/steps/lookup")

    planned, done = flow.plan(platform, n=100, by=1), flow.run(platform, n=100, by=1)

    assert {item.why for item in planned.items} == {"hit"}
    assert {step.state for step in done.steps} == {"cached"}
    assert platform.count("POST", "/steps/lookup") - before == 2 * questions


def test_of_a_family_that_is_too_large_every_hit_is_found_all_the_same(platform, project):
    flow = project.load("flows.py:chain")
    flow.run(platform, n=10, by=1)
    flow.run(platform, n=2, by=2)
    platform.most_of_family = 5

    assert {step.state for step in flow.run(platform, n=12, by=1).steps[:10]} == {"cached"}


@pytest.mark.parametrize(("holds", "state"), [(-1.0, "cached"), (PATIENCE_S * 100, "succeeded")])
def test_what_another_run_has_published_meanwhile_is_a_hit_once_the_answer_is_old(
    platform, project, monkeypatch, holds, state
):
    monkeypatch.setattr(hits, "_HOLDS_S", holds)
    flow = project.load("flows.py:two")
    keys = {step["name"]: step["key"] for step in platform.runs[flow.run(platform).run_id]["steps"]}
    aside = {name: platform.cache.pop(key) for name, key in keys.items()}

    class Calls(list):
        def append(self, x):  # while the first step runs, another run puts the second one's result on record
            platform.cache[keys["flows.half"]] = aside["flows.half"]

    flow.function.__globals__["calls"] = Calls()
    done = flow.run(platform)

    assert {step.label: step.state for step in done.steps} == {"flows.more": "succeeded", "flows.half": state}


def test_a_run_keeps_the_result_it_has_built_on_though_another_was_first(platform, project):
    flow = project.load("flows.py:two")
    keys = {step["name"]: step["key"] for step in platform.runs[flow.run(platform).run_id]["steps"]}
    first = {name: platform.cache.pop(key) for name, key in keys.items()}
    other = platform.put_blob(b"1000")

    class Calls(list):
        def append(self, x):
            theirs = {**first["flows.more"]["outputs"][0], "digest": other}
            platform.cache[keys["flows.more"]] = {**first["flows.more"], "outputs": [theirs]}

    flow.function.__globals__["calls"] = Calls()
    done = flow.run(platform)

    made = {step.label: platform.blobs[step.outputs["value"].digest] for step in done.steps}
    assert made == {"flows.more": b"8", "flows.half": b"4"}
    assert platform.cache[keys["flows.more"]]["outputs"][0]["digest"] == other


def test_old_answers_are_asked_for_anew_together(platform):
    index = hits.Hits(platform=platform)
    index.ask([letter * 64 for letter in "abc"])
    index.age(hits._HOLDS_S * 2)

    assert [index.of(letter * 64) for letter in "abc"] == [None] * 3
    assert platform.count("POST", "/steps/lookup") == 2
