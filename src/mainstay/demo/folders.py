# SPDX-License-Identifier: Apache-2.0
"""The demo's folder: an example project as a user would keep it, the months' files as they arrive, and the workspace."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Conflict

OURS = ".mainstay-demo.json"
PROJECT_FILES = ("mainstay.toml", "flights.py")


def prepare(folder: Path, *, fresh: bool) -> None:
    """Make the folder ready, or find it as an earlier demo left it.

    Raises:
        Conflict: the folder holds something that is not the demo's.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / OURS).exists():
        raise Conflict(f"folder {folder.name!r} is not empty and not the demo's; choose another with --folder.")
    if fresh and (folder / OURS).exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / OURS).exists():
        write_progress(folder, {"done": []})  # first of all: what stops in the middle must know its folder again
    for name in ("incoming", "answers"):
        (folder / name).mkdir(exist_ok=True)
    for name in PROJECT_FILES:
        if not (folder / name).exists():
            _put(folder / name, (resources.files("mainstay.demo.project") / name).read_bytes())


def read_progress(folder: Path) -> dict[str, Any]:
    """What the demo has done so far in this folder."""
    found: dict[str, Any] = json.loads((folder / OURS).read_text())
    return found


def write_progress(folder: Path, progress: dict[str, Any]) -> None:
    """Keep it; whole or not at all."""
    _put(folder / OURS, json.dumps(progress).encode())


def _put(file: Path, content: bytes) -> None:
    fresh = file.with_name(file.name + ".new")
    try:
        fresh.write_bytes(content)
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
