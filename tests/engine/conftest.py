# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a platform in memory, and projects that are written to disk, imported and edited."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.engine import project
from mainstay.engine.pipelines import Pipeline

sys.path.insert(0, str(Path(__file__).parent))
from memory_platform import MemoryPlatform


class Project:
    """A user's project in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mainstay.toml").touch()

    def write(self, **files: str) -> Project:
        """Python files by name, without the suffix."""
        for name, text in files.items():
            path = self.folder / (f"{name}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return self

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new))

    def load(self, entry: str = "flights.py:flow") -> Pipeline[..., Any]:
        """The pipeline, imported afresh."""
        return project.load(entry, folder=self.folder)


@pytest.fixture
def platform(tmp_path: Path) -> MemoryPlatform:
    folder = tmp_path / "cache"
    folder.mkdir()
    return MemoryPlatform(folder)


@pytest.fixture
def make_platform(tmp_path: Path) -> Callable[[], MemoryPlatform]:
    def make() -> MemoryPlatform:
        folder = tmp_path / f"cache-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return MemoryPlatform(folder)

    return make


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    path, folder = list(sys.path), os.getcwd()
    # A test must not see what another one's project left behind.
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode

    def make(name: str = "project", **files: str) -> Project:
        return Project(tmp_path / name).write(**files)

    yield make
    sys.path[:] = path
    sys.dont_write_bytecode = before
    os.chdir(folder)
