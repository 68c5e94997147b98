# SPDX-License-Identifier: Apache-2.0
"""Evaluation sets: examples under a name, merged by their inputs.

The same inputs again are the same example: what is new is added to it, so that a set can be fed from many sides without
doubles. A filter is comparisons of ``name``, ``created_at``, ``updated_at``, ``created_by``, ``updated_by`` and
``tags.*``; times are milliseconds since 1970.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay.domain import ids
from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid, NotFound, TooLarge
from mainstay.domain.evaluation import MOST_EXAMPLES, EvaluationSet, Example
from mainstay.domain.search import EQUALITY, ORDERED, PATTERNS, Comparison
from mainstay.domain.tracking import LONGEST_NAME
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.evaluation import tables
from mainstay.lifecycle.tracking.traces.filters import ATTRIBUTE
from mainstay.store import Ingest, View

TEXTS = ("name", "created_by", "updated_by")
TIMES = ("created_at", "updated_at")
ORDERS = ("name", *TIMES)
_TEXT_OPERATORS = (*EQUALITY, *PATTERNS)


def create(
    ingest: Ingest,
    *,
    name: str,
    experiments_of: Sequence[int] = (),
    tags: Mapping[str, str] | None = None,
    by: str | None = None,
) -> EvaluationSet:
    """Begin a set. Names may repeat; the id tells sets apart.

    Raises:
        Invalid: an unusable name. NotFound: no such experiment.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid(
            f"evaluation set {name[:40]!r} cannot be called so; 1 to {LONGEST_NAME} printable characters are expected."
        )
    now = ingest.now()
    new = EvaluationSet(
        id=f"d-{uuid.uuid4().hex}", name=name, created_at=now, updated_at=now, created_by=by, updated_by=by
    )
    tables.put_set(ingest, new)
    tables.put_tags(ingest, new.id, tags or {})
    add_to(ingest, new.id, experiments_of)
    return get(ingest, new.id)


def get(view: View, identity: str) -> EvaluationSet:
    """One set, without its examples.

    Raises:
        NotFound: there is none.
    """
    found = tables.evaluation_set(view, identity)
    if found is None:
        raise NotFound(
            f"there is no evaluation set {identity[:80]!r}; search for its name.", evaluation_set=identity[:80]
        )
    return found


def find(
    view: View,
    *,
    of_experiments: Sequence[int] | None = None,
    filter: Iterable[Comparison] = (),
    order: Sequence[tuple[str, bool]] = (("created_at", False),),
    offset: int = 0,
    limit: int = 100,
) -> list[EvaluationSet]:
    """Sets that meet every comparison.

    Raises:
        Invalid: it asks for what there is not.
    """
    if wrong := [name for name, _ in order if name not in ORDERS]:
        raise Invalid(f"evaluation sets cannot be ordered by {wrong[0][:80]!r}; they can by {', '.join(ORDERS)}.")
    conditions = [_condition(each) for each in filter]
    if of_experiments is not None:
        conditions.append(tables.in_experiments(of_experiments))
    return tables.sets(view, conditions, order, offset, limit)


def remove(ingest: Ingest, identity: str) -> None:
    """Delete a set with its examples, if it is there."""
    tables.remove_set(ingest, identity)


def tag(ingest: Ingest, identity: str, tags: Mapping[str, str]) -> None:
    """Set tags; one that is there already takes the new value.

    Raises:
        NotFound: no such set.
    """
    get(ingest, identity)
    tables.put_tags(ingest, identity, tags)


def untag(ingest: Ingest, identity: str, key: str) -> None:
    """Take a tag away, if it is there."""
    tables.remove_tags(ingest, identity, [key])


def experiments_of(view: View, identity: str) -> list[int]:
    """The experiments that a set belongs to."""
    return tables.experiments_of(view, identity)


def add_to(ingest: Ingest, identity: str, numbers: Sequence[int]) -> EvaluationSet:
    """Let a set belong to further experiments.

    Raises:
        NotFound: no such set, or no such experiment.
    """
    found = get(ingest, identity)
    for number in numbers:
        experiments.get(ingest, number)
    there = set(tables.experiments_of(ingest, identity))
    tables.put_experiments(ingest, identity, dict.fromkeys(number for number in numbers if number not in there))
    return found


def remove_from(ingest: Ingest, identity: str, numbers: Sequence[int]) -> EvaluationSet:
    """Let a set no longer belong to these experiments.

    Raises:
        NotFound: no such set.
    """
    found = get(ingest, identity)
    tables.remove_experiments(ingest, identity, numbers)
    return found


def merge(ingest: Ingest, identity: str, records: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Add examples; those whose inputs are there already are added to. How many were new, and how many not.

    Args:
        records: each with ``inputs``, and as far as known ``outputs``, ``expectations``, ``tags``, ``source``, ``by``.

    Raises:
        NotFound: no such set. TooLarge: more than one request may bring. Invalid: JSON cannot hold a value.
    """
    known = get(ingest, identity)
    if len(records) > MOST_EXAMPLES:
        raise TooLarge(
            f"the request brings {len(records)} examples; at most {MOST_EXAMPLES} come in one. Send the rest in the next."
        )
    digests = [_digest(record["inputs"]) for record in records]
    before = tables.examples_by_digest(ingest, identity, digests)
    after: dict[str, Example] = {}
    now = ingest.now()
    for digest, record in zip(digests, records, strict=True):
        same = after.get(digest) or before.get(digest)
        after[digest] = _added(same, record, now) if same else _new(identity, digest, record, now)
    tables.put_examples(ingest, list(after.values()))
    by = next((record["by"] for record in reversed(records) if record.get("by")), known.updated_by)
    tables.touch(ingest, identity, now, updated_by=by, schema=_schema(known.schema, records))
    new = sum(digest not in before for digest in after)
    return new, len(records) - new


def examples(view: View, identity: str, *, after: str | None = None, limit: int = 1000) -> list[Example]:
    """The examples of a set, in the order in which they came, from behind the example ``after``.

    Raises:
        NotFound: no such set, or no such example.
    """
    get(view, identity)
    place = None
    if after is not None:
        last = tables.example(view, identity, after)
        if last is None:
            raise NotFound(
                f"evaluation set {identity} has no example {after[:80]!r} any more; ask for the first page again."
            )
        place = (last.created_at, last.id)
    return tables.examples(view, identity, place, limit)


def remove_examples(ingest: Ingest, identity: str, ids: Sequence[str]) -> int:
    """Delete examples; how many there were.

    Raises:
        NotFound: no such set.
    """
    get(ingest, identity)
    tables.touch(ingest, identity, ingest.now())
    return tables.remove_examples(ingest, identity, ids)


def _new(identity: str, digest: str, record: Mapping[str, Any], now: datetime) -> Example:
    return Example(
        id=f"dr-{ids.uuid7()}",
        set=identity,
        inputs_digest=digest,
        inputs=record["inputs"],
        outputs=record.get("outputs"),
        expectations=record.get("expectations"),
        tags=record.get("tags"),
        source=record.get("source"),
        created_at=now,
        updated_at=now,
        created_by=record.get("by"),
        updated_by=record.get("by"),
    )


def _added(before: Example, record: Mapping[str, Any], now: datetime) -> Example:
    expectations, tags = record.get("expectations"), record.get("tags")
    return replace(
        before,
        outputs=record["outputs"] if record.get("outputs") is not None else before.outputs,
        expectations={**(before.expectations or {}), **expectations} if expectations else before.expectations,
        tags={**(before.tags or {}), **tags} if tags else before.tags,
        source=before.source or record.get("source"),
        updated_at=now,
        updated_by=record.get("by") or before.updated_by,
    )


def _digest(inputs: Any) -> str:
    try:
        return digest_of(inputs)
    except ValueError as error:
        raise Invalid(
            "an example's inputs hold a number that is not finite; leave it out, or write it as text."
        ) from error


def _schema(before: Mapping[str, Any] | None, records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Which fields the examples have, by part, with the type that each had first."""
    schema: dict[str, Any] = {
        part: dict((before or {}).get(part, {})) for part in ("inputs", "outputs", "expectations")
    }
    for record in records:
        for part, types in schema.items():
            value = record.get(part)
            if isinstance(value, dict):
                for key, each in value.items():
                    types.setdefault(key, _type(each))
    return schema if before or records else None


def _type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "float", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _condition(comparison: Comparison) -> tables.Condition:
    kind, key, operator, value = comparison
    columns = tables.evaluation_sets.c
    if kind == "tags" and operator in _TEXT_OPERATORS and isinstance(value, str):
        return tables.has_tag(key, operator, value)
    if kind == ATTRIBUTE and key in TEXTS:
        if (operator in _TEXT_OPERATORS and isinstance(value, str)) or (operator == "IN" and key == "name"):
            return tables.compared(columns[key], operator, value)
    elif kind == ATTRIBUTE and key in TIMES:
        if operator in ORDERED and isinstance(value, int):
            return tables.compared(columns[key], operator, _moment(value))
    else:
        known = ", ".join([*TEXTS, *TIMES, "tags.*"])
        shown = key if kind == ATTRIBUTE else f"{kind}.{key}"
        raise Invalid(f"the filter asks for {shown[:80]!r}; it can for {known}.")
    raise Invalid(
        f"the filter compares {key!r} by {operator!r} with {value!r}; texts are compared by = != like ilike, times by numbers."
    )


def _moment(milliseconds: int) -> datetime:
    farthest = 200_000_000_000_000
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=max(0, min(farthest, milliseconds)))
