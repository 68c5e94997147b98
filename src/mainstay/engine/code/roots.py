# SPDX-License-Identifier: Apache-2.0
"""The user's project on disk: where it begins, and what its mainstay.toml says.

The root is the nearest folder upwards with a mainstay.toml, else the pipeline file's own folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Invalid

FILE = "mainstay.toml"


def find_root(start: Path) -> Path | None:
    """The nearest folder at or above ``start`` that has a mainstay.toml."""
    folder = start.resolve()
    folder = folder if folder.is_dir() else folder.parent
    return next((each for each in (folder, *folder.parents) if (each / FILE).is_file()), None)


def root_of(file: Path) -> Path:
    """The project that ``file`` belongs to: its own folder where there is no mainstay.toml above it."""
    return find_root(file) or file.resolve().parent


def relative(file: Path) -> str:
    """``file`` as seen from its project's root."""
    return file.resolve().relative_to(root_of(file)).as_posix()


def read(root: Path) -> dict[str, Any]:
    """mainstay.toml as plain data; empty if there is none.

    Raises:
        Invalid: it is not TOML; the message says where.
    """
    path = root / FILE
    if not path.is_file():
        return {}
    stamp = path.stat()
    return _read(path, stamp.st_mtime_ns, stamp.st_size)


@cache
def _read(path: Path, changed: int, size: int) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{FILE} cannot be read: {error}; correct it.") from error


def section(root: Path, kind: str, name: str) -> Mapping[str, Any] | None:
    """What ``[kind.name]`` of mainstay.toml says."""
    found = read(root).get(kind, {}).get(name)
    return found if isinstance(found, dict) else None
