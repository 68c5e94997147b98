# SPDX-License-Identifier: Apache-2.0
"""What a step used that its imports do not tell: modules found by computed names, and files it opened by path.

An aid, not a proof: Python's audit hook sees ``open``, lists of folders and pandas' CSV reader, and misses native
readers (Parquet, DuckDB); data belongs into typed inputs. What is seen becomes part of the step's key from then on,
with a warning. A file that was looked for and not found counts as absent: its appearance is a change.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainstay.domain.digests import is_digest
from mainstay.engine.code import closure, data_files

_LISTINGS = frozenset({"os.listdir", "os.scandir"})
_IMPORT = "<frozen importlib"  # looking for modules lists folders as well
# Not data: what belongs to the machine or to Python, and stores whose files are named by their content.
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/", "/opt/", "/run/", "/var/lib/")
_OURS = Path(__file__).resolve().parents[2]  # in a checkout, our own code is no installed package
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_open_watch: ContextVar[Watch | None] = ContextVar("mainstay_watch", default=None)
_is_hooked = False


@dataclass(kw_only=True)
class Watch:
    """Paths opened inside the block, as they were given; ``listed``: folders whose names were asked for."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.time)


@contextmanager
def opened_files() -> Iterator[Watch]:
    """Note the files that Python code opens inside the block, in this thread."""
    _hook_once()
    watch = Watch()
    token = _open_watch.set(watch)
    try:
        yield watch
    finally:
        _open_watch.reset(token)


def extras(watch: Watch, *, root: Path, known: set[Path]) -> list[str]:
    """Files used beyond ``known``, by label: imported modules, opened files, and lists of folders, with a slash. No symbolic
    link leads to ``root``."""
    folders_known = [path for path in known if path.is_dir()] if watch.read else []  # most steps open nothing
    written = {_resolved(path) for path in watch.written}
    opened = {path for path in map(_resolved, watch.read) if path is not None and path not in written}
    opened = {path for path in opened if not any(path.is_relative_to(folder) for folder in folders_known)}
    found = {path for path in {*opened, *closure.loaded_files(root)} if path not in known and _counts(path, root)}
    found |= {path for path in opened - known if _is_outside_data(path, root, watch.began)}
    # A folder that the step writes into changes by the step's own doing.
    listed = {
        path
        for path in map(_resolved, watch.listed)
        if path and not any(each.parent == path for each in written if each)
    }
    folders = {path for path in listed - known if path.is_dir() and _is_of_project(path, root)}
    return sorted(
        {*(data_files.label(path, root) for path in found), *(f"{data_files.label(path, root)}/" for path in folders)}
    )


def _hook_once() -> None:
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        sys.addaudithook(_note)  # for the life of the process: hooks cannot be taken away


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" and event not in _LISTINGS:
        return
    watch = _open_watch.get()
    path = arguments[0]
    if watch is None or not isinstance(path, (str, bytes, os.PathLike)):
        return
    if event in _LISTINGS:
        if not sys._getframe(1).f_code.co_filename.startswith(_IMPORT):
            watch.listed.add(os.fsdecode(path))
        return
    mode, flags = arguments[1:]
    is_written = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITING)
    (watch.written if is_written else watch.read).add(os.fsdecode(path))


def _resolved(path: str) -> Path | None:
    try:
        return Path(path).resolve()
    except (OSError, ValueError):
        return None


def _counts(path: Path, root: Path) -> bool:
    """A file of the project, also one that is not there."""
    return _is_of_project(path, root) and not path.is_dir() and path.suffix != ".pyc" and not _is_blob(path)


def _is_of_project(path: Path, root: Path) -> bool:
    if not path.is_relative_to(root):
        return False
    inner = path.relative_to(root).parts
    return not any(word.startswith(".") or word in ("__pycache__", "site-packages", "node_modules") for word in inner)


def _is_outside_data(path: Path, root: Path, began: float) -> bool:
    """A file elsewhere that was there before the step began, and is neither the machine's, nor Python's, nor a store's."""
    text = str(path)
    if path.is_relative_to(root) or text.startswith((*_SYSTEM, sys.prefix, sys.base_prefix)) or path.suffix == ".pyc":
        return False
    if closure.is_installed(path) or path.is_relative_to(_OURS) or any(word.startswith(".") for word in path.parts):
        return False
    return not _is_blob(path) and path.is_file() and path.stat().st_mtime < began


def _is_blob(path: Path) -> bool:
    """A file of a store, which may well stand in the project: its name tells its content."""
    return is_digest(path.name) or is_digest(path.parent.name + path.name) or path.parent.name == "incoming"
