# SPDX-License-Identifier: Apache-2.0
"""Collecting takes what nothing refers to, and never anything that something does, whichever way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import LargeBinary, String, Text

from mainstay.domain.digests import canonical_json, sha256_hex
from mainstay.domain.errors import Corrupt, Invalid
from mainstay.domain.events.governance import WorkspaceMade
from mainstay.server.app import all_routes
from mainstay.store import Json, Store, collecting, ledger, metadata, open_store
from mainstay.store.blobs.local import LocalBlobs


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace", clock=lambda: datetime.now(UTC))
    yield opened
    opened.close()


def age(store: Store) -> None:
    assert isinstance(store.blobs, LocalBlobs)
    for file in store.blobs.folder.rglob("*"):
        if file.is_file():
            os.utime(file, (time.time() - 48 * 3600,) * 2)


def name_in_ledger(store: Store, text: str) -> None:
    with store.change(actor="ana") as change:
        change.record(WorkspaceMade(program=text))


def test_what_the_record_names_and_what_that_names_stays(store: Store) -> None:
    leaf, loose = store.blobs.put(b"leaf")[0], store.blobs.put(b"loose")[0]
    inner = store.blobs.put(canonical_json({"files": {"a": [leaf, 4]}}))[0]
    outer = store.blobs.put(canonical_json([inner]))[0]
    name_in_ledger(store, f"made of {outer}")
    age(store)

    found = collecting.collect(store, actor="ana", delete=True).found

    assert found.objects == 1
    assert store.blobs.missing([leaf, inner, outer, loose]) == [loose]


def test_it_is_counted_first_and_taken_away_only_when_asked(store: Store) -> None:
    digest, size = store.blobs.put(b"nobody's")
    age(store)

    counted = collecting.collect(store, actor="ana").found
    assert (counted.objects, counted.size) == (1, size)
    with store.view() as view:
        assert ledger.head(view)[0] == 0
    assert store.blobs.size(digest) == size

    age(store)
    taken = collecting.collect(store, actor="ana", reason="the disk is full", delete=True).found

    assert (taken.objects, len(taken.gone), taken.gone[0].digest) == (1, 1, digest) and store.blobs.size(digest) is None
    with store.view() as view:
        event = view.event(1)
    assert event is not None and (event.kind, event.actor, event.reason) == (
        "store.collected",
        "ana",
        "the disk is full",
    )
    listed = event.body.pop("listed")
    assert event.body == {
        "objects": 1,
        "size": size,
        "rewritten": 0,
        "grace_s": 86_400,
        "kinds": [{"what": "nothing refers to it", "objects": 1, "size": size}],
        "forgotten": 0,
    }
    assert bytes.fromhex(digest) in store.blobs.read(listed)


def test_what_was_brought_within_the_grace_period_stays(store: Store) -> None:
    digest, _ = store.blobs.put(b"about to be referred to")

    assert collecting.collect(store, actor="ana", delete=True).found.young == 1
    assert store.blobs.size(digest) is not None


def test_a_grace_period_that_is_no_protection_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="at least 1:00:00"):
        collecting.collect(store, actor="ana", grace=timedelta(minutes=59))


def test_a_damaged_list_stops_it_before_anything_is_taken_away(store: Store) -> None:
    leaf = store.blobs.put(b"leaf")[0]
    top = store.blobs.put(canonical_json({"files": [leaf]}))[0]
    name_in_ledger(store, top)
    assert isinstance(store.blobs, LocalBlobs)
    file = store.blobs.folder / top[:2] / top
    file.chmod(0o600)
    file.write_bytes(file.read_bytes().replace(leaf[:8].encode(), b"00000000"))
    age(store)

    with pytest.raises(Corrupt):
        collecting.collect(store, actor="ana", delete=True)
    assert store.blobs.read(leaf) == b"leaf"


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_that_can_be_reached_is_ever_taken_away(store: Store, data: st.DataObject) -> None:
    """Blobs that name earlier ones, some kept in packs, some named by the record: a walk by hand says which must stay."""
    contents: list[bytes] = []
    names: dict[str, list[str]] = {}
    for n in range(data.draw(st.integers(1, 12))):
        named = data.draw(st.lists(st.sampled_from(sorted(names)), max_size=3, unique=True)) if names else []
        content = canonical_json({"n": n, "of": named, "seed": os.urandom(4).hex()})
        contents.append(content)
        names[sha256_hex(content)] = named
    packed = data.draw(st.lists(st.booleans(), min_size=len(contents), max_size=len(contents)))
    with store.blobs.packing() as packing:
        for content, is_packed in zip(contents, packed, strict=True):
            if is_packed:
                packing.add(content)
            else:
                store.blobs.put(content)
    roots = data.draw(st.lists(st.sampled_from(sorted(names)), max_size=3))
    for root in roots:
        name_in_ledger(store, f"see {root}.")
    age(store)

    collecting.collect(store, actor="ana", delete=True)

    reached, waiting = set[str](), list(roots)
    while waiting:
        digest = waiting.pop()
        if digest not in reached:
            reached.add(digest)
            waiting += names[digest]
    gone = set(store.blobs.missing(sorted(names)))
    loose = {name for name, is_packed in zip(names, packed, strict=True) if not is_packed}
    assert gone.isdisjoint(reached)
    assert loose - reached <= gone  # of a pack that is nearly all alive, the little that is not may stay


def test_every_column_that_could_hold_a_digest_is_read(store: Store) -> None:
    """Whatever room a table belongs to: nobody has to remember to tell the collection of a new one."""
    all_routes()  # brings every room's tables
    with store.view() as view:
        found = view.reflected()
    columns = [(table, column) for table in metadata.sorted_tables for column in table.columns]
    textual = [(t.name, c.name) for t, c in columns if isinstance(c.type, String | Text | LargeBinary | Json)]
    wide = [(t, c) for t, c in textual if getattr(metadata.tables[t].c[c].type, "length", None) in (None, 64)]

    assert len(wide) > 100
    for table, column in wide:
        assert collecting._may_hold(found.tables[table].c[column].type), f"{table}.{column}"
