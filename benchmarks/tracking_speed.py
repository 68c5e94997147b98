# SPDX-License-Identifier: Apache-2.0
"""How fast runs are logged and found over MLflow's protocol, by Mainstay's server and by MLflow's own, in one run.

Out: ``results/tracking_speed.json`` and a table. Both servers listen on loopback with an SQLite database, are asked the same
questions by the same client, one after the other, and share the machine with it, so the ratios are the finding, not the
digits. MLflow's server runs as its users start it (``mlflow server``), with its default number of workers.

Cases: a point through the unmodified client; a thousand points a request, from one and from four processes, beside a bare
``sqlite3.executemany`` of the same rows; runs ordered by a metric; a long history; four writers beside a reader that sorts.

    python benchmarks/tracking_speed.py [--runs 2000] [--points 20000] [--no-store]

The client and MLflow's server come from ``.clients/mlflow``, which ``make test`` makes.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / ".clients" / "mlflow" / "bin"
RESULT = Path(__file__).parent / "results" / "tracking_speed.json"
API = "/api/2.0/mlflow/"
STARTS_WITHIN_S = 90

CLIENT_CALLS = """
import json, sys, time
import mlflow
client = mlflow.MlflowClient(sys.argv[1])
run = client.create_run(sys.argv[2]).info.run_id
taken = []
for step in range(int(sys.argv[3]) + 10):
    began = time.perf_counter()
    client.log_metric(run, "loss", 0.5, step=step)
    taken.append(time.perf_counter() - began)
print(json.dumps(taken[10:]))
"""


class Connection:
    """One kept-alive connection to a server."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call; its answer."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            reply = self._send(method, path, data)
        except (http.client.RemoteDisconnected, ConnectionError):
            self._http.close()  # a server may close what was quiet for some seconds
            reply = self._send(method, path, data)
        content = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{method} {path}: {reply.status} {content[:300]!r}")
        return json.loads(content or b"{}")

    def _send(self, method: str, path: str, data: bytes | None) -> http.client.HTTPResponse:
        self._http.request(method, API + path, data, {"Content-Type": "application/json"})
        return self._http.getresponse()

    def new_run(self, experiment: str) -> str:
        return str(self.ask("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"])


@contextlib.contextmanager
def served(command: Sequence[str], folder: Path, port: int) -> Iterator[int]:
    """A server until the block ends; its process id."""
    with (folder / "server.log").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
    try:
        end = time.monotonic() + STARTS_WITHIN_S
        while not _is_healthy(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} did not start: {(folder / 'server.log').read_text()[-800:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _is_healthy(port: int) -> bool:
    try:
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        probe.request("GET", "/health")
        return probe.getresponse().status == 200
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process and of those that it started."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
            ticks[int(stat.parent.name)] = int(fields[11]) + int(fields[12])

    def is_below(each: int | None) -> bool:
        while each is not None and each != pid:
            each = parents.get(each)
        return each == pid

    return sum(number for each, number in ticks.items() if is_below(each)) / os.sysconf("SC_CLK_TCK")


def timed(ask: Callable[[], Any], count: int, pid: int) -> dict[str, float]:
    """Median and 99th percentile of ``count`` calls, and the server's processor time for one, all in milliseconds."""
    ask()
    before, taken = cpu_seconds(pid), []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - began)
    return _summary(taken) | {"server_cpu_ms": round((cpu_seconds(pid) - before) / count * 1000, 2)}


def _summary(taken: list[float]) -> dict[str, float]:
    taken = sorted(taken)
    return {
        "p50_ms": round(statistics.median(taken) * 1000, 2),
        "p99_ms": round(taken[min(len(taken) - 1, int(len(taken) * 0.99))] * 1000, 2),
    }


def batch(run: str, first: int, count: int = 1000, keys: int = 10) -> bytes:
    """The body of one ``log-batch`` with ``count`` points."""
    at = int(time.time() * 1000)
    points = [
        {"key": f"m{place % keys}", "value": place * 0.001, "timestamp": at + place, "step": first + place}
        for place in range(count)
    ]
    return json.dumps({"run_id": run, "metrics": points}).encode()


def _write_batches(port: int, run: str, batches: int, gate: Any, told: Any) -> None:
    connection = Connection(port)
    bodies = [batch(run, place * 1000) for place in range(batches)]
    gate.wait()
    for body in bodies:
        connection.ask("POST", "runs/log-batch", body)
    told.put(time.time())


def write_batches(port: int, experiment: str, writers: int, batches: int) -> dict[str, float]:
    """Points a second that so many processes get written."""
    with multiprocessing.Manager() as manager:
        gate, told = manager.Event(), manager.Queue()
        runs = [Connection(port).new_run(experiment) for _ in range(writers)]
        processes = [
            multiprocessing.Process(target=_write_batches, args=(port, run, batches, gate, told)) for run in runs
        ]
        for process in processes:
            process.start()
        time.sleep(1)
        began = time.time()
        gate.set()
        ended = max(told.get(timeout=300) for _ in processes)
        for process in processes:
            process.join()
    return {"points_per_s": round(writers * batches * 1000 / (ended - began))}


def _write_points(port: int, run: str, until: float, told: Any) -> None:
    connection, step = Connection(port), 0
    while time.time() < until:
        step += 1
        connection.ask(
            "POST", "runs/log-metric", {"run_id": run, "key": "m", "value": 1.0, "timestamp": 1, "step": step}
        )
    told.put(step)


def write_beside_a_reader(port: int, experiment: str, seconds: float) -> dict[str, float]:
    """Single points a second of four writers while another connection asks for runs ordered by a metric."""
    query = {"experiment_ids": [experiment], "order_by": ["metrics.m1 DESC"], "max_results": 100}
    with multiprocessing.Manager() as manager:
        told, until = manager.Queue(), time.time() + seconds + 1
        runs = [Connection(port).new_run(experiment) for _ in range(4)]
        writers = [multiprocessing.Process(target=_write_points, args=(port, run, until, told)) for run in runs]
        for writer in writers:
            writer.start()
        connection, taken = Connection(port), []
        while time.time() < until:
            began = time.perf_counter()
            connection.ask("POST", "runs/search", query)
            taken.append(time.perf_counter() - began)
        written = sum(told.get(timeout=60) for _ in writers)
        for writer in writers:
            writer.join()
    return {"points_per_s": round(written / (seconds + 1)), "search_p50_ms": _summary(taken)["p50_ms"]}


def seed(port: int, experiment: str, runs: int) -> None:
    """Runs with five metrics, five parameters and three tags each."""
    connection = Connection(port)
    for place in range(runs):
        run, at = connection.new_run(experiment), int(time.time() * 1000)
        body = {
            "run_id": run,
            "metrics": [
                {"key": f"m{k}", "value": (place * 7919 + k * 104729) % 10007 / 10007, "timestamp": at, "step": 0}
                for k in range(5)
            ],
            "params": [{"key": f"p{k}", "value": f"v{(place + k) % 10}"} for k in range(5)],
            "tags": [{"key": f"t{k}", "value": f"w{(place + k) % 5}"} for k in range(3)],
        }
        connection.ask("POST", "runs/log-batch", body)


def measure(port: int, pid: int, runs: int, points: int) -> dict[str, dict[str, float]]:
    """Every case against one server."""
    connection = Connection(port)
    made = [
        connection.ask("POST", "experiments/create", {"name": f"bench-{place}"})["experiment_id"] for place in (0, 1)
    ]
    logging, searched = (str(each) for each in made)
    found: dict[str, dict[str, float]] = {}
    before = cpu_seconds(pid)
    done = subprocess.run(
        [str(CLIENT / "python"), "-c", CLIENT_CALLS, f"http://127.0.0.1:{port}", logging, "150"],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found["log_metric through the client"] = _summary(json.loads(done.stdout.splitlines()[-1])) | {
        "server_cpu_ms": round((cpu_seconds(pid) - before) / 160 * 1000, 2)
    }
    found["log-batch of 1,000, one process"] = write_batches(port, logging, 1, 25)
    found["log-batch of 1,000, four processes"] = write_batches(port, logging, 4, 15)
    seed(port, searched, runs)
    newest = {"experiment_ids": [searched], "max_results": 100}
    for name, more in {
        f"100 of {runs:,} runs ordered by a metric": {"order_by": ["metrics.m1 DESC"]},
        f"100 of {runs:,} runs filtered and ordered": {
            "filter": "metrics.m0 > 0.5 and params.p0 = 'v3'",
            "order_by": ["metrics.m1 DESC"],
        },
    }.items():
        found[name] = timed(lambda more=more: connection.ask("POST", "runs/search", newest | more), 10, pid)  # type: ignore[misc]
    run = connection.new_run(logging)
    for first in range(0, points, 1000):
        connection.ask("POST", "runs/log-batch", batch(run, first, keys=1))
    query = f"metrics/get-history?run_id={run}&metric_key=m0&max_results={points}"
    found[f"a history of {points:,} points"] = timed(lambda: connection.ask("GET", query), 3, pid)
    found["four writers beside a sorting reader"] = write_beside_a_reader(port, searched, 4)
    return found


def bare_sqlite(folder: Path) -> dict[str, float]:
    """The same rows by ``executemany``, a thousand a transaction, with the same durability (WAL, synchronous=FULL)."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE points (run TEXT, key TEXT, step INTEGER, at INTEGER, value REAL)")
    database.execute("CREATE INDEX by_run ON points (run, key, step)")
    rows = [[("r" * 32, f"m{k % 10}", n * 1000 + k, k, k * 0.001) for k in range(1000)] for n in range(25)]
    began = time.perf_counter()
    for some in rows:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", some)
        database.execute("COMMIT")
    return {"points_per_s": round(25_000 / (time.perf_counter() - began))}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--no-store", action="store_true", help="print only")
    options = parser.parse_args()
    if not (CLIENT / "mlflow").exists():
        print("MLflow's client and server are not here; `make test` makes their environment. Nothing was measured.")
        return 1
    measured: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as made:
        measured["sqlite3"] = {"executemany of 1,000 rows": bare_sqlite(Path(made))}
        for name in ("mlflow", "mainstay"):
            folder, port = Path(made) / name, free_port()
            folder.mkdir()
            commands = {
                "mlflow": [str(CLIENT / "mlflow"), "server", "--port", str(port)],
                "mainstay": [sys.executable, "-m", "mainstay", "server", "--workspace", "w", "--port", str(port)],
            }
            began = time.perf_counter()
            with served(commands[name], folder, port) as pid:
                measured[name] = {"start on an empty folder": {"seconds": round(time.perf_counter() - began, 2)}}
                measured[name] |= measure(port, pid, options.runs, options.points)
    _show(measured)
    if not options.no_store:
        _store(measured)
    return 0


def _show(measured: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"{'':<46}{'':<18}{'mlflow':>12}{'mainstay':>12}")
    for case, figures in measured["mainstay"].items():
        for place, (figure, ours) in enumerate(figures.items()):
            theirs = measured["mlflow"][case][figure]
            print(f"{case if place == 0 else '':<46}{figure:<18}{theirs:>12,}{ours:>12,}")
    for case, figures in measured["sqlite3"].items():
        print(f"bare sqlite3: {case}: {figures['points_per_s']:,} points/s")


def _store(measured: dict[str, Any]) -> None:
    version = subprocess.run([str(CLIENT / "mlflow"), "--version"], capture_output=True, text=True, check=True).stdout
    told = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "mlflow": version.split()[-1],
        "measured": measured,
    }
    RESULT.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
