# SPDX-License-Identifier: Apache-2.0
"""What logging costs: the caller of ``log_metric``, and how many points a second become durable from one process.

Out: ``results/sdk_logging.json`` and a table. One process logs to a server process over a socket; the points count once the
server has answered, which it does after its commit has been synced. Beside it, in the same run: the same rows by
``sqlite3.executemany`` into the same table, synced as well, which is the most that could be had; and, where a package
``mlflow`` can be imported, its asynchronous logging into its own SQLite store. Client and server share the machine.

    python benchmarks/sdk_logging.py [--points 300000] [--rounds 3] [--no-store]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mainstay as ms
from mainstay.client.session import Session, connect

CALLS = 20_000
MLFLOW_POINTS = 2_000
RESULT = Path(__file__).parent / "results" / "sdk_logging.json"


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Session]:
    """A server process on a new workspace, and a session with it."""
    command = [sys.executable, "-m", "mainstay", "server", "--workspace", str(folder), "--port", "0", "--with-parent"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "server.json").exists():
            if process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.1)
        session = connect(workspace=folder)
        yield session
        session.close()
    finally:
        process.terminate()
        process.wait()


def caller(run: ms.Recording) -> dict[str, float]:
    """Microseconds a call, by the clock and by this thread's own processor time."""
    log = ms.log_metric
    wall, work = time.perf_counter(), time.thread_time()
    for step in range(CALLS):
        log("loss", 0.5, step=step)
    wall, work = time.perf_counter() - wall, time.thread_time() - work
    run.flush()
    return {"wall_us": wall / CALLS * 1e6, "cpu_us": work / CALLS * 1e6}


def points(session: Session, count: int) -> dict[str, float]:
    """Points a second from the first call to the answer for the last, and how long the run's end takes after that."""
    with ms.run("points", system_metrics=False, session=session) as run:
        run.flush()
        began = time.perf_counter()
        for step in range(count):
            run.log_metric("loss", 1 / (step + 1), step=step)
        if not run.flush():
            raise SystemExit("the server did not answer")
        seconds = time.perf_counter() - began
        ending = time.perf_counter()
    last = session.get(f"/runs/{run.id}")["metrics"]["loss"]
    if last != 1 / count:
        raise SystemExit(f"the last point is {last}")
    return {"points_s": count / seconds, "end_s": time.perf_counter() - ending}


def bare_sqlite(folder: Path, count: int) -> dict[str, float]:
    """The same rows by the driver alone, a batch of 50,000 a transaction, synced like the store."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {setting}")
    database.execute("DROP TABLE IF EXISTS points")
    database.execute("CREATE TABLE points (run TEXT, key TEXT, step INTEGER, at INTEGER, value REAL)")
    database.execute("CREATE INDEX by_key ON points (run, key, step)")
    began = time.perf_counter()
    for first in range(0, count, 50_000):
        rows = [
            ("r" * 32, "loss", step, time.time_ns() // 1000, 0.5) for step in range(first, min(first + 50_000, count))
        ]
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")
    seconds = time.perf_counter() - began
    database.close()
    return {"points_s": count / seconds}


def mlflow_async(folder: Path) -> dict[str, float] | None:
    """MLflow's own asynchronous logging, if the package is there."""
    if importlib.util.find_spec("mlflow") is None:
        return None
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    with mlflow.start_run():
        mlflow.log_metric("warm", 1.0, synchronous=False)
        mlflow.flush_async_logging()
        began = time.perf_counter()
        for step in range(MLFLOW_POINTS):
            mlflow.log_metric("loss", 0.5, step=step, synchronous=False)
        called = time.perf_counter() - began
        mlflow.flush_async_logging()
        seconds = time.perf_counter() - began
    return {"wall_us": called / MLFLOW_POINTS * 1e6, "points_s": MLFLOW_POINTS / seconds}


def measure(count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Each ``rounds`` times, taking turns, so that a slow minute of the machine hits all; MLflow last, for its threads stay."""
    found: dict[str, list[dict[str, float]]] = {"caller": [], "mainstay": [], "bare_sqlite": [], "mlflow": []}
    with tempfile.TemporaryDirectory() as scratch, server(Path(scratch, "workspace")) as session:
        for _ in range(rounds):
            with ms.run("caller", system_metrics=False, session=session) as run:
                run.flush()
                found["caller"].append(caller(run))
            found["mainstay"].append(points(session, count))
            found["bare_sqlite"].append(bare_sqlite(Path(scratch), count))
        found["mlflow"] = [other for _ in range(rounds) if (other := mlflow_async(Path(scratch))) is not None]
    return found


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


def run(count: int, rounds: int) -> dict[str, Any]:
    """Measure, and say what was measured with what."""
    measured = measure(count, rounds)
    packages = [
        name for name in ("httpx", "msgspec", "sqlalchemy", "uvicorn", "mlflow") if importlib.util.find_spec(name)
    ]
    return {
        "what": f"{count} points of one metric from one process to a server on the same machine; medians of the rounds",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "rounds": rounds,
        "figures": {name: medians(several) if several else None for name, several in measured.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What logging costs, and how fast it becomes durable.")
    parser.add_argument("--points", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-store", action="store_true", help="print only")
    chosen = parser.parse_args()
    found = run(chosen.points, chosen.rounds)
    figures = found["figures"]
    print(
        f"a call of log_metric     {figures['caller']['wall_us']:9.2f} µs  (processor: {figures['caller']['cpu_us']:.2f})"
    )
    print(
        f"points a second, durable {figures['mainstay']['points_s']:9.0f}    (the end: {figures['mainstay']['end_s']:.1f} s)"
    )
    print(f"bare sqlite3             {figures['bare_sqlite']['points_s']:9.0f}")
    if figures["mlflow"] is None:
        print("mlflow is not installed here, and was left out")
    else:
        print(
            f"mlflow, asynchronous     {figures['mlflow']['points_s']:9.0f}    ({figures['mlflow']['wall_us']:.0f} µs a call)"
        )
    if not chosen.no_store:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
