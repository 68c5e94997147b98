# SPDX-License-Identifier: Apache-2.0
"""Filters of traces: ``state = 'error' and tags.team = 'a' and span.kind = 'LLM' and feedback.good = 'true'``.

In: text from anybody. Out: comparisons, each checked: a filter that asks for what there is not is an error, never
"all traces". The grammar is one line: comparisons joined by ``and``, nothing nested but the list behind ``in``. Names
with odd characters stand in backticks or double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.domain.errors import Invalid
from mainstay.domain.search import EQUALITY, LISTS, ORDERED, PATTERNS, PRESENCE, Comparison
from mainstay.store import patterns

ATTRIBUTE = "attribute"
LONGEST_FILTER = 8_000
LONGEST_PATTERN = 500
MOST_VALUES = 500

EQUAL = frozenset(EQUALITY)
ORDER = frozenset(ORDERED)
LIST = frozenset(LISTS)
PATTERN = frozenset({*PATTERNS, "RLIKE"})
NULL = frozenset(PRESENCE)

# What a trace itself can be asked for, and how; `at` and `end` are milliseconds since 1970.
_TEXT = EQUAL | LIST | PATTERN
OPERATORS: dict[str, frozenset[str]] = {
    "id": _TEXT,
    "state": _TEXT,
    "name": _TEXT | NULL,
    "client_request_id": _TEXT | NULL,
    "at": ORDER,
    "duration_ms": ORDER,
    "end": ORDER,
    "run": _TEXT | NULL,
    "prompt": frozenset({"="}),
    "session": _TEXT | NULL,
    "person": _TEXT | NULL,
    "text": frozenset(PATTERNS),
}
NUMBERS = frozenset({"at", "duration_ms", "end"})
# And what else, by the word before the point.
OF_OTHERS: dict[str, frozenset[str]] = {
    "tags": EQUAL | PATTERN | NULL,
    "metadata": EQUAL | PATTERN | NULL,
    "feedback": ORDER | PATTERN | NULL,
    "expectation": ORDER | PATTERN | NULL,
    "issue": frozenset({"="}),
    "span": _TEXT,
}
SPAN_FIELDS = ("name", "kind", "state")

# Possessive, and no part can match in two ways: a filter from a stranger costs no more than its length.
_NAME = r"(?:`[^`]++`|\"[^\"]++\"|[\w\-/:]++)"
_LITERAL = r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_COMPARISON = re.compile(
    rf"\s*(?P<field>{_NAME}(?:\.{_NAME})*+)\s*(?:(?P<null>\bis\s+(?:not\s+)?null\b)|"
    rf"(?P<operator>!=|>=|<=|=|>|<|\bnot\s+in\b|\bin\b|\bi?like\b|\brlike\b)\s*"
    rf"(?P<value>\(\s*(?:{_LITERAL})(?:\s*,\s*(?:{_LITERAL}))*\s*,?\s*\)|{_LITERAL}))\s*(?P<rest>\band\b\s*|$)",
    re.IGNORECASE,
)
_EACH = re.compile(_LITERAL)

Value = str | int | float | list[str] | None


def parse(text: str) -> list[Comparison]:
    """Read a filter.

    Raises:
        Invalid: it cannot be read, or asks for what there is not.

    >>> parse("state IN ('ok', 'error') and span.attributes.model LIKE 'gpt%'")[1]
    Comparison(kind='span', key='attributes.model', operator='LIKE', value='gpt%')
    """
    return [checked(each) for each in read(text)]


def read(text: str) -> list[Comparison]:
    """Read a filter's form only; ``kind`` is whatever stands before the first point, or ``attribute``.

    Raises:
        Invalid: naming the place where it stops making sense.
    """
    if len(text) > LONGEST_FILTER:
        raise Invalid(f"the filter has {len(text)} characters; at most {LONGEST_FILTER} are read.")
    return list(_comparisons(text)) if text.strip() else []


def checked(comparison: Comparison) -> Comparison:
    """Return ``comparison`` if traces can be asked so.

    Raises:
        Invalid: what is compared is not there, or cannot be compared so.
    """
    kind, key, operator, value = comparison
    shown = key if kind == ATTRIBUTE else f"{kind}.{key}"
    allowed = _allowed(kind, key)
    if allowed is None:
        known = ", ".join([*OPERATORS, *(f"{word}.*" for word in OF_OTHERS)])
        raise Invalid(f"the filter asks for {shown[:80]!r}; it can for {known}.")
    if operator not in allowed:
        raise Invalid(f"the filter compares {shown[:80]!r} by {operator!r}; it can by {', '.join(sorted(allowed))}.")
    if operator in NULL:
        return comparison
    is_number = isinstance(value, int | float)
    if (kind == ATTRIBUTE and key in NUMBERS) != is_number and kind not in ("feedback", "expectation"):
        wanted = "a number" if not is_number else "a text in quotes"
        raise Invalid(f"the filter compares {shown[:80]!r} with {value!r}; {wanted} is expected.")
    if operator in ORDER - EQUAL and not is_number:
        raise Invalid(f"the filter compares {shown[:80]!r} by {operator!r} with {value!r}; a number is expected.")
    if operator == "RLIKE":
        if len(str(value)) > LONGEST_PATTERN:
            raise Invalid(
                f"the filter's pattern has {len(str(value))} characters; at most {LONGEST_PATTERN} are tried."
            )
        patterns.check(str(value))
    return comparison


def _allowed(kind: str, key: str) -> frozenset[str] | None:
    if kind == ATTRIBUTE:
        return OPERATORS.get(key)
    if kind == "issue" and key != "id":
        return None
    if kind == "span" and key == "content":
        return frozenset(PATTERNS)
    if kind == "span" and key not in SPAN_FIELDS and not key.startswith("attributes."):
        return None
    return OF_OTHERS.get(kind)


def name(text: str) -> tuple[str, str]:
    """What a name such as ``tags.team`` is of, and its key; for orders, which name what filters compare.

    Raises:
        Invalid: it is no name.
    """
    if re.fullmatch(rf"{_NAME}(?:\.{_NAME})*+", text.strip()) is None:
        raise Invalid(f"{text[:80]!r} is no name; one such as duration_ms or tags.team is expected.")
    return _split(text.strip())


def _comparisons(text: str) -> Iterator[Comparison]:
    place, goes_on = 0, True
    while goes_on:
        found = _COMPARISON.match(text, place)
        if found is None:
            raise Invalid(
                f"the filter cannot be read from {text[place : place + 40]!r}; comparisons such as state = 'error', "
                "tags.team = 'a', span.kind = 'LLM' or duration_ms > 100, joined by 'and', are expected."
            )
        operator = " ".join((found["null"] or found["operator"]).upper().split())
        kind, key = _split(found["field"])
        yield Comparison(kind, key, operator, None if found["null"] else _value(operator, found["value"]))
        place, goes_on = found.end(), bool(found["rest"])


def _split(field: str) -> tuple[str, str]:
    """The word before the point and the name behind it; the name is the whole rest, points and all."""
    first = re.match(_NAME, field)
    assert first is not None
    kind, rest = _bare(first[0]), field[first.end() + 1 :]
    return (kind, _bare(rest)) if rest else (ATTRIBUTE, kind)


def _bare(name: str) -> str:
    """A name without its quotes, also where only its last part is quoted: ``attributes.`a b```."""
    quoted = re.fullmatch(r"((?:[\w\-]+\.)*)(`[^`]+`|\"[^\"]+\")", name)
    return quoted[1] + quoted[2][1:-1] if quoted else name


def _value(operator: str, text: str) -> Value:
    if (text[0] == "(") != (operator in LIST):
        raise Invalid(
            f"the filter compares by {operator!r} with {text[:40]}; a list in parentheses goes with IN, and only there."
        )
    if text[0] != "(":
        return _literal(text)
    values = [_literal(each) for each in _EACH.findall(text[1:-1])]
    if len(values) > MOST_VALUES or not all(isinstance(value, str) for value in values):
        raise Invalid(f"the filter's list has {len(values)} values; up to {MOST_VALUES} texts in quotes are expected.")
    return [str(value) for value in values]


def _literal(text: str) -> str | int | float:
    if text[0] == '"':
        return text[1:-1]
    if text[0] == "'":
        return text[1:-1].replace("''", "'").replace("\\'", "'")
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else float(text)
