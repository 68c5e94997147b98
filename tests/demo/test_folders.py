# SPDX-License-Identifier: Apache-2.0
"""The demo's folder is made whole or known again: a disk that fills up in the middle spoils nothing for the next try."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mainstay.demo import folders
from mainstay.domain.errors import Conflict


@pytest.mark.parametrize("room", range(1 + len(folders.PROJECT_FILES)))
def test_a_disk_that_fills_up_leaves_a_folder_that_the_next_demo_takes(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    write_bytes = Path.write_bytes

    def write_while_there_is_room(file: Path, content: bytes) -> int:
        written.append(file)
        if len(written) > room:
            write_bytes(file, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        return write_bytes(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_while_there_is_room)
        with pytest.raises(OSError):
            folders.prepare(tmp_path / "demo", fresh=False)

    folders.prepare(tmp_path / "demo", fresh=False)

    assert folders.read_progress(tmp_path / "demo") == {"done": []}
    assert "flights_late" in (tmp_path / "demo" / "flights.py").read_text()
    assert "[deployment.flights]" in (tmp_path / "demo" / "mainstay.toml").read_text()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(Conflict, match="not the demo's"):
        folders.prepare(tmp_path, fresh=True)

    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]
