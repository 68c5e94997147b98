# SPDX-License-Identifier: Apache-2.0
"""What every executor must do: the same digests, the same hits, the same words for what goes wrong."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator

import psutil
import pytest

from mainstay.engine import executors
from mainstay.engine.execution import StepFailed

from ..engine.conftest import make_platform, make_project, platform  # noqa: F401


@pytest.fixture(scope="module", autouse=True)
def no_cluster_is_left() -> Iterator[None]:
    """Ray's own processes would take their part of the machine until the last test of all."""
    yield
    if ray := sys.modules.get("ray"):
        ray.shutdown()


FLOWS = """
    import logging, os, signal, tempfile, time
    from pathlib import Path
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import mainstay as ms

    @ms.step
    def chunks(n: int) -> list[int]:
        return list(range(n))

    @ms.step
    def table(chunk: int, rows: int = 2_000) -> pa.Table:
        ms.log_metric("chunk", chunk)
        print("table", chunk)
        logging.getLogger("mine").warning("careful")
        return pa.table({"x": np.random.default_rng(chunk).normal(size=rows), "y": np.random.normal(size=rows)})

    @ms.step
    def joined(tables: list[pa.Table]) -> np.ndarray:
        return np.concatenate([table["y"].to_numpy() for table in tables] * 3)

    @ms.step
    def parts(tables: list[pa.Table], folder: str) -> Path:
        Path(folder).mkdir(exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=folder))
        for number, each in enumerate(tables):
            pq.write_table(each, place / f"{number:03}.parquet")
        return place

    @ms.step
    def counted(folder: Path) -> dict[str, int]:
        import duckdb
        rows, = duckdb.connect().execute(f"select count(*) from '{folder}/*.parquet'").fetchone()
        return {"rows": rows, "files": len(list(folder.glob("*.parquet")))}

    @ms.step(cache=False)
    def dies(x: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)

    @ms.step(cache=False, isolate=True)
    def dies_alone(x: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)

    @ms.step(cache=False, timeout=0.5, retries=1, retry_wait_s=0)
    def hangs_once(mark: str) -> int:
        if not Path(mark).exists():
            Path(mark).touch()
            time.sleep(60)
        return 1

    @ms.step(cache=False, retries=2, retry_wait_s=0, retry_on=(OSError,))
    def fails_twice(folder: str) -> int:
        count = len(list(Path(folder).iterdir()))
        (Path(folder) / str(count)).touch()
        if count < 2:
            raise OSError("not yet")
        return count

    @ms.step(cache=False)
    def raises(x: int) -> int:
        raise KeyError("which")

    @ms.pipeline
    def flow(folder: str, n: int = 3):
        tables = table.map(chunks(n))
        joined(tables)
        counted(parts(tables, folder))

    @ms.pipeline
    def dying():
        dies(1)

    @ms.pipeline
    def dying_alone():
        dies_alone(1)

    @ms.pipeline
    def hanging(mark: str):
        hangs_once(mark)

    @ms.pipeline
    def failing(folder: str):
        fails_twice(folder)

    @ms.pipeline
    def raising():
        raises(1)
"""

ALL = executors.names()
APART = [name for name in ALL if name != "inline"]


@pytest.fixture
def run(platform, make_project):  # noqa: F811
    project = make_project(flows=FLOWS)

    def act(executor, name, on=platform, **params):
        return project.load(f"flows.py:{name}").run(on, _executor=executor, _workers=2, **params)

    return act


def digests(done):
    return {step.label: sorted(output.digest for output in step.outputs.values()) for step in done.steps}


def test_every_executor_gives_the_same_digests_and_takes_the_others_hits(run, make_platform, tmp_path):  # noqa: F811
    folder = str(tmp_path / "parts")
    done = {name: run(name, "flow", on=make_platform(), folder=folder) for name in ALL}
    shared = make_platform()
    run(ALL[0], "flow", on=shared, folder=folder)

    assert len({str(sorted(digests(each).items())) for each in done.values()}) == 1
    for name in ALL:
        assert {step.state for step in run(name, "flow", on=shared, folder=folder).steps} == {"cached"}


@pytest.mark.parametrize("name", ALL)
def test_what_a_step_says_and_writes_is_kept(run, platform, tmp_path, name):  # noqa: F811
    done = run(name, "flow", folder=str(tmp_path / "parts"), n=1)

    own = next(step.run_id for step in done.steps if step.label == "flows.table [0]")
    assert platform.runs[own]["metrics"] == {"chunk": 0.0}
    told = {(line["step"], line["stream"], line["text"]) for line in platform.runs[done.run_id]["lines"]}
    assert ("flows.table [0]", "out", "table 0") in told
    assert ("flows.table [0]", "log", "WARNING mine: careful") in told


@pytest.mark.parametrize(("name", "flow"), [*((name, "dying") for name in APART), ("inline", "dying_alone")])
def test_a_worker_that_dies_is_one_sentence(run, name, flow):
    with pytest.raises(
        StepFailed, match=r"flows.dies.* failed: its .*worker.*(died|was ended by SIGKILL).*short of memory"
    ):
        run(name, flow)


@pytest.mark.parametrize("name", ALL)
def test_a_try_that_takes_too_long_is_ended_and_there_is_another(run, tmp_path, name):
    assert run(name, "hanging", mark=str(tmp_path / "mark")).summary() == "1 step: 1 ran"


@pytest.mark.parametrize("name", ALL)
def test_a_step_is_tried_again_after_an_exception_of_the_type_it_names(run, tmp_path, name):
    folder = tmp_path / "tries"
    folder.mkdir()

    assert run(name, "failing", folder=str(folder)).summary() == "1 step: 1 ran"
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("name", ALL)
def test_what_a_step_raises_is_told_with_its_line(run, name):
    with pytest.raises(StepFailed, match=r"KeyError: 'which' \(flows.py:\d+\)"):
        run(name, "raising")


def test_a_cluster_of_our_own_listens_on_this_machine_only(run, tmp_path):
    run("ray", "flow", folder=str(tmp_path / "parts"), n=1)

    mine = [psutil.Process(), *psutil.Process().children(recursive=True)]
    there = [(each.pid, one.laddr) for each in mine for one in listening(each)]

    assert there
    assert [place for _, place in there if not is_near(place.ip)] == []


def is_near(host):
    address = ipaddress.ip_address(host)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def listening(process):
    try:
        return [one for one in process.net_connections(kind="tcp") if one.status == psutil.CONN_LISTEN]
    except psutil.NoSuchProcess:
        return []


BIG = """
    import os
    from pathlib import Path
    import mainstay as ms

    @ms.step(cache=False)
    def squares(rows: int, folder: str) -> Path:
        import ray
        if not ray.is_initialized():
            ray.init(address="local", include_dashboard=False, num_cpus=2, _node_ip_address="127.0.0.1", log_to_driver=False)
        place = Path(folder) / "parts"
        data = ray.data.range(rows, override_num_blocks=3).map_batches(lambda b: {"id": b["id"], "square": b["id"] ** 2})
        data.write_parquet(str(place))
        return place

    @ms.step
    def total(folder: Path) -> int:
        import duckdb
        return int(duckdb.connect().execute(f"select sum(square) from '{folder}/*.parquet'").fetchone()[0])

    @ms.pipeline
    def flow(folder: str):
        total(squares(1000, folder))
"""


def test_a_table_of_parts_that_ray_data_wrote_is_recorded_by_the_digest_of_each_part(platform, make_project, tmp_path):  # noqa: F811
    pytest.importorskip("ray")
    flow = make_project("big", flows=BIG).load("flows.py:flow")

    done = flow.run(platform, folder=str(tmp_path / "out"))

    (parts,), (total,) = (step.outputs.values() for step in done.steps)
    written = list((tmp_path / "out" / "parts").rglob("*.parquet"))
    assert (parts.kind, parts.rows) == ("files", len(written))
    assert len(written) > 1
    assert platform.blobs[total.digest] == str(sum(n * n for n in range(1000))).encode()
    assert os.environ.get("RAY_USAGE_STATS_ENABLED") == "0"
