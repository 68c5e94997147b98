# SPDX-License-Identifier: Apache-2.0
"""What a version expects of one input, and the sentences for everything that can be wrong with it.

In: the signature's columns. Out: `Field`s, which ``validation`` compiles for requests and ``offline`` applies to
files; the sentences stand here once, so that both faces say the same thing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mainstay.domain.errors import Invalid
from mainstay.formats.signature import Column, Signature, Type

WANTED: dict[str, str] = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "datetime": "an ISO 8601 time such as '2013-03-01T00:00:00Z'",
}
# How alike two names must be to be called a renaming, after case and punctuation are dropped.
ALIKE = 0.6


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input. ``minimum``/``maximum`` and ``categories`` are what training saw: beyond them a row is flagged, not
    refused.
    """

    name: str
    kind: Type
    nullable: bool = False
    required: bool = True
    minimum: Any = None
    maximum: Any = None
    categories: frozenset[str] | None = None

    def flags(self, value: Any) -> str | None:
        """The flag that ``value`` raises, if any."""
        if value is None:
            return None
        if self.categories is not None:
            return None if value in self.categories else self.unseen
        if self.kind == "datetime":
            value = in_utc(value)
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            return self.out_of_range
        return None

    @property
    def unseen(self) -> str:
        """Flag of a category that training did not see."""
        return f"unseen:{self.name}"

    @property
    def out_of_range(self) -> str:
        """Flag of a number outside what training saw."""
        return f"range:{self.name}"

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        return WANTED[self.kind] + (" or null" if self.nullable else "")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a request or a file; ``path`` says where."""

    path: str
    problem: Literal["missing", "unknown", "type", "null", "range", "category", "pattern", "request"]
    found: str
    expected: str
    sentence: str

    def as_fact(self) -> dict[str, str]:
        """The wire form."""
        return {"path": self.path, "problem": self.problem, "found": self.found, "expected": self.expected}


def read_fields(signature: Signature) -> tuple[Field, ...]:
    """The inputs of a signature, in its order.

    Raises:
        Invalid: it has none.
    """
    if not signature.inputs:
        raise Invalid("the signature names no inputs, so no request could be checked; register the version with one.")
    return tuple(_read_field(column) for column in signature.inputs)


def in_utc(moment: datetime) -> datetime:
    """A time without a zone is one in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def problems_of_names(present: Iterable[str], fields: Sequence[Field], path: str) -> list[Problem]:
    """Missing and unknown names of one row or one file, renamed ones paired."""
    have, wanted = set(present), {field.name: field for field in fields}
    missing = [name for name, field in wanted.items() if field.required and name not in have]
    unknown = sorted(have - set(wanted))
    pairs = pair_renamed([wanted[name] for name in missing], unknown)
    found = []
    for name in missing:
        hint = f"; got unknown `{pairs[name]}` — renamed?" if name in pairs else ""
        instead = f"`{pairs[name]}`" if name in pairs else "nothing"
        found.append(_named(path, name, "missing", f"missing `{name}`{hint}", instead, wanted[name].wanted))
    for name in unknown:
        if name not in pairs.values():
            sentence = f"unknown `{name}`; the signature has no such input"
            found.append(_named(path, name, "unknown", sentence, f"`{name}`", "no such input"))
    return found


def pair_renamed(missing: Sequence[Field], unknown: Sequence[str]) -> dict[str, str]:
    """For each missing input the unknown name that probably means it; each name is used once, the likeliest first."""
    scored = sorted(
        ((_likeness(field, name), field.name, name) for field in missing for name in unknown), key=lambda s: -s[0]
    )
    # One gone and one new is worth the question however the names look.
    least = 0.0 if len(missing) == len(unknown) == 1 else ALIKE
    pairs: dict[str, str] = {}
    for likeness, name, other in scored:
        if likeness >= least and name not in pairs and other not in pairs.values():
            pairs[name] = other
    return pairs


def wrong_value(path: str, field: Field, found: str, problem: Literal["type", "null"]) -> Problem:
    """A value that is not what its field wants."""
    sentence = f"{path} is {found}; {field.wanted} is expected"
    return Problem(path=path, problem=problem, found=found, expected=field.wanted, sentence=sentence)


def wrong_request(path: str, found: str, expected: str) -> Problem:
    """Something wrong around the rows."""
    return Problem(
        path=path,
        problem="request",
        found=found,
        expected=expected,
        sentence=f"{path} is {found}; {expected} is expected",
    )


def refuse(problems: Sequence[Problem], *, shown: int = 20) -> Invalid:
    """The error for ``problems``: the first as a sentence, ``shown`` of them as facts."""
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return Invalid(
        f"{problems[0].sentence}{more}" + ("" if problems[0].sentence.endswith("?") and not more else "."),
        problems=[problem.as_fact() for problem in problems[:shown]],
        problem_count=len(problems),
    )


def show(value: Any) -> str:
    """A value in an error message: short, and of a kind one can see."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value if len(value) <= 40 else value[:39] + '…'!r}"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return f"{value}"[:40]


def _read_field(column: Column) -> Field:
    ends = (column.minimum, column.maximum)
    if column.type == "datetime":
        ends = tuple(None if end is None else in_utc(datetime.fromisoformat(str(end))) for end in ends)  # type: ignore[assignment]
    return Field(
        name=column.name,
        kind=column.type,
        nullable=column.nullable or not column.required,
        required=column.required,
        minimum=ends[0],
        maximum=ends[1],
        categories=None if column.categories is None else frozenset(column.categories),
    )


def _named(
    path: str, name: str, problem: Literal["missing", "unknown"], sentence: str, found: str, expected: str
) -> Problem:
    return Problem(
        path=f"{path}.{name}" if path else name,
        problem=problem,
        found=found,
        expected=expected,
        sentence=f"{path}: {sentence}" if path else sentence,
    )


def _likeness(field: Field, name: str) -> float:
    return difflib.SequenceMatcher(None, _plain(field.name), _plain(name)).ratio()


def _plain(name: str) -> str:
    """Words in any order, no case, no punctuation: `mean radius` and `radius_mean` are the same."""
    return " ".join(sorted(re.findall(r"[^\W_]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())))
