# SPDX-License-Identifier: Apache-2.0
"""From bytes to a numbered snapshot, or to a refusal that is on record."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.domain.data import Period, Refused, Snapshot
from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Conflict, Corrupt, Invalid, Malformed, NotFound
from mainstay.lifecycle.data import contracts, datasets, lineage, manifests, refusals, snapshots, tables
from mainstay.measures import frames
from mainstay.measures.frames import Frame
from mainstay.measures.profiles import merge
from mainstay.store import Store, ledger, open_store

Month = Callable[..., pa.Table]
Take = Callable[..., Snapshot]
Refuse = Callable[..., Refused]


def to_csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def flip_a_byte(store: Store, digest: str) -> None:
    place = next(iter(store.blobs.folder.rglob(digest)))  # type: ignore[attr-defined]
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.chmod(0o600)
    place.write_bytes(data)


def counts(store: Store) -> tuple[int, int]:
    with store.view() as view:
        return len(snapshots.listed(view, dataset="flights")), len(refusals.listed(view, dataset="flights"))


def test_a_snapshot_gives_back_the_rows_it_was_made_of(store: Store, month: Month, accept: Take) -> None:
    given = month(1)

    taken = accept(
        given,
        source="bureau",
        period=Period(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 2, 1, tzinfo=UTC)),
    )

    with store.view() as view:
        stored = snapshots.get(view, "flights", 1)
        kept = pq.read_table(io.BytesIO(view.blobs.read(stored.blob)))
    assert kept.equals(given.cast(kept.schema))
    assert stored == taken
    assert (stored.id, stored.rows, stored.source, stored.contract_version) == (
        "flights@1",
        given.num_rows,
        "bureau",
        1,
    )
    assert [field.name for field in stored.schema] == given.column_names


def test_the_same_rows_have_the_same_digest_in_two_fresh_workspaces(tmp_path: Path, month: Month) -> None:
    digests = []
    for name, group, compression in (("one", 100_000, "zstd"), ("two", 170, "none")):
        sink = io.BytesIO()
        pq.write_table(month(3), sink, row_group_size=group, compression=compression)
        store = open_store(tmp_path / name)
        blob, _ = store.blobs.put(sink.getvalue())
        with store.change(actor=name) as change:
            datasets.create(change, name="flights", owner=name)
            taken = snapshots.take(change, dataset="flights", blob=blob, format="parquet")
        assert isinstance(taken, Snapshot)
        digests.append((taken.digest, taken.blob, taken.spec, taken.profile))
        store.close()

    assert digests[0] == digests[1]


def test_the_digest_is_that_of_the_manifest_and_the_manifest_is_a_blob(
    store: Store, month: Month, accept: Take
) -> None:
    taken = accept(month(1))

    content = manifests.content(taken.schema, taken.rows, taken.parts)
    assert digest_of(content) == taken.digest
    assert json.loads(store.blobs.read(taken.digest)) == content


def test_columns_in_another_order_and_types_are_the_same_content(store: Store, month: Month, accept: Take) -> None:
    given = month(1)
    first = accept(given)

    again = accept(given.select(given.column_names[::-1]).set_column(0, "late", given["late"]))
    wider = accept(given.set_column(0, "flight", given["flight"].cast(pa.float64())))

    assert (first.number, again.number, wider.number) == (1, 1, 1)
    assert (first.is_known, again.is_known, wider.is_known) == (False, True, True)


def test_a_csv_of_the_same_rows_is_the_same_snapshot(store: Store, accept: Take) -> None:
    given = pa.table({"n": [1, 2, 3, None], "x": [0.5, 1.0, 2.0, 3.25], "who": ["a", "b", "b", "007"]})

    assert accept(given).digest == accept(to_csv(given), format="csv").digest


def test_identical_content_gets_no_new_number_but_leaves_an_event(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))
    accept(month(2))

    repeated = accept(month(1), source="sent twice")

    assert (repeated.number, repeated.is_known) == (1, True)
    assert counts(store) == (2, 0)
    with store.view() as view:
        event = ledger.search(view, kind="snapshot.repeated")[0]
    assert (event.subject, event.body["source"]) == ("snapshot:flights@1", "sent twice")


def test_two_snapshots_number_one_after_the_other_and_current_follows(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))
    accept(month(2), parents=["flights@1"])

    with store.view() as view:
        assert snapshots.named(view, "flights@current").number == 2
        assert snapshots.named(view, "flights@latest").parents == ("flights@1",)
    with store.change(actor="ana", reason="February was wrong") as change:
        datasets.point(change, dataset="flights", number=1)
    with store.view() as view:
        assert snapshots.named(view, "flights@current").number == 1
        assert snapshots.named(view, "flights@latest").number == 2


def test_what_a_snapshot_was_made_from_is_told_as_its_use_and_the_source_stays_its_own(
    store: Store, month: Month, accept: Take
) -> None:
    accept(month(1))
    accept(month(2), parents=["flights@1"], source="a pipeline")

    with store.view() as view:
        assert lineage.used_by(view, dataset="flights", number=1) == [("snapshot:flights@2", "flights@1", "parent")]
        assert ledger.search(view, kind="snapshot.taken")[0].body["source"] == "a pipeline"


def test_a_refusal_waits_for_its_owner_until_there_is_a_snapshot_again(
    store: Store, month: Month, accept: Take, refuse: Refuse
) -> None:
    def waiting() -> list[str]:
        with store.view() as view:
            return [refused.id for refused in refusals.unanswered(view)]

    accept(month(1))
    before = waiting()
    refuse(month(2).drop_columns(["late"]))
    newest = refuse(month(3).drop_columns(["late"]))

    assert (before, waiting()) == ([], [newest.id])
    accept(month(4))
    assert waiting() == []


def test_a_rollback_takes_a_reason_and_goes_back_only(store: Store, month: Month, accept: Take) -> None:
    for seed in (1, 2):
        accept(month(seed))

    with pytest.raises(Invalid, match="takes a reason"), store.change(actor="ana") as change:
        datasets.roll_back(change, dataset="flights", to=1)
    with pytest.raises(NotFound), store.change(actor="ana", reason="why") as change:
        datasets.roll_back(change, dataset="flights", to=7)
    with store.change(actor="ana", reason="February was wrong") as change:
        assert datasets.roll_back(change, dataset="flights", to=1).number == 1
    with pytest.raises(Conflict, match="takes an earlier snapshot"), store.change(actor="ana", reason="x") as change:
        datasets.roll_back(change, dataset="flights", to=2)


def test_folding_the_events_gives_the_refs(store: Store, month: Month, accept: Take) -> None:
    for seed in (1, 2, 3):
        accept(month(seed))
    with store.change(actor="ana") as change:
        datasets.point(change, dataset="flights", number=2)
        datasets.point(change, dataset="flights", ref="audited", number=1)
    accept(month(4))
    with store.change(actor="ana") as change:
        datasets.point(change, dataset="flights", ref="audited", number=4)

    folded: dict[str, int] = {}
    with store.view() as view:
        for event in ledger.search(view, newest_first=False, limit=1000):
            if event.kind == "snapshot.taken":
                folded["current"] = event.body["number"]
            if event.kind == "ref.moved":
                assert folded.get(event.body["ref"]) == event.body["before"]
                folded[event.body["ref"]] = event.body["after"]
        assert folded == {ref.name: ref.number for ref in datasets.refs(view, "flights")}


def test_a_refusal_is_committed_and_publishes_nothing(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    accept(month(1))

    refused = refuse(month(2).drop_columns(["distance"]), source="bureau")

    assert counts(store) == (1, 1)
    with store.view() as view:
        assert refusals.get(view, refused.id) == refused
        event = ledger.search(view, kind="batch.refused")[0]
        assert event.body["problems"] == [{"column": "distance", "problem": "missing", "likely_alias": None}]
        assert snapshots.named(view, "flights@current").number == 1
        rows = json.loads(view.blobs.read(refused.rows_blob))["rows"]
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]
    assert "nothing was published" in refused.sentence


def test_no_value_of_the_data_enters_the_ledger(store: Store, accept: Take, refuse: Refuse) -> None:
    accept(pa.table({"n": [1, 2], "who": ["a", "b"]}))
    refuse(pa.table({"n": ["secret-1", "2"], "who": ["a", "b"]}))
    accept(pa.table({"n": [1, 2, 3, 4], "who": ["a", "b", "b", "secret-2"]}))

    with store.view() as view:
        told = [json.dumps(event.body) for event in ledger.search(view)]
    assert not [text for text in told if "secret" in text]


def test_a_refused_file_that_is_accepted_later_says_which_snapshot_it_became(
    store: Store, month: Month, accept: Take, refuse: Refuse
) -> None:
    accept(month(1))
    renamed = month(2).rename_columns(["flight", "carrier", "wind_spd", "distance", "temp", "late"])
    refused = refuse(renamed)
    with store.change(actor="bo", reason="the bureau renamed it") as change:
        contracts.accept_alias(change, dataset="flights", column="wind_speed", alias="wind_spd")

    taken = accept(renamed)

    assert [field.name for field in taken.schema] == month(1).column_names
    assert taken.contract_version == 2
    with store.view() as view:
        assert refusals.get(view, refused.id).resolved_by == "flights@2"


def test_a_missing_blob_is_named_and_changes_nothing(store: Store) -> None:
    with pytest.raises(NotFound, match="there is no blob"), store.change(actor="ana") as change:
        snapshots.take(change, dataset="flights", blob="0" * 64, format="parquet")

    assert counts(store) == (0, 0)


def test_a_damaged_upload_is_named_and_changes_nothing(store: Store, month: Month) -> None:
    blob, _ = store.blobs.put(to_csv(month(1)))
    flip_a_byte(store, blob)

    with pytest.raises(Corrupt, match="no longer matches"), store.change(actor="ana") as change:
        snapshots.take(change, dataset="flights", blob=blob, format="csv")

    assert counts(store) == (0, 0)


def test_bytes_of_no_table_are_refused_without_a_record(store: Store, take: Take) -> None:
    with pytest.raises(Malformed, match="not a readable Parquet file"):
        take(b"not a table")

    assert counts(store) == (0, 0)


def test_a_damaged_snapshot_does_not_verify(store: Store, month: Month, accept: Take) -> None:
    taken = accept(month(1))
    assert list(snapshots.damages(store.blobs, taken)) == []

    flip_a_byte(store, taken.blob)

    assert [(found.what, found.digest) for found in snapshots.damages(store.blobs, taken)] == [("part 1", taken.blob)]


def test_a_damaged_profile_is_unknown_and_does_not_hide_the_snapshot(store: Store, month: Month, accept: Take) -> None:
    taken = accept(month(1))
    flip_a_byte(store, taken.profile)

    with store.view() as view:
        shown, why = snapshots.described(view, snapshots.get(view, "flights", 1))

    assert shown is None
    assert why is not None and "no longer matches" in why


def test_profiles_of_two_snapshots_add_up(store: Store, month: Month, accept: Take) -> None:
    first, second = accept(month(1)), accept(month(2))

    with store.view() as view:
        (one, spec), (two, other) = snapshots.profile_of(view, first), snapshots.profile_of(view, second)
        shown, _ = snapshots.described(view, second)
    assert spec == other
    assert merge(one, two).n == 4_000
    assert shown is not None
    assert [column["name"] for column in shown] == month(1).column_names
    carrier = next(column for column in shown if column["name"] == "carrier")
    assert sum(each["count"] for each in carrier["top"]) == 2_000


def test_a_check_made_before_the_contract_moved_is_made_again(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))
    renamed = month(2).rename_columns(["flight", "carrier", "wind_spd", "distance", "temp", "late"])
    sink = io.BytesIO()
    pq.write_table(renamed, sink)
    blob, _ = store.blobs.put(sink.getvalue())
    with store.view() as view:
        early = snapshots.prepare(view, dataset="flights", blob=blob, format="parquet")
    assert early.problems
    with store.change(actor="bo") as change:
        contracts.accept_alias(change, dataset="flights", column="wind_speed", alias="wind_spd")

    with store.change(actor="ana") as change:
        taken = snapshots.take(change, dataset="flights", blob=blob, format="parquet", batch=early)

    assert isinstance(taken, Snapshot)


def test_a_period_must_end_after_it_begins() -> None:
    moment = datetime(2013, 1, 1, tzinfo=UTC)

    with pytest.raises(Invalid, match="must end after it begins"):
        Period(since=moment, until=moment)


@pytest.mark.parametrize(
    ("name", "says"),
    [("flights@9", "no snapshot 9; it has none yet"), ("nights@1", "no dataset 'nights'"), ("flights@old", "'old'")],
)
def test_a_snapshot_that_is_not_there_is_named(store: Store, name: str, says: str) -> None:
    with pytest.raises(NotFound, match=says), store.view() as view:
        snapshots.named(view, name)


def test_who_used_a_snapshot_is_kept_once(store: Store, month: Month, accept: Take) -> None:
    accept(month(1), run_id="a" * 32)
    with store.ingest() as ingest:
        for _ in range(2):
            lineage.use(ingest, snapshot="flights@1", subject="run:x", role="input")
        lineage.use(ingest, snapshot="flights@1", subject="version:late/1", role="train")

    with store.view() as view:
        assert {use.subject for use in lineage.used_by(view, dataset="flights")} == {"run:x", "version:late/1"}
        assert lineage.used_in(view, "run:x") == [("run:x", "flights@1", "input")]
        assert [made.id for made in lineage.made_by(view, "a" * 32)] == ["flights@1"]


# The encoder alone, on any table: the one promise that everything else rests on.
columns = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=5, max_size=5).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=5, max_size=5).map(
        lambda v: pa.array(v, pa.float64())
    ),
    st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=5, max_size=5).map(lambda v: pa.array(v, pa.string())),
)


def encoding(table: Frame) -> bytes:
    sink = io.BytesIO()
    manifests.encode(table, sink)
    return sink.getvalue()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.lists(columns, min_size=1, max_size=4), cut=st.integers(0, 5))
def test_equal_rows_are_equal_bytes_and_come_back(values: list[pa.Array], cut: int) -> None:
    table = pa.table({str(n): array for n, array in enumerate(values)})
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])

    encoded = encoding(table)

    assert encoding(chunked.replace_schema_metadata({"by": "somebody"})) == encoded
    assert pq.read_table(io.BytesIO(encoded)).equals(table)


def test_a_large_table_in_many_chunks_is_the_same_bytes() -> None:
    dice = np.random.default_rng(0)
    rows = 300_000
    table = pa.table(
        {
            "few": dice.integers(0, 9, rows),
            "real": pa.array(dice.random(rows), mask=dice.random(rows) < 0.1),
            "text": np.char.add("x", dice.integers(0, 10**6, rows).astype(str)),
        }
    )
    cuts = [0, *sorted(dice.integers(0, rows, 50).tolist()), rows]
    chunked = pa.concat_tables([table.slice(a, b - a) for a, b in itertools.pairwise(cuts)])

    assert encoding(chunked) == encoding(table)


def test_a_table_that_is_read_from_a_file_is_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "ROW_GROUP", 70_001)
    dice = np.random.default_rng(0)
    rows = 200_000
    table = pa.table(
        {
            "real": pa.array(dice.random(rows), mask=dice.random(rows) < 0.1),
            "text": np.char.add("x", dice.integers(0, 10**6, rows).astype(str)),
        }
    )
    pq.write_table(table, tmp_path / "table.parquet", row_group_size=33_333)

    assert encoding(frames.FileFrame(tmp_path / "table.parquet")) == encoding(table)


def test_a_dataset_name_is_taken_once(store: Store) -> None:
    with pytest.raises(Exception, match="exists already"), store.change(actor="bo") as change:
        datasets.create(change, name="flights", owner="bo")

    with store.view() as view:
        assert tables.dataset(view, "flights") is not None
        assert datasets.get(view, "flights").owner == "ana"
