# SPDX-License-Identifier: Apache-2.0
"""``why``, ``audit``, people and tokens, datasets and aliases: what is on record, and who may change it."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def test_why_draws_the_chain_as_a_tree_with_who_and_when(type_at, live_house) -> None:
    prediction = pq.read_table(live_house.folder / "scored.parquet")["_id"][0].as_py()

    told = type_at(live_house)("why", prediction)

    lines = told.out.splitlines()
    me = live_house.get("/me")["actor"]
    assert lines[0].startswith(f"prediction {prediction}  20")
    assert lines[2].startswith("└─ answered by release trips#1  20") and lines[2].endswith(f"by {me}")
    assert "\n   ├─ fixes version late/1  20" in told.out and "\n   │  └─ trained on snapshot trips@1" in told.out
    assert "\n   │     └─ produced by pipeline flow (above)\n" in told.out  # what two steps share is drawn once
    assert "turned out" not in lines[1] and "answer 0." in lines[1]
    assert live_house.get("/models/late/versions/1")["digest"] in told.out


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        (("trips#1",), "release trips#1"),
        (("late/1",), "version late/1"),
        (("late@champion",), "version late/1"),
        (("trips@1",), "snapshot trips@1"),
        (("trips@current",), "snapshot trips@1"),
        (("release:trips#1",), "release trips#1"),
        (("trips",), "deployment trips"),
    ],
)
def test_why_finds_what_is_meant(type_at, live_house, words, begin) -> None:
    told = type_at(live_house)("why", *words)

    assert told.status == 0
    assert told.out.startswith(begin)


def test_why_finds_a_run_by_its_bare_id(type_at, live_house) -> None:
    run = live_house.get("/runs", kind="pipeline")["items"][-1]["id"]

    assert type_at(live_house)("why", run).out.startswith("pipeline flow")


def test_why_verify_says_so_and_fails_where_bytes_were_changed(type_at, live_house) -> None:
    mainstay = type_at(live_house)
    whole = mainstay("why", "trips", "--verify")
    digest = live_house.get("/models/late/versions/1")["files"]["model.skops"]["digest"]
    file = live_house.app.store.blobs.path(digest)
    content, mode = file.read_bytes(), file.stat().st_mode

    file.chmod(0o600)
    file.write_bytes(content[:-1] + b"x")
    broken, document = mainstay("why", "trips", "--verify"), mainstay("why", "trips", "--verify", "--json")
    unasked = mainstay("why", "trips")
    file.write_bytes(content)
    file.chmod(mode)

    assert whole.status == 0 and "✓ verified" in whole.out
    assert whole.out.splitlines()[-1] == "✓ the ledger's chain is whole"
    assert (broken.status, document.status, unasked.status) == (1, 1, 0)
    line = next(line for line in broken.out.splitlines() if "version late/1" in line)
    assert line.endswith("✗ DOES NOT VERIFY")
    assert json.loads(document.out)["chain_ok"] is True


def test_audit_lists_and_verifies_the_ledger(type_at, live_house) -> None:
    mainstay = type_at(live_house)
    head = live_house.get("/events", limit=1)["items"][0]

    listed = mainstay("audit", "list", "--kind", "release.*", "--subject", "release:trips#1")
    last, verified = mainstay("audit", "list", "--limit", "1"), mainstay("audit", "verify")
    nothing = mainstay("audit", "list", "--kind", "nothing.*")

    assert [line.split()[-1] for line in listed.out.splitlines()[1:3]] != []
    assert "release.requested  release:trips#1" in listed.out and "the first" in listed.out
    assert str(head["seq"]) in last.out and "--limit shows them" in last.out
    assert verified.out.startswith(f"✓ the chain of {head['seq']:,} events is whole") and head["hash"] in verified.out
    assert json.loads(mainstay("audit", "verify", "--json").out)["ok"] is True
    assert nothing.out.startswith("No event like that.")


def test_people_and_tokens_come_and_go(type_at, house) -> None:
    mainstay = type_at(house)

    added = mainstay("people", "add", "cleo", "--role", "approver", "--role", "contributor", "-m", "she asked")
    wrong = mainstay("people", "add", "dan", "--role", "king")
    made = mainstay("tokens", "create", "cleo", "--days", "3")
    token = made.out.strip()
    asked = mainstay("live", "--token", token)
    forbidden = mainstay("people", "add", "eve", "--token", token)
    identity = token.split("_")[1]
    listed, everybody = mainstay("tokens", "list", "cleo"), json.loads(mainstay("tokens", "list", "--json").out)
    revoked, late = mainstay("tokens", "revoke", identity), mainstay("live", "--token", token)

    assert added.out == "cleo is approver, contributor\n"
    assert wrong.status == 2
    assert made.out.splitlines() == [token] and token.startswith("mst_") and "it is not shown again" in made.err
    assert asked.status == 0 and (forbidden.status, late.status) == (1, 1)
    assert "cleo may not POST /api/people" in forbidden.err or "cleo may not" in forbidden.err
    assert identity in listed.out and "in 3 d" in listed.out and token not in listed.out
    assert {each["person"] for each in everybody["items"]} >= {"cleo"}
    assert revoked.out == f"token {identity} works no longer\n"
    assert "cleo" in mainstay("people", "list").out


def test_a_dataset_is_made_by_its_first_file_and_refuses_one_that_breaks_the_contract(type_at, house) -> None:
    mainstay = type_at(house)
    random = np.random.default_rng(5)

    def write(name: str, column: str) -> None:
        table = pa.table({column: random.normal(10, 2, size=3_000), "day": random.integers(1, 28, size=3_000)})
        pq.write_table(table, house.folder / name)

    write("one.parquet", "wind_speed"), write("two.parquet", "wind_spd")
    (house.folder / "three.txt").write_text("no table")

    period = ("--since", "2026-01-01", "--until", "2026-02-01")
    first = mainstay("datasets", "add", "weather", "one.parquet", "--description", "at noon", *period, "-m", "January")
    same = mainstay("datasets", "add", "weather", "one.parquet")
    refused = mainstay("datasets", "add", "weather", "two.parquet")
    accepted = mainstay("datasets", "alias", "weather", "wind_speed", "wind_spd", "-m", "renamed upstream")
    second = mainstay("datasets", "add", "weather", "two.parquet", "--source", "the new station")
    other, half = (
        mainstay("datasets", "add", "weather", "three.txt"),
        mainstay("datasets", "add", "w", "one.parquet", period[0], period[1]),
    )
    shown = mainstay("datasets", "show", "weather")

    assert first.out.startswith("snapshot weather@1: 3,000 rows, digest ")
    assert same.out.startswith("snapshot weather@1 was there before")
    assert refused.status == 1 and "`mainstay datasets alias weather wind_speed wind_spd -m WHY`" in refused.err
    assert accepted.out == "contract of weather is now version 2: wind_speed may arrive as wind_spd\n"
    assert second.out.startswith("snapshot weather@2: 3,000 rows")
    assert (other.status, half.status) == (
        1,
        2,
    ) and "dataset 'weather' is of kind table, and files were handed in" in other.err
    for word in ("at noon", "the new station", "2026-01-01 to 2026-02-01", "is weather@2", "wind_spd"):
        assert word in shown.out


def test_an_alias_of_a_model_is_moved_only_from_where_it_is_thought_to_be(type_at, live_house) -> None:
    mainstay = type_at(live_house)

    moved, wrong = (
        mainstay("models", "alias", "late", "best", "1"),
        mainstay("models", "alias", "late", "best", "1", "--expected", "0"),
    )

    assert moved.out == "late@best is now late/1\n"
    assert wrong.status == 1 and "names version 1, you expected no such alias" in wrong.err
    assert mainstay("models", "show", "late@best").out.startswith("version")
