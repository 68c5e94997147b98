# SPDX-License-Identifier: Apache-2.0
"""What ``ms.snapshot`` takes: the same rows are the same snapshot, whatever holds them, and how large they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from mainstay.client.session import connect
from mainstay.domain.errors import Invalid
from mainstay.engine import materialise
from mainstay.engine.materialise import arrow

from .conftest import Project
from .memory_platform import MemoryPlatform

PIPELINE = """
    from pathlib import Path
    import duckdb, fsspec, pandas as pd, polars as pl, pyarrow as pa, pyarrow.dataset as ds
    import mainstay as ms

    ROWS = {"id": [1, 2, 3], "town": ["Ulm", "Hof", None], "price": [1.5, None, 2.0]}
    TABLE = pa.table(ROWS)

    @ms.step
    def made() -> pl.LazyFrame:
        return pl.LazyFrame(ROWS)

    @ms.step
    def count(rows: ds.Dataset, again: pa.RecordBatchReader) -> dict:
        return {"rows": rows.count_rows() + again.read_all().num_rows}

    @ms.pipeline
    def flow(folder: str):
        with fsspec.open("memory://towns.csv", "wb") as stream:
            stream.write((Path(folder) / "towns.csv").read_bytes())
        ms.snapshot("frame", pd.DataFrame(ROWS))
        ms.snapshot("eager", pl.DataFrame(ROWS))
        ms.snapshot("lazy", pl.LazyFrame(ROWS))
        ms.snapshot("step", made())
        table = ms.snapshot("arrow", TABLE)
        ms.snapshot("reader", TABLE.to_reader())
        ms.snapshot("dataset", ds.dataset(TABLE))
        ms.snapshot("relation", duckdb.from_arrow(TABLE))
        ms.snapshot("csv", Path(folder) / "towns.csv")
        ms.snapshot("parquet", Path(folder) / "towns.parquet")
        ms.snapshot("address", "memory://towns.csv")
        count(table, table)

    @ms.pipeline
    def twice():
        ms.snapshot("strict", pa.table({"id": [7, 8, 7]}))

    @ms.pipeline
    def odd():
        ms.snapshot("odd", {"a": 1})
"""


def test_the_same_rows_are_the_same_snapshot_whatever_holds_them(
    make_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = make_project(flights=PIPELINE)
    table = pa.table({"id": [1, 2, 3], "town": ["Ulm", "Hof", None], "price": [1.5, None, 2.0]})
    pq.write_table(table, project.folder / "towns.parquet")
    (project.folder / "towns.csv").write_text("id,town,price\n1,Ulm,1.5\n2,Hof,\n3,,2.0\n")
    session = connect(workspace=tmp_path / "workspace")
    try:
        done = project.load().run(session, folder=str(project.folder))
        taken = {each["name"]: each["snapshots"][0]["digest"] for each in session.get("/datasets")["items"]}
        with pytest.raises(Invalid, match=r"made of a table \(Arrow, pandas, Polars, DuckDB\), a Parquet or CSV file"):
            project.load("flights.py:odd").run(session)
    finally:
        session.close()

    assert len(taken) == 11 and len(set(taken.values())) == 1, taken
    assert done.steps[-1].outputs["value"].kind == "json"


def test_the_first_bad_rows_of_a_refused_batch_are_an_artifact_of_its_run(
    make_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = make_project(flights=PIPELINE)
    session = connect(workspace=tmp_path / "workspace")
    toml = '[contract.strict.columns.id]\ntype = "integer"\nunique = true\n'
    try:
        session.post("/datasets", {"name": "strict", "owner": "ana"})
        session.post("/datasets/strict/contract/toml", {"toml": toml})
        with pytest.raises(Invalid, match="'id' must be unique"):
            project.load("flights.py:twice").run(session)
        run = session.get(f"/runs/{session.get('/runs')['items'][-1]['id']}")
        [kept] = run["artifacts"]
        rows = json.loads(session.get_blob(kept["digest"]))["rows"]
    finally:
        session.close()

    assert (run["state"], kept["path"]) == ("failed", "refused/strict.json")
    assert [(row["row"], row["values"]["id"]) for row in rows] == [(3, "7")]


def test_a_stream_gives_the_bytes_of_the_table_across_row_groups(platform: MemoryPlatform) -> None:
    rows = arrow.ROW_GROUP + 5_000
    table = pa.table({"n": np.arange(rows), "t": pa.array([f"t{n % 97}" for n in range(rows)])})

    whole = materialise.write(table, platform)
    pieces = materialise.write(table.to_reader(max_chunksize=77_777), platform)

    assert whole == pieces and pieces.rows == rows


def test_a_stream_is_written_with_one_row_group_in_memory(
    platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "ROW_GROUP", 1_000)
    held: list[int] = []
    groups = arrow._groups
    monkeypatch.setattr(arrow, "_groups", lambda reader: (held.append(g.num_rows) or g for g in groups(reader)))

    materialise.write(ds.dataset(pa.table({"n": range(4_500)})), platform)

    assert held == [1_000] * 4 + [500]
