# SPDX-License-Identifier: Apache-2.0
"""Files that a step reads by their path: their labels in a key, and their digests.

A label is the path from the project's root, or the whole path outside of it. ``data/`` with a slash is the list of the
names in a folder; ``data`` without one, and a pattern such as ``data/*.parquet``, are all the bytes below. What is not
there counts as absent, so that its appearance is a change.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mainstay.domain.digests import digest_of, sha256_hex
from mainstay.engine import environment
from mainstay.engine.code import modules
from mainstay.engine.code.reads import HERE, Read

LARGE = (
    256 << 20
)  # from here on size and time of change stand for the bytes: hashing them would cost more than it tells
_MOST = 10_000  # files of a folder that are looked at one by one
_memo: dict[str, tuple[tuple[int, ...], str]] = {}


def label_of(read: Read, source: Path, root: Path) -> str | None:
    """The label of what ``source`` reads there; None where it cannot count, as a URL."""
    if read.path is None:
        return None
    if read.base == HERE:
        return label(source.parent / read.path, root)
    tried = [root / read.path, Path.cwd() / read.path]
    return label(next((path for path in tried if _is_there(path)), tried[0]), root)


def label(path: Path, root: Path) -> str:
    """``path`` as it stands in a key."""
    whole = Path(os.path.normpath(path))
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else whole.as_posix()


def digest(label: str, root: Path) -> str:
    """What stands for the content behind ``label``."""
    path = root / label
    if glob.has_magic(label) and not path.exists():
        found = sorted(Path(each) for each in glob.glob(str(path), recursive=True))
        return _together(found, root) if found else environment.ABSENT
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        return environment.ABSENT
    if label.endswith("/"):
        return digest_of(sorted(each.name for each in path.iterdir() if not _is_hidden(each.name)))
    return _together(list(_below(path)), path)


def _together(paths: list[Path], base: Path) -> str:
    return digest_of({os.path.relpath(path, base): _of_file(path) for path in paths if path.is_file()})


def _below(folder: Path) -> Iterator[Path]:
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(names):
            if not _is_hidden(name) and (count := count + 1) <= _MOST:
                yield Path(place, name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _is_there(path: Path) -> bool:
    return path.exists() or (glob.has_magic(str(path)) and bool(glob.glob(str(path))))


def _of_file(path: Path) -> str:
    state = path.stat()
    stamp = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    known = _memo.get(str(path))
    if known and known[0] == stamp:
        return known[1]
    found = f"size {stamp[1]}, changed {stamp[2]}" if stamp[1] > LARGE else sha256_hex(path.read_bytes())
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > modules.RACY_NS:
        _memo[str(path)] = (stamp, found)
    return found
