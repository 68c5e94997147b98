# SPDX-License-Identifier: Apache-2.0
"""What a source file reads besides its inputs, as far as the source says: environment variables, and files by a path.

In: a syntax tree. Out: names of variables, and ``Read``s. A path is worked out from literals, ``Path``, ``/``,
``os.path.join``, ``__file__`` and names that were given such a path before; whatever else it is made of, it is
*unknown*, and the reader of the plan is told the line. This sees what an audit hook cannot: native readers of Parquet,
and queries.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

HERE, WORKING = "here", "working"  # the folder of the source file, and the folder that the process works in

_READERS = re.compile(
    r"^(open|(read|scan|load)(_\w+)?|imread|fromfile|loadtxt|genfromtxt|memmap|memory_map|ParquetFile)$"
)
_METHODS = frozenset({"read_text", "read_bytes", "open"})  # of a path
_QUERIES = frozenset({"sql", "execute", "query", "from_query"})
_QUOTED = re.compile(r"'([^'\n]+\.(?:parquet|csv|tsv|json|jsonl|ndjson|arrow|feather|db|duckdb)(?:\.gz)?)'")
_ARGUMENTS = frozenset(
    {"path", "source", "filepath_or_buffer", "path_or_buf", "file", "filename", "where", "io", "paths"}
)
_WRITING = frozenset("wax+")


@dataclass(frozen=True, kw_only=True)
class Read:
    """A call that is given a file: ``path`` from ``base``; None: a text that names something else, such as a URL."""

    call: str
    line: int
    base: str
    path: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a statement reads. ``unsure``: lines that read the environment by a name that cannot be worked out."""

    variables: frozenset[str] = frozenset()
    reads: tuple[Read, ...] = ()
    unsure: tuple[int, ...] = ()


NOTHING = Outside()
Place = tuple[str, PurePosixPath]


def known_places(tree: ast.Module) -> dict[str, Place]:
    """Names of the file that stand for one path or text; a name given two of them stands for none."""
    found: dict[str, Place | None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, place = node.targets[0].id, _place(node.value, {k: v for k, v in found.items() if v})
            found[name] = place if name not in found or found[name] == place else None
    return {name: place for name, place in found.items() if place}


def of(statement: ast.stmt, known: Mapping[str, Place]) -> Outside:
    """What ``statement`` reads; ``known`` are names that stand for a path."""
    variables: set[str] = set()
    reads: list[Read] = []
    unsure: list[int] = []
    for node in ast.walk(statement):
        if (given := _variable(node)) is not None:
            name = _text(given, known)
            variables.add(name) if name is not None else unsure.append(given.lineno)
        if isinstance(node, ast.Call):
            reads += _reads(node, known)
    return Outside(variables=frozenset(variables), reads=tuple(reads), unsure=tuple(unsure))


# ── environment variables ──────────────────────────────────────────────────────────────────────────────────────────


def _variable(node: ast.AST) -> ast.expr | None:
    """The expression that names the variable, where ``node`` reads one."""
    if isinstance(node, ast.Subscript) and _is_environ(node.value) and isinstance(node.ctx, ast.Load):
        return node.slice
    if isinstance(node, ast.Compare) and len(node.comparators) == 1 and _is_environ(node.comparators[0]):
        return node.left
    if not isinstance(node, ast.Call) or not node.args:
        return None
    word = _word(node.func)
    if word in ("getenv", "getenvb"):
        return node.args[0]
    is_get = word in ("get", "pop", "setdefault") and isinstance(node.func, ast.Attribute)
    return node.args[0] if is_get and _is_environ(node.func.value) else None  # type: ignore[attr-defined]


def _is_environ(node: ast.expr) -> bool:
    return _word(node) in ("environ", "environb")


def _text(node: ast.expr, known: Mapping[str, Place]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
        return node.value if isinstance(node.value, str) else node.value.decode("utf-8", "surrogateescape")
    if isinstance(node, ast.Name) and node.id in known and known[node.id][0] == WORKING:
        return str(known[node.id][1])
    return None


# ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reads(call: ast.Call, known: Mapping[str, Place]) -> Iterator[Read]:
    word = _word(call.func)
    if word in _QUERIES and call.args and isinstance(call.args[0], ast.Constant):
        for text in _QUOTED.findall(str(call.args[0].value)):
            yield _read(word, call, (WORKING, PurePosixPath(text)), text)
    owner = call.func.value if word in _METHODS and isinstance(call.func, ast.Attribute) else None
    if owner is not None and (place := _place(owner, known)):
        if not _writes(call, at=0):
            yield _read(word, call, place, str(place[1]))
        return
    if not _READERS.match(word) or (word == "open" and _writes(call, at=1)):
        return
    for given in [*call.args[:1], *(each.value for each in call.keywords if each.arg in _ARGUMENTS)]:
        for each in given.elts if isinstance(given, (ast.List, ast.Tuple)) else [given]:
            if place := _place(each, known):
                yield _read(word, call, place, ast.unparse(each))


def _read(word: str, call: ast.Call, place: Place, text: str) -> Read:
    base, path = place
    is_elsewhere = bool(re.match(r"^\w+:/", str(path)))
    return Read(call=word, line=call.lineno, base=base, path=None if is_elsewhere else str(path), text=text[:80])


def _writes(call: ast.Call, *, at: int) -> bool:
    given = call.args[at : at + 1] + [each.value for each in call.keywords if each.arg == "mode"]
    modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return any(_WRITING & set(mode) for mode in modes)


def _place(node: ast.expr, known: Mapping[str, Place]) -> Place | None:
    """The path that ``node`` stands for, if the source says it."""
    if isinstance(node, ast.Constant):
        return (WORKING, PurePosixPath(node.value)) if isinstance(node.value, str) and node.value else None
    if isinstance(node, ast.Name):
        return (HERE, PurePosixPath("self.py")) if node.id == "__file__" else known.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return _joined([node.left, node.right], known)
    if isinstance(node, ast.Attribute) and node.attr == "parent":
        return _above(_place(node.value, known), 1)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
        count = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return _above(_place(node.value.value, known), count + 1) if isinstance(count, int) else None
    return _place_of_call(node, known) if isinstance(node, ast.Call) else None


def _place_of_call(node: ast.Call, known: Mapping[str, Place]) -> Place | None:
    word, owner = _word(node.func), node.func.value if isinstance(node.func, ast.Attribute) else None
    if word in ("Path", "PurePath", "join", "str", "fspath", "abspath", "realpath") and node.args:
        return _joined(node.args, known)
    if word == "dirname" and node.args:
        return _above(_place(node.args[0], known), 1)
    if word == "files" and (not node.args or _is_own_package(node.args[0])):
        return HERE, PurePosixPath(".")
    if word == "joinpath" and owner is not None:
        return _joined([owner, *node.args], known)
    if word in ("with_name", "with_suffix") and owner is not None and node.args:
        found, text = _place(owner, known), _text(node.args[0], known)
        return (found[0], getattr(found[1], word)(text)) if found and text else None
    if word in ("resolve", "absolute", "expanduser", "as_posix") and owner is not None:
        return _place(owner, known)
    return None


def _joined(nodes: list[ast.expr], known: Mapping[str, Place]) -> Place | None:
    places = [_place(node, known) for node in nodes]
    if not all(places):
        return None
    base, path = places[0]  # type: ignore[misc]
    for other in places[1:]:
        path = path / other[1]  # type: ignore[index]
    return base, path


def _above(place: Place | None, count: int) -> Place | None:
    for _ in range(count):
        if place is None:
            return None
        base, path = place
        # One folder above the source's own is written out: a pure path has no parent of ".".
        place = base, path.parent if path.name not in ("", "..") else path / ".."
    return place


def _is_own_package(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("__package__", "__name__")


def _word(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
