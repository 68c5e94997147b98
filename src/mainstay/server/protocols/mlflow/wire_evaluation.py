# SPDX-License-Identifier: Apache-2.0
"""MLflow's words for evaluation sets (its datasets) and scorers: texts of JSON inside JSON, times in milliseconds."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from typing import Any

from mainstay.domain import strict_json
from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Invalid, Malformed
from mainstay.domain.evaluation import EvaluationSet, Example, Scorer
from mainstay.domain.search import Comparison
from mainstay.lifecycle.tracking.traces import filters
from mainstay.lifecycle.tracking.traces.filters import ATTRIBUTE
from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow.wire_traces import experiment as experiment

USER = "mlflow.user"

_KEYS = {
    "name": "name",
    "created_time": "created_at",
    "last_update_time": "updated_at",
    "created_by": "created_by",
    "last_updated_by": "updated_by",
}
_SOURCES = ("TRACE", "HUMAN", "DOCUMENT", "CODE")


def evaluation_set(found: EvaluationSet, experiments: Sequence[int] = ()) -> dict[str, Any]:
    """An evaluation set as MLflow's dataset. Its digest changes with whatever changes in it."""
    updated = wire.millis(found.updated_at)
    told = {
        "dataset_id": found.id,
        "name": found.name,
        "tags": json.dumps(dict(found.tags)),
        "schema": found.schema and json.dumps({**found.schema, "version": "1.0"}),
        "profile": json.dumps({"num_records": found.examples}) if found.examples else None,
        "digest": sha256_hex(f"{found.id}:{updated}:{found.examples}".encode())[:8],
        "created_time": wire.millis(found.created_at),
        "last_update_time": updated,
        "created_by": found.created_by,
        "last_updated_by": found.updated_by,
        "experiment_ids": [str(number) for number in experiments] or None,
    }
    return {key: value for key, value in told.items() if value is not None}


def example(found: Example) -> dict[str, Any]:
    """An example as MLflow's record of a dataset."""
    source = found.source or {}
    data = source.get("source_data") or {}
    kind = str(source.get("source_type", "")).upper() or None
    told = {
        "dataset_record_id": found.id,
        "dataset_id": found.set,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "expectations": found.expectations,
        "tags": found.tags or {},
        "source": found.source,
        "source_id": data.get("trace_id" if kind == "TRACE" else "source_id"),
        "source_type": kind if kind in _SOURCES else None,
        "created_time": wire.millis(found.created_at),
        "last_update_time": wire.millis(found.updated_at),
        "created_by": found.created_by,
        "last_updated_by": found.updated_by,
    }
    return {key: value for key, value in told.items() if value is not None}


def records(text: str) -> list[dict[str, Any]]:
    """The records that a client brings, as examples are told.

    Raises:
        Invalid: it is no list of records with inputs.
    """
    found = _read("records", text)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise wire.unusable("records", text[:80], "a list of records is expected")
    return [_record(each) for each in found]


def tags(text: str | None) -> dict[str, str]:
    """Tags that came as a text of JSON; one without a value is left out.

    Raises:
        Invalid: it is no object of tags.
    """
    found = _read("tags", text) if text else {}
    if not isinstance(found, dict):
        raise wire.unusable("tags", text, "an object of tags is expected")
    return {key: value if isinstance(value, str) else str(value) for key, value in found.items() if value is not None}


def written(value: Any) -> str:
    """A value as a text of JSON, which is how some of MLflow's fields hold it."""
    return json.dumps(value)


def filter(text: str | None) -> list[Comparison]:
    """A filter of evaluation sets in our words.

    Raises:
        Invalid: it cannot be read, or asks for what there is not.
    """
    return [
        each._replace(kind=kind, key=key)
        for each in filters.read(text or "")
        for kind, key in [_field(each.kind, each.key)]
    ]


def order(clauses: Iterable[str]) -> list[tuple[str, bool]]:
    """An order of evaluation sets in our words; newest first if there is none.

    Raises:
        Invalid: it cannot be read.
    """
    found = []
    for clause in clauses:
        words = clause.split()
        if not 1 <= len(words) <= 2 or (words[1:] and words[1].upper() not in ("ASC", "DESC")):
            raise wire.unusable("order_by", clause, "a field, and ASC or DESC behind it, are expected")
        found.append((_field(*filters.name(words[0]))[1], words[1:] == [] or words[1].upper() == "ASC"))
    return found or [("created_at", False)]


def token(offset: int) -> str:
    """A page token: how many have been shown."""
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def offset(page_token: str | None) -> int:
    """How many have been shown before this page.

    Raises:
        Invalid: the token is not of ours.
    """
    if not page_token:
        return 0
    try:
        found = json.loads(base64.urlsafe_b64decode(page_token.encode()))["offset"]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise wire.unusable("page_token", page_token, "the next_page_token of an earlier answer is expected") from error
    if not isinstance(found, int) or not 0 <= found < 1 << 40:
        raise wire.unusable("page_token", page_token, "the next_page_token of an earlier answer is expected")
    return found


def check_scorer(text: str) -> None:
    """Pass if a serialised scorer is JSON.

    Raises:
        Invalid: it is not.
    """
    _read("serialized_scorer", text)


def scorer(found: Scorer) -> dict[str, Any]:
    """A version of a scorer."""
    return {
        "experiment_id": found.experiment,
        "scorer_name": found.name,
        "scorer_version": found.version,
        "serialized_scorer": found.content,
        "creation_time": wire.millis(found.created_at),
        "scorer_id": found.id,
    }


def registered(found: Scorer) -> dict[str, Any]:
    """A version of a scorer, as its registration is answered."""
    return {
        "experiment_id": str(found.experiment),
        "name": found.name,
        "version": found.version,
        "serialized_scorer": found.content,
        "creation_time": wire.millis(found.created_at),
        "scorer_id": found.id,
    }


def _record(said: dict[str, Any]) -> dict[str, Any]:
    inputs, expectations, labels = said.get("inputs") or {}, said.get("expectations"), said.get("tags")
    for name, value in (("inputs", inputs), ("expectations", expectations or {}), ("tags", labels or {})):
        if not isinstance(value, dict):
            raise wire.unusable(f"records.{name}", value, "an object is expected")
    source = said.get("source")
    if source is not None and not isinstance(source, dict):
        raise wire.unusable("records.source", source, "an object is expected")
    return {
        "inputs": inputs,
        "outputs": said.get("outputs"),
        "expectations": expectations,
        "tags": labels,
        "source": source,
        "by": (labels or {}).get(USER),
    }


def _read(name: str, text: str | None) -> Any:
    try:
        return strict_json.loads(text or "", what=name)
    except Malformed as error:
        raise Invalid(f"{name} must be valid JSON: {error.message}") from error


def _field(of: str, key: str) -> tuple[str, str]:
    if of in ("tags", "tag"):
        return "tags", key
    if of not in (ATTRIBUTE, "attributes") or key not in _KEYS:
        raise Invalid(f"Invalid attribute key '{key[:80]}' specified. Valid keys are {', '.join(_KEYS)}.")
    return ATTRIBUTE, _KEYS[key]
