# SPDX-License-Identifier: Apache-2.0
"""Contracts in code: of a dataset, or of what a step returns (``Annotated[pl.DataFrame, Model]``).

In: TOML, or a model of pandera (extra ``pandera``). Out: the same `Intent` that a TOML file gives, and the check of a
table against it by the code that checks batches and requests. A rule of pandera that a contract has no word for is an error
and not left out: whoever wrote it relies on it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from mainstay.domain import contract_toml
from mainstay.domain.clock import utc_now
from mainstay.domain.contract_toml import Intent
from mainstay.domain.contracts import Column, check_columns
from mainstay.domain.data import Problem
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid

if TYPE_CHECKING:
    from mainstay.measures.frames import Frame

SHOWN_ROWS = 20
_TYPES = (
    (r"u?int\d+|integer", "integer"),
    (r"float\d+|double|decimal.*", "number"),
    (r"str.*|utf8|object|large_string|category|categorical.*|enum.*", "text"),
    (r"bool.*", "boolean"),
    (r"date(32.*)?", "date"),
)


def contract(source: Any, dataset: str | None = None) -> Intent:
    """A contract from a pandera model or schema, or from TOML (a text, or a Path to a file).

    Args:
        dataset: which section of the TOML; needed only where it has several.

    Raises:
        Invalid: it is none of these, or says what a contract has no word for.
    """
    if isinstance(source, Intent):
        return source
    if isinstance(source, str | Path):
        text = source.read_text("utf-8") if isinstance(source, Path) else source
        return contract_toml.read(text, dataset or _only_section(text))
    schema = _schema_of(source)
    if schema is None:
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        raise Invalid(f"a contract is made of a pandera model or of TOML; a {kind} was given.")
    columns = tuple(_column(name, each) for name, each in schema.columns.items())
    unique = schema.unique if isinstance(schema.unique, list) else [schema.unique] if schema.unique else []
    intent = Intent(columns=columns, keys=(tuple(unique),) if unique else ())
    check_columns(getattr(schema, "name", None) or "of the model", columns, intent.keys)
    return intent


def contract_of(annotation: Any) -> Intent | None:
    """The contract in ``Annotated[Frame, …]``, or in pandera's own ``DataFrame[Model]``; None if there is none."""
    if get_origin(annotation) is Annotated:
        said = [each for each in get_args(annotation)[1:] if isinstance(each, Intent) or _schema_of(each) is not None]
        return contract(said[0]) if said else contract_of(get_args(annotation)[0])
    models = [each for each in get_args(annotation) if _schema_of(each) is not None]
    return contract(models[0]) if models else None


def problems(table: Frame, asked: Intent, *, now: datetime | None = None) -> tuple[Problem, ...]:
    """What in ``table`` breaks the contract; columns that it does not name are not its business. Warnings are left out."""
    return found_in(table, asked, now=now)[0]


def found_in(
    table: Frame, asked: Intent, *, now: datetime | None = None
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """What in ``table`` breaks the contract, and what is only odd."""
    from mainstay.measures import contracts

    fitted, found = contracts.fit(_plain(table, asked), asked)
    missing = [_missing(rule) for rule in asked.columns if rule.name not in table.column_names]
    if missing or found:
        return (*missing, *found), ()
    empty = tuple(contracts.no_rows(table))
    if empty:
        return empty, ()
    broken = list(contracts.broken(fitted, asked, now or utc_now()))
    refused, warned = ([each for each, what in broken if what == wanted] for wanted in ("refuse", "warn"))
    return tuple(refused), tuple(warned)


def check(table: Frame, asked: Intent, what: str = "the table", *, put: Callable[[bytes], str] | None = None) -> None:
    """Hold a table against a contract.

    Args:
        what: whose table, for the message, such as ``the result of step 'load'``. put: keeps bytes and says under which
            digest; with it the first bad rows are kept, and the fact ``rows_blob`` names them.

    Raises:
        Invalid: the contract is broken; the facts list every problem.
    """
    found = problems(table, asked)
    if not found:
        return
    facts: dict[str, Any] = {"problems": [problem.to_json() for problem in found]}
    if put is not None:
        facts["rows_blob"] = put(canonical_json(bad_rows(table, asked)))
    more = f" And {len(found) - 5} more." if len(found) > 5 else ""
    raise Invalid(f"{what} breaks its contract: {' '.join(each.sentence for each in found[:5])}{more}", **facts)


def bad_rows(table: Frame, asked: Intent) -> dict[str, Any]:
    """The first rows at fault, or where no single row is, the first few: as the refusal of a batch keeps them."""
    from mainstay.measures import contracts, frames

    fitted, _ = contracts.fit(_plain(table, asked), asked)
    names = [rule for rule in asked.columns if rule.name in fitted.column_names]
    places = {row for rule in names for row in contracts.bad_rows(rule, fitted.column(rule.name), SHOWN_ROWS)}
    places = places or set(contracts.bad_keys(fitted, asked, SHOWN_ROWS)) or set(range(min(5, table.num_rows)))
    shown = sorted(places)[:SHOWN_ROWS]
    rows = [
        {"row": row + 1, "values": _text(values)}
        for row, values in zip(shown, frames.rows_at(table, shown), strict=True)
    ]
    return {"columns": table.column_names, "rows": rows}


def _text(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: None if value is None else str(value)[:200] for name, value in row.items()}


def _plain(table: Frame, asked: Intent) -> Frame:
    """The columns that the contract names, in the types that contracts know; one that has none of them stays as it is."""
    import pyarrow as pa

    from mainstay.measures import columns, frames

    def plain(name: str) -> Any:
        try:
            return columns.plain(name, table.column(name))
        except Invalid:
            return table.column(name)

    names = [rule.name for rule in asked.columns if rule.name in table.column_names]
    if not isinstance(table, pa.Table):
        types = frames.types(table)
        return frames.select(table, {name: types[name] for name in names})  # of a file every column is plain
    return pa.table({name: plain(name) for name in names})


def _missing(rule: Column) -> Problem:
    return Problem(
        column=rule.name,
        problem="missing",
        found="no such column",
        expected=rule.type,
        sentence=f"column {rule.name!r} is missing.",
    )


def _only_section(text: str) -> str:
    import tomllib

    try:
        found = list(tomllib.loads(text).get("contract", {}))
    except (tomllib.TOMLDecodeError, AttributeError):
        found = []
    if len(found) > 1:
        raise Invalid(f"the TOML has contracts for {', '.join(found)}; say which: contract(…, 'NAME').")
    return str(found[0]) if found else "NAME"


def _schema_of(source: Any) -> Any:
    """The schema of a pandera model, a pandera schema itself, or None; found by its words, so that nothing is imported."""
    is_model = isinstance(source, type) and any(each.__module__.startswith("pandera.") for each in source.__mro__[:-1])
    if is_model and hasattr(source, "to_schema"):
        return source.to_schema()
    is_schema = type(source).__module__.startswith("pandera.") and hasattr(source, "columns")
    return source if is_schema else None


def _column(name: str, found: Any) -> Column:
    if not found.required or getattr(found, "regex", False):
        raise Invalid(
            f"column {name!r} of the model may be absent, or is a pattern of names; a contract names columns."
        )
    kind = _type(name, found.dtype)
    rules: dict[str, Any] = {}
    for check in found.checks:
        _add(rules, name, kind, check)
    return Column(
        name=name, type=kind, nullable=bool(found.nullable), unique=bool(found.unique), on_violation="refuse", **rules
    )


def _type(name: str, dtype: Any) -> str:
    said = str(dtype).lower()
    if "datetime" in said or "timestamp" in said:
        zone = re.search(r"utc|\+00|[a-z]+/[a-z_]+", said.replace("time_zone=none", ""))
        return "time" if zone else "local_time"
    found = next((kind for pattern, kind in _TYPES if re.fullmatch(rf"{pattern}(\[.*\])?", said)), None)
    if found is None:
        raise Invalid(f"column {name!r} of the model is {dtype}, which no contract holds; its types are simple ones.")
    return found


def _add(rules: dict[str, Any], name: str, kind: str, check: Any) -> None:
    """Put a check of pandera into a contract's words."""
    said = {key: value for key, value in (check.statistics or {}).items() if value is not None}
    words = _WORDS.get(check.name or "")
    added = words(kind, said) if words else None
    if added is None or rules.keys() & added.keys() or getattr(check, "ignore_na", True) is False:
        raise Invalid(
            f"column {name!r} of the model has the check {check.name or 'without a name'!r}, for which a contract has no "
            "word (or has it already); check that inside of the step."
        )
    rules |= added


def _least(kind: str, said: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    low = said["min_value"]
    return {"minimum": low if not strict else low + 1 if kind == "integer" else math.nextafter(low, math.inf)}


def _most(kind: str, said: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    high = said["max_value"]
    return {"maximum": high if not strict else high - 1 if kind == "integer" else math.nextafter(high, -math.inf)}


def _between(kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
    return _least(kind, said, strict=not said.get("include_min", True)) | _most(
        kind, said, strict=not said.get("include_max", True)
    )


def _one_of(kind: str, said: Mapping[str, Any]) -> dict[str, Any] | None:
    return {"categories": tuple(map(str, said["allowed_values"]))} if kind == "text" else None


def _length(kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
    exact = said.get("exact_value")
    low, high = said.get("min_value", exact or 0), said.get("max_value", exact if exact is not None else "")
    return {"pattern": f"(?s).{{{low},{high}}}"}


_WORDS: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any] | None]] = {
    "greater_than_or_equal_to": lambda kind, said: _least(kind, said, strict=False),
    "greater_than": lambda kind, said: _least(kind, said, strict=True),
    "less_than_or_equal_to": lambda kind, said: _most(kind, said, strict=False),
    "less_than": lambda kind, said: _most(kind, said, strict=True),
    "in_range": _between,
    "isin": _one_of,
    # As pandas has it: a match begins where the text begins, and may end before it ends.
    "str_matches": lambda _, said: {"pattern": rf"(?:{_source(said['pattern'])})(?s:.*)"},
    "str_contains": lambda _, said: {"pattern": rf"(?s:.*)(?:{_source(said['pattern'])})(?s:.*)"},
    "str_startswith": lambda _, said: {"pattern": rf"{re.escape(said['string'])}(?s:.*)"},
    "str_endswith": lambda _, said: {"pattern": rf"(?s:.*){re.escape(said['string'])}"},
    "str_length": _length,
}


def _source(pattern: Any) -> str:
    return str(getattr(pattern, "pattern", pattern))
