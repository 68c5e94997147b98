# SPDX-License-Identifier: Apache-2.0
"""MLflow's words for searching traces: its names of what can be compared and ordered by, and its page tokens."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable

from mainstay.domain.errors import Invalid
from mainstay.domain.search import Comparison, Order
from mainstay.lifecycle.tracking.traces import filters
from mainstay.lifecycle.tracking.traces.filters import ATTRIBUTE
from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow.wire_assessments import SESSION
from mainstay.server.protocols.mlflow.wire_traces import NAME, PERSON, PROMPTS, RUN

_OF = {
    "trace": ATTRIBUTE,
    "attribute": ATTRIBUTE,
    "attributes": ATTRIBUTE,
    "tag": "tags",
    "tags": "tags",
    "metadata": "metadata",
    "request_metadata": "metadata",
    "span": "span",
    "feedback": "feedback",
    "expectation": "expectation",
    "issue": "issue",
}
_KEYS = {
    "request_id": "id",
    "trace_id": "id",
    "timestamp": "at",
    "timestamp_ms": "at",
    "execution_time": "duration_ms",
    "execution_time_ms": "duration_ms",
    "end_time": "end",
    "end_time_ms": "end",
    "status": "state",
    "state": "state",
    "name": "name",
    "run_id": "run",
    "client_request_id": "client_request_id",
    "prompt": "prompt",
    "text": "text",
    "experiment_id": "experiment",
}
_LABELS = {
    ("tags", NAME): "name",
    ("tags", PROMPTS): "prompt",
    ("metadata", RUN): "run",
    ("metadata", SESSION): "session",
    ("metadata", PERSON): "person",
}
_SPAN_KEYS = {"name": "name", "type": "kind", "status": "state", "content": "content"}
_ORDER = re.compile(r"\s*(?P<field>.+?)(?:\s+(?P<way>asc|desc))?\s*", re.IGNORECASE | re.DOTALL)


def filter(text: str | None) -> list[Comparison]:
    """A filter in our words.

    Raises:
        Invalid: it cannot be read, or asks for what there is not.
    """
    return [filters.checked(_comparison(each)) for each in filters.read(text or "")]


def order(clauses: Iterable[str]) -> list[Order]:
    """An order in our words.

    Raises:
        Invalid: it cannot be read, or a field stands in it twice.
    """
    found: list[Order] = []
    for clause in clauses:
        parts = _ORDER.fullmatch(clause)
        if parts is None:
            raise wire.unusable("order_by", clause, "a field, and ASC or DESC behind it, are expected")
        found.append(Order(*_field(*filters.name(parts["field"])), (parts["way"] or "asc").lower() == "desc"))
    if len({(each.kind, each.key) for each in found}) < len(found):
        raise Invalid(f"`order_by` contains duplicate fields: {list(clauses)}")
    return found


def token(last: str) -> str:
    """A page token: behind which trace the next page begins."""
    return base64.urlsafe_b64encode(json.dumps({"after": last}).encode()).decode()


def behind(page_token: str | None) -> str | None:
    """Behind which trace a page begins.

    Raises:
        Invalid: the token is not of ours.
    """
    if not page_token:
        return None
    try:
        return str(json.loads(base64.urlsafe_b64decode(page_token.encode()))["after"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise wire.unusable("page_token", page_token, "the next_page_token of an earlier answer is expected") from error


def _comparison(said: Comparison) -> Comparison:
    kind, key = _field(said.kind, said.key)
    value = said.value
    if key == "state" and kind in (ATTRIBUTE, "span"):
        value = [each.lower() for each in value] if isinstance(value, list) else str(value).lower()
    return Comparison(kind, key, said.operator, value)


def _field(of: str, key: str) -> tuple[str, str]:
    found = _OF.get(of)
    if found is None:
        raise Invalid(f"Invalid entity type '{of[:80]}'; {', '.join(_OF)} are known.")
    if found == "span" and key.startswith("attributes."):
        return found, key
    if found in (ATTRIBUTE, "span"):
        keys = _KEYS if found == ATTRIBUTE else _SPAN_KEYS
        if key not in keys:
            raise Invalid(f"Invalid attribute key '{key[:80]}' specified. Valid keys are {', '.join(keys)}.")
        return found, keys[key]
    column = _LABELS.get((found, key))
    return (ATTRIBUTE, column) if column else (found, key)
