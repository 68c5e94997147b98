# SPDX-License-Identifier: Apache-2.0
"""Snapshots whose rows stay where they are, and the warning of those that nothing keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from mainstay.domain.data import Field, Problem, Refused, Snapshot
from mainstay.domain.digests import canonical_json, sha256_hex
from mainstay.domain.errors import Invalid
from mainstay.domain.references import Examined, Reference
from mainstay.lifecycle.data import contracts, datasets, diffs, references, refusals, snapshots
from mainstay.measures import profiles
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

    def ask(reference: Reference, **more: Any) -> Any:
        blob, _ = store.blobs.put(reference.manifest())
        with store.change(actor="ana", reason="a version") as change:
            return snapshots.take(change, dataset="orders", blob=blob, format="reference", **more)

    return ask


def test_a_pinned_table_is_a_snapshot_without_content(store: Store, refer: Callable[..., Snapshot]) -> None:
    taken, again = refer(PINNED), refer(PINNED)

    assert (taken.kind, taken.rows, taken.size, taken.parts, taken.warnings) == ("reference", 7, 0, (), ())
    assert (taken.schema, taken.digest, again.is_known) == (PINNED.schema, taken.given, True)
    with store.view() as view:
        assert references.of(view.blobs, snapshots.get(view, "orders", 1)) == PINNED
        assert snapshots.described(view, taken) == (None, "its rows are not here, and nobody told what is in them")


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


def examined(store: Store, table_at: Reference, **told: Any) -> str:
    """What a client found in the rows, as a blob."""
    table = pa.table({"id": range(table_at.rows)})
    spec = profiles.infer_spec(table)
    blobs = [store.blobs.put(canonical_json(each.to_json()))[0] for each in (profiles.profile(table, spec), spec)]
    facts: dict[str, Any] = {
        "reference": sha256_hex(table_at.manifest()),
        "contract": 0,
        "rows": table_at.rows,
        "problems": (),
        "warnings": (),
        "rows_blob": "",
        "profile": blobs[0],
        "spec": blobs[1],
    }
    return store.blobs.put(Examined(**facts | told).content())[0]


def test_what_a_client_found_in_the_rows_is_the_profile(store: Store, refer: Callable[..., Any]) -> None:
    taken = refer(PINNED, examined=examined(store, PINNED))

    with store.view() as view:
        columns, _ = snapshots.described(view, taken)
    assert columns is not None and [(each["name"], each["n"]) for each in columns] == [("id", 7)]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (None, "hand in what was found where they are"),
        ({}, "held against contract version 0"),
        ({"contract": 1, "reference": "0" * 64}, "for manifest 000000000000"),
        ({"contract": 1, "profile": "spec"}, "cannot be read"),
    ],
)
def test_a_reference_is_not_taken_past_the_contract(
    store: Store, refer: Callable[..., Any], told: dict[str, Any] | None, sentence: str
) -> None:
    with store.change(actor="ana") as change:
        contracts.apply(change, dataset="orders", toml='[contract.orders.columns.id]\ntype = "integer"')
    if told and "profile" in told:
        told = told | {"profile": store.blobs.put(b"[]")[0]}

    with pytest.raises(Invalid, match=sentence):
        refer(PINNED, examined="" if told is None else examined(store, PINNED, **told))


def test_a_reference_that_breaks_the_contract_is_a_refusal_on_record(store: Store, refer: Callable[..., Any]) -> None:
    toml = '[contract.orders.columns.id]\ntype = "integer"\n[contract.orders.columns.town]\ntype = "text"'
    with store.change(actor="ana") as change:
        contracts.apply(change, dataset="orders", toml=toml)
    null = Problem(column="id", problem="null", found="1 null", expected="integer", sentence="column 'id' has a null.")

    refused = refer(PINNED, examined=examined(store, PINNED, contract=1, problems=(null,)))

    assert isinstance(refused, Refused) and refused.format == "reference"
    assert [(each.column, each.problem) for each in refused.problems] == [("id", "null"), ("town", "missing")]
    with store.view() as view:
        assert [each.id for each in refusals.listed(view, dataset="orders")] == [refused.id]


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
