# SPDX-License-Identifier: Apache-2.0
"""Searches: comparisons, an order and a page, as data, before any grammar or table has a say in them.

A grammar reads text into these; a room's ``tables.py`` answers them. A page token holds the place of the last row that was
shown, so that rows which come or go between two pages neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from mainstay.domain.errors import Invalid

EQUALITY = ("=", "!=")
ORDERED = ("=", "!=", ">", ">=", "<", "<=")
PATTERNS = ("LIKE", "ILIKE")
LISTS = ("IN", "NOT IN")
PRESENCE = ("IS NULL", "IS NOT NULL")
OPERATORS = (*ORDERED, *PATTERNS, *LISTS, *PRESENCE)

LONGEST_TOKEN = 20_000


class Comparison(NamedTuple):
    """One part of a filter. ``kind`` tells what ``key`` is a key of: metrics, params, tags …, or attribute.

    ``value`` is a sequence behind IN and NOT IN, and None behind IS NULL and IS NOT NULL.
    """

    kind: str
    key: str
    operator: str
    value: Any


class Order(NamedTuple):
    """One part of an order. What lacks the value comes last, whichever the direction."""

    kind: str
    key: str
    descending: bool = False


def page_token(place: Sequence[Any]) -> str:
    """The place of a row in an order, as one word.

    >>> read_token(page_token([1.5, None, "a"]))
    [1.5, None, 'a']
    """
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def read_token(token: str) -> list[Any]:
    """The place that `page_token` made a word of.

    Raises:
        Invalid: it did not.
    """
    try:
        place = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _strange(token) from error
    if not isinstance(place, list) or len(token) > LONGEST_TOKEN:
        raise _strange(token)
    return place


def _strange(token: str) -> Invalid:
    return Invalid(f"page token {token[:40]!r} is not one that a search here gave; begin again without it.")
