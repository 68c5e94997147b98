# SPDX-License-Identifier: Apache-2.0
"""Times: always UTC, always aware; one written form on every wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mainstay.domain.errors import Invalid

Clock = Callable[[], datetime]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def utc_now() -> datetime:
    """The time now. Everything that needs the time takes a `Clock`, so that tests can hold it still."""
    return datetime.now(UTC)


def to_wire(moment: datetime) -> str:
    """ISO 8601 with microseconds and ``Z``.

    >>> to_wire(datetime(2013, 1, 1, tzinfo=UTC))
    '2013-01-01T00:00:00.000000Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_wire(text: str, *, what: str = "time") -> datetime:
    """Read an ISO 8601 time or date; one without a zone is taken as UTC.

    Raises:
        Invalid: ``text`` is not a time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise Invalid(f"{what} is {text!r}; an ISO 8601 time such as '2013-03-01T00:00:00Z' is expected.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_duration(text: str, *, what: str = "duration") -> timedelta:
    """Read ``"30s"``, ``"5m"``, ``"12h"``, ``"7d"`` or ``"2w"``.

    Raises:
        Invalid: any other text.

    >>> parse_duration("7d")
    datetime.timedelta(days=7)
    """
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _UNITS:
        raise Invalid(f"{what} is {text!r}; a whole number and a unit of s, m, h, d or w is expected, such as '7d'.")
    return timedelta(seconds=int(number) * _UNITS[unit])
