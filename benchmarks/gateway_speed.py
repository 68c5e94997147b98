# SPDX-License-Identifier: Apache-2.0
"""How fast the gateway answers with everything on, beside a bare FastAPI app around the same model, in one run.

Out: ``results/gateway_speed.json`` and a table. The gateway checks each row, splits by key, writes its log before each
answer, counts, and checks the token; the FastAPI app (a ``def`` route, a pydantic model, the same loaded model, the
same uvicorn) does none of that. Requests hold one row, over keep-alive connections from this process; client and
server share the machine, so the ratio is the finding, not the digits.

    python benchmarks/gateway_speed.py [--seconds 4] [--rounds 3] [--no-store]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

NUMBERS = [f"number_{n}" for n in range(12)]
TEXTS = ["carrier", "origin", "dest"]
CODES = [f"C{n:02d}" for n in range(16)]
CONNECTIONS = (1, 8, 64)
TOKEN = "mst_1_bench"
RESULT = Path(__file__).parent / "results" / "gateway_speed.json"

FASTAPI = """
import sys
from pathlib import Path
import numpy as np, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model
from mainstay import formats
names, texts, port, folder = sys.argv[1].split(","), set(sys.argv[2].split(",")), int(sys.argv[3]), Path(sys.argv[4])
Row = create_model("Row", **{name: (str if name in texts else float, ...) for name in names})
Body = create_model("Body", rows=(list[Row], ...), key=(str | None, None))
Prediction = create_model("Prediction", value=(float, ...))
Answer = create_model("Answer", predictions=(list[Prediction], ...))
model = formats.load(sys.argv[5], {path.name: path.read_bytes() for path in folder.iterdir()})
app = FastAPI()

@app.post("/predict", response_model=Answer)
def predict(body: Body):
    columns = {
        name: np.array([getattr(row, name) for row in body.rows], dtype=object if name in texts else float)
        for name in names
    }
    return {"predictions": [{"value": value} for value in model.predict(columns).tolist()]}

uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
"""

GATEWAY = """
import sys
from pathlib import Path
from mainstay.gateway.main import serve
serve(Path(sys.argv[1]), control_url=sys.argv[2], token=sys.argv[3], port=int(sys.argv[4]))
"""


def train() -> Any:
    """A saved pipeline: three categories, twelve numbers, 80 boosted trees."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from mainstay import formats

    dice = np.random.default_rng(0)
    table = np.empty((20_000, len(TEXTS) + len(NUMBERS)), dtype=object)
    for place in range(len(TEXTS)):
        table[:, place] = np.array(CODES, dtype=object)[dice.integers(0, len(CODES), len(table))]
    numbers = dice.normal(size=(len(table), len(NUMBERS)))
    table[:, len(TEXTS) :] = numbers
    label = (numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + dice.normal(size=len(table)) > 0).astype(int)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = ColumnTransformer([("category", encoder, list(range(len(TEXTS))))], remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=80, max_depth=6, random_state=0)
    return formats.save(Pipeline([("prepare", prepare), ("trees", trees)]).fit(table, label))


def table_of(saved: Any, digests: dict[str, str]) -> dict[str, Any]:
    """A routing table: one deployment, a champion and a canary at a tenth."""
    inputs = [{"name": name, "type": "str", "categories": CODES} for name in TEXTS]
    inputs += [{"name": name, "type": "float", "minimum": -9, "maximum": 9} for name in NUMBERS]
    files = {"format": saved.format, "files": digests, "environment": dict(saved.environment), "golden": None}
    variants = [
        {
            "release": f"flights#{number}",
            "number": number,
            "model": "m",
            "version": 1,
            "role": role,
            "share_bp": share,
            "digest": "d",
            **files,
        }
        for number, role, share in ((1, "champion", 9000), (2, "canary", 1000))
    ]
    output = {"type": "binary", "classes": [0, 1], "positive": 1}
    one = {"name": "flights", "environment": "prod", "owner": "o", "salt": "s", "latency_limit_ms": 50.0}
    return {
        "generation": 1,
        "deployments": [{**one, "signature": {"inputs": inputs, "output": output}, "variants": variants}],
    }


@contextlib.contextmanager
def control_plane(table: dict[str, Any], blobs: dict[str, bytes]) -> Iterator[str]:
    """As much of the control plane's contract as a gateway needs to run; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/api/gateway/table":
                query = parse_qs(url.query)
                if int(query["after"][0]) >= table["generation"]:
                    time.sleep(float(query["wait"][0]))
                self.say(json.dumps(table).encode())
            elif url.path == "/api/me":
                self.say(json.dumps({"actor": "bench", "roles": ["admin"]}).encode())
            else:
                self.say(blobs[url.path.rpartition("/")[2]])

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.say(b"{}")

        def say(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def running(code: str, *arguments: str, port: int, probe: bytes) -> Iterator[int]:
    """A server process that answers ``probe`` with 200; yields its pid."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                if asyncio.run(ask_once(port, probe)) == 200:
                    break
            if process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def request(path: str, body: bytes) -> bytes:
    """One request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def ask_once(port: int, data: bytes) -> int:
    """The status of one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ", 2)[1])


class Client(asyncio.Protocol):
    """One connection that sends its request again as soon as the answer is whole."""

    def __init__(self, data: bytes, latencies: list[float], end: float) -> None:
        self.data, self.latencies, self.end = data, latencies, end
        self.buffer, self.wanted, self.failed = b"", -1, 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.data)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.wanted < 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = self.buffer[:head].lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.wanted = head + 4 + int(length)
        if len(self.buffer) < self.wanted:
            return
        now = time.perf_counter()
        self.failed += not self.buffer.startswith(b"HTTP/1.1 200")
        self.latencies.append(now - self.began)
        self.buffer, self.wanted = b"", -1
        if now < self.end:
            self.send()
        else:
            self.transport.close()
            self.done.set_result(None)


async def load(port: int, data: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Requests a second and latency (ms) over ``seconds``."""
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    end = time.perf_counter() + seconds
    made = [
        await loop.create_connection(lambda: Client(data, latencies, end), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for _, client in made))
    failed = sum(client.failed for _, client in made)
    if failed:
        raise SystemExit(f"{failed} of {len(latencies)} requests failed")
    ordered = sorted(latencies)
    at = [ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99)]
    return {"rps": len(ordered) / seconds, "p50_ms": at[0], "p99_ms": at[1]}


def measure(ports: dict[str, tuple[int, bytes]], seconds: float, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Medians over ``rounds``; the two take turns, so that a slow minute of the machine hits both."""
    import uvloop

    found: dict[str, dict[int, list[dict[str, float]]]] = {name: {c: [] for c in CONNECTIONS} for name in ports}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for round_ in range(rounds + 1):
            for connections in CONNECTIONS:
                for name, (port, data) in ports.items():
                    one = runner.run(load(port, data, connections, seconds if round_ else 1.0))
                    if round_:  # the first, short one warms
                        found[name][connections].append(one)
    return {
        name: {
            str(connections): {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
            for connections, runs in by.items()
        }
        for name, by in found.items()
    }


def memory_mb(pid: int) -> float:
    """Proportional set size of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return round(int(text.partition("\nPss:")[2].split()[0]) / 1024, 1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(seconds: float, rounds: int) -> dict[str, Any]:
    """Start both, measure both, and say what was measured with what."""
    saved = train()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in saved.files.items()}
    blobs = {digests[name]: data for name, data in saved.files.items()}
    row = {**dict.fromkeys(TEXTS, "C03"), **{name: 0.123456 * n for n, name in enumerate(NUMBERS)}}
    body = json.dumps({"rows": [row], "key": "UA-1545-2013-01-01"}).encode()
    bare, full = request("/predict", body), request("/deployments/flights/predict", body)
    one, two = free_port(), free_port()
    with tempfile.TemporaryDirectory() as scratch, control_plane(table_of(saved, digests), blobs) as url:
        folder = Path(scratch, "model")
        folder.mkdir()
        for name, data in saved.files.items():
            (folder / name).write_bytes(data)
        names = ",".join([*TEXTS, *NUMBERS])
        bare_arguments = (names, ",".join(TEXTS), str(one), str(folder), saved.format)
        with (
            running(FASTAPI, *bare_arguments, port=one, probe=bare) as bare_pid,
            running(GATEWAY, str(Path(scratch, "work")), url, TOKEN, str(two), port=two, probe=full) as full_pid,
        ):
            figures = measure({"fastapi": (one, bare), "gateway": (two, full)}, seconds, rounds)
            memory = {"fastapi": memory_mb(bare_pid), "gateway": memory_mb(full_pid)}
    ratios = {c: round(figures["gateway"][c]["rps"] / figures["fastapi"][c]["rps"], 2) for c in figures["gateway"]}
    packages = ("fastapi", "httptools", "msgspec", "numpy", "pydantic", "scikit-learn", "uvicorn", "uvloop")
    return {
        "what": "one row a request, 80 boosted trees (scikit-learn); figures by connections, medians of the rounds",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "seconds": seconds,
        "rounds": rounds,
        "figures": figures,
        "ratio": ratios,
        "memory_mb": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The gateway beside a bare FastAPI app with the same model.")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-store", action="store_true", help="print only")
    chosen = parser.parse_args()
    found = run(chosen.seconds, chosen.rounds)
    for connections, ratio in found["ratio"].items():
        for name in ("fastapi", "gateway"):
            told = found["figures"][name][connections]
            latency = f"p50 {told['p50_ms']:8.2f} ms  p99 {told['p99_ms']:8.2f} ms"
            print(f"{connections:>3} connections  {name:8} {told['rps']:9.0f}/s  {latency}")
        print(f"{'':>16}gateway / fastapi = {ratio}")
    if not chosen.no_store:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
