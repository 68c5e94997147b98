# SPDX-License-Identifier: Apache-2.0
"""A diff of two snapshots in words: what came, what went, what moved most, and which rows."""

from __future__ import annotations

from typing import Any

from mainstay.cli import printing, words
from mainstay.cli.printing import Column

COLUMNS = (
    Column("column", lambda change: change["column"]),
    Column("effect", lambda change: f"{change['effect']:.3f}", "number"),
    Column("psi", lambda change: f"{change['psi']:.3f}", "number"),
    Column("missing", lambda change: _both(change, "null_share", words.share)),
    Column("mean", lambda change: _both(change, "mean", words.value)),
    Column("range", lambda change: _range(change)),
    Column("values", lambda change: _names(change), "prose"),
)
CHANGED = (
    Column("row", lambda change: words.value(change["key"])),
    Column("changed", lambda change: _changes(change["columns"]), "prose"),
)
MOST_COLUMNS = 30


def show(diff: dict[str, Any]) -> None:
    """Print a diff as the API gives it."""
    if diff["is_same"]:
        printing.say(f"{diff['before']} and {diff['after']} are the very same content")
        return
    printing.print_facts(_facts(diff))
    if diff["files"] is not None:
        _show_files(diff["files"])
        return
    moved = [change for change in diff["columns"] if change["effect"] > 0][:MOST_COLUMNS]
    printing.print_table(moved, COLUMNS, title="columns, those that moved most first")
    if diff["rows"] is None:
        printing.say()
        printing.say("rows are not paired: --key COLUMN says what names a row", "dim")
    else:
        _show_rows(diff["rows"])


def _facts(diff: dict[str, Any]) -> list[tuple[str, str]]:
    more = diff["rows_after"] - diff["rows_before"]
    retyped = [f"{each['name']}: {each['before']} → {each['after']}" for each in diff["retyped"]]
    shared, new = len(diff["parts_shared"]), len(diff["parts_added"])
    return [
        ("rows", f"{words.count(diff['rows_before'])} → {words.count(diff['rows_after'])} ({more:+,})"),
        ("columns added", words.listed([f"{each['name']} ({each['type']})" for each in diff["added"]])),
        ("columns removed", words.listed([f"{each['name']} ({each['type']})" for each in diff["removed"]])),
        ("types changed", words.listed(retyped)),
        ("files", f"{shared} shared, {new} added, {len(diff['parts_removed'])} removed"),
    ]


def _show_files(files: dict[str, Any]) -> None:
    printing.say(", ".join(f"{words.count(files[name])} {name}" for name in ("added", "removed", "changed", "same")))
    for what in ("added", "removed", "changed"):
        for path in files[f"shown_{what}"]:
            printing.say(f"  {what}  {words.one_line(path)}")


def _show_rows(rows: dict[str, Any]) -> None:
    printing.print_title(f"rows by {', '.join(rows['key'])}")
    counted = [f"{words.count(rows[name])} {name}" for name in ("added", "removed", "changed", "same")]
    printing.say(", ".join(counted))
    if rows["columns"]:
        printing.say("changed in " + ", ".join(f"{name} ({words.count(n)})" for name, n in rows["columns"].items()))
    for side in ("before", "after"):
        repeated = rows[f"repeated_{side}"]
        if repeated["rows"]:
            shown = "; ".join(words.value(key) for key in repeated["keys"][:5])
            told = f"{words.count(repeated['rows'])} rows cannot be paired: their key is there twice, {side}: {shown}"
            printing.say(words.one_line(told), "yellow")
    printing.print_table(rows["shown_changed"], CHANGED, title="the first that changed")
    for what in ("added", "removed"):
        _print_rows(rows[f"shown_{what}"], f"the first that were {what}")


def _print_rows(rows: list[dict[str, Any]], title: str) -> None:
    names = list(rows[0]) if rows else []
    printing.print_table(rows[:5], [_column(name) for name in names], title=title)


def _column(name: str) -> Column:
    return Column(name, lambda row: _value(row.get(name)))


def _changes(columns: dict[str, list[Any]]) -> str:
    return ", ".join(f"{name} {_value(old)} → {_value(new)}" for name, (old, new) in columns.items())


def _both(change: dict[str, Any], what: str, say: Any) -> str:
    before, after = change["before"][what], change["after"][what]
    if before is None and after is None:
        return ""
    return say(before) if before == after else f"{say(before)} → {say(after)}"


def _range(change: dict[str, Any]) -> str:
    ends = [
        f"{words.value(side['minimum'])}–{words.value(side['maximum'])}"
        for side in (change["before"], change["after"])
        if side["minimum"] is not None
    ]
    return " → ".join(dict.fromkeys(ends))


def _names(change: dict[str, Any]) -> str:
    told = [f"{word} {', '.join(change[word][:6])}" for word in ("new", "lost") if change[word]]
    return "; ".join(told)


def _value(found: Any) -> str:
    return "null" if found is None else words.value(found)
