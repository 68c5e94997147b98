# SPDX-License-Identifier: Apache-2.0
"""Times: always UTC, always aware; one written form on every wire."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mainstay.domain.errors import Invalid

Clock = Callable[[], datetime]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,15})([smhdw])")
_LONGEST_S = 1000 * 366 * 86400


def utc_now() -> datetime:
    """The time now. Everything that needs the time takes a `Clock`, so that tests can hold it still."""
    return datetime.now(UTC)


def to_wire(moment: datetime) -> str:
    """ISO 8601 with microseconds and ``Z``.

    >>> to_wire(datetime(2013, 1, 1, tzinfo=UTC))
    '2013-01-01T00:00:00.000000Z'
    """
    # Not strftime: its %Y leaves out the zeros of a year before 1000, and the result could not be read back.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_wire(text: str, *, what: str = "time") -> datetime:
    """Read an ISO 8601 time or date; one without a zone is taken as UTC.

    Raises:
        Invalid: ``text`` is not a time.
    """
    try:
        moment = datetime.fromisoformat(text)
        # Overflow: a time at the very end of the calendar, in a zone that puts it beyond.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        shown = repr(text)[:80]
        raise Invalid(f"{what} is {shown}; an ISO 8601 time such as '2013-03-01T00:00:00Z' is expected.") from error


def parse_duration(text: str, *, what: str = "duration") -> timedelta:
    """Read ``"30s"``, ``"5m"``, ``"12h"``, ``"7d"`` or ``"2w"``.

    Raises:
        Invalid: any other text.

    >>> parse_duration("7d")
    datetime.timedelta(days=7)
    """
    found = _DURATION.fullmatch(text)
    if not found:
        shown = repr(text)[:80]
        raise Invalid(f"{what} is {shown}; a whole number and a unit of s, m, h, d or w is expected, such as '7d'.")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST_S:
        raise Invalid(
            f"{what} is {text!r}, which is more than a thousand years; a shorter one is expected, such as '7d'."
        )
    return timedelta(seconds=seconds)
