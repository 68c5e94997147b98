# SPDX-License-Identifier: Apache-2.0
"""What a step used that its imports do not tell: modules found by computed names, and project files it opened by path.

An aid, not a proof: Python's audit hook sees ``open`` and pandas' CSV reader, and misses native readers (Parquet,
DuckDB); data belongs into typed inputs. What is seen becomes part of the step's key from then on, with a warning.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainstay.engine import closure

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_open_watch: ContextVar[Watch | None] = ContextVar("mainstay_watch", default=None)
_is_hooked = False


@dataclass(kw_only=True)
class Watch:
    """Paths opened inside the block, as they were given."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


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
    """Project files used beyond ``known``, relative to ``root``: imported modules and opened files."""
    root = root.resolve()
    written = {_resolved(path) for path in watch.written}
    opened = {path for path in map(_resolved, watch.read) if path is not None and path not in written}
    found = {path for path in {*opened, *closure.loaded_files(root)} if path not in known and _counts(path, root)}
    return sorted(path.relative_to(root).as_posix() for path in found)


def _hook_once() -> None:
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        sys.addaudithook(_note)  # for the life of the process: hooks cannot be taken away


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open":
        return
    watch = _open_watch.get()
    path, mode, flags = arguments
    if watch is None or not isinstance(path, (str, bytes, os.PathLike)):
        return
    is_written = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITING)
    (watch.written if is_written else watch.read).add(os.fsdecode(path))


def _resolved(path: str) -> Path | None:
    try:
        return Path(path).resolve()
    except (OSError, ValueError):
        return None


def _counts(path: Path, root: Path) -> bool:
    if not path.is_relative_to(root) or not path.is_file():
        return False
    inner = path.relative_to(root).parts
    is_hidden = any(word.startswith(".") or word in ("__pycache__", "site-packages", "node_modules") for word in inner)
    return not is_hidden and path.suffix != ".pyc"
