# SPDX-License-Identifier: Apache-2.0
"""JSON as we accept it from strangers: one meaning or none.

Python's reader takes duplicate keys, NaN, unbounded integers, lone surrogates and any depth; each of these has turned a
filter into "all rows" or a bad request into a server error somewhere. Here each is a `Malformed` with one sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from mainstay.domain.errors import Malformed

DEEPEST = 64
_INT64 = 1 << 63

# A string that does not end swallows the rest; the parser will say so.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[{]+|[\]}]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(data: bytes | str, *, what: str = "request body") -> Any:
    """Read one JSON value.

    Raises:
        Malformed: not UTF-8 or not JSON, deeper than 64, a duplicate key, a number that is not finite or not within
            int64, a NUL or a lone surrogate in a string.
    """
    text = _decode(data, what)
    _check_depth(text, what)

    def refuse(reason: str) -> NoReturn:
        raise Malformed(f"{what} is not acceptable JSON: {reason}.")

    def integer(digits: str) -> int:
        # Twenty characters hold every int64; longer ones are not worth converting (that would be quadratic).
        if len(digits) > 20 or not -_INT64 <= int(digits) < _INT64:
            refuse(f"the whole number {digits[:24]} does not fit in 64 bits")
        return int(digits)

    def real(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            refuse(f"the number {digits[:24]} is too large")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            refuse(f"the key {_first_twice(key for key, _ in pairs)[:80]!r} stands twice in one object")
        return result

    try:
        value = json.loads(
            text,
            parse_int=integer,
            parse_float=real,
            parse_constant=lambda word: refuse(f"{word} is not a JSON number; send null"),
            object_pairs_hook=unique,
        )
    except json.JSONDecodeError as error:
        refuse(f"{error.msg} at line {error.lineno}, column {error.colno}")
    _check_strings(text, value, refuse)
    return value


def _decode(data: bytes | str, what: str) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8: byte {error.start} cannot be read.") from error


def _first_twice(keys: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _check_depth(text: str, what: str) -> None:
    """Count brackets outside strings before parsing, so that depth costs no recursion."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for run in _BRACKETS.findall(_STRING.sub("", text)):
        # A run is brackets of one direction, so its end is its deepest point; most texts have few characters between.
        depth += len(run) if run[0] in "[{" else -len(run)
        if depth > DEEPEST:
            raise Malformed(f"{what} is nested deeper than {DEEPEST} levels.")


def _check_strings(text: str, value: Any, refuse: Any) -> None:
    # Both can only enter through an escape, or in a text that nobody decoded from UTF-8, so most bodies skip the walk.
    if "\\u" not in text and not _SURROGATE.search(text):
        return
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\x00" in item:
                refuse("a string holds a NUL character")
            if _SURROGATE.search(item):
                refuse("a string holds a lone surrogate")
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
