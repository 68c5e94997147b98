# SPDX-License-Identifier: Apache-2.0
"""Snapshots whose rows stay where they are, and the warning of those that nothing keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pytest

from mainstay.domain.data import Field, Snapshot
from mainstay.domain.errors import Invalid
from mainstay.domain.references import Reference
from mainstay.lifecycle.data import datasets, diffs, references, snapshots
from mainstay.store import Store

PINNED = Reference(
    system="delta",
    uri="s3://lake/orders",
    version="12",
    table="0f",
    schema=(Field(name="id", type="integer"),),
    rows=7,
    is_pinned=True,
)
LOOSE = replace(PINNED, system="source", uri="/data/orders.csv", is_pinned=False)


@pytest.fixture
def refer(store: Store) -> Callable[..., Snapshot]:
    """Take a reference in as a snapshot of ``orders``."""
    with store.change(actor="ana", reason="elsewhere") as change:
        datasets.create(change, name="orders", owner="ana")

    def ask(reference: Reference) -> Snapshot:
        blob, _ = store.blobs.put(reference.manifest())
        with store.change(actor="ana", reason="a version") as change:
            taken = snapshots.take(change, dataset="orders", blob=blob, format="reference")
        assert isinstance(taken, Snapshot)
        return taken

    return ask


def test_a_pinned_table_is_a_snapshot_without_content(store: Store, refer: Callable[..., Snapshot]) -> None:
    taken, again = refer(PINNED), refer(PINNED)

    assert (taken.kind, taken.rows, taken.size, taken.parts, taken.warnings) == ("reference", 7, 0, (), ())
    assert (taken.schema, taken.digest, again.is_known) == (PINNED.schema, taken.given, True)
    with store.view() as view:
        assert references.of(view.blobs, snapshots.get(view, "orders", 1)) == PINNED
        assert snapshots.described(view, taken) == (None, "its rows are not here, they are read where they are")


def test_what_nothing_keeps_is_a_warning_on_whatever_was_made_of_it(
    store: Store, refer: Callable[..., Snapshot], month: Callable[..., pa.Table], accept: Callable[..., Snapshot]
) -> None:
    refer(PINNED), refer(LOOSE)
    for seed, parents in ((1, ["orders@1"]), (2, ["orders@2"]), (3, ["flights@2", "flights@1"])):
        accept(month(seed), parents=parents)

    with store.view() as view:
        behind = [references.mutable_behind(view, [f"flights@{n}"]) for n in (1, 2, 3)]
        told = references.warning_of(view, ["flights@3", "another tool's name"])

    assert behind == [[], ["orders@2"], ["orders@2"]]
    assert told == ["orders@2 is read from a place that may change"]


def test_a_dataset_is_of_one_kind_and_a_manifest_of_the_wrong_kind_is_refused(
    store: Store, refer: Callable[..., Snapshot]
) -> None:
    refer(PINNED)
    rows, _ = store.blobs.put(b"id\n1\n")

    for format, told in (("csv", "is of kind reference"), ("reference", "no JSON")):
        with pytest.raises(Invalid, match=told), store.change(actor="ana", reason="rows") as change:
            snapshots.take(change, dataset="orders", blob=rows, format=format)


def test_versions_of_a_table_elsewhere_differ_in_schema_and_rows(store: Store, refer: Callable[..., Snapshot]) -> None:
    wider = replace(PINNED, version="13", rows=9, schema=(*PINNED.schema, Field(name="town", type="text")))

    found = diffs.compare(store.blobs, refer(PINNED), refer(wider))

    assert [field.name for field in found.added] == ["town"] and (found.rows_before, found.rows_after) == (7, 9)
    assert found.columns == () and found.rows is None and found.files is None
