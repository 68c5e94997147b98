# SPDX-License-Identifier: Apache-2.0
"""What a trivial step costs beyond the function itself: called plainly, recorded, cached, planned, in processes.

Out: ``results/step_overhead.json`` and a table. A chain of steps that add one, each depending on the one before, and as many
beside each other, in a fresh workspace on SQLite with every commit synced. Two figures each, in milliseconds a step: *whole*, a
run of so many steps by their number, its start and end included; *marginal*, what more steps cost in a longer run.

Other engines carry out the same chain, of the same length, with their own records on, each in a virtual environment of its own
(``--peers FOLDER`` holds ``pl_dagster``, ``pl_prefect``, ``pl_zenml``, ``pl_metaflow``; those that are not there are left out). A
run counts until its records are there: Prefect answers before it has written them. One synced commit of SQLite with one synced
file is the least that a step could cost that goes on record alone.

    python benchmarks/step_overhead.py [--steps 200] [--rounds 3] [--peers FOLDER] [--no-store]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mainstay.client import session
from mainstay.engine import execution, executors, plan, project

RESULT = Path(__file__).parent / "results" / "step_overhead.json"
FEW, MANY = 10, 40  # lengths of the chain that all engines carry out
PATIENCE_S = 60.0

FLOWS = """
    import mainstay as ms

    @ms.step
    def inc(x: int, salt: int = 0) -> int:
        return x + 1

    @ms.pipeline
    def chain(n: int = 200, salt: int = 0):
        x = 0
        for _ in range(n):
            x = inc(x, salt)

    @ms.pipeline
    def fan(n: int = 200, salt: int = 0):
        for i in range(n):
            inc(i, salt)
"""

PEERS = {
    "dagster": """
        import logging, os, sys, time
        from pathlib import Path
        Path(os.environ["DAGSTER_HOME"], "dagster.yaml").write_text("telemetry:\\n  enabled: false\\n")
        import dagster as dg
        logging.disable(logging.CRITICAL)
        instance = dg.DagsterInstance.get()
        @dg.op
        def first():
            return 1
        @dg.op
        def inc(x):
            return x + 1
        def job(n):
            @dg.job(name=f"chain{n}")
            def chain():
                x = first()
                for i in range(n - 1):
                    x = inc.alias(f"inc{i}")(x)
            return chain
        def run(n):
            made = job(n)
            began = time.perf_counter()
            made.execute_in_process(instance=instance)
            return time.perf_counter() - began
    """,
    "prefect": """
        import logging, os, sqlite3, sys, time
        from prefect import flow, task
        logging.disable(logging.CRITICAL)
        @task
        def inc(x):
            return x + 1
        @flow
        def chain(n):
            x = 0
            for _ in range(n):
                x = inc(x)
            return x
        def done():
            file = os.path.join(os.environ["PREFECT_HOME"], "prefect.db")
            if not os.path.exists(file):
                return 0
            asked = "select count(*) from task_run where state_type = 'COMPLETED'"
            return sqlite3.connect(file).execute(asked).fetchone()[0]
        def run(n):
            before = done()
            began = time.perf_counter()
            chain(n)
            while done() < before + n:
                if time.perf_counter() - began > PATIENCE_S:
                    raise SystemExit(f"{done() - before} of {n} tasks are on record")
                time.sleep(0.01)
            return time.perf_counter() - began
    """,
    "zenml": """
        import logging, os, sys, time
        logging.disable(logging.CRITICAL)
        from zenml import pipeline, step
        @step(enable_cache=False)
        def inc(x: int) -> int:
            return x + 1
        def run(n):
            @pipeline(enable_cache=False)
            def chain():
                x = inc(0)
                for _ in range(n - 1):
                    x = inc(x)
            began = time.perf_counter()
            chain()
            return time.perf_counter() - began
    """,
    "metaflow": """
        import subprocess, sys, time
        def run(n):
            steps = ""
            for i in range(n):
                after = "end" if i == n - 1 else f"s{i + 1}"
                steps += f"    @step\\n    def s{i}(self):\\n        self.x += 1\\n        self.next(self.{after})\\n"
            text = (
                "from metaflow import FlowSpec, step\\nclass Chain(FlowSpec):\\n    @step\\n    def start(self):\\n"
                "        self.x = 0\\n        self.next(self.s0)\\n" + steps + "    @step\\n    def end(self):\\n        pass\\n"
                "if __name__ == '__main__':\\n    Chain()\\n"
            )
            open("chain.py", "w").write(text)
            began = time.perf_counter()
            subprocess.run([sys.executable, "chain.py", "--quiet", "run"], check=True, capture_output=True)
            return time.perf_counter() - began
    """,
}
TAIL = """
import json
run(2)  # so that nothing is loaded, migrated or started for the first time
print(json.dumps([run(FEW), run(MANY)]))
"""
QUIET = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "ZENML_ANALYTICS_OPT_IN": "false",
    "METAFLOW_USER": "bench",
    "DO_NOT_TRACK": "1",
}


def timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def ours(steps: int, number: int, folder: Path) -> dict[str, float]:
    """One round: milliseconds a step, but for the plan, which counts as a whole."""
    chain = project.load("flows.py:chain", folder=folder)
    fan = project.load("flows.py:fan", folder=folder)
    asked = session.connect(workspace=folder / f"workspace-{number}")

    def run(flow: Any, n: int, salt: int, executor: str = "inline") -> float:
        chosen = executors.make(executor, workers=2)
        return timed(lambda: execution.execute(flow, asked, params={"n": n, "salt": salt}, executor=chosen))

    def cached(n: int, salt: int) -> float:
        run(chain, 2, -2)  # the last run had other parameters, so that nothing foretells the keys
        return run(chain, n, salt)

    run(chain, 2, -1)  # so that nothing is loaded for the first time
    found = {
        "plain": timed(lambda: chain(n=steps)) * 1000 / steps,
        **_figures("recorded chain", steps, run(chain, steps, 0), run(chain, 2 * steps, 1)),
        **_figures("recorded fan", steps, run(fan, steps, 10), run(fan, 2 * steps, 11)),
        **_figures("processes fan", steps, run(fan, steps, 20, "processes"), run(fan, 2 * steps, 21, "processes")),
        **_figures("cached chain", steps, cached(steps, 0), cached(2 * steps, 1)),
        "plan, whole ms": timed(lambda: plan.make(chain, asked, params={"n": steps, "salt": 0})) * 1000,
    }
    few, many = run(chain, FEW, 30), run(chain, MANY, 31)
    asked.close()
    return found | _of_engine("mainstay", few, many)


def _figures(name: str, steps: int, short: float, long: float) -> dict[str, float]:
    """From runs of ``steps`` and of twice as many."""
    return {f"{name}, whole": short * 1000 / steps, f"{name}, marginal": (long - short) * 1000 / steps}


def _of_engine(name: str, few: float, many: float) -> dict[str, float]:
    marginal = (many - few) * 1000 / (MANY - FEW)
    return {f"{name}, chain of {MANY}, whole": many * 1000 / MANY, f"{name}, chain of {MANY}, marginal": marginal}


def synced_writes(steps: int, folder: Path) -> float:
    """Milliseconds of one synced commit of SQLite and one synced small file: what no durable record can do without."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("DROP TABLE IF EXISTS t")  # of the round before
    database.execute("CREATE TABLE t (x)")

    def act() -> None:
        for number in range(steps):
            database.execute("INSERT INTO t VALUES (?)", (number,))
            handle = os.open(folder / f"bare-{number}", os.O_WRONLY | os.O_CREAT)
            os.write(handle, b"1")
            os.fsync(handle)
            os.close(handle)

    return timed(act) * 1000 / steps


def peer(name: str, python: Path, folder: Path) -> dict[str, float]:
    """Milliseconds a step of another engine, after a first run of two steps."""
    home = folder / name
    home.mkdir(exist_ok=True)
    head = f"FEW, MANY, PATIENCE_S = {FEW}, {MANY}, {PATIENCE_S}\n"
    (home / "chained.py").write_text(head + textwrap.dedent(PEERS[name]) + TAIL)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    places = {"HOME": str(home), "DAGSTER_HOME": str(home), "PREFECT_HOME": str(home), "ZENML_CONFIG_PATH": str(home)}
    done = subprocess.run(
        [str(python), "chained.py"],
        cwd=home,
        env={**environment, **QUIET, **places},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return _of_engine(name, *json.loads(done.stdout.splitlines()[-1]))


def run(steps: int, rounds: int, peers: Path | None) -> dict[str, Any]:
    """Every figure; ours are medians of the rounds, the others' of one run, as they take longer."""
    there = {name: peers / f"pl_{name}" / "bin" / "python" for name in PEERS} if peers else {}
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="step-overhead-") as scratch:
        folder = Path(scratch)
        (folder / "mainstay.toml").touch()
        (folder / "flows.py").write_text(textwrap.dedent(FLOWS))
        for number in range(rounds):
            for name, value in ours(steps, number, folder).items():
                figures.setdefault(name, []).append(value)
            figures.setdefault("synced commit and file", []).append(synced_writes(steps, folder))
        for name, python in there.items():
            if python.exists():
                try:
                    figures |= {what: [cost] for what, cost in peer(name, python, folder).items()}
                except (RuntimeError, subprocess.TimeoutExpired, ValueError) as error:
                    print(f"{name} was left out: {str(error)[-300:]}")
    return {
        "what": f"milliseconds a trivial step; {steps} steps where no number is said; medians of the rounds",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "load": os.getloadavg()[0],
        "rounds": rounds,
        "figures": {name: round(statistics.median(values), 3) for name, values in figures.items() if values},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a trivial step costs.")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--no-store", action="store_true", help="print only")
    chosen = parser.parse_args()
    found = run(chosen.steps, chosen.rounds, chosen.peers)
    for name, value in found["figures"].items():
        print(f"{name:<36}{value:10.3f} ms")
    if not chosen.no_store:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
