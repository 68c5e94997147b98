# SPDX-License-Identifier: Apache-2.0
"""Steps in other processes: same digests, one sentence for every death, nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mainstay.engine import executors
from mainstay.engine.execution import StepFailed

FLOWS = """
    import logging, os, signal, sys, time
    from pathlib import Path
    import numpy as np
    import pyarrow as pa
    import mainstay as ms

    @ms.step
    def table(n: int) -> pa.Table:
        ms.log_metric("rows", n)
        print("making", n)
        print("bar 1\\rbar 2", file=sys.stderr)
        logging.getLogger("mine").warning("careful")
        return pa.table({"x": list(range(n))})

    @ms.step
    def large(table: pa.Table) -> np.ndarray:
        return np.arange(50_000) + table.num_rows

    @ms.step(cache=False)
    def pid(x: int) -> int:
        return os.getpid()

    @ms.step(cache=False, isolate=True)
    def alone(x: int) -> int:
        return os.getpid()

    @ms.step(cache=False)
    def dies(x: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)

    @ms.step(cache=False, retries=1, retry_wait_s=0)
    def dies_once(mark: str) -> int:
        if not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        return 1

    @ms.step(cache=False, timeout=0.3, retries=1, retry_wait_s=0, retry_on=(TimeoutError,))
    def hangs(mark: str, for_ever: bool) -> int:
        if for_ever or not Path(mark).exists():
            Path(mark).touch()
            time.sleep(60)
        return 1

    @ms.step(cache=False)
    def raises(x: int) -> int:
        raise KeyError("which")

    @ms.step
    def reads(x: int) -> str:
        return open("words.txt").read()

    @ms.pipeline
    def shared(n: int = 5):
        large(table(n))

    @ms.pipeline
    def pids():
        [pid(n) for n in range(4)]
        alone(1)

    @ms.pipeline
    def dying():
        dies(1)

    @ms.pipeline
    def dying_once(mark: str):
        dies_once(mark)

    @ms.pipeline
    def hanging(mark: str, for_ever: bool = True):
        hangs(mark, for_ever)

    @ms.pipeline
    def raising():
        raises(1)

    @ms.pipeline
    def reading():
        reads(1)
"""


@pytest.fixture
def run(platform, make_project):
    project = make_project(flows=FLOWS)

    def act(name, executor="processes", workers=2, **params):
        flow = project.load(f"flows.py:{name}")
        return flow.run(platform, _executor=executor, _workers=workers, **params)

    act.folder = project.folder
    return act


def outputs(done):
    return {step.label: [output.digest for output in step.outputs.values()] for step in done.steps}


def test_processes_give_the_digests_of_inline_and_share_its_hits(platform, run, make_platform, make_project):
    there = run("shared")
    here = run("shared", executor="inline")
    apart = make_project("other", flows=FLOWS).load("flows.py:shared").run(make_platform())

    assert [step.state for step in here.steps] == ["cached", "cached"]
    assert outputs(there) == outputs(here) == outputs(apart)
    assert platform.runs[there.steps[0].run_id]["metrics"] == {"rows": 5.0}
    told = {(line["stream"], line["text"]) for line in platform.runs[there.run_id]["lines"]}
    assert told == {("out", "making 5"), ("err", "bar 2"), ("log", "WARNING mine: careful")}


def test_children_are_reused_and_an_isolated_step_has_one_of_its_own(platform, run):
    done = run("pids", workers=1)

    pids = {label: int(platform.blobs[digests[0]]) for label, digests in outputs(done).items()}
    alone = pids.pop("flows.alone")
    assert len(set(pids.values())) == 1
    assert alone not in {*pids.values(), os.getpid()}


def test_an_isolated_step_leaves_this_process_also_inline(platform, run):
    done = run("pids", executor="inline")

    pids = {label: int(platform.blobs[digests[0]]) for label, digests in outputs(done).items()}
    assert pids.pop("flows.alone") != os.getpid()
    assert set(pids.values()) == {os.getpid()}


def test_a_worker_that_is_killed_is_one_sentence(run):
    with pytest.raises(
        StepFailed, match=r"flows.dies failed: its worker process was ended by SIGKILL; .* short of memory"
    ):
        run("dying")


def test_a_step_whose_worker_dies_is_tried_again(run, tmp_path):
    assert run("dying_once", mark=str(tmp_path / "mark")).summary() == "1 step: 1 ran"


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_step_that_takes_too_long_is_ended_and_tried_again(run, tmp_path, executor):
    assert run("hanging", executor, mark=str(tmp_path / "a"), for_ever=False).summary() == "1 step: 1 ran"
    with pytest.raises(StepFailed, match=r"took longer than its timeout of 0.3 s, and was ended"):
        run("hanging", executor, mark=str(tmp_path / "b"))


def test_what_a_step_raises_elsewhere_is_told_as_if_it_were_here(run):
    with pytest.raises(StepFailed, match=r"KeyError: 'which' \(flows.py:\d+\)") as failed:
        run("raising")

    assert isinstance(failed.value.__cause__, KeyError)


def test_a_file_that_a_step_opens_elsewhere_counts_in_its_key(run, monkeypatch):
    (run.folder / "words.txt").write_text("one")
    monkeypatch.chdir(run.folder)

    first = run("reading")
    (run.folder / "words.txt").write_text("two")
    second = run("reading")

    assert outputs(first) != outputs(second)


def test_no_child_outlives_a_run_that_is_killed(run, tmp_path):
    """The parent gets no chance to say goodbye, and its children are busy."""
    script = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from pathlib import Path
        from memory_platform import MemoryPlatform
        from mainstay.engine import project
        folder = Path({str(tmp_path / "kept")!r})
        folder.mkdir()
        flow = project.load("busy.py:flow", folder=Path({str(run.folder)!r}))
        flow.run(MemoryPlatform(folder), _executor="processes", _workers=2)
    """
    busy = """
        import os, time
        from pathlib import Path
        import mainstay as ms

        @ms.step
        def busy(n: int, folder: str) -> int:
            (Path(folder) / str(n)).write_text(str(os.getpid()))
            time.sleep(120)

        @ms.pipeline
        def flow():
            [busy(n, FOLDER) for n in (1, 2)]
    """
    (run.folder / "busy.py").write_text(textwrap.dedent(busy).replace("FOLDER", repr(str(tmp_path))))
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        marks = [tmp_path / "1", tmp_path / "2"]
        until(lambda: all(mark.exists() and mark.read_text() for mark in marks))
        pids = [int(mark.read_text()) for mark in marks]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    until(lambda: not any(is_alive(pid) for pid in pids))


def test_an_executor_that_is_not_there_is_refused_by_its_name():
    from mainstay.domain.errors import Invalid

    with pytest.raises(Invalid, match="there is no executor 'slurm'; the executors are inline, processes"):
        executors.make("slurm")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


def until(what, within_s=60):
    end = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
