# SPDX-License-Identifier: Apache-2.0
"""A workspace in which a small model is live, and a way to type commands at it.

Commands are typed through `mainstay.cli.main`, as the console script does. All of them ask one app in this process over one
transport, instead of starting that app anew for each: what they ask, and what they are answered, is the same.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay import cli
from mainstay.client import session as sessions
from mainstay.client.inprocess import URL, InProcess
from mainstay.client.session import Session
from mainstay.client.wire import Wire
from mainstay.engine import project
from mainstay.engine.worker import Worker, work_once
from mainstay.gateway.batch import score_file
from mainstay.server.loops import every_loop

PIPELINE = """
    import numpy as np
    import pyarrow as pa
    import mainstay as ms
    from sklearn.linear_model import LogisticRegression

    @ms.step
    def load(seed: int, n: int) -> pa.Table:
        random = np.random.default_rng(seed)
        x, y = random.normal(size=n), random.normal(size=n)
        return pa.table({"x": x, "y": y, "late": (x + random.normal(size=n) > 0).astype(int)})

    @ms.step
    def train(table: pa.Table, c: float = 1.0) -> LogisticRegression:
        print("a word from the step")
        rows = np.column_stack([table["x"].to_numpy(), table["y"].to_numpy()])
        return LogisticRegression(C=c).fit(rows, table["late"].to_numpy())

    @ms.step
    def break_down(table: pa.Table) -> pa.Table:
        raise ValueError("no luck")

    @ms.pipeline
    def flow(n: int = 300, c: float = 1.0, fresh: bool = False):
        learnt, judged = ms.snapshot("trips", load(1, n)), ms.snapshot("later", load(2, n))
        ms.register("late", train(learnt, c), metrics={"c": c}, holdout=judged, target="late", features=["x", "y"])

    @ms.pipeline
    def fails(n: int = 10):
        break_down(load(1, n))
"""


def write_project(folder: Path) -> None:
    """One file with the pipelines ``flow`` and ``fails``."""
    (folder / "trips.py").write_text(textwrap.dedent(PIPELINE))


class Told(NamedTuple):
    """What a command did: its exit status, and what it printed."""

    status: int
    out: str
    err: str


class Shared(httpx.BaseTransport):
    """A transport that outlives the commands which close it."""

    def __init__(self, app: InProcess) -> None:
        self.app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.app.handle_request(request)


class House:
    """A workspace, the project beside it, and whoever acts there. Its loops run when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / ".mainstay"
        self.app = InProcess(self.workspace, loops=False)
        write_project(folder)

    def connect(
        self, url: str | None = None, *, token: str | None = None, workspace: Any = None, retry_s: float | None = None
    ) -> Session:
        """In place of `sessions.connect`: the same session, over the shared transport."""
        wire = Wire(URL, token or self.app.token, retry_s=0, transport=Shared(self.app))
        return Session(wire, cache=self.workspace / "cache", workspace=self.workspace)

    def get(self, path: str, **params: Any) -> Any:
        """What the API says."""
        return self.connect().get(path, **params)

    def judge(self) -> None:
        """Do the worker's part of a release that was asked for, and the server's."""
        assert work_once(Worker(platform=self.connect(), folder=self.folder))
        self.look()

    def look(self) -> None:
        """What the server's loops do when they are woken."""
        while any([loop(self.app.store) for loop in every_loop()]):
            pass


@pytest.fixture(scope="module")
def fresh_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A workspace in which nothing has happened."""
    house = House(tmp_path_factory.mktemp("fresh"))
    yield house
    house.app.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A workspace with a project in it, whose pipeline has run: model ``late`` has version 1."""
    house = House(tmp_path_factory.mktemp("house"))
    path, dont_write = list(sys.path), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    project.load("trips.py:flow", folder=house.folder).run(house.connect())
    yield house
    house.app.close()
    sys.path[:], sys.dont_write_bytecode = path, dont_write


@pytest.fixture(scope="module")
def live_house(house: House) -> House:
    """The same with deployment ``trips``, on which version 1 is live; it answered a file, and was told the truth."""
    owner = house.connect()
    owner.post("/people", {"name": "bo", "roles": ["approver"]})
    owner.post("/policies/prod", {"gates": ["latency_p95_ms <= 5000.0"], "approvals": {"count": 0}})
    rules = {"strategy": "direct", "steps": [100]}
    me = owner.get("/me")["actor"]
    place = {"name": "trips", "environment": "prod", "model": "late", "owner": me, "policy": "prod", "rollout": rules}
    owner.post("/deployments", place)
    owner.post("/deployments/trips/releases", {"model": "late", "version": 1, "reason": "the first"})
    house.judge()
    write_rows(house.folder / "rows.parquet")
    score_file(owner, "trips", house.folder / "rows.parquet", house.folder / "scored.parquet", key="key", at="at")
    return house


def write_rows(file: Path, n: int = 2_000) -> None:
    """A week of rows unlike those that the model learned from."""
    random, start = np.random.default_rng(3), datetime(2026, 3, 1, tzinfo=UTC)
    at = pa.array([start + timedelta(minutes=5 * i) for i in range(n)], pa.timestamp("us", tz="UTC"))
    keys = [f"k{i}" for i in range(n)]
    table = pa.table(
        {"x": random.normal(size=n) + 1.5, "y": random.normal(size=n), "at": at, "key": keys, "note": keys}
    )
    pq.write_table(table, file)


@pytest.fixture
def project_files() -> Callable[[Path], None]:
    """Writes the project into a folder."""
    return write_project


Type = Callable[..., Told]


@pytest.fixture
def type_at(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[House], Type]:
    """Type commands in a house: ``mainstay = type_at(house)``, then ``mainstay("runs", "list")``."""

    def at(house: House) -> Type:
        monkeypatch.setattr(sessions, "connect", house.connect)
        monkeypatch.chdir(house.folder)

        def mainstay(*words: str) -> Told:
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main(list(words))
            out, err = capsys.readouterr()
            return Told(int(ended.value.code or 0), out, err)

        return mainstay

    return at
