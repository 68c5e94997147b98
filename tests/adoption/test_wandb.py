# SPDX-License-Identifier: Apache-2.0
"""A folder that the client of Weights & Biases left: its logs are read byte by byte, and brought here.

The logs are written by the few lines below, in the client's own form: LevelDB's blocks, Protocol Buffers' messages.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mainstay.adoption import importing
from mainstay.adoption.wandb import log
from mainstay.adoption.wandb.folder import Folder
from mainstay.client.session import Session, connect
from mainstay.domain.errors import Invalid, NotFound

BEGAN = 1_795_628_000


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def part(field: int, value: bytes | str | int) -> bytes:
    """One field of a message."""
    if isinstance(value, int):
        return varint(field << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


def item(value: Any, *names: str) -> bytes:
    named = part(1, names[0]) if len(names) == 1 else b"".join(part(2, name) for name in names)
    return part(1, named + part(16, json.dumps(value)))


def run(identity: str, project: str = "flights", **config: Any) -> bytes:
    about = part(1, identity) + part(3, project) + part(8, f"{identity} by name") + part(9, "a note")
    about += part(10, "a") + part(10, "b") + part(6, "first group")
    about += part(4, b"".join(item(value, name) for name, value in config.items()) + item({"v": 1}, "_wandb"))
    return part(17, about + part(17, part(1, BEGAN) + part(2, 500_000_000)))


def history(step: int, **values: Any) -> bytes:
    told = b"".join(item(value, *name.split("__")) for name, value in values.items())
    return part(2, told + item(step, "_step") + item(BEGAN + step, "_timestamp") + part(2, part(1, step)))


def end(code: int) -> bytes:
    return part(18, part(1, code) if code else b"")


def written(folder: Path, identity: str, *records: bytes) -> Path:
    """A run's folder with its log."""
    file = folder / f"offline-run-{identity}" / f"run-{identity}.wandb"
    file.parent.mkdir(parents=True)
    stream = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        rest, is_first = record, True
        while is_first or rest:
            left = log.BLOCK - len(stream) % log.BLOCK
            if left < 7:
                stream += bytes(left)
                continue
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = bytes([(1 if is_first else 4) if not rest else (2 if is_first else 3)])
            stream += struct.pack("<IHB", zlib.crc32(piece, zlib.crc32(kind)), len(piece), kind[0]) + piece
            is_first = False
    file.write_bytes(stream)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs in two projects, with files, one of them a link to what lies beside the folder."""
    here = tmp_path / "project" / "wandb"
    lines = [history(n, loss=float("nan") if n == 3 else 1 / (n + 1), val__acc=n / 10, word="x") for n in range(5)]
    summary = part(3, item(0.9, "best") + item(0.2, "loss") + item(7, "_runtime"))
    config = {"rate": 0.1, "optimizer": {"name": "adam"}, "long": "y" * 100_000}
    file = written(here, "aaa", run("aaa", **config), *lines, summary, end(0))
    written(here, "bbb", run("bbb"), history(0, loss=1.0, picture={"_type": "image-file", "size": 3}), end(1))
    written(here, "ccc", run("ccc", "other"), history(0, loss=2.0))
    (tmp_path / "project" / "notes.txt").write_text("beside")
    files = file.parent / "files"
    (files / "deep").mkdir(parents=True)
    (files / "deep" / "output.log").write_text("a line")
    (files / "notes.txt").symlink_to(tmp_path / "project" / "notes.txt")
    (here / "latest-run").symlink_to(file.parent)
    return here


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = connect(workspace=tmp_path / "workspace")
    yield opened
    opened.close()


def test_every_run_is_brought_once_with_its_points_settings_and_files(folder: Path, session: Session) -> None:
    first, again = (importing.bring(Folder(folder), session) for _ in range(2))

    assert first.is_whole and again.is_whole, (first, again)
    assert (first.there.experiments, first.there.runs, first.there.points, first.there.files) == (2, 3, 13, 2)
    runs = {run["tags"]["wandb.id"]: run for run in session.get("/runs", limit=10)["items"]}
    assert {name: (run["state"], run["experiment"]) for name, run in runs.items()} == {
        "aaa": ("succeeded", "flights"), "bbb": ("failed", "flights"), "ccc": ("killed", "other"),
    }  # fmt: skip
    whole = session.get(f"/runs/{runs['aaa']['id']}")
    assert whole["params"]["rate"] == "0.1" and whole["params"]["optimizer.name"] == "adam"
    assert len(whole["params"]["long"]) > 1000 and "_wandb.v" not in whole["params"]
    assert set(whole["metrics"]) == {"loss", "val.acc", "best"}
    told = {"wandb.tags": "a, b", "wandb.group": "first group", "wandb.notes": "a note"}
    assert told.items() <= whole["tags"].items() and whole["name"] == "aaa by name"
    assert whole["started_at"].startswith("2026-11-25T17:33:20.5")


def test_points_have_their_step_time_and_value(folder: Path) -> None:
    source = Folder(folder)
    found = next(each for each in source.runs("flights") if each.tags["wandb.id"] == "aaa")

    points = list(source.points(found, "loss"))

    assert [point.step for point in points] == [0, 1, 2, 3, 4] and math.isnan(points[3].value)
    assert points[4].at == datetime.fromtimestamp(BEGAN + 4, UTC) and points[4].value == 0.2
    assert [point.value for point in source.points(found, "best")] == [0.9]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_log_that_ends_in_the_middle_is_brought_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    file = written(tmp_path / "wandb", "ddd", run("ddd"), *(history(n, loss=1.0) for n in range(3)), end(0))
    file.write_bytes(file.read_bytes()[:-cut])

    (found,) = Folder(tmp_path / "wandb").runs("flights")

    assert found.state == "killed" and found.metrics == ("loss",)


def test_a_byte_that_was_changed_ends_the_log_there(tmp_path: Path) -> None:
    file = written(tmp_path / "wandb", "eee", run("eee"), history(0, loss=1.0), history(1, other=1.0), end(0))
    damaged = bytearray(file.read_bytes())
    damaged[damaged.rindex(b"other")] ^= 1
    file.write_bytes(damaged)

    (found,) = Folder(tmp_path / "wandb").runs("flights")

    assert (found.state, found.metrics) == ("killed", ("loss",))


def test_a_link_to_what_lies_elsewhere_is_named_and_left_out(folder: Path, session: Session, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "offline-run-aaa" / "files" / "a.txt").symlink_to(tmp_path / "secret.txt")

    report = importing.bring(Folder(folder), session)

    assert len(report.left_out) == 1 and "'a.txt' is a link to what lies elsewhere" in report.left_out[0]
    assert report.here.files == 2


def test_what_is_no_such_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="give the folder 'wandb'"):
        Folder(tmp_path / "nowhere")
    with pytest.raises(Invalid, match="holds no run of Weights & Biases"):
        Folder(tmp_path)
    (tmp_path / "run-x.wandb").write_bytes(b"something else")
    with pytest.raises(Invalid, match=r"run-x.wandb is not a log of Weights & Biases"):
        list(Folder(tmp_path).experiments())
