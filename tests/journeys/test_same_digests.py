# SPDX-License-Identifier: Apache-2.0
"""The same pipeline on the same data in two fresh workspaces gives the same snapshot, feature and model digests."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mainstay.client.session import connect
from mainstay.demo.project import flights
from mainstay.engine import project


def test_two_fresh_workspaces_agree_on_every_digest(tmp_path: Path) -> None:
    one, other = run_in(tmp_path / "one"), run_in(tmp_path / "other")

    assert one["snapshots"] == other["snapshots"]
    assert one["outputs"] == other["outputs"] and len(one["outputs"]) >= 6
    assert one["version"] == other["version"]


def test_a_second_run_is_all_hits_and_says_so(tmp_path: Path) -> None:
    found = run_in(tmp_path / "one", times=2)

    assert found["summary"].startswith(f"{found['steps']} steps: {found['steps']} hits")


def run_in(folder: Path, *, times: int = 1) -> dict[str, Any]:
    """A workspace of its own with January and February, and what the demo's pipeline made there."""
    folder.mkdir()
    for name in ("flights.py", "mainstay.toml"):
        shutil.copy(str(resources.files("mainstay.demo.project") / name), folder / name)
    session = connect(workspace=folder / ".mainstay")
    try:
        session.post("/people", {"name": "ana", "roles": ["contributor"]})
        session.post("/datasets", {"name": "flights", "owner": "ana"})
        snapshots = [take_in(session, folder, month) for month in (1, 2)]
        pipeline = project.load("flights.py:flights_late", folder=folder)
        for _ in range(times):
            done = pipeline.run(session, until="2013-03-01")
        outputs = {step.label: {name: made.digest for name, made in step.outputs.items()} for step in done.steps}
        version = session.get("/models/flights-late/versions/1")["digest"]
        return {
            "snapshots": snapshots,
            "outputs": outputs,
            "version": version,
            "summary": done.summary(),
            "steps": len(done.steps),
        }
    finally:
        session.close()


def take_in(session: Any, folder: Path, month: int) -> str:
    file = folder / f"{month}.parquet"
    pq.write_table(flights.load(f"2013-{month + 1:02}-01", since=f"2013-{month:02}-01"), file)
    period = {"since": f"2013-{month:02}-01T00:00:00Z", "until": f"2013-{month + 1:02}-01T00:00:00Z"}
    body = {"blob": session.put_blob(file), "format": "parquet", "source": file.name, "period": period}
    return str(session.post("/datasets/flights/snapshots", body)["digest"])
