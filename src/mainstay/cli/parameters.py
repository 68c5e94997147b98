# SPDX-License-Identifier: Apache-2.0
"""Parameters of a pipeline on the command line: any option that is not ours, as text by name.

In: what is left of the command line. Out: name → text; the pipeline's annotations make values of it. ``--until X``,
``--until=X`` and ``-p until=X`` are the same; an option without a value is ``true``, and ``--no-fresh`` makes ``fresh``
false.
"""

from __future__ import annotations

from collections.abc import Sequence

import click


def read(rest: Sequence[str], named: Sequence[str] = ()) -> dict[str, str]:
    """Name → text, from options (``rest``) and from ``name=value`` texts (``named``).

    Raises:
        click.UsageError: something is no option, has no value where one belongs, or is given twice.
    """
    found: dict[str, str] = {}
    for name, text in [*_options(list(rest)), *(_pair(text) for text in named)]:
        if name in found:
            raise click.UsageError(f"parameter {name!r} is given twice.")
        found[name] = text
    return found


def negated(given: dict[str, str], known: Sequence[str]) -> dict[str, str]:
    """The same, with ``no_fresh: true`` read as ``fresh: false`` where only ``fresh`` is a parameter."""
    plain: dict[str, str] = {}
    for name, text in given.items():
        positive = name.removeprefix("no_")
        is_negation = name not in known and positive in known and text == "true"
        plain[positive if is_negation else name] = "false" if is_negation else text
    return plain


def _options(rest: list[str]) -> list[tuple[str, str]]:
    found = []
    while rest:
        option = rest.pop(0)
        if not option.startswith("--") or option == "--":
            raise click.UsageError(f"{option!r} is no parameter; they are given as --name value.")
        name, equals, text = option[2:].partition("=")
        if not equals:
            # A value may begin with one dash (-5, say), never with two.
            text = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        found.append((_name(name, option), text))
    return found


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """``column=value`` texts by column; a column may be called anything.

    Raises:
        click.UsageError: one has another form, or a column is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise click.UsageError(f"{text!r} is not of the form column=value.")
        if name in found:
            raise click.UsageError(f"{name!r} is given twice.")
        found[name] = value
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r} is not of the form name=value.")
    return _name(name, text), value


def _name(name: str, shown: str) -> str:
    if not name.replace("-", "_").isidentifier():
        raise click.UsageError(f"{shown!r} does not name a parameter; they are given as --name value.")
    return name.replace("-", "_")
