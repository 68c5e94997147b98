# SPDX-License-Identifier: Apache-2.0
"""Which code a step of a notebook can reach: there is no file, so the functions of the cells are followed by name.

In: a function whose source is known though it stands in no file. Out: a ``Closure``, or why there can be none. What a
name stands for *now* counts, since cells are run in any order: a function or class by its source, a plain value, a
table or a model by its bytes, an instance by its class and its attributes, anything imported by the closure of its
module. What cannot be followed is a doubt, and a step in doubt is not cached.
"""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import inspect
import linecache
import re
import textwrap
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import MainstayError
from mainstay.engine import materialise
from mainstay.engine.code import closure, modules
from mainstay.engine.code.closure import Closure
from mainstay.engine.code.modules import Import
from mainstay.engine.materialise import json

LABEL = "notebook"
_CLASSES = re.compile(r'"\$(?:dataclass|enum|named)":\["([^":]+):([^"]+)"')


class Doubt(Exception):
    """Something a step uses cannot be followed; the text says what."""


@dataclass(kw_only=True)
class _Walk:
    parts: dict[str, str] = field(default_factory=dict)
    imports: list[Import] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    seen: list[Any] = field(default_factory=list)  # kept alive, so that no two things share an id


def has_cell(function: Callable[..., Any]) -> bool:
    """Whether the source of ``function`` is known though it is in no file."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and not Path(code.co_filename).is_file() and bool(linecache.getlines(code.co_filename))


def closure_of(function: Callable[..., Any], root: Path) -> Closure:
    """The closure of a function in a cell.

    Raises:
        Doubt: it uses something that cannot be followed.
    """
    walk = _Walk()
    _function(walk, function.__qualname__, inspect.unwrap(function))
    files = closure.of((), root=root, imports=walk.imports)
    return replace(
        files,
        digest=digest_of({"cells": walk.parts, "files": files.digest}),
        parts={LABEL: {name: digest[:12] for name, digest in sorted(walk.parts.items())}, **files.parts},
        variables=files.variables | walk.variables,
    )


def _value(walk: _Walk, name: str, value: Any) -> None:
    """Whatever a name stands for."""
    if any(value is each for each in walk.seen):
        return
    walk.seen.append(value)
    inner = getattr(value, "function", value) if type(value).__module__.startswith("mainstay.engine") else value
    if isinstance(inner, types.ModuleType):
        walk.imports.append(Import(module=inner.__name__))
    elif isinstance(inner, (types.FunctionType, type)):
        _definition(walk, name, inner)
    elif isinstance(inner, (types.BuiltinFunctionType, types.MethodType)):
        _value(walk, f"{name}'s owner", inner.__self__)
    elif isinstance(inner, functools.partial):
        _value(walk, f"{name}.func", inner.func)
        _value(walk, f"{name}.args", [*inner.args, inner.keywords])
    else:
        _data(walk, name, inner)


def _definition(walk: _Walk, name: str, value: Any) -> None:
    """A function or class: of a cell by its source, of a module by that module."""
    if isinstance(value, types.FunctionType) and has_cell(value):
        _function(walk, name, inspect.unwrap(value))
    elif isinstance(value, type) and value.__module__ == "__main__":
        _source(walk, name, _class_source(value), vars(__import__("__main__")))
        for base in value.__mro__[1:-1]:
            _value(walk, base.__qualname__, base)
    elif value.__module__ not in ("builtins", "__main__"):
        walk.imports.append(Import(module=value.__module__))
    elif value.__module__ == "__main__":
        raise Doubt(f"it uses {name!r}, whose source is not known")


def _function(walk: _Walk, name: str, function: Any) -> None:
    walk.seen.append(function)
    _source(walk, name, inspect.getsource(function), function.__globals__)
    for cell_name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        _value(walk, f"{name}.{cell_name}", cell.cell_contents)
    for place, default in enumerate(function.__defaults__ or ()):
        _value(walk, f"{name}.default {place}", default)


def _source(walk: _Walk, name: str, source: str, scope: Mapping[str, Any]) -> None:
    """A definition's text, and everything that it mentions."""
    module = modules.parse(textwrap.dedent(source).encode(), name)
    walk.parts[name] = digest_of([part.digest for part in module.parts])
    for part in module.parts:
        if part.is_dynamic or part.mentions & modules.REFLECTION:
            raise Doubt(f"{name!r} looks things up by computed names")
        walk.variables |= part.outside.variables
        walk.imports += part.imports
        for mentioned in sorted(part.mentions):
            if mentioned in scope and not hasattr(builtins, mentioned):
                _value(walk, mentioned, scope[mentioned])


def _class_source(kind: type) -> str:
    """The newest cell's definition of a class; `inspect` cannot tell, as ``__main__`` has no file."""
    for file in reversed(linecache.cache):
        text = "" if Path(file).is_file() else "".join(linecache.getlines(file))
        if f"class {kind.__name__}" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                return ast.unparse(node)
    raise Doubt(f"it uses class {kind.__name__!r}, whose source is not known")


def _data(walk: _Walk, name: str, value: Any) -> None:
    if _is_plain(walk, name, value):
        return
    if type(value) in (list, tuple):
        for place, item in enumerate(value):
            _value(walk, f"{name}[{place}]", item)
        walk.parts[name] = f"{type(value).__name__} of {len(value)}"
    elif type(value) is dict:
        for key, item in value.items():
            _value(walk, f"{name}[{key!r}]", item)
        walk.parts[name] = digest_of(sorted(map(repr, value)))
    elif (family := materialise.family_of(value)) is not None:
        walk.parts[name] = family.write(value, _Hashing()).digest
    elif type(value).__module__ == "__main__" and hasattr(value, "__dict__"):
        _value(walk, type(value).__qualname__, type(value))
        _value(walk, f"{name}'s attributes", dict(vars(value)))
    else:
        raise Doubt(f"it uses {name!r}, a {type(value).__qualname__}, which cannot be keyed")


def _is_plain(walk: _Walk, name: str, value: Any) -> bool:
    """Whether the value is its text, and the classes that the text names."""
    try:
        text = json.dumps(value)
    except (json.Unplain, ValueError, MainstayError):
        return False
    walk.parts[name] = hashlib.sha256(text).hexdigest()
    for module, kind in _CLASSES.findall(text.decode()):
        if module != "__main__":
            walk.imports.append(Import(module=module))
        elif (found := vars(__import__("__main__")).get(kind.partition(".")[0])) is not None:
            _value(walk, kind, found)
    return True


class _Hashing:
    """Blobs of which only the digest is wanted."""

    def put_blob(self, data: bytes | Path) -> str:
        return hashlib.sha256(data if isinstance(data, bytes) else data.read_bytes()).hexdigest()

    def get_blob(self, digest: str) -> bytes:
        raise Doubt("its value cannot be read back")

    def blob_path(self, digest: str) -> Path:
        raise Doubt("its value cannot be read back")
