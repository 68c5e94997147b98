# SPDX-License-Identifier: Apache-2.0
"""A run carried out again from its record alone: in another process, from the sources, snapshots and parameters of then."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.errors import Conflict, Invalid, Unavailable
from mainstay.engine import environment, project
from mainstay.engine.repeating.reproduction import reproduce
from mainstay.engine.worker import Worker, work_once

READING = """
    import datetime
    import random
    from pathlib import Path
    import mainstay as ms
    import polars as pl
    RATES = Path(__file__).parent / "rates.txt"

    @ms.step
    def total(tables: list[pl.DataFrame], since: datetime.date, by: list[int]) -> dict[str, float]:
        return {"sum": float(sum(table["x"].sum() for table in tables)) * by[0] * int(RATES.read_text()), "day": since.day + 0.5}

    @ms.step
    def shuffled(n: int) -> list[float]:
        return [random.random() for _ in range(n)]

    @ms.pipeline(seed=7)
    def read(since: datetime.date = datetime.date(2013, 2, 1), by: list[int] = [2]):
        total(ms.snapshots("flights", last=2), since, by)
        shuffled(3)
"""


def run_of(workspace: Any, name: str, function: str) -> str:
    return str(project.load(f"{name}.py:{function}", folder=workspace.folder).run(workspace.session).run_id)


def test_a_run_is_identical_although_its_sources_and_its_data_have_gone_on(workspace: Any) -> None:
    workspace.run()
    workspace.write("reading", READING)
    (workspace.folder / "rates.txt").write_text("3")
    run = run_of(workspace, "reading", "read")
    workspace.run(n=150)  # one more snapshot of the dataset that was read
    workspace.write("reading", READING.replace("random.random()", "0.0"))
    (workspace.folder / "rates.txt").write_text("4")

    done = reproduce(run, session=workspace.session)

    assert done.sentence == "identical: 2 steps, every result byte for byte"
    assert {step.verdict for step in done.steps} == {"identical"}
    assert (done.environment, done.notes) == ({}, ())


def test_a_worker_makes_a_version_and_its_snapshots_again_and_leaves_nothing_but_the_verdict(workspace: Any) -> None:
    workspace.write(
        "training",
        """
        import mainstay as ms
        import numpy as np
        import pyarrow as pa
        from sklearn.linear_model import LogisticRegression

        @ms.step
        def load(n: int) -> pa.Table:
            x = np.random.default_rng(n).normal(size=n)
            return pa.table({"x": x, "late": (x > 0).astype(int)})

        @ms.step
        def train(table: pa.Table) -> LogisticRegression:
            return LogisticRegression().fit(table["x"].to_numpy().reshape(-1, 1), table["late"].to_numpy())

        @ms.pipeline
        def fit(n: int = 60):
            table = ms.snapshot("trips", load(n))
            ms.register("late", train(table), metrics={"n": 1.0}, holdout=table, target="late", features=["x"])
        """,
    )
    run = run_of(workspace, "training", "fit")
    before = (
        workspace.session.get("/models/late/versions"),
        workspace.session.get("/datasets/trips"),
        workspace.session.get("/runs"),
    )

    job = workspace.session.post("/jobs", {"kind": "reproduce", "body": {"subject": "late/1"}})
    assert work_once(Worker(platform=workspace.session, folder=workspace.folder))

    found = workspace.session.get(f"/jobs/{job['id']}")
    told = found["result"]
    assert found["subject"] == "version:late/1"
    assert (found["progress"]["total"], 0 < found["progress"]["done"] <= 4) == (4, True)
    assert told["steps"][-1] == {"name": "register late", "verdict": "identical", "sentence": "the same bytes"}
    assert told["sentence"].startswith("identical: ")
    after = (
        workspace.session.get("/models/late/versions"),
        workspace.session.get("/datasets/trips"),
        workspace.session.get("/runs"),
    )
    assert after == before
    (event,) = workspace.session.get("/events", kind="run.reproduced")["items"]
    assert event["subject"] == f"run:{run}"
    assert event["body"]["verdict"] == "identical"


def test_numbers_within_the_tolerance_are_equivalent(workspace: Any) -> None:
    workspace.edit(
        "flights",
        'return {"mean": float(table["y"].mean())}',
        'return {"mean": 1.0 + __import__("time").time_ns() % 1000 * 1e-15}',
    )
    run = workspace.run()

    done = reproduce(run, session=workspace.session)

    assert done.verdict == "equivalent"
    assert "flights.evaluate (mean is 1 in place of 1), in an environment as recorded" in done.sentence


def test_the_first_step_that_differs_is_named_and_an_environment_that_is_not_as_recorded_is_the_reason(
    workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.edit("flights", '"x": list(range(n))', '"x": [__import__("os").getpid()] * n')
    real = environment._version
    monkeypatch.setattr(environment, "_version", lambda name: "0.1" if name == "polars" else real(name))
    run = workspace.run()
    monkeypatch.undo()

    done = reproduce(run, session=workspace.session)

    assert done.environment == {"polars": ("0.1", real("polars"))}
    assert done.sentence.startswith("different at step flights.load: column 'x' has other values")
    assert done.sentence.endswith(f", because polars 0.1→{real('polars')}")


def test_an_environment_that_cannot_be_rebuilt_is_one_sentence(
    workspace: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    run = workspace.run()
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(Unavailable, match="install uv, or leave out --env"):
        reproduce(run, env=True, session=workspace.session)
    (tools / "uv").write_text("#!/bin/sh\necho 'error: no network' >&2\nexit 2\n")
    os.chmod(tools / "uv", stat.S_IRWXU)

    with pytest.raises(Unavailable, match="uv says 'error: no network'; leave out --env"):
        reproduce(run, env=True, session=workspace.session)


TINY = """
    import mainstay as ms
    import tiny

    @ms.step
    def told() -> float:
        return tiny.VALUE

    @ms.pipeline
    def flow():
        told()
"""


def put_wheel(folder: Path, name: str, version: str, **files: str) -> None:
    """A wheel that holds these files, as the package index of somebody would have it."""
    about = f"{name}-{version}.dist-info"
    files |= {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    listed = "".join(f"{each},,\n" for each in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for each, text in (files | {f"{about}/RECORD": listed}).items():
            wheel.writestr(each, text)


@pytest.mark.skipif(shutil.which("uv") is None, reason="there is no uv")
def test_a_run_is_made_again_with_the_packages_of_then(
    workspace: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheels, then = tmp_path / "wheels", tmp_path / "then"
    wheels.mkdir()
    then.mkdir()
    put_wheel(wheels, "tiny", "1.0", **{"tiny.py": "VALUE = 1.0\n"})
    put_wheel(wheels, "tiny", "2.0", **{"tiny.py": "VALUE = 2.0\n"})
    # All that this program itself needs, without a copy.
    put_wheel(wheels, "everything", "1.0", **{"everything.pth": f"{Path(pytest.__file__).parents[1]}\n"})
    (then / "tiny.py").write_text("VALUE = 1.0\n")
    for name, value in (
        ("FIND_LINKS", str(wheels)),
        ("NO_INDEX", "1"),
        ("OFFLINE", "1"),
        ("CACHE_DIR", str(tmp_path / "uv")),
    ):
        monkeypatch.setenv(f"UV_{name}", value)
    monkeypatch.setattr(environment, "lock", lambda: {"everything": "1.0", "tiny": "1.0"})
    monkeypatch.syspath_prepend(str(then))
    workspace.write("small", TINY)
    run = run_of(workspace, "small", "flow")
    sys.modules.pop("tiny")

    done = reproduce(run, env=True, session=workspace.session)

    assert done.sentence == "identical: 1 step, every result byte for byte"
    assert done.is_rebuilt


def test_only_a_finished_run_of_a_pipeline_can_be_made_again(workspace: Any) -> None:
    plain = workspace.session.post("/runs", {"name": "tuning"})["id"]
    with pytest.raises(Invalid, match="only a run of a pipeline"):
        reproduce(plain, session=workspace.session)

    workspace.edit("flights", 'return {"mean"', 'raise ValueError("no"); return {"mean"')
    with pytest.raises(Invalid):
        workspace.run()
    failed = workspace.session.get("/runs", kind="pipeline")["items"][0]["id"]

    with pytest.raises(Conflict, match="only one that succeeded"):
        reproduce(failed, session=workspace.session)
