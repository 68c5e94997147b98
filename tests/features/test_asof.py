# SPDX-License-Identifier: Apache-2.0
"""The as-of rule, held against a search that looks at every event for every label."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid
from mainstay.features import asof

EPOCH = datetime(2024, 3, 30, 12, tzinfo=UTC)


def by_brute_force(labels: list[Any], events: list[Any], delay: int, ttl: int | None) -> list[int]:
    """The number of the event for each label; each side is (entity …, seconds or None)."""
    found = []
    for *entity, asked in labels:
        best, best_at = -1, None
        for number, (*other, at) in enumerate(events):
            if asked is None or at is None or None in entity or other != entity or at + delay > asked:
                continue
            if best_at is None or at >= best_at:
                best, best_at = number, at
        if best_at is not None and ttl is not None and asked - best_at > ttl:
            best = -1
        found.append(best)
    return found


def table(rows: list[Any], names: list[str], kinds: list[pa.DataType], kind: pa.DataType, zone: timezone) -> pa.Table:
    columns = [[row[place] for row in rows] for place in range(len(names))]
    moments = [None if s is None else (EPOCH + timedelta(seconds=s)) for s in columns[-1]]
    shown = [None if m is None else m.astimezone(zone) if kind.tz else m.replace(tzinfo=None) for m in moments]
    arrays = [pa.array(values, type_) for values, type_ in zip(columns[:-1], kinds, strict=True)]
    return pa.table({**dict(zip(names, arrays, strict=False)), names[-1]: pa.array(shown, kind)})


MOMENTS = st.one_of(st.none(), st.integers(-40, 40), st.integers(-(10**8), 10**8))
KINDS = st.sampled_from([pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("s"),
                         pa.timestamp("ms", "America/New_York")])  # fmt: skip
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Any, ...]:
    texts = st.one_of(st.none(), st.sampled_from(["a", "b", "ä", ""]))
    numbers = st.one_of(st.none(), st.integers(-2, 3))
    entity = draw(st.sampled_from([("text",), ("number",), ("text", "number")]))
    key = [texts if name == "text" else numbers for name in entity]
    rows = st.tuples(*key, MOMENTS)
    events = draw(st.lists(rows, max_size=25))
    if draw(st.booleans()):  # a log in the order of time takes another way through the code
        events.sort(key=lambda row: -(10**9) if row[-1] is None else row[-1])
    labels = draw(st.lists(rows, max_size=15))
    return entity, labels, events, draw(st.integers(0, 20)), draw(st.one_of(st.none(), st.integers(0, 60)))


@given(world=worlds(), kind=KINDS, other=KINDS, zone=ZONES, wide=st.booleans(), encoded=st.booleans())
def test_the_join_agrees_with_a_search_through_everything(world, kind, other, zone, wide, encoded) -> None:
    entity, labels, events, delay, ttl = world
    types = {"text": pa.string(), "number": pa.int64()}
    others = {"text": pa.large_string() if wide else pa.string(), "number": pa.int16() if wide else pa.int64()}
    left = table(labels, [*entity, "asked"], [types[e] for e in entity], kind, zone)
    right = table(events, [*entity, "at"], [others[e] for e in entity], other, UTC)
    if encoded and "text" in entity:
        right = right.set_column(0, "text", right["text"].cast(pa.string()).dictionary_encode())

    found = asof.places(
        left, right, entity=entity, label_time="asked", event_time="at",
        delay_us=delay * 1_000_000, ttl_us=None if ttl is None else ttl * 1_000_000,
    )  # fmt: skip

    assert found.tolist() == by_brute_force(labels, events, delay, ttl)


@given(st.data())
def test_times_that_need_every_bit_are_ranked_instead_of_packed(data: st.DataObject) -> None:
    moments = st.integers(-(2**62) + 1, 2**62 - 1)
    ids = st.integers(0, 40)
    events = data.draw(st.lists(st.tuples(ids, moments), min_size=1, max_size=30))
    labels = data.draw(st.lists(st.tuples(ids, moments), min_size=1, max_size=10))

    def as_table(rows: list[Any]) -> pa.Table:
        return pa.table({"id": [r[0] for r in rows], "at": pa.array([r[1] for r in rows], pa.timestamp("us"))})

    found = asof.places(as_table(labels), as_table(events), entity=["id"], label_time="at", event_time="at")

    assert found.tolist() == by_brute_force(labels, events, 0, None)


def of(ids: list[Any], hours: list[float], **more: Any) -> pa.Table:
    moments = pa.array([EPOCH + timedelta(hours=h) for h in hours], pa.timestamp("us", "UTC"))
    return pa.table({"id": ids, "at": moments, **more})


def places(labels: pa.Table, events: pa.Table, **rules: Any) -> list[int]:
    return asof.places(labels, events, entity=["id"], label_time="at", event_time="at", **rules).tolist()


HOUR = 3_600_000_000


def test_a_row_counts_from_its_delay_on_and_not_a_moment_before() -> None:
    events = of([1], [0])

    assert places(of([1, 1], [1, 0.999]), events, delay_us=HOUR) == [0, -1]


def test_a_stale_row_is_not_replaced_by_one_that_is_staler() -> None:
    events = of([1, 1], [0, 5])

    assert places(of([1, 1, 1], [7, 7.001, 4]), events, ttl_us=2 * HOUR) == [1, -1, -1]


def test_of_two_rows_of_one_time_the_one_that_stands_last_counts() -> None:
    assert places(of([1], [1]), of([1, 1, 2, 1], [0, 0, 0, -1])) == [1]


def test_a_row_that_arrived_late_is_found_by_its_own_time() -> None:
    assert places(of([1, 1], [2.5, 9]), of([1, 1, 1], [3, 1, 2])) == [2, 0]


def test_entities_of_many_columns_are_not_mixed_up() -> None:
    random = np.random.default_rng(1)
    n = 400
    wide = {f"c{k}": [f"{v}" for v in random.integers(0, 60, n)] for k in range(8)}  # 60^8 is more than fits
    events = pa.table({**wide, "at": pa.array(range(n), pa.timestamp("s"))})
    labels = events.set_column(8, "at", pa.array([10**6] * n, pa.timestamp("s")))

    found = asof.places(labels, events, entity=[*wide], label_time="at", event_time="at")

    assert found.tolist() == list(range(n))


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (pa.table({"id": ["1"], "at": pa.array([0], pa.timestamp("s"))}), "one type"),
        (pa.table({"id": [1], "at": ["yesterday"]}), "make it a timestamp"),
    ],
)
def test_what_cannot_be_compared_is_refused(labels: pa.Table, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        places(labels, of([1], [0]))


def test_nothing_on_either_side_is_no_error() -> None:
    empty = of([], []).cast(pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC"))]))

    assert places(empty, of([1], [0])) == []
    assert places(of([1], [0]), empty) == [-1]
    assert places(of([None], [0]), of([None], [0])) == [-1]
