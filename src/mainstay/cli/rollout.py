# SPDX-License-Identifier: Apache-2.0
"""``mainstay rollout``: how a release takes over the traffic, and how to hold it or take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column

if TYPE_CHECKING:
    from mainstay.client.session import Session

EVIDENCE = (
    Column("when", lambda seen: words.ago(seen.get("at"))),
    Column("share", lambda seen: words.share(seen.get("share")), "number"),
    Column("guard", lambda seen: words.value(seen.get("guard"))),
    Column("decision", lambda seen: words.value(seen.get("decision"))),
    Column("says", lambda seen: words.value(seen.get("sentence")), "prose"),
)
_WHICH = "It is named by deployment (flights), by release (flights#7) or by id."


@click.group()
def rollout() -> None:
    """The steps by which a release takes over."""


@rollout.command(help=f"A rollout, with what its judge has seen. {_WHICH}")
@click.argument("rollout")
@connected
def show(session: Session, as_json: bool, rollout: str) -> None:
    printing.answer(references.rollout(session, rollout), as_json, _show)


@rollout.command(help=f"Keep the present share until somebody resumes. {_WHICH}")
@click.argument("rollout")
@reasoned(required=False)
@connected
def pause(session: Session, as_json: bool, because: dict[str, Any], rollout: str) -> None:
    _act(session, rollout, "pause", because, as_json)


@rollout.command(help=f"Go on from the present share. {_WHICH}")
@click.argument("rollout")
@reasoned(required=False)
@connected
def resume(session: Session, as_json: bool, because: dict[str, Any], rollout: str) -> None:
    _act(session, rollout, "resume", because, as_json)


@rollout.command(help=f"Give all traffic back to the champion. {_WHICH}")
@click.argument("rollout")
@reasoned(required=True)
@connected
def abort(session: Session, as_json: bool, because: dict[str, Any], rollout: str) -> None:
    _act(session, rollout, "abort", because, as_json)


def _act(session: Session, text: str, act: str, because: dict[str, Any], as_json: bool) -> None:
    found = references.rollout(session, text)
    done = session.post(references.path("rollouts", found["id"], act), because)
    printing.answer(done, as_json, _say)


def _say(now: dict[str, Any]) -> None:
    printing.say(f"rollout of {now['release']} is {now['state']} at {words.share(now['share'])} of the traffic")


def _show(rollout: dict[str, Any]) -> None:
    steps = [f"{step} %" for step in rollout["steps"]]
    printing.print_facts(
        [
            ("rollout", rollout["id"]),
            ("release", f"{rollout['release']}, in place of {rollout['champion'] or 'nothing'}"),
            ("kind", rollout["kind"]),
            ("state", printing.state(rollout["state"])),
            ("share", f"{words.share(rollout['share'])}, in step {rollout['step'] + 1} of {words.listed(steps)}"),
            ("guards", f"{words.listed(rollout['guards'])}, after {rollout['min_predictions']:,} predictions a step"),
            ("started", words.when(rollout["started_at"])),
            ("ended", words.when(rollout["ended_at"]) if rollout["ended_at"] else "not yet"),
            ("reason", rollout["reason"] or "none given"),
        ]
    )
    printing.print_table(rollout["evidence"], EVIDENCE, title="what the judge saw")
