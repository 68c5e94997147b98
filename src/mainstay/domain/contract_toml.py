# SPDX-License-Identifier: Apache-2.0
"""A contract as people edit it: the section ``[contract.NAME]`` of a TOML file.

::

    [contract.flights]
    rows = { low = 200, high = 20000, on_violation = "warn" }
    keys = [["flight", "day"]]             # columns whose values together occur once

    [contract.flights.columns.carrier]
    type = "text"
    categories = ["AA", "B6"]
    on_violation = "refuse"

Reading names the key that is wrong, what was found and what is expected. What is written reads back as the same contract.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstay.domain.contracts import VIOLATIONS, Column, Violation, check_columns
from mainstay.domain.errors import Invalid, Malformed, TooLarge

LONGEST = 1 << 20
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_COLUMN: dict[str, tuple[Any, str]] = {
    "type": (str, "a text such as 'integer'"),
    "nullable": (bool, "true or false"),
    "minimum": ((int, float), "a number"),
    "maximum": ((int, float), "a number"),
    "categories": (list, "a list of texts"),
    "aliases": (list, "a list of texts"),
    "unique": (bool, "true or false"),
    "pattern": (str, "a regular expression in a text"),
    "freshness": (str, "a duration such as '2d'"),
    "on_violation": (str, "'refuse' or 'warn'"),
}


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A contract as somebody wants it. What ``rows`` did not say is None, and stays as it is."""

    columns: tuple[Column, ...]
    rows_low: int | None = None
    rows_high: int | None = None
    on_rows: Violation | None = None
    keys: tuple[tuple[str, ...], ...] = ()

    def toml(self, dataset: str) -> str:
        """The section of a TOML file that says the same."""
        return write(dataset, self)


def read(text: str, dataset: str) -> Intent:
    """The contract for ``dataset`` in a TOML file, which may hold other sections too.

    Raises:
        TooLarge: longer than any contract is. Malformed: it is no TOML.
        Invalid: a key is missing, unknown, or of another type; the message names it.
    """
    if len(text) > LONGEST:
        raise TooLarge(f"the contract has {len(text)} characters; at most {LONGEST} are read.", limit=LONGEST)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Malformed(f"the contract is no TOML: {error or 'it is nested too deeply'}.") from error
    contracts = document.get("contract")
    if not isinstance(contracts, dict) or not isinstance(contracts.get(dataset), dict):
        there = ", ".join(f"[contract.{_key(name)}]" for name in contracts) if isinstance(contracts, dict) else ""
        raise Invalid(f"the file has no section [contract.{_key(dataset)}]; it has {there or 'no contract at all'}.")
    return _intent(contracts[dataset], dataset)


def write(dataset: str, intent: Intent, *, title: str = "") -> str:
    """The section, with a comment above it."""
    place = f"contract.{_key(dataset)}"
    lines = [f"# {title}"] if title else []
    lines += [f"[{place}]", *_head(intent), ""]
    for column in intent.columns:
        lines += [f"[{place}.columns.{_key(column.name)}]", *_rules(column), ""]
    return "\n".join(lines)


def _intent(section: Mapping[str, Any], dataset: str) -> Intent:
    place = f"contract.{_key(dataset)}"
    _known(section, ("rows", "keys", "columns"), place)
    columns = section.get("columns")
    if not isinstance(columns, dict):
        raise _wrong(f"{place}.columns", columns, f"a section for each column, such as [{place}.columns.id]")
    rules = tuple(_column(name, each, f"{place}.columns.{_key(name)}") for name, each in columns.items())
    keys = _keys(section.get("keys", []), f"{place}.keys")
    check_columns(dataset, rules, keys)
    return Intent(columns=rules, keys=keys, **_rows(section.get("rows", {}), f"{place}.rows"))


def _column(name: str, found: Any, place: str) -> Column:
    if not isinstance(found, dict):
        raise _wrong(place, found, "a section")
    _known(found, tuple(_COLUMN), place)
    if "type" not in found:
        raise _wrong(f"{place}.type", None, _COLUMN["type"][1])
    for key, value in found.items():
        kind, expected = _COLUMN[key]
        # A bool is an int to Python, but no number to whoever wrote it.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _wrong(f"{place}.{key}", value, expected)
        if kind is list and not all(isinstance(each, str) for each in value):
            raise _wrong(f"{place}.{key}", value, expected)
    if found.get("on_violation", "warn") not in VIOLATIONS:
        raise _wrong(f"{place}.on_violation", found["on_violation"], _COLUMN["on_violation"][1])
    lists = {key: tuple(found[key]) for key in ("categories", "aliases") if key in found}
    try:
        return Column(**{"nullable": False, **found, **lists, "name": name})
    except Invalid as error:
        raise Invalid(f"{place}: {error.message}") from error


def _keys(found: Any, place: str) -> tuple[tuple[str, ...], ...]:
    is_sound = isinstance(found, list) and all(
        isinstance(key, list) and key and all(isinstance(name, str) for name in key) for key in found
    )
    if not is_sound:
        raise _wrong(place, found, 'a list of lists of columns, such as [["flight", "day"]]')
    return tuple(tuple(key) for key in found)


def _rows(found: Any, place: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _wrong(place, found, 'such as { low = 1, high = 1000, on_violation = "warn" }')
    _known(found, ("low", "high", "on_violation"), place)
    for key in ("low", "high"):
        if key in found and (not isinstance(found[key], int) or isinstance(found[key], bool) or found[key] < 1):
            raise _wrong(f"{place}.{key}", found[key], "a whole number from 1 upwards")
    if found.get("on_violation", "warn") not in VIOLATIONS:
        raise _wrong(f"{place}.on_violation", found["on_violation"], _COLUMN["on_violation"][1])
    return {"rows_low": found.get("low"), "rows_high": found.get("high"), "on_rows": found.get("on_violation")}


def _known(found: Mapping[str, Any], keys: Sequence[str], place: str) -> None:
    if unknown := [key for key in found if key not in keys]:
        raise Invalid(f"{place} has the key {unknown[0]!r}, which is unknown; its keys are {', '.join(keys)}.")


def _wrong(place: str, found: Any, expected: str) -> Invalid:
    shown = "missing" if found is None else f"{found!r}"[:80]
    return Invalid(f"{place} is {shown}; {expected} is expected.", key=place)


def _head(intent: Intent) -> Iterator[str]:
    rows = {"low": intent.rows_low, "high": intent.rows_high, "on_violation": intent.on_rows}
    if said := [f"{key} = {_value(value)}" for key, value in rows.items() if value is not None]:
        yield f"rows = {{ {', '.join(said)} }}"
    if intent.keys:
        yield f"keys = {_value([list(key) for key in intent.keys])}"


def _rules(column: Column) -> Iterator[str]:
    for key in _COLUMN:
        value = getattr(column, key)
        says_nothing = value is None or value is False or (key == "aliases" and not value)
        if not says_nothing or key == "nullable":
            yield f"{key} = {_value(list(value) if isinstance(value, tuple) else value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # TOML's basic strings have JSON's escapes; only a DEL must be escaped here and not there.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value) if isinstance(value, float) else json.dumps(value)
