# SPDX-License-Identifier: Apache-2.0
"""Whether importing a module changes others: it registers, patches, configures, or subclasses what it imports.

In: a syntax tree. Out: yes or no. A pipeline's file may import a module only for that: ``import plugins`` fills a
registry that a step in another file reads, and no import leads from the step to the plug-in. Such modules count for
every step of the pipeline. Unsure is yes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from mainstay.engine import environment

# Calls at the top of a module that change how things are told or found, not what they are.
_HARMLESS = frozenset({"logging", "warnings", "sys"})
_OURS = "mainstay"


def acts(tree: ast.Module) -> bool:
    """Whether the code that runs on import reaches beyond the module."""
    imported = _imported(tree)
    if any(_assigns_elsewhere(node, imported) for node in ast.walk(tree)):
        return True
    return any(_acts(node, imported) for node in _on_import(tree.body))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Name → top-level module it comes from; a relative import comes from the project ('')."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {
                alias.asname or alias.name.partition(".")[0]: alias.name.partition(".")[0] for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            module = "" if node.level else (node.module or "").partition(".")[0]
            found |= {alias.asname or alias.name: module for alias in node.names}
    return found


def _on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported, at any depth of blocks and classes."""
    for statement in body:
        if isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test):
            continue
        yield statement
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for field in ("body", "orelse", "finalbody"):
                yield from _on_import(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from _on_import(handler.body)


def _acts(node: ast.stmt, imported: dict[str, str]) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, (ast.Call, ast.Await)) and _source(node.value, imported) not in _HARMLESS
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        return any(not _is_library(_source(call, imported)) for call in calls)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return any(not _is_plain(each, imported) for each in node.decorator_list)
    if isinstance(node, ast.ClassDef):
        bases = [*node.bases, *(each.value for each in node.keywords)]
        is_known = all(_is_library(_source(each, imported)) for each in bases)
        return not is_known or any(not _is_plain(each, imported) for each in node.decorator_list)
    return isinstance(node, (ast.With, ast.For)) and any(isinstance(each, ast.Call) for each in ast.walk(node))


def _assigns_elsewhere(node: ast.AST, imported: dict[str, str]) -> bool:
    """Into a thing that was imported, wherever that stands: somebody may call the function on import."""
    if isinstance(node, ast.Call):
        is_setter = isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr") and bool(node.args)
        return is_setter and _source(node.args[0], imported) is not None
    if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
        return False
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    return any(
        isinstance(target, (ast.Attribute, ast.Subscript)) and _source(target, imported) is not None
        for target in targets
    )


def _is_plain(decorator: ast.expr, imported: dict[str, str]) -> bool:
    """A decorator of the standard library, of ours, or a builtin, acts on nothing but what it decorates."""
    source, word = _source(decorator, imported), ast.unparse(decorator)
    is_builtin = source is None and word in ("property", "staticmethod", "classmethod")
    if source == _OURS:
        return "materialiser" not in word
    return is_builtin or source in sys.stdlib_module_names or word.endswith((".setter", ".getter"))


def _is_library(source: str | None) -> bool:
    """Whether a name is not the project's: builtin or defined here (None), of the standard library, or installed."""
    return source is None or source in sys.stdlib_module_names or source == _OURS or environment.is_installed(source)


def _source(node: ast.AST, imported: dict[str, str]) -> str | None:
    """The module that the leftmost name of an expression was imported from; None: it was not imported."""
    while not isinstance(node, ast.Name):
        inner = getattr(node, "func", None) or getattr(node, "value", None)
        if not isinstance(inner, ast.AST):
            return None
        node = inner
    return imported.get(node.id)
