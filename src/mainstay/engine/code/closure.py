# SPDX-License-Identifier: Apache-2.0
"""Which first-party code a step can reach: the static import closure of its file, as one digest and its parts.

In: the files a step begins in, the project's root. Out: a ``Closure``. Imports are followed wherever they stand (inside
functions, relative, starred, through packages, by literal ``import_module``); names are not, because following names
fails silently. One exception: a sibling ``@step`` or ``@pipeline`` that nothing in the closure mentions, not even in
a string, does not count, so that editing ``train`` does not re-run ``features`` of the same file. Any sign of
reflection switches that off.

First-party is what is neither the standard library nor installed in site-packages; code that is installed in editable
form elsewhere on the disk therefore counts by its source, not by its version.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mainstay.domain.digests import digest_of, sha256_hex
from mainstay.engine.code import data_files, modules, reach
from mainstay.engine.code.modules import Import, Module, Part

_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)
# In Python's order: a compiled module beside a source of the same name is the one that is imported.
_SUFFIXES = (*_EXTENSIONS, ".py", ".pyc")
_SHORT = 12  # digits of a part's digest: enough to tell versions of one part apart
_OURS = "mainstay"
_DECLARE = "declare it with @step(env=[…]), or its value does not count"
_SNAPSHOT = "make it a snapshot or use @step(cache=False), or its content does not count"


@dataclass(frozen=True, kw_only=True)
class Closure:
    """``parts``: module label → part name → short digest. ``imports``: third-party top-level names.

    ``variables`` of the environment and ``data``, labels of files, are what the code names itself. ``remarks`` tell
    what it reads that cannot count. ``idle``: parts that count, though nothing on the way names them.
    """

    digest: str
    parts: dict[str, dict[str, str]]
    files: tuple[Path, ...]
    imports: tuple[str, ...]
    is_dynamic: bool
    variables: frozenset[str] = frozenset()
    data: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    idle: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[Path, str] = field(default_factory=dict)  # module by file


@dataclass(frozen=True, kw_only=True)
class Located:
    """A module on disk: its file (None: a namespace package), and the folders its submodules are in."""

    name: str
    file: Path | None
    folders: tuple[Path, ...] = ()


@dataclass(kw_only=True)
class _Walk:
    root: Path
    folders: tuple[Path, ...]
    names: set[str]
    begin: frozenset[str] = frozenset()
    modules: dict[Path, Module] = field(default_factory=dict)
    locations: dict[Path, Located] = field(default_factory=dict)
    included: dict[Path, set[int]] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    packages: list[Located] = field(default_factory=list)
    known: dict[str, Located | None] = field(default_factory=dict)
    is_dynamic: bool = False


def of(files: Iterable[Path], *, root: Path, names: Iterable[str] = (), imports: Iterable[Import] = ()) -> Closure:
    """The closure of ``files``, and of ``imports`` made from the root; ``names`` are functions that count for certain.

    Raises:
        Invalid: a file in the closure cannot be parsed.
    """
    files = tuple(path.resolve() for path in files)
    walk = _Walk(root=root.resolve(), folders=search_folders(root, files), names=set(names), begin=frozenset(names))
    for path in files:
        _visit_with_parents(walk, module_name(path, walk.root), path)
    for each in imports:
        _follow(walk, each, Located(name="__main__", file=None))
    while _wake(walk):
        pass
    return _closed(walk)


def search_folders(root: Path, files: Iterable[Path]) -> tuple[Path, ...]:
    """Where top-level modules are looked for, in Python's order: beside the files, the root, its ``src``."""
    root = root.resolve()
    beside = [package_parent(path, root) for path in files] + [path.parent for path in files]
    on_path = [Path(entry).resolve() for entry in sys.path if entry]
    inside = [entry for entry in on_path if entry.is_relative_to(root) and not is_installed(entry)]
    return tuple(dict.fromkeys([*beside, root, root / "src", *inside]))


def package_parent(file: Path, root: Path) -> Path:
    """The folder from which ``file`` is imported: the first one upwards that is no package; the root is none."""
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder not in (root, folder.parent):
        folder = folder.parent
    return folder


def module_name(file: Path, root: Path) -> str:
    """The dotted name by which ``file`` is imported from ``package_parent``."""
    names = list(file.relative_to(package_parent(file, root)).with_suffix("").parts)
    return ".".join(names[:-1] if names[-1] == "__init__" and len(names) > 1 else names)


def loaded_files(root: Path) -> dict[Path, str]:
    """First-party files of ``root`` that are imported in this process now, by module name."""
    names = tuple(sys.modules)
    if _loaded.get(root, ((), {}))[0] == names:
        return dict(_loaded[root][1])
    prefix = f"{root.resolve()}{os.sep}"
    found: dict[Path, str] = {}
    for name, module in list(sys.modules.items()):
        known = _sources.get(name)
        if known is None or known[0] is not module:
            known = _sources[name] = (module, _source_of(name, module))
        if known[1] is not None and known[1].startswith(prefix):
            found[Path(known[1])] = name
    _loaded.clear()
    _loaded[root] = names, dict(found)
    return found


# Asked for all loaded modules after every step: without a memory that costs 5 ms a step.
_sources: dict[str, tuple[Any, str | None]] = {}
# And while nothing new is imported, there is nothing to look at.
_loaded: dict[Path, tuple[tuple[str, ...], dict[Path, str]]] = {}


def _source_of(name: str, module: Any) -> str | None:
    """The module's file if it is Python source, not ours and not installed."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py") or name.partition(".")[0] == _OURS:
        return None
    path = Path(file).resolve()
    return None if is_installed(path) else str(path)


# ── following ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _visit_with_parents(walk: _Walk, name: str, path: Path) -> None:
    located = Located(name=name, file=path, folders=(path.parent,) if path.name == "__init__.py" else ())
    _visit(walk, located)
    for parent in _parents(name):
        _follow_name(walk, parent)


def _parents(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[:count]) for count in range(1, len(words))]


def _visit(walk: _Walk, located: Located) -> None:
    path = located.file
    if located.folders and located not in walk.packages:
        walk.packages.append(located)
    if path is None or path in walk.modules:
        return
    if path.suffix != ".py":
        walk.modules[path] = _opaque(path)
    else:
        walk.modules[path] = modules.read(path)
    walk.locations[path] = located
    walk.included[path] = set()
    for place, part in enumerate(walk.modules[path].parts):
        if not part.may_rest:
            _include(walk, path, place)


def _opaque(path: Path) -> Module:
    """A compiled first-party module: its bytes are all there is to see."""
    raw = sha256_hex(path.read_bytes())
    part = Part(
        name="compiled",
        digest=raw,
        digest_with_docs=raw,
        imports=(),
        mentions=frozenset(),
        is_dynamic=True,
        may_rest=False,
    )
    return Module(parts=(part,), raw=raw)


def _include(walk: _Walk, path: Path, place: int) -> None:
    part = walk.modules[path].parts[place]
    walk.included[path].add(place)
    walk.names |= part.mentions
    walk.is_dynamic |= part.is_dynamic
    for found in part.imports:
        _follow(walk, found, walk.locations[path])


def _wake(walk: _Walk) -> bool:
    """Include resting parts and submodules that have been mentioned since; whether there were any."""
    before = (sum(map(len, walk.included.values())), len(walk.modules))
    everything = walk.is_dynamic or not walk.names.isdisjoint(modules.REFLECTION)
    for path, module in list(walk.modules.items()):
        for place, part in enumerate(module.parts):
            if place not in walk.included[path] and (everything or part.name in walk.names):
                _include(walk, path, place)
    # `import pkg` and then `pkg.inner.f()` works when anybody else has imported pkg.inner: count it by its mention.
    for package in list(walk.packages):
        for name in sorted(_submodules(package) & walk.names):
            _follow_name(walk, f"{package.name}.{name}")
    return before != (sum(map(len, walk.included.values())), len(walk.modules))


def _submodules(package: Located) -> set[str]:
    found: set[str] = set()
    for folder in package.folders:
        for entry in folder.iterdir():
            if entry.suffix == ".py" and entry.stem != "__init__":
                found.add(entry.stem)
            elif (entry / "__init__.py").is_file():
                found.add(entry.name)
    return found


def _follow(walk: _Walk, found: Import, where: Located) -> None:
    base = _absolute(found, where)
    if base is None:
        return
    _follow_name(walk, base)
    located = _locate(walk, base)
    for name in found.names:
        if name == "*" and located is not None:
            for submodule in sorted(_submodules(located)):
                _follow_name(walk, f"{base}.{submodule}")
        elif name != "*":
            _follow_name(walk, f"{base}.{name}")


def _absolute(found: Import, where: Located) -> str | None:
    if not found.level:
        return found.module or None
    package = where.name.split(".") if where.folders else where.name.split(".")[:-1]
    kept = package[: len(package) - (found.level - 1)]
    return ".".join([*kept, *([found.module] if found.module else [])]) or None


def _follow_name(walk: _Walk, name: str) -> None:
    for each in [*_parents(name), name]:
        located = _locate(walk, each)
        if located is None:
            if "." not in each and each not in sys.stdlib_module_names and each != _OURS:
                walk.imports.add(each)
            return
        _visit(walk, located)


def _locate(walk: _Walk, name: str) -> Located | None:
    if name not in walk.known:
        parent, _, last = name.rpartition(".")
        if parent:
            above = _locate(walk, parent)
            walk.known[name] = _in_folders(name, last, above.folders) if above else None
        elif name == _OURS:  # a step of this house stands beside all of it, which is no project's own code
            walk.known[name] = None
        else:
            walk.known[name] = _in_folders(name, name, walk.folders) or _elsewhere(name)
    return walk.known[name]


def _in_folders(name: str, last: str, folders: Iterable[Path]) -> Located | None:
    spaces: list[Path] = []
    for folder in folders:
        package = folder / last
        for suffix in _SUFFIXES:
            if (file := package / f"__init__{suffix}").is_file():
                return Located(name=name, file=file, folders=(package,))
        for suffix in _SUFFIXES:
            if (file := folder / f"{last}{suffix}").is_file():
                return Located(name=name, file=file)
        if package.is_dir():
            spaces.append(package)
    # A bare folder is a package only if nothing installed has that name: `data/` must not hide a distribution.
    if spaces and ("." in name or _installed_spec(name) is None):
        return Located(name=name, file=None, folders=tuple(spaces))
    return None


def _elsewhere(name: str) -> Located | None:
    """A top-level module outside the project that is source on this disk and not installed: an editable install."""
    if name in sys.stdlib_module_names or name == _OURS:
        return None
    spec = _installed_spec(name)
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    file = Path(spec.origin).resolve()
    if is_installed(file) or file.suffix not in (".py", *_EXTENSIONS):
        return None
    return Located(name=name, file=file, folders=tuple(Path(each) for each in spec.submodule_search_locations or ()))


def _installed_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    # The finders are asked directly: importlib.util.find_spec would answer with whatever is imported already.
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, None) if find else None
        if spec is not None:
            return spec
    return None


@cache
def _installed_folders() -> tuple[Path, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(dict.fromkeys(Path(sysconfig.get_path(kind)).resolve() for kind in kinds))


def is_installed(path: Path) -> bool:
    """Whether ``path`` belongs to Python or to an installed package."""
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return True
    return any(path.is_relative_to(folder) for folder in _installed_folders())


# ── closing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _closed(walk: _Walk) -> Closure:
    with_docs = not walk.names.isdisjoint(modules.DOCSTRING_READERS)
    with_bytes = not walk.names.isdisjoint(modules.SOURCE_READERS)
    parts: dict[str, dict[str, str]] = {}
    digests: dict[str, list[str]] = {}
    for path in walk.modules:
        label = _label(path, walk)
        chosen = list(_digests(walk, path, with_docs=with_docs, with_bytes=with_bytes))
        digests[label] = [digest for _, digest in chosen]
        parts[label] = _by_name(chosen)
    return Closure(
        digest=digest_of(digests),
        parts=parts,
        files=tuple(sorted(walk.modules)),
        imports=tuple(sorted(walk.imports)),
        is_dynamic=walk.is_dynamic,
        labels={path: _label(path, walk) for path in walk.modules},
        idle=reach.idle(_included(walk), walk.begin),
        **_outside(walk),
    )


def _included(walk: _Walk) -> dict[str, list[Part]]:
    return {
        _label(path, walk): [module.parts[place] for place in sorted(walk.included[path])]
        for path, module in walk.modules.items()
    }


def _outside(walk: _Walk) -> dict[str, Any]:
    """What the parts that count read besides: variables, files by label, and remarks on what cannot count."""
    variables: set[str] = set()
    data: set[str] = set()
    remarks: dict[str, None] = {}
    for path, module in walk.modules.items():
        for part in (module.parts[place] for place in sorted(walk.included[path])):
            variables |= part.outside.variables
            for line in part.outside.unsure:
                remarks[f"{path.name}:{line} reads a variable of the environment by a computed name; {_DECLARE}"] = None
            for read in part.outside.reads:
                label = data_files.label_of(read, path, walk.root)
                if label is None:
                    remarks[f"{path.name}:{read.line} {read.call}({read.text}) is read by no input; {_SNAPSHOT}"] = None
                else:
                    data.add(label)
    return {"variables": frozenset(variables), "data": tuple(sorted(data)), "remarks": tuple(remarks)}


def _label(path: Path, walk: _Walk) -> str:
    """The module by its place in the project, never by where the project is: other checkouts share results."""
    if not path.is_relative_to(walk.root):
        return walk.locations[path].name
    words = list(path.relative_to(walk.root).with_suffix("").parts)
    return ".".join(words[:-1] if words[-1] == "__init__" and len(words) > 1 else words)


def _digests(walk: _Walk, path: Path, *, with_docs: bool, with_bytes: bool) -> Iterator[tuple[str, str]]:
    module = walk.modules[path]
    if with_bytes:
        yield "source", module.raw
    for place in sorted(walk.included[path]):
        part = module.parts[place]
        digest = part.digest_with_docs if with_docs else part.digest
        if digest:
            yield part.name, digest


def _by_name(chosen: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name → short digest; statements that share a name (``imports``) are taken together."""
    together: dict[str, list[str]] = {}
    for name, digest in chosen:
        together.setdefault(name, []).append(digest)
    return {
        name: (several[0] if len(several) == 1 else digest_of(several))[:_SHORT] for name, several in together.items()
    }
