# SPDX-License-Identifier: Apache-2.0
"""What the demo was answered: the id of each prediction, by month, in memory and in the folder.

In: answers, as they come. Out: all of a month. They are kept on the disk first, a line each, so that a demo that was
stopped finds them again; each file is read once, when its month is first asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

_encoder = msgspec.json.Encoder()


class Answer(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One prediction: whose it is and what it is called; by whom it was answered, if that was over HTTP."""

    key: str
    id: str
    release: int | None = None
    variant: str | None = None


class Answers:
    """The answers of the year so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_month: dict[int, list[Answer]] = {}

    def of(self, month: int) -> Sequence[Answer]:
        """Those of one month, in the order in which they came."""
        return self._of(month)

    def over_http(self, month: int) -> list[Answer]:
        """Those of one month that came over HTTP."""
        return [answer for answer in self._of(month) if answer.variant is not None]

    def keep(self, month: int, answers: Sequence[Answer]) -> None:
        """Add what was answered."""
        before = self._of(month)
        with self._file(month).open("ab") as file:
            file.write(_encoder.encode_lines(answers))
        before.extend(answers)

    def _of(self, month: int) -> list[Answer]:
        if month not in self._by_month:
            self._by_month[month] = _read(self._file(month))
        return self._by_month[month]

    def _file(self, month: int) -> Path:
        return self._folder / f"2013-{month:02}.ndjson"


def _read(file: Path) -> list[Answer]:
    if not file.exists():
        return []
    content = file.read_bytes()
    # What a demo that was killed had half written would run into the next line.
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.write_bytes(whole)
    return msgspec.json.decode(b"[" + b",".join(whole.splitlines()) + b"]", type=list[Answer])
