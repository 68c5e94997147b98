# SPDX-License-Identifier: Apache-2.0
"""Time-ordered identities for runs, predictions, alerts and decisions.

UUID version 7 (RFC 9562, section 5.7) as 32 hexadecimal digits: the first 48 bits are milliseconds since 1970, so an id
alone tells which partition of a log to look in, and sorting ids sorts by time. Within one process ids strictly increase.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from datetime import UTC, datetime

_PATTERN = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
_lock = threading.Lock()
_last = 0

# The 74 bits behind the time: 12 of rand_a and 62 of rand_b, here one counter that starts at random each millisecond.
_TAIL_BITS = 74


def uuid7() -> str:
    """A new id, larger than every id this process made before."""
    return _text(_reserved(1))


def uuid7s(count: int) -> list[str]:
    """So many new ids, each larger than the one before; of thousands each costs half of what it costs alone."""
    first = _reserved(count)
    return [_text(first + place) for place in range(count)]


def _reserved(count: int) -> int:
    """The first of ``count`` numbers in a row that nobody else here was given."""
    global _last
    fresh = (time.time_ns() // 1_000_000) << _TAIL_BITS | int.from_bytes(os.urandom(9), "big")
    with _lock:
        # A clock that stands still or steps back must not break the order: count on from the last id instead.
        first = fresh if fresh > _last else _last + 1
        _last = first + count - 1
    return first


def _text(value: int) -> str:
    millis, tail = value >> _TAIL_BITS, value & ((1 << _TAIL_BITS) - 1)
    rand_a, rand_b = tail >> 62, tail & ((1 << 62) - 1)
    return f"{millis:012x}7{rand_a:03x}{(0b10 << 62) | rand_b:016x}"


def named(moment: datetime, name: bytes) -> str:
    """The id of what ``name`` names and what began at ``moment``: the same wherever it is asked for."""
    tail = int.from_bytes(hashlib.sha256(name).digest()[:10], "big") & ((1 << _TAIL_BITS) - 1)
    rand_a, rand_b = tail >> 62, tail & ((1 << 62) - 1)
    return f"{int(moment.timestamp() * 1000):012x}7{rand_a:03x}{(0b10 << 62) | rand_b:016x}"


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id made here."""
    return _PATTERN.fullmatch(text) is not None


def time_of(identity: str) -> datetime:
    """The moment (UTC, milliseconds) at which ``identity`` was made."""
    return datetime.fromtimestamp(int(identity[:12], 16) / 1000, UTC)
