# SPDX-License-Identifier: Apache-2.0
"""Values in words: times, counts, shares, sizes, figures. Pure, so that every command says the same thing the same way.

What is not known is called so; it is never blank and never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.domain.clock import from_wire, utc_now

UNKNOWN = "unknown"

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SIZES = ("B", "kB", "MB", "GB", "TB")


def ago(moment: str | None, *, now: datetime | None = None) -> str:
    """A moment as seen from now; never "yesterday", which depends on where the reader sits.

    >>> ago("2026-01-01T00:00:00Z", now=from_wire("2026-01-01T03:00:00Z"))
    '3 h ago'
    """
    if not moment:
        return UNKNOWN
    passed = ((now or utc_now()) - from_wire(moment)).total_seconds()
    if abs(passed) < 5:
        return "just now"
    return f"{_coarse(passed)} ago" if passed > 0 else f"in {_coarse(-passed)}"


def _coarse(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    if seconds < 90 * _DAY:
        return f"{seconds / _DAY:.0f} d"
    months = round(seconds / (30.44 * _DAY))
    return f"{months} months" if months < 24 else f"{seconds / (365.25 * _DAY):.0f} years"


def moment(text: str | None) -> str:
    """Absolute, to the minute, in UTC.

    >>> moment("2013-03-01T12:34:56.000000Z")
    '2013-03-01 12:34 UTC'
    """
    return f"{from_wire(text):%Y-%m-%d %H:%M} UTC" if text else UNKNOWN


def when(text: str | None) -> str:
    """Both, where there is room for both."""
    return f"{moment(text)} ({ago(text)})" if text else UNKNOWN


def period(between: Mapping[str, str] | None) -> str:
    """The stretch of time that rows are about, ``until`` not included.

    >>> period({"since": "2013-01-01T00:00:00Z", "until": "2013-02-01T00:00:00Z"})
    '2013-01-01 to 2013-02-01'
    """
    if not between:
        return UNKNOWN
    since, until = from_wire(between["since"]), from_wire(between["until"])
    return f"{_day(since)} to {_day(until)}"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute, at.second) == (0, 0, 0) else f"{at:%Y-%m-%d %H:%M}"


def count(number: int | None) -> str:
    """A whole number, its thousands apart."""
    return UNKNOWN if number is None else f"{number:,}"


def counted(number: int, word: str) -> str:
    """``1 gateway``, ``2 gateways``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def share(part: float | None) -> str:
    """A share of 0..1 as percent.

    >>> share(0.1), share(0.125), share(None)
    ('10 %', '12.5 %', 'unknown')
    """
    return UNKNOWN if part is None else f"{part * 100:.3g} %"


def size(count_of_bytes: float) -> str:
    """Bytes, to three digits.

    >>> size(1_234_567)
    '1.23 MB'
    """
    unit = 0
    while count_of_bytes >= 999.5 and unit < len(_SIZES) - 1:
        count_of_bytes, unit = count_of_bytes / 1000, unit + 1
    return f"{count_of_bytes:.3g} {_SIZES[unit]}"


def seconds(length: float | None) -> str:
    """How long something took.

    >>> seconds(0.0042), seconds(12.34), seconds(125), seconds(7_300), seconds(200_000)
    ('4 ms', '12.3 s', '2 min 5 s', '2 h 1 min', '2 d 7 h')
    """
    if length is None:
        return UNKNOWN
    if length < 0.1:
        return f"{length * 1000:.0f} ms"
    if length < _MINUTE:
        return f"{length:.1f} s"
    for unit, name, smaller, rest in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if length >= 2 * unit:
            return f"{length // unit:.0f} {name} {length % unit // smaller:.0f} {rest}"
    minutes, left = divmod(round(length), _MINUTE)
    return f"{minutes} min {left} s"


def figure(measured: Mapping[str, Any] | None) -> str:
    """A measured value with its 95 % interval.

    >>> figure({"value": 0.7123, "lo": 0.70, "hi": 0.72})
    '0.712 [0.700, 0.720]'
    """
    if not measured or measured.get("value") is None:
        return UNKNOWN
    value, low, high = measured["value"], measured.get("lo"), measured.get("hi")
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def numbers(by_name: Mapping[str, Any], *, most: int = 3) -> str:
    """A few named numbers in a line: ``auc 0.7123, brier 0.1302, 2 more``."""
    told = [f"{name} {value(found)}" for name, found in list(by_name.items())[:most]]
    more = [f"{len(by_name) - most} more"] if len(by_name) > most else []
    return ", ".join(told + more) or "none"


def value(found: Any) -> str:
    """Any plain value, as short as it can be said.

    >>> value(0.123456), value(None), value(["a", "b"]), value({"depth": 6})
    ('0.1235', 'unknown', 'a, b', 'depth 6')
    """
    if found is None:
        return UNKNOWN
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return f"{found:.4g}"
    if isinstance(found, Mapping):
        return ", ".join(f"{name} {value(inner)}" for name, inner in found.items()) or "none"
    if isinstance(found, list):
        return ", ".join(value(inner) for inner in found) or "none"
    return str(found)


def listed(names: list[str]) -> str:
    """Names in a line."""
    return ", ".join(names) or "none"


def one_line(text: str) -> str:
    """Text of unknown origin for a terminal: in one line, and without the characters that would command it.

    >>> one_line("two\\n lines and \\x1b[31m colour")
    'two lines and �[31m colour'
    """
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in " ".join(text.split()))
