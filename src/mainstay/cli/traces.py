# SPDX-License-Identifier: Apache-2.0
"""``mainstay traces``: what applications did with each request, and how it was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No trace yet. A trace is one request through an application, span by span; send OpenTelemetry's spans to /v1/traces.",
    "mainstay up",
)
COLUMNS = (
    Column("trace", lambda trace: trace["id"]),
    Column("name", lambda trace: trace["name"] or words.UNKNOWN),
    Column("state", lambda trace: printing.state(trace["state"])),
    Column("began", lambda trace: words.ago(trace["requested_at"])),
    Column("took", lambda trace: _took(trace["duration_ms"]), "number"),
    Column("tokens", lambda trace: _tokens(trace["usage"]), "number"),
    Column("asked", lambda trace: words.one_line(trace["request_preview"] or ""), "prose"),
)
BAR = 24


@click.group()
def traces() -> None:
    """Requests through applications, span by span."""


@traces.command("list")
@click.option("--experiment", help="Only of this experiment.")
@click.option("--filter", "only", help="Such as \"state = 'error' and span.kind = 'LLM'\".")
@click.option("--order", help='Such as "duration_ms desc"; newest first otherwise.')
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(
    session: Session, as_json: bool, experiment: str | None, only: str | None, order: str | None, limit: int
) -> None:
    """Traces, newest first."""
    found = session.get("/traces", experiment=experiment, filter=only, order=order, limit=limit)
    printing.print_list(found, COLUMNS, EMPTY, as_json=as_json)


@traces.command()
@click.argument("trace")
@connected
def show(session: Session, as_json: bool, trace: str) -> None:
    """One trace: its spans as a tree over time, and what is said of it."""
    printing.answer(session.get(references.path("traces", trace)), as_json, _show)


def _show(trace: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("trace", trace["id"]),
            ("name", f"{trace['name'] or words.UNKNOWN}, of experiment {trace['experiment']}"),
            ("state", printing.state(trace["state"])),
            ("began", words.when(trace["requested_at"])),
            ("took", _took(trace["duration_ms"])),
            *((name, str(trace[name])) for name in ("run", "session", "person") if trace[name]),
            *([("tokens", words.numbers(trace["usage"]))] if trace["usage"] else []),
            *([("cost", words.numbers(trace["cost"]))] if trace["cost"] else []),
            ("asked", words.one_line(trace["request_preview"] or words.UNKNOWN)),
            ("answered", words.one_line(trace["response_preview"] or words.UNKNOWN)),
            *((f"tag {name}", value) for name, value in trace["tags"].items()),
            *((kind, ref) for kind, refs in trace["links"].items() for ref in refs),
        ]
    )
    whole = max((_end(span) for span in trace["spans"]), default=0.0)
    printing.print_table(trace["spans"], _spans(whole), title="spans")
    printing.print_table(trace["assessments"], ASSESSMENTS, title="assessments")


ASSESSMENTS = (
    Column("what", lambda said: said["kind"]),
    Column("name", lambda said: said["name"]),
    Column("value", lambda said: words.value(said["value"])),
    Column("by", lambda said: f"{said['source_kind']} {said['source']}".strip()),
    Column("valid", lambda said: "yes" if said["is_valid"] else "overridden"),
    Column("because", lambda said: said["rationale"] or "", "prose"),
)


def _spans(whole_ms: float) -> tuple[Column, ...]:
    return (
        Column("span", lambda span: "· " * span["depth"] + span["name"]),
        Column("kind", lambda span: span["kind"] or ""),
        Column("state", lambda span: printing.state(span["state"])),
        Column("after", lambda span: _took(span["offset_ms"]), "number"),
        Column("took", lambda span: _took(span["duration_ms"]), "number"),
        Column("", lambda span: _bar(span, whole_ms)),
        Column("message", lambda span: span["message"] or "", "prose"),
    )


def _bar(span: dict[str, Any], whole_ms: float) -> str:
    """Where a span lies in the time of its trace, and how much of it, at least one cell."""
    if whole_ms <= 0:
        return ""
    first = min(BAR - 1, int(span["offset_ms"] / whole_ms * BAR))
    length = max(1, round((_end(span) - span["offset_ms"]) / whole_ms * BAR))
    return ("·" * first + "█" * min(length, BAR - first)).ljust(BAR, "·")


def _end(span: dict[str, Any]) -> float:
    return float(span["offset_ms"] + (span["duration_ms"] or 0))


def _took(milliseconds: float | None) -> str:
    return words.UNKNOWN if milliseconds is None else words.seconds(milliseconds / 1000)


def _tokens(usage: dict[str, float] | None) -> str:
    return words.count(int(usage["total_tokens"])) if usage and "total_tokens" in usage else ""
