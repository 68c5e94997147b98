# SPDX-License-Identifier: Apache-2.0
"""A project with a pipeline that fans out, snapshots, fails when asked to, and changes; and its runs on record.

In: a workspace whose server is up, and a folder for the code. Out: the ids of the runs, made by the command line as
anybody makes them, and a schedule, a backfill and a feature view beside them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.client import datasets
from mainstay.client.datasets import Dataset
from mainstay.client.session import Session
from mainstay.domain.errors import Invalid
from mainstay.engine import references as systems

HOURS = 12
RATES = "RATE = {rate}\n"
CODE = """
    import logging
    import pathlib
    import time

    import mainstay as ms
    import pyarrow as pa
    import pyarrow.compute as pc
    import rates

    @ms.step
    def readings(rows: int) -> pa.Table:
        return pa.table({"number": list(range(rows)), "meter": [f"m{n % 5}" for n in range(rows)],
                         "load": [float(n % 17) for n in range(rows)]})

    @ms.step
    def hours(table: pa.Table) -> list[int]:
        return list(range(HOURS))

    @ms.step
    def hourly(hour: int, table: pa.Table) -> float:
        return table.num_rows * hour / 10

    @ms.step
    def priced(table: pa.Table, gate: str) -> pa.Table:
        while gate and not pathlib.Path(gate).exists():
            time.sleep(0.02)
        return table.append_column("price", pc.multiply(table["load"], rates.RATE))

    @ms.step
    def report(table: pa.Table, parts: list[float], gate: str) -> pa.Table:
        logging.getLogger("night").warning("prices are those of last year")
        print("one line <b>not bold</b>", flush=True)
        while gate and not pathlib.Path(gate).exists():
            time.sleep(0.02)
        print("another line", flush=True)
        if gate.endswith("broken"):
            raise ValueError("the tariff of meter m7 is unknown")
        return table.select(["meter", "price"]).slice(0, len(parts))

    @ms.pipeline
    def night(rows: int = 200, early: str = "", gate: str = ""):
        table = ms.snapshot("readings", readings(rows))
        report(priced(table, early), hourly.map(hours(table), table), gate)
"""


@dataclass(frozen=True)
class Night:
    """``first`` and ``dearer`` differ by one line, ``more`` has forty rows more, ``broken`` failed in its last step."""

    session: Session
    folder: Path
    first: str
    dearer: str
    more: str
    broken: str


def begin(workspace: Path, folder: Path, *args: str) -> subprocess.Popen[str]:
    """A run, as a process that goes on meanwhile."""
    command = [sys.executable, "-m", "mainstay", "run", "night.py:night", *args]
    here = os.environ | {"MAINSTAY_WORKSPACE": str(workspace)}
    return subprocess.Popen(command, cwd=folder, env=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def work(session: Session, workspace: Path, folder: Path) -> Night:
    """Four runs, one after the other, and what is to come."""
    (folder / "night.py").write_text(textwrap.dedent(CODE).replace("HOURS", str(HOURS)))
    (folder / "broken").touch()

    def ran(rate: float, *args: str) -> str:
        (folder / "rates.py").write_text(RATES.format(rate=rate))
        process = begin(workspace, folder, *args)
        said, _ = process.communicate(timeout=120)
        newest = session.get("/runs", kind="pipeline", limit=1)["items"]
        assert newest, said
        return str(newest[0]["id"])

    first, dearer = ran(2.0), ran(2.5)
    more = ran(2.5, "--rows", "240")
    broken = ran(2.5, "--gate", str(folder / "broken"))
    session.post("/schedules", {"name": "nightly", "pipeline": "night.py:night", "cron": "0 3 * * *",
                                "timezone": "Europe/Berlin", "reason": "every night"})  # fmt: skip
    session.post("/backfills", {"pipeline": "night.py:night", "since": "2024-01-01", "until": "2024-01-08"})
    declare(session)
    bring(session, folder)
    return Night(session, folder, first, dearer, more, broken)


def declare(session: Session) -> None:
    """A feature view as the engine declares one, with nothing materialised."""
    definition = {"name": "usage", "entity": ["meter"], "time": "at", "available_after": "1h", "ttl": "30d",
                  "columns": [["peak", "float"]]}  # fmt: skip
    session.post(
        "/features",
        {
            "definition": definition,
            "closure": "c" * 64,
            "entity": [{"name": "meter", "type": "str"}],
            "columns": [{"name": "peak", "type": "float"}],
            "entry": "night.py:usage",
        },
    )


def bring(session: Session, folder: Path) -> None:
    """Data that is no table of rows that are here: a folder, twice; a file that stays where it is; batches that were refused."""
    yard = folder / "yard"
    (yard / "day").mkdir(parents=True)
    for name, text in (("day/one.txt", "one"), ("day/two.txt", "two"), ("labels.csv", "file,label\none.txt,empty\n")):
        (yard / name).write_text(text)
    yards = Dataset("yard", session)
    yards.add(yard)
    (yard / "day" / "two.txt").write_text("another")
    yards.add(yard)
    (folder / "towns.csv").write_text("town,people\nUlm,126000\nHof,46000\n")
    manifest = session.put_blob(systems.pin("source", str(folder / "towns.csv"), None).manifest())
    datasets.ensure(session, "towns")
    session.post("/datasets/towns/snapshots", {"blob": manifest, "format": "reference", "source": "towns.csv"})
    meters = Dataset("meters", session)
    for name, table in (
        ("june", meters_of("load")),
        ("july", meters_of("load", bad=True)),
        ("august", meters_of("load_kw")),
    ):
        pq.write_table(table, folder / f"{name}.parquet")
    meters.add(folder / "june.parquet")
    asked = meters.contract()
    strict = [column | ({"on_violation": "refuse"} if column["name"] == "load" else {}) for column in asked["columns"]]
    session.post("/datasets/meters/contract", {"columns": strict, "reason": "a negative load is nonsense"})
    for name in ("july", "august"):
        with contextlib.suppress(Invalid):
            meters.add(folder / f"{name}.parquet")


def meters_of(column: str, *, bad: bool = False) -> pa.Table:
    load = [float(n % 17) + n / 100 for n in range(200)]
    return pa.table({"meter": [f"m{n % 5}" for n in range(200)], column: [-4711.0, *load[1:]] if bad else load})
