# SPDX-License-Identifier: Apache-2.0
"""Python sources as people read them: their top-level statements by name, and which lines of one differ from another's.

Two texts of a statement are the same if they mean the same: comments, layout and docstrings do not count.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass

LONGEST_DIFF = 400  # lines


@dataclass(frozen=True, kw_only=True)
class Change:
    """One statement that is not what it was. ``lines`` counts those that were changed, added or removed."""

    name: str
    lines: int
    diff: str


def name_of(statement: ast.stmt) -> str:
    """What a top-level statement is called: the name it defines, ``imports``, or ``module body``."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return "imports"
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    names = [each.id for target in targets if target for each in ast.walk(target) if isinstance(each, ast.Name)]
    return names[0] if names else "module body"


def without_docstrings(tree: ast.AST) -> ast.AST:
    """The same tree, with ``pass`` where a docstring stood alone and nothing where it stood first."""
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def statements(source: str) -> dict[str, str]:
    """Text by name; statements that share a name stand together. Empty if it is not Python.

    >>> statements("RATE = 2\\ndef f(x):\\n    return x\\n")
    {'RATE': 'RATE = 2', 'f': 'def f(x):\\n    return x'}
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    lines = source.splitlines()
    for statement in tree.body:
        first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
        found.setdefault(name_of(statement), []).append("\n".join(lines[first - 1 : statement.end_lineno]))
    return {name: "\n".join(texts) for name, texts in found.items()}


def difference(before: str | None, after: str | None, *, where: str, only: set[str] | None = None) -> list[Change]:
    """The statements of two versions of one file that differ in meaning, in the order of the newer one.

    Args:
        before, after: the sources; None: there was no such file. where: what the file is called in a diff's head.
        only: names to look at; all if not given.
    """
    old, new = statements(before or ""), statements(after or "")
    names = [name for name in dict.fromkeys([*new, *old]) if only is None or name in only]
    changes = [_change(name, old.get(name, ""), new.get(name, ""), where) for name in names]
    return [change for change in changes if change is not None]


def _change(name: str, old: str, new: str, where: str) -> Change | None:
    if _meaning(old) == _meaning(new):
        return None
    lines = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), f"{where} before", f"{where} after", lineterm="")
    )
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    shown = lines[:LONGEST_DIFF] + ([f"… {len(lines) - LONGEST_DIFF} more lines"] if len(lines) > LONGEST_DIFF else [])
    return Change(name=name, lines=max(added, removed), diff="\n".join(shown))


def _meaning(text: str) -> str:
    try:
        return ast.dump(without_docstrings(ast.parse(text)))
    except (SyntaxError, ValueError):
        return text
