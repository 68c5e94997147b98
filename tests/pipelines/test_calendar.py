# SPDX-License-Identifier: Apache-2.0
"""When something is due, held against a calendar that looks at every minute there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid, TooLarge
from mainstay.domain.scheduling import Timing
from mainstay.lifecycle.pipelines.scheduling import calendar

MINUTE = timedelta(minutes=1)
# Both changes of clocks in zones of either half of the earth, one of half an hour, one at midnight, and none at all.
CHANGES = {
    "Europe/Berlin": ("2024-03-30T20:00", "2024-10-26T20:00"),
    "America/New_York": ("2024-03-10T00:00", "2024-11-03T00:00"),
    "Australia/Lord_Howe": ("2024-04-06T08:00", "2024-10-05T08:00"),
    "America/Sao_Paulo": ("2018-02-17T16:00", "2018-11-03T18:00"),
    "Asia/Kolkata": ("2024-03-30T20:00", "2024-10-26T20:00"),
    "UTC": ("2024-03-30T20:00", "2024-10-26T20:00"),
}


def due(cron: str, zone: str, since: str, hours: float) -> list[str]:
    """What the calendar says, in local time with its offset."""
    begin = datetime.fromisoformat(since).replace(tzinfo=UTC)
    found = calendar.between(Timing(cron, None, zone), begin, begin + timedelta(hours=hours), most=10_000)
    return [each.astimezone(calendar.zone(zone)).isoformat(timespec="minutes") for each in found]


def by_brute_force(minutes: set[int], hours: set[int], zone: str, begin: datetime, end: datetime) -> list[datetime]:
    """Minutes of the day that are due, found by looking at each; ``hours`` of all 24 means every hour."""
    where = ZoneInfo(zone)
    if hours == set(range(24)) or minutes == set(range(60)):  # keeps to the minutes that there are
        moments = (begin + n * MINUTE for n in range(int((end - begin) / MINUTE) + 1))
        return [m for m in moments if m.astimezone(where).minute in minutes and m.astimezone(where).hour in hours]
    found = set()
    day = begin.astimezone(where).date() - timedelta(days=1)
    while day <= end.astimezone(where).date():
        for hour in hours:
            for minute in minutes:
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=where)
                while local.astimezone(UTC).astimezone(where).replace(tzinfo=None) != local.replace(tzinfo=None):
                    local = (local.replace(tzinfo=None) + MINUTE).replace(tzinfo=where)
                found.add(local.astimezone(UTC))
        day += timedelta(days=1)
    return sorted(each for each in found if begin <= each <= end)


@given(
    zone=st.sampled_from(sorted(CHANGES)),
    which=st.integers(0, 1),
    minutes=st.one_of(st.just(set(range(60))), st.sets(st.integers(0, 59), min_size=1, max_size=3)),
    hours=st.one_of(st.just(set(range(24))), st.sets(st.integers(0, 23), min_size=1, max_size=4)),
    late=st.integers(0, 20 * 60),
)
def test_the_calendar_agrees_with_one_that_looks_at_every_minute(zone, which, minutes, hours, late) -> None:
    begin = datetime.fromisoformat(CHANGES[zone][which]).replace(tzinfo=UTC) + late * MINUTE
    end = begin + timedelta(hours=14)
    fields = ["*" if found == set(every) else ",".join(map(str, sorted(found)))
              for found, every in ((minutes, range(60)), (hours, range(24)))]  # fmt: skip
    timing = Timing(f"{fields[0]} {fields[1]} * * *", None, zone)

    found = calendar.between(timing, begin, end, most=10_000)

    assert found == by_brute_force(minutes, hours, zone, begin, end)
    if found:
        assert calendar.last(timing, end) == found[-1]
        assert calendar.after(timing, found[-1] - MINUTE / 2) == found[-1]


def test_an_hour_that_is_skipped_is_made_up_for_at_its_end() -> None:
    assert due("30 2 * * *", "Europe/Berlin", "2024-03-30T00:00", 48) == [
        "2024-03-30T02:30+01:00",
        "2024-03-31T03:00+02:00",
    ]


def test_an_hour_that_comes_twice_counts_once_for_a_fixed_time_and_twice_for_every_hour() -> None:
    assert due("30 2 * * *", "Europe/Berlin", "2024-10-26T22:00", 24) == ["2024-10-27T02:30+02:00"]
    assert due("30 * * * *", "Europe/Berlin", "2024-10-26T23:50", 3) == [
        "2024-10-27T02:30+02:00",
        "2024-10-27T02:30+01:00",
        "2024-10-27T03:30+01:00",
    ]


def test_from_within_the_second_pass_of_an_hour_the_first_is_not_due_again() -> None:
    second_pass = datetime(2024, 10, 27, 1, 10, tzinfo=UTC)  # 02:10 for the second time

    assert calendar.after(Timing("30 2 * * *", None, "Europe/Berlin"), second_pass) == datetime(
        2024, 10, 28, 1, 30, tzinfo=UTC
    )


@given(
    every=st.sampled_from(["1s", "7m", "90m", "6h", "1d", "5d", "1w"]),
    at=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),
)
def test_an_interval_is_elapsed_time_from_one_beginning(every: str, at: datetime) -> None:
    timing, moment = Timing(None, every, "Europe/Berlin"), at.replace(tzinfo=UTC)
    length = calendar.parse_duration(every)

    following, before = calendar.after(timing, moment), calendar.last(timing, moment)

    assert following is not None and before is not None
    assert before <= moment < following == before + length
    assert (before - datetime(1970, 1, 5, tzinfo=UTC)) % length == timedelta(0)


@pytest.mark.parametrize(
    ("timing", "told"),
    [
        (Timing("0 3 * *", None, "UTC"), "wrong number of fields"),
        (Timing("61 3 * * *", None, "UTC"), "bad minute"),
        (Timing("0 0 30 2 *", None, "UTC"), "bad day-of-month"),
        (Timing("0 3 * * *", None, "Mars/Olympus"), "time zone 'Mars/Olympus' is not known"),
        (Timing("0 3 * * *", None, "../../etc/passwd"), "is not known"),
        (Timing("0 3 * * *", "1d", "UTC"), "has both cron and every"),
        (Timing(None, None, "UTC"), "has neither cron and every"),
        (Timing(None, "0s", "UTC"), "at least 1s"),
        (Timing(None, "often", "UTC"), "a whole number and a unit"),
    ],
)
def test_a_timing_that_says_nothing_is_refused(timing: Timing, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        calendar.check(timing, what="schedule 'x'", now=datetime(2024, 1, 1, tzinfo=UTC))


@given(
    zone=st.sampled_from(sorted(CHANGES)),
    by=st.sampled_from(["hour", "day", "week", "month"]),
    at=st.datetimes(datetime(2018, 1, 1), datetime(2024, 12, 1)),
)
def test_partitions_cover_a_stretch_without_gap_or_overlap(zone: str, by: str, at: datetime) -> None:
    where = calendar.zone(zone)
    begin = calendar._start_of(at.replace(tzinfo=UTC), by, where)
    end = calendar._start_of(begin + timedelta(days=3 if by == "hour" else 120), by, where)

    found = calendar.partitions(begin, end, by=by, timezone=zone)

    assert (found[0].since, found[-1].until) == (begin, end)
    assert all(one.until == other.since for one, other in pairwise(found))
    assert len({each.name for each in found}) == len(found)
    for each in found:
        local = each.since.astimezone(where)
        assert datetime.fromisoformat(each.name).date() == local.date()
        assert by == "hour" or (each.since - MINUTE).astimezone(where).date() < local.date()
        assert by != "week" or local.weekday() == 0
        assert by != "month" or local.day == 1


def test_a_day_on_which_clocks_change_is_a_partition_of_its_own_length() -> None:
    begin, end = (calendar.local_moment(day, "Europe/Berlin", what="end") for day in ("2024-03-30", "2024-04-02"))

    found = calendar.partitions(begin, end, by="day", timezone="Europe/Berlin")

    assert [(each.name, (each.until - each.since).total_seconds() / 3600) for each in found] == [
        ("2024-03-30", 24),
        ("2024-03-31", 23),
        ("2024-04-01", 24),
    ]


def test_ends_that_are_none_of_a_partition_are_refused() -> None:
    day = datetime(2024, 1, 1, tzinfo=UTC)

    for since, until, by, error, told in (
        (day, day, "day", Invalid, "there is no day"),
        (day, day + timedelta(days=2), "fortnight", Invalid, "hour, day, week, month"),
        (day + timedelta(hours=1), day + timedelta(days=2), "day", Invalid, "it can at 2024-01-01"),
        (day, day + timedelta(days=1), "week", Invalid, "cannot end at 2024-01-02; it can at 2024-01-01"),
        (day, day + timedelta(days=4000), "hour", TooLarge, "more than 10000"),
    ):
        with pytest.raises(error, match=told):
            calendar.partitions(since, until, by=by, timezone="UTC")
