# SPDX-License-Identifier: Apache-2.0
"""``contracts``: a contract goes out as TOML, is edited, and comes back as the next version."""

from __future__ import annotations

import io
import json


def test_a_contract_is_shown_edited_and_set(type_at, house, monkeypatch) -> None:
    mainstay = type_at(house)
    (house.folder / "people.csv").write_text("id,mail\n1,a@x.org\n2,b@x.org\n")
    (house.folder / "twice.csv").write_text("id,mail\n3,c@x.org\n3,d@x.org\n")
    mainstay("datasets", "add", "people", "people.csv")

    shown = mainstay("contracts", "show", "people")
    (house.folder / "people.toml").write_text(
        shown.out.replace('type = "integer"', 'type = "integer"\nunique = true').replace("maximum = 3\n", "")
    )
    changed = mainstay("contracts", "set", "people", "people.toml", "-m", "ids are ids")
    again = mainstay("contracts", "set", "people", "people.toml")
    refused = mainstay("datasets", "add", "people", "twice.csv")
    listed = json.loads(mainstay("contracts", "list", "people", "--json").out)["items"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(shown.out.encode())))
    back = mainstay("contracts", "set", "people", "-", "-m", "as it was")

    assert shown.out.startswith("# Contract version 1.\n[contract.people]\n")
    assert (changed.out, again.out) == ("contract of people is now version 2\n",) * 2
    assert refused.status == 1 and "column 'id' must be unique, and 1 of 2 rows repeat" in refused.err
    assert [contract["version"] for contract in listed] == [2, 1] and listed[0]["columns"][0]["unique"]
    assert back.out == "contract of people is now version 3\n"
    assert "version" in mainstay("contracts", "list", "people").out
    assert mainstay("contracts", "show", "people", "--version", "1").out == shown.out
    home = house.get("/home")["waiting"]
    assert [(each["what"], each["subject"]) for each in home] == [("batch", "dataset:people")]
    assert mainstay("datasets", "add", "people", "people.csv").status == 0


def test_a_contract_is_inferred_from_a_snapshot_without_changing_any(type_at, house) -> None:
    mainstay = type_at(house)
    before = house.get("/datasets/trips/contract")

    inferred = mainstay("contracts", "infer", "trips@1")

    assert inferred.out.startswith("# What trips@1 shows.\n[contract.trips]")
    assert inferred.out.partition("\n")[2] == mainstay("contracts", "show", "trips").out.partition("\n")[2]
    assert house.get("/datasets/trips/contract") == before


def test_a_mistake_in_the_file_is_one_sentence(type_at, house) -> None:
    mainstay = type_at(house)
    (house.folder / "bad.toml").write_text('[contract.trips.columns.x]\ntype = "number"\nminimun = 1\n')
    (house.folder / "bad.bin").write_bytes(b"\xff\xfe")

    bad, binary = mainstay("contracts", "set", "trips", "bad.toml"), mainstay("contracts", "set", "trips", "bad.bin")

    assert bad.status == 1 and "contract.trips.columns.x has the key 'minimun', which is unknown" in bad.err
    assert binary.status == 2 and "bad.bin is not UTF-8 text" in binary.err
