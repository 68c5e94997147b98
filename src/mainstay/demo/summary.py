# SPDX-License-Identifier: Apache-2.0
"""What became of the year: a table of months, what is live, and predictions to ask why about. All of it from the records."""

from __future__ import annotations

from typing import Any

from mainstay.client.session import Session
from mainstay.demo.telling import Teller
from mainstay.domain.clock import from_wire


def show_summary(session: Session, teller: Teller, *, ask_about: list[str], seconds: float | None) -> None:
    """Print it. ``ask_about``: ids of a few predictions. ``seconds``: None if nothing was left of the year."""
    windows = session.get("/monitors/flights/windows")["items"]
    _show_months(windows, teller)
    _say_refusals(session, teller)
    _show_live(session, teller)
    _show_why(ask_about, teller)
    if seconds is None:
        teller.console.print("\nThe year was lived through in this folder before; nothing was left to do.")
    else:
        teller.console.print(f"\nThe year took {seconds:.1f} s.")


def _show_months(windows: list[dict[str, Any]], teller: Teller) -> None:
    from rich.table import Table

    table = Table(title="2013 as it went", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, side in (("month", "left"), ("release", "left"), ("n", "right"), ("AUC [95 %]", "left"), ("Brier", "right"),
                       ("estimate", "right"), ("drift", "left"), ("decision", "left")):  # fmt: skip
        table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for window in windows:
        table.add_row(*_cells(window))
    teller.console.print()
    teller.console.print(table, width=max(teller.console.width, 100))


def _cells(window: dict[str, Any]) -> list[str]:
    performance, estimate = window["performance"] or {}, window["estimate"] or {}
    auc, brier = performance.get("auc") or {}, performance.get("brier") or {}
    decision = window["decision"] or {}
    return [
        f"{from_wire(window['since']):%b}",
        str(window["release"]),
        f"{window['n']:,}",
        "unknown" if auc.get("value") is None else f"{auc['value']:.3f} [{auc['lo']:.3f}, {auc['hi']:.3f}]",
        "unknown" if brier.get("value") is None else f"{brier['value']:.3f}",
        "" if estimate.get("auc") is None else f"{estimate['auc']:.3f}",
        window["drift"]["state"],
        _decided(decision),
    ]


def _decided(decision: dict[str, Any]) -> str:
    """The decision and what came of it, in a few words; its page and `mainstay decisions show` tell the rest."""
    if not decision:
        return "none"
    if decision["outcome"] == "hold":
        return "hold" + (" (data fault)" if "fault" in decision["sentence"] else "")
    return f"retrain: {decision['result'].replace('_', ' ')}"


def _say_refusals(session: Session, teller: Teller) -> None:
    releases = session.get("/releases", deployment="flights")["items"]
    refused = [release["id"] for release in releases if release["state"] == "refused"]
    if refused:
        teller.console.print(f"\nRefused by the numbers: {', '.join(reversed(refused))}.")
    else:
        teller.console.print("\nNo retrain was refused by the numbers this time.")


def _show_live(session: Session, teller: Teller) -> None:
    teller.console.print("\n[bold]mainstay live[/]")
    for line in session.get("/live")["items"]:
        loaded = ", ".join(
            f"{one['gateway']} has {one['digest'][:12]} {'(matches)' if one['matches'] else '(DIFFERS)'}"
            for one in line["loaded"]
        )
        teller.console.print(
            f"  {line['environment']}/{line['deployment']}: {line['release']} = {line['version']} at {line['share']:.0%}, "
            f"digest {line['digest'][:12]}; loaded: {loaded or 'no gateway speaks'}",
            markup=False,
        )


def _show_why(asked: list[str], teller: Teller) -> None:
    teller.console.print("\nPick a prediction and ask what is behind it:")
    for identity in asked:
        teller.console.print(f"  mainstay why {identity}", markup=False)
