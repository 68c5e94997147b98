# SPDX-License-Identifier: Apache-2.0
"""``mainstay why SUBJECT``: the chain behind a prediction, a version, a release …, each step with who and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected

if TYPE_CHECKING:
    from mainstay.client.session import Session

WHOLE = ("✓ the ledger's chain is whole", "green")
BROKEN = ("✗ THE LEDGER'S CHAIN IS BROKEN", "red")
_VERIFIED = {True: ("  ✓ verified", "green"), False: ("  ✗ DOES NOT VERIFY", "red"), None: ("", "")}


@click.command()
@click.argument("subject")
@click.option("--verify", is_flag=True, help="Hash every blob on the way again, and walk the ledger's chain.")
@connected
def why(session: Session, as_json: bool, subject: str, verify: bool) -> int:
    """The chain behind a thing: who, when, from what.

    SUBJECT is an id (of a prediction, a run, an alert, a decision), a release flights#7, a version flights-late@3, a
    snapshot flights@3, a deployment, or any kind:name. With --verify the exit status is 1 if anything does not hold.
    """
    asked = references.subject(session, subject)
    found = session.get(references.path("why") + references.path(asked), verify=1 if verify else None)
    printing.answer(found, as_json, lambda chain: _show(chain, verify))
    return 1 if verify and _is_broken(found) else 0


def _is_broken(chain: dict[str, Any]) -> bool:
    return chain["chain_ok"] is False or any(step["verified"] is False for step in chain["steps"])


def _show(chain: dict[str, Any], verify: bool) -> None:
    _Tree(steps=chain["steps"], edges=chain["edges"]).print()
    unknown = sum(step["unknown"] for step in chain["steps"])
    printing.say()
    told = f"{words.counted(len(chain['steps']), 'step')} in {chain['ms']:g} ms"
    printing.say(told + (f", {unknown} of them unknown" if unknown else ""), "dim")
    if verify:
        printing.say(*(WHOLE if chain["chain_ok"] else BROKEN))


@dataclass(kw_only=True)
class _Tree:
    """The chain drawn from its first step; what two steps share is drawn once."""

    steps: list[dict[str, Any]]
    edges: list[list[Any]]
    _drawn: set[int] = field(default_factory=set)

    def print(self) -> None:
        self._print(0, label="", head="", tail="")

    def _print(self, place: int, *, label: str, head: str, tail: str) -> None:
        step = self.steps[place]
        title = step["title"] if step["title"].startswith(label) else f"{label} {step['title']}"
        if place in self._drawn:
            printing.say(f"{head}{words.one_line(title)} (above)")
            return
        self._drawn.add(place)
        self._print_head(step, head + words.one_line(title))
        below = [(there, name) for here, there, name in self.edges if here == place]
        if facts := _facts(step):
            printing.print_wrapped(facts, indent=tail + ("│  " if below else "   "))
        for number, (there, name) in enumerate(below, 1):
            branch, trunk = ("└─ ", "   ") if number == len(below) else ("├─ ", "│  ")
            self._print(there, label=name, head=tail + branch, tail=tail + trunk)

    def _print_head(self, step: dict[str, Any], line: str) -> None:
        by = f" by {words.one_line(step['actor'])}" if step["actor"] else ""
        at = f"  {words.when(step['at'])}{by}" if step["at"] or by else ""
        mark, colour = ("  ? unknown", "magenta") if step["unknown"] else _VERIFIED[step["verified"]]
        printing.say(f"{line}{at}{mark}", colour)


def _facts(step: dict[str, Any]) -> str:
    return " · ".join(f"{fact['name']} {_fact(fact['value'])}" for fact in step["facts"])


def _fact(value: Any) -> str:
    """A digest is short on a terminal, and whole in a pipe."""
    if isinstance(value, str) and len(value) == 64 and printing.is_terminal():
        return value[: printing.SHORT]
    return words.one_line(words.value(value))
