# SPDX-License-Identifier: Apache-2.0
"""What a step used beyond its imports: files of the user's, never our own, installed or not."""

from __future__ import annotations

import os
from pathlib import Path

import mainstay.formats
from mainstay.engine.code import watch


def test_a_file_of_our_own_that_a_step_made_python_read_is_no_data_of_the_step(tmp_path: Path) -> None:
    project, data = tmp_path / "project", tmp_path / "rates.csv"
    project.mkdir()
    data.write_text("1\n")
    os.utime(data, (0, 0))
    with watch.opened_files() as seen:
        for file in (Path(mainstay.formats.__file__), data):
            file.read_bytes()

    assert watch.extras(seen, root=project, known=set()) == [str(data)]


def test_a_store_that_stands_in_the_project_is_no_data_of_the_step(tmp_path: Path) -> None:
    digest = "ab" * 32
    blob, data = tmp_path / "ws" / "cache" / "objects" / "whole" / "ab" / digest, tmp_path / "rates.csv"
    blob.parent.mkdir(parents=True)
    for file in (blob, data):
        file.write_text("1\n")
    with watch.opened_files() as seen:
        for file in (blob, data):
            file.read_bytes()

    assert watch.extras(seen, root=tmp_path, known=set()) == ["rates.csv"]
