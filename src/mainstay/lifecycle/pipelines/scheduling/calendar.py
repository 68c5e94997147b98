# SPDX-License-Identifier: Apache-2.0
"""The calendar: at which moments something is due, and into which partitions a stretch of time falls.

In: a timing and a moment. Out: moments in UTC. Where clocks are changed, cron is read as Debian's reads it: something
for a fixed time of the day is due once on every day, at the first moment after the gap if its own does not exist, and
at the first of two if it comes twice; something for every so many minutes or hours keeps to the minutes that there are.
Intervals are elapsed time and know no such changes: they are counted from midnight UTC of Monday, 5 January 1970.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from mainstay.domain.clock import parse_duration, to_wire
from mainstay.domain.errors import Invalid, TooLarge
from mainstay.domain.scheduling import UNITS, Partition, Timing

SHORTEST_INTERVAL = timedelta(seconds=1)
MOST_PARTITIONS = 10_000

_MINUTE = timedelta(minutes=1)
_FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
# To find the last time before a moment, ever longer stretches before it are looked through, from their beginning:
# walking backwards would need rules of its own for the hours that are skipped or repeated.
_STRETCHES = tuple(timedelta(days=days) for days in (1 / 24, 1, 32, 366, 3_000, 20_000))


def zone(name: str) -> tzinfo:
    """The time zone called ``name``.

    Raises:
        Invalid: this machine knows none of that name.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise Invalid(f"time zone {name[:80]!r} is not known here; 'UTC' or one such as 'Europe/Berlin' is.") from error


def check(timing: Timing, *, what: str, now: datetime) -> None:
    """See that a timing can be understood, and comes at all.

    Raises:
        Invalid: it does not.
    """
    zone(timing.timezone)
    if (timing.cron is None) == (timing.every is None):
        raise Invalid(f"{what} has {'both' if timing.cron else 'neither'} cron and every; give one of them.")
    if timing.every is not None and parse_duration(timing.every, what=f"every of {what}") < SHORTEST_INTERVAL:
        raise Invalid(f"{what} is due every {timing.every}; at least 1s is possible.")
    if after(timing, now, what=what) is None:
        raise Invalid(f"{what} has cron {timing.cron!r}, which never comes; correct the day and the month.")


def after(timing: Timing, moment: datetime, *, what: str = "schedule") -> datetime | None:
    """The first time after ``moment``; None if there is none.

    Raises:
        Invalid: the cron expression cannot be read.
    """
    return next(_from(timing, moment, what), None)


def between(timing: Timing, since: datetime, until: datetime, *, most: int) -> list[datetime]:
    """The first ``most`` times from ``since`` to ``until``, both included."""
    found: list[datetime] = []
    for moment in _from(timing, since - timedelta(microseconds=1), "schedule"):
        if moment > until or len(found) == most:
            break
        found.append(moment)
    return found


def last(timing: Timing, moment: datetime) -> datetime | None:
    """The last time up to and including ``moment``; None if there was none for half a century."""
    if timing.every is not None:
        return _last_interval(parse_duration(timing.every), moment)
    for stretch in _STRETCHES:
        found = None
        for each in _from(timing, moment - stretch, "schedule"):
            if each > moment:
                break
            found = each
        if found is not None:
            return found
    return None


def _from(timing: Timing, moment: datetime, what: str) -> Iterator[datetime]:
    """Every time after ``moment``, each later than the one before."""
    if timing.every is not None:
        every = parse_duration(timing.every)
        due = _last_interval(every, moment) + every
        while True:
            yield due
            due += every
    cron, where = _read(timing, moment, what), zone(timing.timezone)
    for due in _minute_by_minute(cron, moment, where) if cron.fixup_tz is None and where is not UTC else cron:
        # A clock that is put back shows an hour twice: from within its second pass, the first still looks to come. And
        # of two times that fall into a gap, both are due at its end.
        if due > moment:
            moment = due.astimezone(UTC)
            yield moment


def _read(timing: Timing, moment: datetime, what: str) -> CronSim:
    text = timing.cron or ""
    try:
        if len(text.split()) != 5:
            raise CronSimError("Wrong number of fields")
        return CronSim(text, moment.astimezone(zone(timing.timezone)))
    except CronSimError as error:
        told = str(error)[:1].lower() + str(error)[1:]
        raise Invalid(f"cron of {what} is {text[:80]!r}: {told}; five fields such as '0 3 * * *' are read.") from None


def _minute_by_minute(cron: CronSim, moment: datetime, where: tzinfo) -> Iterator[datetime]:
    """What keeps to the minutes that there are, where clocks are changed.

    Not by the library's own steps of an hour, which pass over minutes where a clock is put back by half an hour.
    """
    at = moment.replace(second=0, microsecond=0) + _MINUTE
    end = at + _STRETCHES[-1]
    while at < end:
        local = at.astimezone(where)
        if local.month not in cron.months or not cron.match_day(local.date()):
            at = _midnight(local.date() + timedelta(days=1), where)
        elif local.hour not in cron.hours:
            at += timedelta(minutes=15 - at.minute % 15)  # offsets are whole quarters of an hour
        else:
            if local.minute in cron.minutes:
                yield at
            at += _MINUTE


def _last_interval(every: timedelta, moment: datetime) -> datetime:
    return _FIRST_MONDAY + (moment - _FIRST_MONDAY) // every * every


def partitions(since: datetime, until: datetime, *, by: str, timezone: str) -> list[Partition]:
    """The partitions from ``since`` up to but not with ``until``: days, weeks from Monday or months of the zone, or hours,
    which are those of UTC everywhere: where clocks are changed by half an hour, a zone's own would overlap.

    Raises:
        Invalid: another unit, an end that is none of a partition, or nothing in between. TooLarge: very many.
    """
    if by not in UNITS:
        raise Invalid(f"partitions by {by[:40]!r} are not known; they go by {', '.join(UNITS)}.")
    where = zone(timezone)
    for what, moment in (("begin", since), ("end", until)):
        if (start := _start_of(moment, by, where)) != moment:
            raise Invalid(
                f"a backfill by {by} cannot {what} at {written(moment, where)}; it can at {written(start, where)}."
            )
    if since >= until:
        raise Invalid(f"from {written(since, where)} to {written(until, where)} there is no {by}; give a later end.")
    found: list[Partition] = []
    while since < until:
        if len(found) == MOST_PARTITIONS:
            raise TooLarge(f"there are more than {MOST_PARTITIONS} partitions by {by}; backfill a shorter stretch.")
        following = _following(since, by, where)
        found.append(Partition(name=_name(since, by, where), since=since, until=following))
        since = following
    return found


def local_moment(text: str, timezone: str, *, what: str) -> datetime:
    """A date or time as somebody in the zone would write it; one that says its own offset keeps it.

    Raises:
        Invalid: it is neither.
    """
    try:
        found = datetime.fromisoformat(text)
        return (found.replace(tzinfo=zone(timezone)) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{what} is {text[:80]!r}; a date such as '2013-01-01' is expected.") from error


def written(moment: datetime, where: tzinfo) -> str:
    """The date, where a day of the zone begins; else the moment in UTC."""
    local = moment.astimezone(where)
    return local.date().isoformat() if _midnight(local.date(), where) == moment else to_wire(moment)


def _start_of(moment: datetime, by: str, where: tzinfo) -> datetime:
    """The beginning of the partition that ``moment`` is in."""
    local = moment.astimezone(where)
    if by == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = local.date()
    if by == "week":
        day -= timedelta(days=day.weekday())
    return _midnight(day.replace(day=1) if by == "month" else day, where)


def _following(start: datetime, by: str, where: tzinfo) -> datetime:
    if by == "hour":
        return start + timedelta(hours=1)
    day = start.astimezone(where).date()
    if by == "month":
        return _midnight((day.replace(day=1) + timedelta(days=32)).replace(day=1), where)
    return _midnight(day + timedelta(days=7 if by == "week" else 1), where)


def _midnight(day: date, where: tzinfo) -> datetime:
    """When a day begins; where clocks are put forward at midnight, that is the moment after."""
    return datetime.combine(day, time(0), where).astimezone(UTC)


def _name(start: datetime, by: str, where: tzinfo) -> str:
    local = start.astimezone(where)
    # With the offset: an hour that a clock shows twice is two partitions.
    return local.isoformat(timespec="minutes") if by == "hour" else local.date().isoformat()
