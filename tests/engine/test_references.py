# SPDX-License-Identifier: Apache-2.0
"""Tables that stay where they are: pinned by Delta Lake and Iceberg, and a file that nothing keeps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import load_catalog

import mainstay as ms
from mainstay.domain import references as manifests
from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.references import Reference
from mainstay.engine import materialise, references
from mainstay.engine.materialise import arrow

from .memory_platform import MemoryPlatform

FIRST = pa.table({"id": pa.array([1, 2], pa.int64()), "town": ["Ulm", "Hof"], "price": [1.5, None]})
SECOND = pa.table({"id": pa.array([3], pa.int64()), "town": ["Gera"], "price": [2.5]})
SCHEMA = [("id", "integer"), ("town", "text"), ("price", "number")]


def at_delta(folder: Path) -> tuple[Reference, Callable[[], None], Callable[[], None]]:
    """A reference to the first state, and what adds to the table, and what puts another one in its place."""
    place = folder / "orders"
    deltalake.write_deltalake(place, FIRST)

    def replace() -> None:
        shutil.rmtree(place)
        deltalake.write_deltalake(place, SECOND)

    return ms.delta(place), lambda: deltalake.write_deltalake(place, SECOND, mode="append"), replace


def at_iceberg(folder: Path) -> tuple[Reference, Callable[[], None], Callable[[], None]]:
    folder.joinpath("warehouse").mkdir()
    properties = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}
    catalog = load_catalog("local", **properties)
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.orders", schema=FIRST.schema)
    table.append(FIRST)
    # By name, as a pipeline would: the catalogue's properties are used, and kept nowhere.
    found = ms.iceberg("shop.orders", catalog="local", **properties)
    assert "catalog.db" not in found.manifest().decode()

    def replace() -> None:
        other = catalog.create_table("shop.other", schema=SECOND.schema)
        other.append(SECOND)
        shutil.copy(other.metadata_location.removeprefix("file://"), found.uri.removeprefix("file://"))

    return found, lambda: table.append(SECOND), replace


Place = tuple[Reference, Callable[[], None], Callable[[], None]]


@pytest.fixture(params=[at_delta, at_iceberg], ids=["delta", "iceberg"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return request.param(tmp_path)


def read(reference: Reference, wanted: Any = None) -> Any:
    return arrow.as_wanted(references.open_(reference), wanted)


def test_a_version_is_pinned_with_its_schema_and_rows(place: Place) -> None:
    reference, _, _ = place

    assert [(field.name, field.type) for field in reference.schema] == SCHEMA
    assert (reference.rows, reference.is_pinned, reference.sentence) == (2, True, "")
    assert manifests.read(reference.manifest()) == reference


def test_the_pinned_version_is_read_also_when_the_table_has_moved_on(place: Place) -> None:
    reference, add, _ = place
    add()

    assert read(reference).sort_by("id").to_pydict() == FIRST.to_pydict()


def test_another_table_in_its_place_is_never_taken_for_it(place: Place) -> None:
    reference, _, replace = place
    replace()

    with pytest.raises(Conflict, match=r"cannot be read as it was pinned: .*Restore it there, or pin a version"):
        read(reference)


@pytest.mark.parametrize(
    "wanted", [pa.Table, pd.DataFrame, pl.DataFrame, pl.LazyFrame, ds.Dataset, pa.RecordBatchReader]
)
def test_rows_come_as_the_type_that_a_step_asks_for(place: Place, wanted: type) -> None:
    found = read(place[0], wanted)

    assert isinstance(found, wanted)


def test_a_damaged_metadata_file_is_one_sentence(tmp_path: Path) -> None:
    reference, _, _ = at_iceberg(tmp_path)
    Path(reference.uri.removeprefix("file://")).write_text("{}")

    with pytest.raises(Conflict, match="its metadata file is gone or unreadable"):
        read(reference)


def test_an_earlier_version_can_be_named_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    reference, add, _ = at_delta(tmp_path)
    add()

    assert ms.delta(reference.uri, version=0) == reference and ms.delta(reference.uri).rows == 3
    with pytest.raises(Invalid, match=r"no Delta table at .* in version 9"):
        ms.delta(reference.uri, version=9)
    with pytest.raises(Invalid, match="no Delta table at"):
        ms.delta(tmp_path / "nothing")


def test_a_file_is_read_where_it_is_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "orders.parquet"
    pq.write_table(FIRST, file)
    reference = ms.source(file)

    assert (reference.is_pinned, reference.rows) == (False, 2) and "may change" in reference.sentence
    assert read(reference).to_pydict() == FIRST.to_pydict()
    pq.write_table(SECOND, file)
    with pytest.raises(Conflict, match="the file has changed"):
        read(reference)
    file.unlink()
    with pytest.raises(Conflict, match="gone or unreadable"):
        read(reference)


def test_an_address_is_read_by_fsspec_and_noticed_when_it_changes() -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://orders.csv", "w") as stream:
        stream.write("id,town\n1,Ulm\n")
    reference = ms.source("memory://orders.csv")

    assert read(reference).to_pydict() == {"id": [1], "town": ["Ulm"]}
    with fsspec.open("memory://orders.csv", "w") as stream:
        stream.write("id,town\n1,Ulm\n2,Hof\n")
    with pytest.raises(Conflict, match="has changed"):
        read(reference)


@pytest.mark.parametrize("uri", ["s3://key:secret@bucket/t", "https://x.org/t.parquet?sig=secret"])
def test_an_address_with_a_secret_in_it_is_refused_and_not_repeated(uri: str) -> None:
    for pin in (ms.delta, ms.source):
        with pytest.raises(Invalid, match="kept for everybody to read") as caught:
            pin(uri)
        assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "damage",
    [{"form": 2}, {"rows": -1}, {"rows": True}, {"schema": [{"name": "x"}]}, {"uri": "s3://a:b@c/d"}, {"more": 1}],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    import json

    good = json.loads(at_delta(tmp_path)[0].manifest())

    for bytes_ in (json.dumps(good | damage).encode(), b"[]", b"\xff"):
        with pytest.raises(Invalid):
            manifests.read(bytes_)


def test_a_reference_is_kept_by_what_it_names_and_a_step_gets_its_rows(place: Place, platform: MemoryPlatform) -> None:
    artifact = materialise.write(place[0], platform)

    assert (artifact.kind, artifact.rows) == ("reference", 2)
    assert materialise.read(artifact, platform, Reference) == place[0]
    assert materialise.read(artifact, platform, pd.DataFrame)["town"].tolist() == ["Ulm", "Hof"]
