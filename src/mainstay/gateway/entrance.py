# SPDX-License-Identifier: Apache-2.0
"""The entrance of a deployment: its signature, and what the contracts of its data ask of a request.

In: the bytes of a request, or a table. Out: what fits the signature and breaks no rule. The rules are the very columns of
the contract that a batch was held against when it came in, checked by the same code (``measures.rules``); they come with
the routing table, so that an alias which somebody accepts is understood without a new release. A request without an
alias, to a deployment without rules, costs nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain import strict_json
from mainstay.domain.contracts import Column, read_column
from mainstay.domain.errors import Invalid
from mainstay.gateway.fields import Problem, refuse, show
from mainstay.gateway.validation import Request, Schema
from mainstay.measures import rules

_ARROW = {"integer": pa.float64(), "number": pa.float64(), "text": pa.string()}
_SHOWN = 20


class Entrance:
    """A compiled signature, and the rules for some of its inputs."""

    def __init__(self, schema: Schema, asked: Iterable[Mapping[str, Any]] = ()) -> None:
        self.schema = schema
        # A rule about an input that feature views make is none about requests.
        known = [rule for rule in map(read_column, asked) if rule.name in schema.names]
        self._name_by_alias = {alias: rule.name for rule in known for alias in rule.aliases}
        places = {name: place for place, name in enumerate(schema.names)}
        self._rules = [(attrgetter(f"f{places[rule.name]}"), rule) for rule in known if has_values(rule)]

    def decode(self, body: bytes) -> Request:
        """Read a request.

        Raises:
            Malformed, TooLarge: as `Schema.decode`. Invalid: it does not fit the signature, or breaks a rule.
        """
        try:
            request = self.schema.decode(body)
        except Invalid:
            renamed = self._renamed(body) if self._name_by_alias else None
            if renamed is None:
                raise
            request = self.schema.decode(renamed)
        if self._rules and (problems := list(self._broken(request.rows))):
            raise refuse(problems, shown=_SHOWN)
        return request

    def _renamed(self, body: bytes) -> bytes | None:
        """The same request by the names of the signature; None if it uses no alias."""
        document = strict_json.loads(body)
        rows = document.get("rows") if isinstance(document, dict) else None
        if not isinstance(rows, list):
            return None
        named = [_by_name(row, self._name_by_alias) if isinstance(row, dict) else row for row in rows]
        return None if named == rows else msgspec.json.encode(document | {"rows": named})

    def _broken(self, rows: Sequence[Any]) -> Iterator[Problem]:
        for value, rule in self._rules:
            values = pa.array(list(map(value, rows)), _ARROW[rule.type])
            for fault, mask in rules.broken(rule, values):
                for row in pc.indices_nonzero(mask)[:_SHOWN].to_pylist():
                    yield _problem(f"rows[{row}].{rule.name}", rule, fault, values[row].as_py())


def rename(table: pa.Table, asked: Iterable[Mapping[str, Any]]) -> pa.Table:
    """``table`` with accepted aliases replaced by the inputs they stand for, where those are not there themselves."""
    name_by_alias = {alias: rule["name"] for rule in asked for alias in rule.get("aliases") or ()}
    there = dict.fromkeys(table.column_names)
    return table.rename_columns(list(_by_name(there, name_by_alias)))


def check(inputs: Mapping[str, pa.ChunkedArray], asked: Iterable[Mapping[str, Any]]) -> None:
    """Hold the inputs of a file against the rules.

    Raises:
        Invalid: a rule is broken; the message names the column and the first row.
    """
    problems = []
    for rule in map(read_column, asked):
        if not has_values(rule) or rule.name not in inputs:
            continue
        values = inputs[rule.name].cast(_ARROW[rule.type])
        for fault, mask in rules.broken(rule, values):
            row = pc.index(mask, True).as_py()
            count = pc.sum(mask).as_py()
            place = f"{rule.name} in row {row}" + (f" (and {count - 1} more)" if count > 1 else "")
            problems.append(_problem(place, rule, fault, values[row].as_py()))
    if problems:
        raise refuse(problems, shown=_SHOWN)


def has_values(rule: Column) -> bool:
    """Whether ``rule`` says anything of single values."""
    return any(each is not None for each in (rule.minimum, rule.maximum, rule.categories, rule.pattern))


def _by_name(row: Mapping[str, Any], name_by_alias: Mapping[str, str]) -> dict[str, Any]:
    taken = set(row)
    found: dict[str, Any] = {}
    for name, value in row.items():
        meant = name_by_alias.get(name, name)
        if meant != name and meant in taken:  # both are there: the alias stays what it is, an unknown name
            meant = name
        taken.add(meant)
        found[meant] = value
    return found


def _problem(path: str, rule: Column, fault: rules.Fault, value: Any) -> Problem:
    if fault == "range":
        low = "any" if rule.minimum is None else f"{rule.minimum:g}"
        high = "any" if rule.maximum is None else f"{rule.maximum:g}"
        expected = f"{low} to {high}"
    elif fault == "category":
        expected = "one of " + ", ".join((rule.categories or ())[:8])
    else:
        expected = f"text that matches {rule.pattern}"
    found = show(value)
    sentence = f"{path} is {found}; by the data's contract {expected} is expected"
    return Problem(path=path, problem=fault, found=found, expected=expected, sentence=sentence)
