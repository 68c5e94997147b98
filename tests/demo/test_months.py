# SPDX-License-Identifier: Apache-2.0
"""A month asks each departure once, without its label, and knows the fate of exactly those that landed."""

from __future__ import annotations

import pytest

from mainstay.demo.months import SAMPLE, Month, Months, first_of
from mainstay.demo.project import flights


@pytest.fixture(scope="module")
def march() -> Month:
    months = Months()
    months.prepare(3)
    return months.of(3)


def test_the_sample_is_spread_evenly_over_the_month(march: Month) -> None:
    days = [int(asked.at[8:10]) for asked in march.requests(0, SAMPLE)]

    # The sample ends within the last day, and an evening in New York is the next day in UTC.
    per_day = [days.count(day) for day in range(2, 31)]
    assert min(per_day) > 40 and max(per_day) < 90


def test_requests_taken_in_pieces_are_those_taken_at_once(march: Month) -> None:
    pieces = [asked for first in range(0, 3000, 250) for asked in march.requests(first, 250)]

    assert pieces == march.requests(0, 3000)
    assert len({asked.key for asked in pieces}) == 3000


def test_no_request_tells_its_label(march: Month) -> None:
    assert set(march.requests(0, 1)[0].row) == set(flights.FEATURES)
    assert set(march.rows.column_names) == {"key", "due", *flights.FEATURES}


def test_every_flight_that_landed_has_a_fate_after_it_was_due(march: Month) -> None:
    landed = march.table.num_rows - march.table["arr_delay"].null_count
    asked = march.requests(0, SAMPLE)
    told = [(one, march.fate_by_key[one.key]) for one in asked if one.key in march.fate_by_key]

    assert len(march.fate_by_key) == landed == 27_902
    assert {fate.label for _, fate in told} == {0, 1}
    assert all(one.at < fate.at for one, fate in told)


def test_a_year_has_no_thirteenth_month() -> None:
    months = Months()

    months.prepare(13)

    assert months._made == {}
    assert first_of(13).isoformat() == "2014-01-01T00:00:00+00:00"
