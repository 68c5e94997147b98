# SPDX-License-Identifier: Apache-2.0
"""Traces: one request through an application, told by the spans of what it did; and assessments of how well it went."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.domain.errors import Invalid, NotFound

STATES = ("unspecified", "in_progress", "ok", "error")
SPAN_STATES = ("unset", "ok", "error")
ASSESSMENT_KINDS = ("feedback", "expectation", "issue")
LINK_KINDS = ("run", "prompt")

LONGEST_ID = 64
LONGEST_PREVIEW = 1_000
# In one request; more come in several.
MOST_SPANS = 10_000
MOST_LINKS = 100

_ID = re.compile(r"[A-Za-z0-9][\w\-]{0,63}")
_INT64 = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One request. Until somebody tells it as a whole (``is_told``), its facts are drawn from the spans that came."""

    id: str
    experiment: int
    name: str | None = None
    state: str
    requested_at: datetime
    duration_ms: int | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    client_request_id: str | None = None
    run: str | None = None  # the run in which it was made
    session: str | None = None
    person: str | None = None  # who used the application, as it calls them
    usage: dict[str, float] | None = None  # tokens, by kind
    cost: dict[str, float] | None = None  # in US dollars, by kind
    is_told: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not -_INT64 <= (self.duration_ms or 0) < _INT64:
            raise Invalid(
                f"trace {self.id[:80]} has a duration that does not fit in 64 bits; milliseconds are expected."
            )


@dataclass(frozen=True, kw_only=True)
class Clues:
    """What one span says of its whole trace."""

    session: str | None = None
    person: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Span:
    """One thing that was done. Attributes are JSON values and kept as they came; the others are read out of them.

    A span without a parent is the root of its trace. Spans come in any order, late, and more than once.
    """

    trace: str
    id: str
    parent: str | None = None
    name: str
    kind: str | None = None  # LLM, TOOL, CHAIN …
    state: str = "unset"
    message: str | None = None
    started_ns: int
    ended_ns: int | None = None
    inputs_in: str | None = None  # the attribute that holds what went in
    outputs_in: str | None = None  # the attribute that holds what came out
    usage: dict[str, float] | None = None
    cost: dict[str, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)  # events, links and what else OpenTelemetry knows of a span
    attributes: Mapping[str, Any] = field(default_factory=dict)
    clues: Clues = field(default_factory=Clues, compare=False)

    def __post_init__(self) -> None:
        if not -_INT64 <= self.started_ns < _INT64 or not -_INT64 <= (self.ended_ns or 0) < _INT64:
            raise Invalid(
                f"span {self.id} has a time that does not fit in 64 bits; nanoseconds since 1970 are expected."
            )

    @property
    def inputs(self) -> Any:
        """What went in, or None."""
        return self.attributes.get(self.inputs_in) if self.inputs_in else None

    @property
    def outputs(self) -> Any:
        """What came out, or None."""
        return self.attributes.get(self.outputs_in) if self.outputs_in else None


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What somebody, or a judge, says of a trace or of one of its spans.

    Feedback says how it was, an expectation what would have been right; an issue is a problem that it is an example of.
    One that ``overrides`` another makes that one invalid; both stay.
    """

    id: str
    trace: str
    span: str | None = None
    name: str
    kind: str
    value: Any = None
    error: dict[str, Any] | None = None  # why there is no value
    source_kind: str
    source: str
    rationale: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    overrides: str | None = None
    is_valid: bool = True
    created_at: datetime
    updated_at: datetime


def check_id(identity: str) -> str:
    """Return ``identity`` if a trace can be called so.

    Raises:
        Invalid: it is empty, too long, or has odd characters.
    """
    if not _ID.fullmatch(identity):
        raise Invalid(
            f"trace id {identity[:80]!r} is not usable; up to {LONGEST_ID} letters, digits, '-' and '_' are, "
            "such as 'tr-' and 32 hexadecimal digits."
        )
    return identity


def unknown_trace(identity: str) -> NotFound:
    """The error for an id that no trace has."""
    return NotFound(
        f"there is no trace {identity[:80]!r}; `mainstay traces list` shows those there are.", trace=identity
    )
