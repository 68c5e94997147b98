# SPDX-License-Identifier: Apache-2.0
"""A control plane's side of the contract over real HTTP, gateways as real processes, and two small models to serve."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest

from mainstay import formats
from mainstay.domain import segments

OWNER, VIEWER, GATEWAY = "mst_1_owner", "mst_2_viewer", "mst_3_gateway"

SIGNATURE = {
    "inputs": [
        {"name": "carrier", "type": "str", "categories": ["AA", "UA"]},
        {"name": "distance", "type": "float", "minimum": 0, "maximum": 5000},
        {"name": "wind_speed", "type": "float", "nullable": True, "minimum": 0, "maximum": 60},
        {"name": "weekday", "type": "int", "minimum": 0, "maximum": 6},
    ],
    "output": {"type": "binary", "classes": [0, 1], "positive": 1},
}
ROW = {"carrier": "UA", "distance": 1400.5, "wind_speed": 12.0, "weekday": 3}


@dataclass(frozen=True)
class Trained:
    """A saved model with what the routing table says of it."""

    format: str
    files: dict[str, bytes]
    environment: dict[str, str]
    golden: dict[str, Any]

    @property
    def digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}


def train(seed: int) -> Trained:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    dice = np.random.default_rng(seed)
    n = 400
    columns: dict[str, Any] = {
        "carrier": np.array(["AA", "UA"], dtype=object)[dice.integers(0, 2, n)],
        "distance": dice.uniform(0, 5000, n),
        "wind_speed": dice.uniform(0, 60, n),
        "weekday": dice.integers(0, 7, n).astype(float),
    }
    table = np.empty((n, 4), dtype=object)
    for place, values in enumerate(columns.values()):
        table[:, place] = values
    label = (columns["wind_speed"] + dice.normal(0, 10, n) > 30).astype(int)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = ColumnTransformer([("category", encoder, [0])], remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=10, random_state=seed)
    saved = formats.save(Pipeline([("prepare", prepare), ("trees", trees)]).fit(table, label))
    scores = formats.load(saved.format, saved.files).predict({name: values[:5] for name, values in columns.items()})
    rows = [{name: values[i : i + 1].tolist()[0] for name, values in columns.items()} for i in range(5)]
    return Trained(saved.format, dict(saved.files), dict(saved.environment), {"rows": rows, "scores": scores.tolist()})


@pytest.fixture(scope="session")
def models() -> list[Trained]:
    return [train(0), train(1)]


@dataclass
class ControlServer:
    """The control plane's part of the contract, and a memory of what it was told."""

    tokens: dict[str, list[str]] = field(
        default_factory=lambda: {OWNER: ["admin"], VIEWER: ["viewer"], GATEWAY: ["gateway"]}
    )
    blobs: dict[str, bytes] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=lambda: {"generation": 1, "deployments": []})
    segments: dict[tuple[str, int], bytes] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    asked_who: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def publish(self, *variants: dict[str, Any], **more: Any) -> None:
        """A next generation of the table, with one deployment."""
        one = {
            "name": "flights",
            "environment": "prod",
            "owner": "ana",
            "salt": "s",
            "signature": SIGNATURE,
            "latency_limit_ms": None,
        }
        with self.changed:
            self.table = {
                "generation": self.table["generation"] + 1,
                "deployments": [{**one, **more, "variants": list(variants)}],
            }
            self.changed.notify_all()

    def variant(
        self, model: Trained, number: int, role: str = "champion", share_bp: int = 10_000, **more: Any
    ) -> dict[str, Any]:
        self.blobs |= {hashlib.sha256(data).hexdigest(): data for data in model.files.values()}
        return {
            "release": f"flights#{number}",
            "number": number,
            "model": "flights-late",
            "version": number,
            "role": role,
            "share_bp": share_bp,
            "format": model.format,
            "digest": hashlib.sha256(json.dumps(model.digests).encode()).hexdigest(),
            "files": model.digests,
            "environment": model.environment,
            "golden": model.golden,
            **more,
        }

    def records(self) -> list[dict[str, Any]]:
        return [record for data in self.segments.values() for record in segments.decode(data)]

    def await_table(self, after: int, wait: float) -> dict[str, Any]:
        with self.changed:
            self.changed.wait_for(lambda: self.table["generation"] > after, timeout=wait)
            return self.table

    @contextlib.contextmanager
    def running(self) -> Iterator[ControlServer]:
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def _handler(control: ControlServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if url.path == "/api/me":
                control.asked_who += 1
                roles = control.tokens.get(token)
                self._say(200, {"actor": token[-5:], "roles": roles}) if roles else self._refuse(401, "unauthenticated")
            elif token != GATEWAY:
                self._refuse(403, "forbidden")
            elif url.path == "/api/gateway/table":
                query = {name: float(values[0]) for name, values in parse_qs(url.query).items()}
                self._say(200, control.await_table(int(query["after"]), query["wait"]))
            elif url.path.startswith("/api/blobs/") and url.path[11:] in control.blobs:
                self._send(200, control.blobs[url.path[11:]])
            else:
                self._refuse(404, "not_found")

        def do_POST(self) -> None:
            url, body = urlsplit(self.path), self.rfile.read(int(self.headers["Content-Length"]))
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            if url.path == "/api/gateway/report":
                control.reports.append(json.loads(body))
                self._say(200, {})
            elif url.path == "/api/segments":
                name = (query["gateway"], int(query["sequence"]))
                control.segments.setdefault(name, body)
                self._say(200, {"digest": "", "rows": len(segments.decode(control.segments[name]))})
            elif url.path == "/api/feedback":
                told = json.loads(body)
                if told["id"] in {record["id"] for record in control.records()}:
                    control.feedback.append(told)
                    self._say(200, {"accepted": 1})
                else:
                    self._refuse(404, "not_found")

        def _refuse(self, status: int, kind: str) -> None:
            self._say(status, {"error": {"kind": kind, "message": f"{kind}.", "facts": {}, "request_id": "r"}})

        def _say(self, status: int, value: Any) -> None:
            self._send(status, json.dumps(value).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            with contextlib.suppress(ConnectionError):  # a killed gateway hears no more
                self.end_headers()
                self.wfile.write(body)

    return Handler


@pytest.fixture
def control() -> Iterator[ControlServer]:
    with ControlServer().running() as server:
        yield server


@dataclass
class GatewayProcess:
    """A gateway of its own, and a client for it."""

    process: subprocess.Popen[str]
    port: int
    http: httpx.Client

    def predict(self, *rows: dict[str, Any], headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.http.post(
            "/deployments/flights/predict", json={"rows": list(rows) or [ROW], **more}, headers=headers
        )

    def until(self, wanted: Callable[[], Any], within_s: float = 30) -> Any:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if found := wanted():
                    return found
            assert self.process.poll() is None, "the gateway has ended"
            time.sleep(0.02)
        raise AssertionError("it did not happen in time")

    def ready(self) -> GatewayProcess:
        self.until(lambda: self.http.get("/ready").status_code == 200)
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


RUN = """
import json, logging, sys
from pathlib import Path
from mainstay.domain.errors import MainstayError
from mainstay.gateway.main import serve
from mainstay.gateway.prediction_log import LogSettings
from mainstay.gateway.app import Limits
logging.basicConfig(level=logging.INFO)
told = json.loads(sys.argv[1])
try:
    serve(Path(told["workspace"]), control_url=told["url"], token=told["token"], port=told["port"],
          log_settings=LogSettings(**told["log"]), limits=Limits(**told["limits"]))
except MainstayError as error:
    raise SystemExit(error.message)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Start = Callable[..., GatewayProcess]


@contextlib.contextmanager
def gateways(workspace: Path, control: ControlServer) -> Iterator[Start]:
    """Starts gateways of one workspace; whatever runs at the end is killed."""
    running: list[GatewayProcess] = []

    def begin(
        *, log: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, port: int = 0
    ) -> GatewayProcess:
        port = port or free_port()
        told = {
            "workspace": str(workspace),
            "url": control.url,
            "token": GATEWAY,
            "port": port,
            "log": log or {},
            "limits": limits or {},
        }
        command = [sys.executable, "-c", RUN, json.dumps(told)]
        with open(workspace / f"gateway-{len(running)}.log", "w") as errors:
            process = subprocess.Popen(command, stderr=errors, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {OWNER}"},
            timeout=30,
            trust_env=False,
        )
        running.append(GatewayProcess(process, port, http))
        return running[-1]

    try:
        yield begin
    finally:
        for one in running:
            one.http.close()
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()


@pytest.fixture
def start(tmp_path: Path, control: ControlServer) -> Iterator[Start]:
    with gateways(tmp_path, control) as begin:
        yield begin


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, models: list[Trained]) -> Iterator[GatewayProcess]:
    """One gateway for all tests of a file that only ask."""
    with ControlServer().running() as control, gateways(tmp_path_factory.mktemp("shared"), control) as begin:
        control.publish(control.variant(models[0], 1))
        yield begin().ready()
