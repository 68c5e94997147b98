# SPDX-License-Identifier: Apache-2.0
"""The log of one run, ``run-ID.wandb``: records in blocks, as LevelDB keeps its log, each a message of Protocol Buffers.

In: a file. Out: its records, each as the fields it has. A log that ends in the middle (its writer was killed) ends there for us,
too, and so does one whose bytes were damaged: what stands before is what is known.

Source: LevelDB, "Log format"; Protocol Buffers, "Encoding"; the field numbers are those of the client's own messages.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mainstay.domain.errors import Invalid

BLOCK = 32 * 1024
MAGIC = b":W&B\xe1\xbe"
LARGEST_RECORD = 64 << 20
_HEADER = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

#: A message: for each field's number what was said of it, numbers and bytes, in order.
Message = dict[int, list[int | bytes]]


def records(file: Path) -> Iterator[Message]:
    """The records of a log, in order.

    Raises:
        Invalid: the file is no such log.
    """
    with file.open("rb") as stream:
        if stream.read(7)[:6] != MAGIC:
            raise Invalid(
                f"{file.name} is not a log of Weights & Biases; 'run-ID.wandb' as its client writes it is expected."
            )
        for record in _whole(stream):
            try:
                yield message(record)
            except (ValueError, IndexError):
                return


def message(data: bytes) -> Message:
    """The fields of a message. Raises ValueError or IndexError: these bytes are none."""
    found: Message = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, place = _varint(data, place)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                size, place = _varint(data, place)
            if size is None or place + size > len(data):
                raise ValueError("a field is cut off, or of a kind that there is not")
            value = data[place : place + size]
            place += size
        found.setdefault(key >> 3, []).append(value)
    return found


def text(of: Message, field: int) -> str:
    """What was said last of a field that holds text; "" if nothing was."""
    value = of.get(field, [b""])[-1]
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def number(of: Message, field: int) -> int:
    """What was said last of a field that holds a whole number; 0 if nothing was."""
    value = of.get(field, [0])[-1]
    return value if isinstance(value, int) else 0


def parts(of: Message, field: int) -> list[Message]:
    """The messages that stand in a field."""
    return [message(each) for each in of.get(field, []) if isinstance(each, bytes)]


def _whole(stream: BinaryIO) -> Iterator[bytes]:
    """The records, put together from the pieces of them that stand in blocks."""
    waiting = bytearray()
    while True:
        left = BLOCK - stream.tell() % BLOCK
        if left < _HEADER.size:
            stream.seek(left, 1)  # too little for a header: the block ends in zeros
            continue
        header = stream.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        checksum, size, kind = _HEADER.unpack(header)
        piece = stream.read(size)
        if len(piece) < size or zlib.crc32(piece, zlib.crc32(bytes([kind]))) != checksum:
            return
        waiting += piece
        if len(waiting) > LARGEST_RECORD or kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST):
            return
        if kind in (_WHOLE, _LAST):
            yield bytes(waiting)
            waiting.clear()


def _varint(data: bytes, place: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = data[place]
        place += 1
        found |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return found, place
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")
