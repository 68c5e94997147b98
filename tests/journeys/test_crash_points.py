# SPDX-License-Identifier: Apache-2.0
"""A run is killed at every change of state there is, and carried on: nothing is lost, doubled or half done.

The points are not listed by hand. A clean run counts them: before and after every request, every transaction's commit, every
blob's way to the disk and its getting a name there, every try of a step. Then one run after the other is killed at one of
them (``os._exit``, no clean-up) and resumed by another process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from ..databases import on_sqlite

FLOW = """
    import pyarrow as pa
    import mainstay as ms

    @ms.step(cache=False)
    def load(rows: int) -> pa.Table:
        return pa.table({"x": list(range(rows))})

    @ms.step
    def parts(table: pa.Table) -> list[int]:
        return [2, 3]

    @ms.step
    def fit(part: int, table: pa.Table) -> pa.Table:
        print("fitting", part)
        return table.append_column("y", pa.array([part * x.as_py() for x in table["x"]]))

    @ms.step
    def total(tables: list[pa.Table]) -> dict[str, float]:
        return {"sum": float(sum(sum(table["y"].to_pylist()) for table in tables))}

    @ms.pipeline
    def flow(rows: int = 5):
        table = ms.snapshot("numbers", load(rows))
        total(fit.map(parts(table), table=table))
"""

DRIVER = """
    import json, os, shutil, sys, threading, time
    from pathlib import Path

    from mainstay.client import session, wire
    from mainstay.engine import execution, project
    from mainstay.engine.repeating import resumption
    from mainstay.engine.calls import step_calls
    from mainstay.server.workspace import open_workspace
    from mainstay.store import database
    from mainstay.store.blobs import local
    import mainstay.client.inprocess, mainstay.engine.materialise.arrow, pyarrow.parquet

    here = Path(sys.argv[1])
    most = int(sys.argv[2])
    passed = []
    fatal = None
    OURS = ("mainstay-pulse", "mainstay-loops")  # what they do depends on the clock

    def point(name):
        if threading.current_thread().name not in OURS:
            passed.append(name)
            if len(passed) == fatal:
                os._exit(77)

    def around(owner, attribute, name):
        inner = getattr(owner, attribute)
        def call(*args, **kwargs):
            word = f"{name} {args[1:3] if name == 'request' else ''}"
            point("before " + word)
            result = inner(*args, **kwargs)
            point("after " + word)
            return result
        setattr(owner, attribute, call)

    def disturb():
        around(wire.Wire, "ask", "request")
        around(wire.Wire, "send_stream", "upload")
        around(local.LocalBlobs, "put", "blob")
        around(local, "_name", "name")
        around(step_calls, "attempt", "try")
        from mainstay.store.databases.sqlite import SQLite
        from contextlib import contextmanager
        writing = SQLite.writing
        @contextmanager
        def disturbed(self):
            with writing(self) as connection:
                yield connection
                point("before commit")
            point("after commit")
        SQLite.writing = disturbed

    def child(act):
        pid = os.fork()
        if pid == 0:
            try:
                act()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def run(workspace, at=None, told=None):
        global fatal
        with_session = session.connect(workspace=workspace)
        flow = project.load("flow.py:flow", folder=here)
        passed.clear()
        fatal = at
        disturb()
        execution.execute(flow, with_session)
        if told:
            told.write_text(json.dumps(passed))
        with_session.close()

    def carry_on(workspace, told):
        asked = session.connect(workspace=workspace)
        runs = asked.get("/runs", kind="pipeline")["items"]
        assert len(runs) <= 1
        if not runs:
            execution.execute(project.load("flow.py:flow", folder=here), asked)
        elif runs[0]["state"] != "succeeded":
            resumption.carry_on(asked, runs[0]["id"], folder=here)
        told.write_text(json.dumps(state_of(asked)))
        asked.close()

    def state_of(asked):
        (run,) = asked.get("/runs", kind="pipeline")["items"]
        steps = asked.get(f"/runs/{run['id']}")["steps"]
        for step in steps:
            for output in step["outputs"]:
                if output["kind"] != "snapshot":
                    asked.blob_path(output["digest"])
        graph = asked.get(f"/runs/{run['id']}/graph")
        return {
            "state": run["state"],
            "steps": sorted([s["name"], s["state"], sorted(o["digest"] for o in s["outputs"])] for s in steps),
            "snapshots": [s["digest"] for s in asked.get("/datasets/numbers")["snapshots"]],
            "running": asked.get("/runs", state="running")["items"],
            "drawn": sorted(node["state"] for node in graph["nodes"]),
            "ledger": asked.get("/audit/verify")["ok"],
        }

    fresh = here / "fresh"
    assert child(lambda: session.connect(workspace=fresh).close()) == 0

    def workspace(name):
        return shutil.copytree(fresh, here / name)

    clean, points, state = workspace("clean"), here / "points.json", here / "state.json"
    assert child(lambda: run(clean, told=points)) == 0
    assert child(lambda: carry_on(clean, state)) == 0
    wanted, names = json.loads(state.read_text()), json.loads(points.read_text())
    stride = max(1, len(names) // most)
    found = []
    for at in range(1, len(names) + 1, stride):
        place = workspace(f"killed-{at}")
        code = child(lambda: run(place, at=at))
        ended = child(lambda: carry_on(place, state))
        found.append({"at": at, "point": names[at - 1], "killed": code, "ended": ended,
                      "same": ended == 0 and json.loads(state.read_text()) == wanted})
        if not found[-1]["same"]:
            found[-1]["state"] = json.loads(state.read_text())
        shutil.rmtree(place)
    print(json.dumps({"wanted": wanted, "points": names, "found": found}))
"""


def lived(folder: Path, most: int) -> dict[str, Any]:
    (folder / "mainstay.toml").touch()
    (folder / "flow.py").write_text(textwrap.dedent(FLOW))
    (folder / "driver.py").write_text(textwrap.dedent(DRIVER))
    command = [sys.executable, str(folder / "driver.py"), str(folder), str(most)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200 + 10 * most, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@on_sqlite  # it counts what SQLite commits; on PostgreSQL the server survives whoever is killed
def test_killed_at_any_change_of_state_and_resumed_a_run_is_what_it_would_have_been(tmp_path: Path) -> None:
    told = lived(tmp_path, most=int(os.environ.get("CRASH_POINTS", "10")))

    assert told["wanted"]["state"] == "succeeded"
    assert told["wanted"]["ledger"] is True
    assert len(told["wanted"]["snapshots"]) == 1
    assert set(told["wanted"]["drawn"]) <= {"succeeded", "cached"}
    kinds = {name.split()[1] for name in told["points"]}
    assert kinds >= {"request", "blob", "name", "try", "commit"}
    assert sum(each["killed"] == 77 for each in told["found"]) >= 0.8 * len(told["found"])
    assert [each for each in told["found"] if not each["same"]] == []
