# SPDX-License-Identifier: Apache-2.0
"""A real workspace, asked over its API, and a project beside it that can be edited and run again."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.client.inprocess import URL, InProcess
from mainstay.client.session import Session
from mainstay.client.wire import Wire
from mainstay.engine import project

SHARED = """
    RATE = 0.5

    def scale(values):
        "Scale them."
        return [value * RATE for value in values]

    def unused(values):
        return values
"""
FLIGHTS = """
    import mainstay as ms
    import polars as pl
    from shared import scale

    @ms.step
    def load(n: int = 100) -> pl.DataFrame:
        return pl.DataFrame({"x": list(range(n)), "city": ["EWR", "JFK"] * (n // 2)})

    @ms.step
    def features(table: pl.DataFrame, shift: int = 1) -> pl.DataFrame:
        return table.with_columns(y=pl.Series(scale(table["x"].to_list())) + shift)

    @ms.step
    def evaluate(table: pl.DataFrame) -> dict[str, float]:
        ms.log_metric("mean", float(table["y"].mean()))
        return {"mean": float(table["y"].mean())}

    @ms.pipeline
    def flow(n: int = 100, shift: int = 1):
        data = ms.snapshot("flights", load(n))
        evaluate(features(data, shift))
"""


class Workspace:
    """A project and what has it on record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        (self.folder / "mainstay.toml").touch()
        self.write("shared", SHARED)
        self.write("flights", FLIGHTS)
        self.app = InProcess(folder / "workspace", loops=False)
        wire = Wire(URL, self.app.token, retry_s=0, transport=self.app)
        self.session = Session(wire, cache=folder / "cache", workspace=folder / "workspace")

    def write(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(textwrap.dedent(text))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / f"{name}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def load(self) -> Any:
        return project.load("flights.py:flow", folder=self.folder)

    def run(self, **params: Any) -> str:
        """Carry the pipeline out as the sources are now; the run's id."""
        return str(self.load().run(self.session, **params).run_id)

    def explain(self, a: str, b: str) -> dict[str, Any]:
        told: dict[str, Any] = self.session.get(f"/runs/{a}/explain/{b}")
        return told


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    path, dont_write = list(sys.path), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    made = Workspace(tmp_path)
    yield made
    made.session.close()
    sys.path[:], sys.dont_write_bytecode = path, dont_write
