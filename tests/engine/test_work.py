# SPDX-License-Identifier: Apache-2.0
"""Graphs that grow, chains that are long, runs that are carried on, lines that are kept."""

from __future__ import annotations

import pytest

from mainstay.domain.errors import Conflict, Invalid, Unavailable
from mainstay.engine import execution
from mainstay.engine.execution import StepFailed
from mainstay.engine.repeating import resumption

GROWING = """
    from pathlib import Path
    import mainstay as ms
    calls = []

    @ms.step
    def chunks(n: int) -> list[int]:
        return list(range(n))

    @ms.step
    def fit(chunk: int, factor: int = 1) -> int:
        calls.append(chunk)
        print("fitting", chunk)
        if Path(f"fails-{chunk}").exists():
            raise ValueError(f"chunk {chunk} is bad")
        return chunk * factor

    @ms.step
    def total(parts: list[int]) -> int:
        return sum(parts)

    @ms.step
    def more(x: int) -> int:
        return x + 1

    @ms.pipeline
    def flow(n: int = 3, factor: int = 2):
        total(fit.map(chunks(n), factor=factor))

    @ms.pipeline
    def deciding(n: int = 3):
        found = total(fit.map(chunks(n), factor=2))
        while found.value < 9:
            found = more(found)

    @ms.pipeline
    def chain(n: int = 5):
        x = 0
        for _ in range(n):
            x = more(x)
"""


def states(done):
    return {step.label: step.state for step in done.steps}


def failing(project, monkeypatch, chunk):
    """A mark by which the step knows that it has to fail; not by a variable, which would count in its key."""
    monkeypatch.chdir(project.folder)
    mark = project.folder / f"fails-{chunk}"
    mark.touch()
    return mark


def value_of(platform, done, label):
    (output,) = next(step.outputs.values() for step in done.steps if step.label == label)
    return platform.blobs[output.digest]


def test_a_map_makes_a_call_for_each_item_and_hands_their_results_on_as_a_list(platform, make_project):
    flow = make_project(flows=GROWING).load("flows.py:flow")

    done = flow.run(platform, n=4)

    assert [step.label for step in done.steps] == [
        "flows.chunks",
        *(f"flows.fit [{n}]" for n in range(4)),
        "flows.total",
    ]
    assert value_of(platform, done, "flows.total") == b"12"


def test_a_map_over_a_longer_list_carries_out_only_what_is_new(platform, make_project):
    flow = make_project(flows=GROWING).load("flows.py:flow")
    flow.run(platform, n=3)

    done = flow.run(platform, n=4)

    assert [label for label, state in states(done).items() if state == "succeeded"] == [
        "flows.chunks",
        "flows.fit [3]",
        "flows.total",
    ]


def test_a_map_over_no_items_hands_on_an_empty_list(platform, make_project):
    done = make_project(flows=GROWING).load("flows.py:flow").run(platform, n=0)

    assert [step.label for step in done.steps] == ["flows.chunks", "flows.total"]
    assert value_of(platform, done, "flows.total") == b"0"


def test_a_plan_says_that_a_width_is_unknown_until_it_is_known(platform, make_project):
    flow = make_project(flows=GROWING).load("flows.py:flow")
    before = {item.label: item.sentence for item in flow.plan(platform).items}
    flow.run(platform)

    after = [item.label for item in flow.plan(platform).items if item.is_hit]

    assert before["flows.fit (map)"] == "unknown width: a call for each item of flows.chunks"
    assert after == ["flows.chunks", "flows.fit [0]", "flows.fit [1]", "flows.fit [2]", "flows.total"]


def test_a_map_over_what_is_no_list_is_refused_in_a_sentence(platform, make_project):
    project = make_project(flows=GROWING)
    project.edit("flows.py", "return list(range(n))", 'return {"n": n}')

    with pytest.raises(Invalid, match=r"goes over flows\.chunks, which is one dict; a step that gives a list"):
        project.load("flows.py:flow").run(platform)


def test_a_map_outside_of_a_pipeline_is_plain_calls(make_project):
    flow = make_project(flows=GROWING).load("flows.py:flow")

    assert flow.function.__globals__["fit"].map([1, 2], factor=3) == [3, 6]


def test_a_pipeline_may_decide_by_a_value_and_is_all_hits_the_next_time(platform, make_project):
    flow = make_project(flows=GROWING).load("flows.py:deciding")

    done, again = flow.run(platform), flow.run(platform)

    assert [step.label for step in done.steps][-4:] == ["flows.total", "flows.more", "flows.more (2)", "flows.more (3)"]
    assert value_of(platform, done, "flows.more (3)") == b"9"
    assert set(states(again).values()) == {"cached"}


def test_a_plan_says_that_the_rest_depends_on_a_value(platform, make_project):
    flow = make_project(flows=GROWING).load("flows.py:deciding")

    assert flow.plan(platform).items[-1].sentence == "unknown: the pipeline goes on by the value of flows.total"


def test_a_chain_of_five_thousand_steps_is_carried_out(platform, make_project):
    flow = make_project(flows=GROWING).load("flows.py:chain")

    done = flow.run(platform, n=5000)

    assert len(done.steps) == 5000
    assert value_of(platform, done, "flows.more (5000)") == b"5000"


def test_a_run_that_failed_is_carried_on_as_the_same_run(platform, make_project, monkeypatch):
    project = make_project(flows=GROWING)
    bad = failing(project, monkeypatch, 1)
    with pytest.raises(StepFailed) as failed:
        project.load("flows.py:flow").run(platform)
    run_id = failed.value.facts["run_id"]
    bad.unlink()

    done = resumption.carry_on(platform, run_id, folder=project.folder)

    assert done.run_id == run_id
    assert platform.runs[run_id]["state"] == "succeeded"
    assert {step.label: step.sentence for step in done.steps}["flows.fit [0]"] == "finished before"
    good = [step["name"] for step in platform.runs[run_id]["steps"] if step["state"] != "failed"]
    assert sorted(good) == ["flows.chunks", "flows.fit [0]", "flows.fit [1]", "flows.fit [2]", "flows.total"]


def test_an_uncached_step_that_is_on_record_is_not_repeated_by_a_resume(platform, make_project, monkeypatch):
    project = make_project(flows=GROWING.replace("@ms.step\n    def chunks", "@ms.step(cache=False)\n    def chunks"))
    bad = failing(project, monkeypatch, 2)
    with pytest.raises(StepFailed) as failed:
        project.load("flows.py:flow").run(platform)
    bad.unlink()

    done = resumption.carry_on(platform, failed.value.facts["run_id"], folder=project.folder)

    assert {step.label: step.sentence for step in done.steps}["flows.chunks"] == "finished before"


def test_a_resume_after_an_edit_asks_for_a_clear_word(platform, make_project, monkeypatch):
    project = make_project(flows=GROWING)
    bad = failing(project, monkeypatch, 1)
    with pytest.raises(StepFailed) as failed:
        project.load("flows.py:flow").run(platform)
    bad.unlink()
    project.edit("flows.py", "return sum(parts)", "return sum(parts) + 100")

    with pytest.raises(Conflict, match="is not what it was"):
        resumption.carry_on(platform, failed.value.facts["run_id"], folder=project.folder)
    done = resumption.carry_on(platform, failed.value.facts["run_id"], folder=project.folder, allow_edited=True)

    assert value_of(platform, done, "flows.total") == b"106"


def test_a_failed_step_is_called_again_on_its_inputs(platform, make_project, monkeypatch):
    project = make_project(flows=GROWING)
    bad = failing(project, monkeypatch, 2)
    with pytest.raises(StepFailed) as failed:
        project.load("flows.py:flow").run(platform, factor=5)
    run_id = failed.value.facts["run_id"]

    with pytest.raises(ValueError, match="chunk 2 is bad"):
        resumption.call_again(platform, run_id, "flows.fit [2]", folder=project.folder)
    bad.unlink()

    assert resumption.call_again(platform, run_id, "flows.fit [2]", folder=project.folder) == 10


def test_what_a_step_prints_is_kept_with_its_label(platform, make_project):
    done = make_project(flows=GROWING).load("flows.py:flow").run(platform, n=2)

    told = [(line["step"], line["stream"], line["text"]) for line in platform.runs[done.run_id]["lines"]]

    assert told == [("flows.fit [0]", "out", "fitting 0"), ("flows.fit [1]", "out", "fitting 1")]


def test_a_run_that_another_process_has_taken_stops(platform, make_project):
    flow = make_project(flows=GROWING).load("flows.py:chain")
    post = platform.post

    def stolen(path, body=None):
        if path == "/steps/commit-all":
            raise Conflict("carried out by another")
        return post(path, body)

    platform.post = stolen

    with pytest.raises(Conflict, match="another"):
        flow.run(platform)


def test_a_control_plane_that_goes_away_ends_the_run_and_it_can_be_carried_on(platform, make_project):
    project = make_project(flows=GROWING)
    platform.fail["/steps/commit-all"] = 1
    with pytest.raises(Unavailable):
        project.load("flows.py:flow").run(platform)
    (run_id,) = [run["id"] for run in platform.runs.values() if run["kind"] == "pipeline"]

    done = execution.resume(project.load("flows.py:flow"), platform, run_id)

    assert states(done)["flows.total"] == "succeeded"
