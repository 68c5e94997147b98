# SPDX-License-Identifier: Apache-2.0
"""State tables: which moves each governed noun may make. The docs draw the same tables."""

from __future__ import annotations

from collections.abc import Mapping

from mainstay.domain.errors import Conflict

StateTable = Mapping[str, frozenset[str]]


def _table(**moves: str) -> StateTable:
    return {state: frozenset(after.split()) for state, after in moves.items()}


# A run that has ended goes on only by being reopened.
RUN = _table(
    scheduled="running succeeded failed killed",
    running="scheduled succeeded failed killed",
    succeeded="running",
    failed="running",
    killed="running",
    cached="",
)

VERSION = _table(candidate="released retired deleted", released="retired", retired="released deleted", deleted="")

RELEASE = _table(
    judging="refused waiting approved failed",
    refused="",
    waiting="approved rejected",
    approved="rolling live failed",
    rolling="live rolled_back failed",
    live="superseded rolled_back",
    superseded="live",
    rolled_back="live",
    rejected="",
    failed="",
)

ROLLOUT = _table(
    running="paused held completed aborted",
    paused="running aborted",
    held="running completed aborted",
    completed="",
    aborted="",
)

ALERT = _table(
    open="acknowledged resolved muted",
    acknowledged="resolved muted",
    muted="open resolved",
    resolved="",
)

JOB = _table(queued="leased failed", leased="queued done failed", done="", failed="")


def check_move(table: StateTable, subject: str, before: str, after: str) -> str:
    """Return ``after`` if the table allows the move.

    Raises:
        Conflict: it does not; the message names what would be allowed.
    """
    allowed = table[before]
    if after not in allowed:
        ways = ", ".join(sorted(allowed)) or "nothing: this is an end"
        raise Conflict(f"{subject} is {before} and cannot become {after}; from {before} it can become {ways}.")
    return after
