# SPDX-License-Identifier: Apache-2.0
"""Steps and pipelines are plain functions until a run traces them; refs say what they cannot do."""

from __future__ import annotations

import inspect
import pickle

import pyarrow as pa
import pytest

import mainstay
from mainstay.domain.errors import Invalid, NotFound
from mainstay.engine import steps, verbs
from mainstay.engine.execution import StepFailed
from mainstay.engine.pipelines import pipeline
from mainstay.engine.steps import step


@step
def double(x: int, factor: int = 2) -> int:
    """Twice."""
    return x * factor


@step
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@step
def mapping() -> dict[str, float]:
    return {"auc": 0.5}


@step
def anything(x):
    return x


def traced(function):
    return pipeline(function).trace(None, {})


def test_outside_a_run_a_step_is_its_function():
    assert double(3) == 6
    assert double(3, factor=3) == 9
    assert str(inspect.signature(double)) == "(x: 'int', factor: 'int' = 2) -> 'int'"
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert pickle.loads(pickle.dumps(double)) is double


def test_outside_a_run_a_pipeline_is_its_function():
    @pipeline
    def flow(x: int):
        table = verbs.snapshot("numbers", pa.table({"x": [double(x)]}))
        return table["x"].to_pylist()

    assert flow(2) == [4]


def test_outside_a_run_register_says_that_it_does_nothing():
    with pytest.warns(UserWarning, match="register\\('m'\\) outside a recorded run does nothing"):
        assert verbs.register("m", object()) is None


def test_logging_outside_of_a_step_says_where_to_log():
    with pytest.raises(Invalid, match="run"):
        mainstay.log_metric("x", 1)


def test_inside_a_pipeline_a_call_is_traced_and_not_made():
    @step
    def explode(x: int) -> int:
        raise AssertionError

    found = traced(lambda_free(lambda: explode(double(1))))

    assert [node.label for node in found.nodes] == [double.name, explode.name]


def lambda_free(function):
    def flow():
        function()

    return flow


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda ref: bool(ref), "cannot decide by it.*decide by its .value, .* inside a step, or by a parameter"),
        (lambda ref: len(ref), "cannot take its length"),
        (lambda ref: float(ref), "cannot turn it into a number"),
        (lambda ref: ref > 1, "cannot compare it"),
        (lambda ref: list(ref), r"cannot iterate over it.*tuple\[A, B\]"),
        (lambda ref: range(ref), "cannot turn it into a number"),
    ],
)
def test_looking_at_a_ref_names_what_to_do_instead(use, words):
    with pytest.raises(Invalid, match=words):
        traced(lambda_free(lambda: use(anything(1))))


def test_an_attribute_of_a_ref_says_that_it_is_a_reference():
    with pytest.raises(AttributeError, match=r"use \.height inside a step"):
        traced(lambda_free(lambda: anything(1).height))


def test_a_ref_is_unpacked_as_its_annotation_says():
    def flow():
        number, text = pair(1)
        double(number)
        anything(text)
        anything(mapping()["auc"])

    with pytest.raises(Invalid, match="annotation promises 0, 1"):
        traced(lambda_free(lambda: pair(1)[2]))
    assert len(traced(flow).nodes) == 5


def test_wrong_arguments_are_refused_while_tracing():
    with pytest.raises(Invalid, match="got an unexpected keyword argument 'depth'"):
        traced(lambda_free(lambda: double(1, depth=3)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: step(lambda x: x), "a lambda was given"),
        (lambda: step(double), "is a step already"),
        (lambda: step(int), "type was given"),
        (lambda: step(env="SEED"), r"such as env=\['SEED'\]"),
    ],
)
def test_what_cannot_be_a_step_is_refused_at_once(make, words):
    with pytest.raises(Invalid, match=words):
        make()


def test_an_annotation_that_only_a_type_checker_can_read_hides_no_other():
    def function(x: "Unheard", y: int) -> dict[str, float]: ...  # type: ignore[name-defined]  # noqa: F821, UP037

    assert steps.annotations_of(function) == {"y": int, "return": dict[str, float]}


STEP = """
    from mainstay.engine.steps import step
    from mainstay.engine.pipelines import pipeline
    import mainstay as ms
    import random

    @step
    def work(x=0):
        {body}

    @pipeline
    def flow():
        work()
"""


def test_a_result_that_cannot_be_stored_fails_the_step_with_the_ways_out(platform, make_project):
    with pytest.raises(StepFailed, match=r"a builtins\.object cannot be stored\. Three ways out"):
        make_project(flights=STEP.format(body="return object()")).load().run(platform)


def test_an_argument_that_cannot_be_keyed_is_refused_with_its_name(platform, make_project):
    project = make_project(flights=STEP.format(body="return 1").replace("work()", "work(object())"))

    with pytest.raises(Invalid, match=r"argument x: a builtins\.object cannot be stored"):
        project.load().run(platform)
    assert [run["state"] for run in platform.runs.values()] == ["failed"]


def test_random_numbers_are_the_same_in_every_run_and_differ_by_seed(make_platform, make_project):
    values = []
    for name, seed in (("one", ""), ("two", ""), ("three", "(seed=1)")):
        platform = make_platform()
        text = STEP.format(body="return random.random()").replace("@pipeline", "@pipeline" + seed)
        done = make_project(name, flights=text).load().run(platform)
        values.append(platform.blobs[done.steps[0].outputs["value"].digest])

    assert values[0] == values[1] != values[2]


def test_parameters_and_artifacts_logged_in_a_step_go_to_its_run(platform, make_project):
    body = 'ms.log_params({"depth": 3}); ms.log_artifact("notes/a.txt", "hello"); ms.log_metric("auc", 0.5); return 1'

    done = make_project(flights=STEP.format(body=body)).load().run(platform)

    run = platform.runs[done.steps[0].run_id]
    assert (run["params"], run["metrics"]) == ({"depth": 3}, {"auc": 0.5})
    (artifact,) = run["artifacts"]
    assert (artifact["path"], artifact["media_type"], platform.blobs[artifact["digest"]]) == (
        "notes/a.txt",
        "text/plain",
        b"hello",
    )


def test_a_path_counts_by_the_content_of_its_file(platform, make_project, tmp_path):
    data = tmp_path / "data.csv"
    project = make_project(
        flights=f"""
        from pathlib import Path
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline

        @step
        def work(file: Path) -> str:
            return file.read_text()

        @pipeline
        def flow():
            work(Path({str(data)!r}))
        """
    )
    data.write_text("1")
    first = project.load().run(platform)
    data.touch()
    second = project.load().run(platform)
    data.write_text("2")
    third = project.load().run(platform)

    assert [each.steps[0].why for each in (first, second, third)] == ["new", "hit", "input"]


def test_existing_snapshots_are_inputs_by_digest(platform, make_project):
    project = make_project(
        flights="""
        import pyarrow as pa
        from mainstay.engine.steps import step
        from mainstay.engine.pipelines import pipeline
        import mainstay as ms

        @step
        def make(month: int) -> pa.Table:
            return pa.table({"x": [month]})

        @step
        def join(tables: list) -> pa.Table:
            return pa.concat_tables(tables)

        @step
        def numbers(table: pa.Table) -> list:
            return table["x"].to_pylist()

        @pipeline
        def ingest(month: int):
            ms.snapshot("flights", make(month), since=f"2013-0{month}-01", until=f"2013-0{month + 1}-01")

        @pipeline
        def flow(last: int = 2, until: str = "2013-12-31"):
            numbers(join(ms.snapshots("flights", last=last, until=until)))
        """
    )
    for month in (1, 2, 3):
        project.load("flights.py:ingest").run(platform, month=month)
    flow = project.load()

    newest = flow.run(platform)
    early = flow.run(platform, until="2013-03-01")

    assert platform.blobs[newest.steps[-1].outputs["value"].digest] == b"[2,3]"
    assert platform.blobs[early.steps[-1].outputs["value"].digest] == b"[1,2]"
    with pytest.raises(NotFound, match="has no snapshot in the period"):
        flow.run(platform, until="2013-01-15")
