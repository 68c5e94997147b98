# SPDX-License-Identifier: Apache-2.0
"""What a trivial step costs beyond the function itself: called plainly, recorded, cached, planned, in processes.

Out: ``results/step_overhead.json`` and a table. A chain of N steps that add one, each depending on the one before, and N
such steps beside each other, in a fresh workspace on SQLite with every commit synced. Beside it, in the same run and on the
same machine: other engines with their own records on, each in a virtual environment of its own (``--peers FOLDER`` holds
``pl_dagster``, ``pl_prefect``, ``pl_zenml``, ``pl_metaflow``; those that are not there are left out), and one synced commit of
SQLite with one synced file, which is the least that a recorded step could cost here.

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
PEER_STEPS = {"dagster": 40, "prefect": 40, "zenml": 10, "metaflow": 10}  # a run of each stays below a minute

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
        import logging, os, sys, time
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
        def run(n):
            began = time.perf_counter()
            chain(n)
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
few, many = {few}, {many}
run(few)
print(json.dumps([run(few), run(many)]))
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
    """Milliseconds a step, in one round: what N steps more cost, so that the start and end of a run do not count."""
    chain = project.load("flows.py:chain", folder=folder)
    fan = project.load("flows.py:fan", folder=folder)
    asked = session.connect(workspace=folder / f"workspace-{number}")

    def run(flow: Any, n: int, salt: int, executor: str = "inline") -> float:
        chosen = executors.make(executor, workers=2)
        return timed(lambda: execution.execute(flow, asked, params={"n": n, "salt": salt}, executor=chosen))

    def more(flow: Any, salt: int, executor: str = "inline") -> float:
        short = run(flow, steps, salt, executor)
        return run(flow, 2 * steps, salt + 1, executor) - short

    run(chain, 2, -1)  # so that nothing is loaded for the first time
    found = {
        "plain": timed(lambda: chain(n=steps)),
        "recorded": more(chain, 0),
        "recorded_fan": more(fan, 10),
        "processes_fan": more(fan, 20, "processes"),
        "cached": run(chain, 2 * steps, 1) - run(chain, steps, 0),
        "plan": timed(lambda: plan.make(chain, asked, params={"n": steps, "salt": 0})),
    }
    asked.close()
    return {name: value * 1000 / steps for name, value in found.items()}


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


def peer(name: str, python: Path, folder: Path) -> float:
    """Milliseconds a step beyond the engine's own start: the difference of two lengths of the same chain."""
    few, many = PEER_STEPS[name] // 2, PEER_STEPS[name] + PEER_STEPS[name] // 2
    home = folder / name
    home.mkdir(exist_ok=True)
    (home / "chained.py").write_text(textwrap.dedent(PEERS[name]) + TAIL.format(few=few, many=many))
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
    short, long = json.loads(done.stdout.splitlines()[-1])
    return (long - short) * 1000 / (many - few)


def run(steps: int, rounds: int, peers: Path | None) -> dict[str, Any]:
    """Every figure, as the median of the rounds; the rounds take turns, so that a busy moment meets all alike."""
    there = {name: peers / f"pl_{name}" / "bin" / "python" for name in PEERS} if peers else {}
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="step-overhead-") as scratch:
        folder = Path(scratch)
        (folder / "mainstay.toml").touch()
        (folder / "flows.py").write_text(textwrap.dedent(FLOWS))
        for number in range(rounds):
            for name, value in ours(steps, number, folder).items():
                figures.setdefault(name, []).append(value)
            figures.setdefault("synced_writes", []).append(synced_writes(steps, folder))
            for name, python in there.items():
                if python.exists():
                    try:
                        cost = peer(name, python, folder)
                        figures.setdefault(name, []).append(cost)
                    except (RuntimeError, subprocess.TimeoutExpired, ValueError) as error:
                        print(f"{name} was left out: {str(error)[-300:]}")
    return {
        "what": f"milliseconds a trivial step, beyond plain Python; {steps} steps; medians of the rounds",
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
        print(f"{name:<16}{value:10.3f} ms a step")
    if not chosen.no_store:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
