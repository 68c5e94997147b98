# SPDX-License-Identifier: Apache-2.0
"""What applications are judged with: evaluation sets of examples, and scorers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MOST_EXAMPLES = 10_000  # in one request; more come in several
LARGEST_SCORER = 1 << 20


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """Named examples; it may belong to many experiments."""

    id: str
    name: str
    schema: dict[str, Any] | None = None  # which fields its examples have, and of which type
    created_at: datetime
    updated_at: datetime
    created_by: str | None = None
    updated_by: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    examples: int = 0


@dataclass(frozen=True, kw_only=True)
class Example:
    """One thing to ask, and what would be right. Within a set, the same inputs are the same example."""

    id: str
    set: str
    inputs_digest: str
    inputs: dict[str, Any]
    outputs: Any = None
    expectations: dict[str, Any] | None = None
    tags: dict[str, str] | None = None
    source: dict[str, Any] | None = None  # where it comes from: a trace, a person, a document
    created_at: datetime
    updated_at: datetime
    created_by: str | None = None
    updated_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A judge of answers, as its maker wrote it down. Here it is text; nothing of it is ever carried out."""

    experiment: int
    name: str
    version: int
    id: str  # of all its versions
    content: str
    created_at: datetime
