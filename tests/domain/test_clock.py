# SPDX-License-Identifier: Apache-2.0
"""Times: one written form, exact to the microsecond, over the whole calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.clock import from_wire, parse_duration, to_wire, utc_now
from mainstay.domain.errors import Invalid

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)


@given(MOMENTS)
def test_a_moment_is_read_back_exactly(moment: datetime) -> None:
    written = to_wire(moment)

    assert from_wire(written) == moment
    assert (len(written), written[-1]) == (27, "Z")


@given(MOMENTS, MOMENTS)
def test_written_moments_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (to_wire(one) < to_wire(other)) == (one < other)


def test_a_time_without_a_zone_is_utc() -> None:
    assert from_wire("2013-03-01") == datetime(2013, 3, 1, tzinfo=UTC)
    assert from_wire("2013-03-01T12:00:00+02:00") == datetime(2013, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2013-13-01", "0001-01-01T00:00:00+23:00", "9999-12-31T23:00:00-02:00", "x" * 9999, "\x00"],
)
def test_what_is_no_time_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(Invalid, match="until is ") as refusal:
        from_wire(text, what="until")

    assert len(refusal.value.message) < 200


def test_the_time_now_knows_its_zone() -> None:
    assert utc_now().tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0d", timedelta(0)),
    ],
)
def test_a_duration_is_a_whole_number_and_a_unit(text: str, meant: timedelta) -> None:
    assert parse_duration(text) == meant


@pytest.mark.parametrize(
    "text", ["", "d", "7", "7 d", "-7d", "1.5d", "٧d", "7D", "7d\n", "9" * 15 + "w", "9" * 5000 + "s"]
)
def test_any_other_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="cooldown is ") as refusal:
        parse_duration(text, what="cooldown")

    assert len(refusal.value.message) < 250
