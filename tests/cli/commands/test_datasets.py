# SPDX-License-Identifier: Apache-2.0
"""``datasets``: what is different, who works with it, and the way back."""

from __future__ import annotations

import json

import deltalake
import pyarrow as pa
import pytest

import mainstay as ms
from mainstay.client import session as sessions
from mainstay.domain.errors import Invalid


@pytest.fixture
def places(type_at, house):
    """Dataset ``places`` with two snapshots that differ in a row."""
    mainstay = type_at(house)
    (house.folder / "old.csv").write_text("id,town,n\n1,Ulm,3\n2,Hof,4\n3,Jena,4\n")
    (house.folder / "new.csv").write_text("id,town,n\n1,Ulm,3\n2,Hof,5\n4,Gera,4\n")
    for file in ("old.csv", "new.csv"):
        assert mainstay("datasets", "add", "places", file).status == 0
    return mainstay


def test_a_diff_tells_rows_and_values(places, house) -> None:
    plain, keyed = (
        places("datasets", "diff", "places@1", "places@2"),
        places("datasets", "diff", "places@1", "places@2", "--key", "id"),
    )

    assert "3 → 3 (+0)" in plain.out and "--key COLUMN says what names a row" in plain.out
    assert "1 added, 1 removed, 1 changed, 1 same" in keyed.out and "n 4 → 5" in keyed.out
    assert "very same content" in places("datasets", "diff", "places@1", "places@1").out
    document = json.loads(places("datasets", "diff", "places@1", "places@2", "--key", "id,town", "--json").out)
    assert document["rows"]["key"] == ["id", "town"]
    missing = places("datasets", "diff", "places@1", "places@9")
    assert missing.status == 1 and "has no snapshot 9" in missing.err


def test_a_diff_in_python_is_the_same_answer(places, house, monkeypatch) -> None:
    session = house.connect()
    monkeypatch.setattr(sessions, "_default", session)

    found = ms.diff("places@1", "places@current", key="id")

    assert found == session.get("/snapshots/places@1/diff/places@2", key=["id"])
    assert found["rows"]["changed"] == 1


def test_a_dataset_in_python_has_the_same_verbs(places, house, monkeypatch) -> None:
    monkeypatch.setattr(sessions, "_default", house.connect())
    towns = ms.dataset("villages")
    for file in ("old.csv", "new.csv"):
        towns.add(house.folder / file)
    before = towns.contract()

    revised = towns.set_contract(
        '[contract.villages]\nkeys = [["id"]]\ncolumns.id = { type = "integer" }', reason="ids"
    )
    same = towns.set_contract(ms.contract('[contract.x]\nkeys = [["id"]]\ncolumns.id = { type = "integer" }', "x"))
    named = towns.alias("id", "ident", reason="renamed")
    moved = towns.rollback(1, reason="the new one is wrong")

    assert revised["version"] == same["version"] == before["version"] + 1 and revised["keys"] == [["id"]]
    assert named["columns"][0]["aliases"] == ["ident"] and towns.contract(before["version"]) == before
    assert moved["number"] == 1 and towns.users()["snapshot"] == "villages@1"


def test_a_rollback_says_what_follows_takes_a_reason_and_deletes_nothing(places, house, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    preview = places("datasets", "rollback", "places", "--to", "1", "--preview")
    silent = places("datasets", "rollback", "places", "--to", "1")
    untouched = house.get("/datasets/places")["refs"]
    done = places("datasets", "rollback", "places", "--to", "1", "-m", "a typo in Hof")
    again = places("datasets", "rollback", "places", "--to", "1", "-m", "once more")

    assert "current goes from places@2 back to places@1" in preview.out and "passed over: places@2" in preview.out
    assert silent.status == 2 and "takes a reason" in silent.err and untouched == {"current": 2}
    assert done.out.endswith("places@current is places@1, from now on\n")
    assert again.status == 1 and "is no way back" in again.err
    kept = house.get("/datasets/places")
    assert kept["refs"] == {"current": 1} and len(kept["snapshots"]) == 2
    event = house.get("/events", subject="dataset:places", kind="ref.moved")["items"][0]
    assert (event["reason"], event["body"]["before"], event["body"]["after"]) == ("a typo in Hof", 2, 1)


def test_users_of_a_snapshot_are_told_up_to_what_is_live(type_at, live_house) -> None:
    mainstay = type_at(live_house)

    told = mainstay("datasets", "users", "trips@1")
    found = live_house.get("/snapshots/trips@1/users")

    kinds = {user["kind"]: user for user in found["items"]}
    assert set(kinds) == {"run", "version", "release"}
    assert kinds["version"]["subject"] == "version:late/1" and kinds["version"]["role"] == "train"
    assert kinds["release"]["subject"] == "release:trips#1" and kinds["release"]["is_live"] is True
    assert found["deployments"] == ["trips"] and told.out.endswith("live on trips\n")


def test_a_table_that_stays_where_it_is_is_referred_to(type_at, house) -> None:
    mainstay = type_at(house)
    deltalake.write_deltalake(house.folder / "orders", pa.table({"id": [1, 2]}))
    (house.folder / "loose.csv").write_text("id\n1\n")

    pinned = mainstay("datasets", "refer", "orders", "orders", "--as", "delta", "--version", "0")
    again = mainstay("datasets", "refer", "orders", "orders", "--as", "delta")
    loose = mainstay("datasets", "refer", "loose", "loose.csv", "--as", "source")
    mixed = mainstay("datasets", "add", "orders", "loose.csv")
    shown = mainstay("datasets", "show", "orders@1")

    assert pinned.out.startswith("snapshot orders@1: 2 rows, digest ")
    assert again.out.startswith("snapshot orders@1 was there before")
    assert "it may change or go" in loose.out
    assert mixed.status == 1 and "is of kind reference" in mixed.err
    assert "(delta, version 0, which keeps it)" in shown.out and "none: reference" in shown.out
    for words in (("export", "orders@1", "o.csv"), ("checkout", "orders@1", "out")):
        assert "are read where they are" in mainstay("datasets", *words).err
    assert mainstay("datasets", "verify", "orders@1").status == 0
    for words, told in (
        (("no", "--as", "delta"), "no Delta table"),
        (("loose.csv", "--as", "source", "--version", "1"), "has no versions"),
    ):
        refused = mainstay("datasets", "refer", "orders", *words)
        assert refused.status == 1 and told in refused.err
    (house.folder / "orders.toml").write_text(
        '[contract.orders.columns.id]\ntype = "integer"\nmaximum = 2\non_violation = "refuse"'
    )
    mainstay("contracts", "set", "orders", "orders.toml", "-m", "small ids")
    deltalake.write_deltalake(house.folder / "orders", pa.table({"id": [9]}), mode="append")
    broken = mainstay("datasets", "refer", "orders", "orders", "--as", "delta")
    raw = json.loads(mainstay("datasets", "show", "orders@1", "--json").out)
    assert broken.status == 1 and "nothing was published: column 'id' reaches" in broken.err
    assert [each["n"] for each in raw["profile"]["columns"]] == [2] and "profile" in shown.out
    with pytest.raises(Invalid, match="the rows of a reference are not here"):
        house.connect().post("/datasets/orders/snapshots", {"blob": raw["digest"], "format": "reference"})
    inferred = mainstay("contracts", "infer", "orders@1")
    assert inferred.status == 1 and "of kind reference" in inferred.err
