# SPDX-License-Identifier: Apache-2.0
"""One source file, parsed into the top-level parts that a cache key is made of.

In: a path. Out: a ``Module``: per part its digest over the normalised syntax tree (no comments, no layout, no
docstrings), what it imports and which names it mentions. Results are kept by (path, inode, size, times) of the file.
"""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mainstay.domain import code
from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Invalid
from mainstay.engine.code import effects, reads
from mainstay.engine.code.reads import Outside, Place

# Calls that import by name; with a literal they can be followed, with anything else they cannot.
IMPORTERS = frozenset({"import_module", "__import__"})
# Calls that run or find code which no syntax tree names.
DYNAMIC = frozenset(
    {
        "run_path",
        "run_module",
        "iter_modules",
        "walk_packages",
        "entry_points",
        "spec_from_file_location",
        "exec_module",
    }
)
# Words by which code can reach a function of a module without writing the function's name.
REFLECTION = frozenset(
    {"globals", "locals", "vars", "dir", "__dict__", "eval", "exec", "getmembers", "attrgetter", "methodcaller", "gc"}
)
DOCSTRING_READERS = frozenset({"__doc__", "getdoc"})
SOURCE_READERS = frozenset({"getsource", "getsourcelines", "findsource", "linecache"})
# A file changed so recently that a second change could carry the same time stamp is parsed again.
RACY_NS = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class Import:
    """``names``: what is taken from ``module`` (empty: the module itself); ``level`` counts leading dots."""

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


@dataclass(frozen=True, kw_only=True)
class Part:
    """A top-level statement. ``may_rest``: a step or pipeline that counts only if something mentions its name.

    ``may_idle``: a definition or a constant, which does nothing unless it is named. ``renames``: names that it imports
    as others, as (the new name, the old one).
    """

    name: str
    digest: str
    digest_with_docs: str
    imports: tuple[Import, ...]
    mentions: frozenset[str]
    is_dynamic: bool
    may_rest: bool
    outside: Outside = reads.NOTHING
    may_idle: bool = False
    renames: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Module:
    """A parsed file; ``raw`` is the digest of its bytes. ``acts``: importing it changes others."""

    parts: tuple[Part, ...]
    raw: str
    acts: bool = False


_memo: dict[str, tuple[tuple[int, ...], Module]] = {}


def read(path: Path) -> Module:
    """The parts of ``path``.

    Raises:
        Invalid: it is not Python of this version.
    """
    state = os.stat(path)
    stamp = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    known = _memo.get(str(path))
    if known and known[0] == stamp:
        return known[1]
    module = parse(path.read_bytes(), path.name)
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > RACY_NS:
        _memo[str(path)] = (stamp, module)
    return module


def parse(source: bytes, name: str) -> Module:
    """The parts of ``source``; ``name`` is only for the error."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise Invalid(f"{name} cannot be parsed as Python: {error}; correct it and run again.") from error
    body = tree.body[1:] if ast.get_docstring(tree, clean=False) is not None else tree.body
    places, acts = reads.known_places(tree), effects.acts(tree)
    parts = tuple(_part(statement, places) for statement in body)
    if len(body) < len(tree.body):
        doc = sha256_hex(ast.dump(tree.body[0]).encode())
        parts = (_constant_part("docstring", doc), *parts)
    return Module(parts=parts, raw=sha256_hex(source), acts=acts)


def _constant_part(name: str, digest: str) -> Part:
    return Part(
        name=name,
        digest="",
        digest_with_docs=digest,
        imports=(),
        mentions=frozenset(),
        is_dynamic=False,
        may_rest=False,
    )


def _part(statement: ast.stmt, places: Mapping[str, Place]) -> Part:
    with_docs = sha256_hex(ast.dump(statement).encode())
    imports, is_dynamic = _imports(statement)
    may_rest = _may_rest(statement)
    code.without_docstrings(statement)
    # The block that only a script runs starts pipelines by name; steps do not depend on that.
    mentions = frozenset() if _is_main_block(statement) else frozenset(_mentions(statement))
    return Part(
        name=code.name_of(statement),
        digest=sha256_hex(ast.dump(statement).encode()),
        digest_with_docs=with_docs,
        imports=imports,
        mentions=mentions,
        is_dynamic=is_dynamic,
        may_rest=may_rest,
        outside=reads.of(statement, places),
        may_idle=may_rest or _may_idle(statement),
        renames=_renames(statement),
    )


def _imports(statement: ast.stmt) -> tuple[tuple[Import, ...], bool]:
    found: list[Import] = []
    is_dynamic = False
    literal_calls: set[int] = set()
    # ast.walk goes from the outside in, so a call is seen before the name that it calls.
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            found += [Import(module=alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(
                Import(module=node.module or "", names=tuple(alias.name for alias in node.names), level=node.level)
            )
        elif isinstance(node, ast.Call):
            literal = _literal_import(node)
            if literal is not None:
                found.append(literal)
                literal_calls.add(id(node.func))
            elif _called(node) in DYNAMIC or (isinstance(node.func, ast.Name) and node.func.id in ("exec", "eval")):
                is_dynamic = True
        elif isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in literal_calls:
            is_dynamic |= (node.id if isinstance(node, ast.Name) else node.attr) in IMPORTERS
        if isinstance(node, ast.ImportFrom):
            is_dynamic |= any(alias.name in IMPORTERS and alias.asname for alias in node.names)
    return tuple(found), is_dynamic


def _called(node: ast.Call) -> str:
    return (
        node.func.id
        if isinstance(node.func, ast.Name)
        else node.func.attr
        if isinstance(node.func, ast.Attribute)
        else ""
    )


def _literal_import(node: ast.Call) -> Import | None:
    if _called(node) not in IMPORTERS or not node.args or not isinstance(node.args[0], ast.Constant):
        return None
    name = node.args[0].value
    if not isinstance(name, str) or (name.startswith(".") and not _is_own_package(node)):
        return None
    bare = name.lstrip(".")
    return Import(module=bare, level=len(name) - len(bare))


def _is_own_package(node: ast.Call) -> bool:
    given = node.args[1:2] + [keyword.value for keyword in node.keywords if keyword.arg == "package"]
    return any(isinstance(each, ast.Name) and each.id == "__package__" for each in given)


def _mentions(statement: ast.stmt) -> Iterator[str]:
    """Identifiers used in the statement, also those inside strings: ``getattr(module, "name")`` reaches a name too."""
    own = statement.name if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) else None
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id != own:
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from node.name.split(".")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (word for word in _words(node.value))
        if isinstance(node, ast.Call) and _called(node) == "getattr" and not _is_text(node.args[1:2]):
            yield "vars"  # a computed attribute name: as good as looking through the whole module


def _words(text: str) -> list[str]:
    cleaned = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text)
    return [word for word in cleaned.split() if word.isidentifier()]


def _is_text(nodes: list[ast.expr]) -> bool:
    return len(nodes) == 1 and isinstance(nodes[0], ast.Constant)


def _is_main_block(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def _may_rest(statement: ast.stmt) -> bool:
    """A function whose one decorator is ``step`` or ``pipeline`` has no effect until somebody calls it by its name."""
    if not isinstance(statement, ast.FunctionDef) or len(statement.decorator_list) != 1:
        return False
    decorator = statement.decorator_list[0]
    marker = decorator.func if isinstance(decorator, ast.Call) else decorator
    word = marker.id if isinstance(marker, ast.Name) else marker.attr if isinstance(marker, ast.Attribute) else ""
    arguments = (
        [*decorator.args, *(each.value for each in decorator.keywords)] if isinstance(decorator, ast.Call) else []
    )
    defaults = [*statement.args.defaults, *(each for each in statement.args.kw_defaults if each), *arguments]
    return word in ("step", "pipeline") and not any(
        isinstance(each, ast.Call) for default in defaults for each in ast.walk(default)
    )


def _may_idle(statement: ast.stmt) -> bool:
    """A plain function, a plain class, or names for values that call nothing."""
    if isinstance(statement, ast.FunctionDef):
        return not statement.decorator_list and not _calls(
            [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
        )
    if isinstance(statement, ast.ClassDef):
        is_plain = not (statement.decorator_list or statement.bases or statement.keywords)
        return is_plain and all(isinstance(each, (ast.Pass, ast.Expr)) or _may_idle(each) for each in statement.body)
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return all(isinstance(each, ast.Name) for each in targets) and not _calls([statement.value])
    return False


def _calls(nodes: Iterable[ast.AST | None]) -> bool:
    return any(isinstance(each, (ast.Call, ast.Await)) for node in nodes if node for each in ast.walk(node))


def _renames(statement: ast.stmt) -> tuple[tuple[str, str], ...]:
    if not isinstance(statement, (ast.Import, ast.ImportFrom)):
        return ()
    return tuple((alias.asname, alias.name) for alias in statement.names if alias.asname)
