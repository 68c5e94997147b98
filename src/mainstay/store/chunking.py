# SPDX-License-Identifier: Apache-2.0
"""Cutting bytes where their content says so, so that two files which share most of their bytes share most of their chunks.

In: pieces of a stream, or a file. Out: chunks, whose ends depend on the bytes around them and never on how the stream was cut
before. A chunk may end after eight bytes whose hash is among the highest; the first such place beyond ``least`` is taken, or
``most``. The hash is one of words, not a rolling one: numpy counts it for all places of a window at once (about 700 MB/s on one
core). A chunk is named by its BLAKE3, which takes a quarter of the time of the SHA-256 that names whatever people see.

Source of the idea: Muthitacharoen, Chen and Mazières, "A Low-bandwidth Network File System", SOSP 2001; of leaving out the
first bytes of a chunk: Xia et al., "FastCDC", USENIX ATC 2016.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

Piece = bytes | memoryview

_WINDOW = 8
_SCAN = 64 << 10  # what stays in the processor's cache with the words and hashes made of it
_SEGMENT = 1 << 20
_FACTOR = np.uint32(0x9E3779B1)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How large chunks are, in bytes: no end before ``least``, then one in ``beyond`` bytes, at ``most`` in any case."""

    least: int
    beyond: int
    most: int


#: For Parquet: a change of one value moves one page, so chunks are about as large as what a page shares with its neighbours.
FINE = Rule(least=8 << 10, beyond=24 << 10, most=128 << 10)
#: For any other large file: nine tenths of the bytes are never looked at for an end.
COARSE = Rule(least=1 << 20, beyond=128 << 10, most=2 << 20)


def name(chunk: Piece) -> str:
    """What a chunk is called: its BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs), 64 hexadecimal digits."""
    return blake3(chunk).hexdigest()


def split(pieces: Iterable[Piece], rule: Rule) -> Iterator[memoryview]:
    """The chunks of a stream, in order; none of an empty one."""
    held = b""
    for segment in _segments(pieces, max(_SEGMENT, rule.most)):
        block = memoryview(held + segment if held else segment)
        places, start = _places_in(block, rule), 0
        while start + rule.most <= len(block):
            end = places.next_end(start)
            yield block[start:end]
            start = end
        held = bytes(block[start:])
    block = memoryview(held)
    for start, end in _places_in(block, rule).spans():
        yield block[start:end]


def spans(read: Callable[[int, int], Piece], size: int, rule: Rule) -> Iterator[tuple[int, int]]:
    """Where the chunks of ``size`` bytes begin and end, in order, as `split` would cut them.

    Args:
        read: the bytes from one place to another; fewer if they are gone. Most are never asked for.
    """
    return _Places(read, size, rule).spans()


def spans_of_file(handle: int, size: int, rule: Rule) -> Iterator[tuple[int, int]]:
    """As `spans`, of an open file."""
    return spans(lambda start, end: read_at(handle, start, end), size, rule)


def read_at(handle: int, start: int, end: int) -> bytes:
    """The bytes of an open file from one place to another; fewer if it ends before."""
    data = os.pread(handle, end - start, start)
    while len(data) < end - start and (more := os.pread(handle, end - start - len(data), start + len(data))):
        data += more  # a file system elsewhere may give less than it is asked for
    return data


class _Places:
    """Where chunks may end in some bytes."""

    def __init__(self, read: Callable[[int, int], Piece], size: int, rule: Rule) -> None:
        self._read = read
        self._size = size
        self._rule = rule
        self._above = np.uint32(2**32 - 1 - 2**32 // rule.beyond)
        self._known: NDArray[np.int64] = np.empty(0, np.int64)
        self._known_until = 0

    def spans(self) -> Iterator[tuple[int, int]]:
        """Begin and end of every chunk."""
        start = 0
        while start < self._size:
            end = self.next_end(start)
            yield start, end
            start = end

    def next_end(self, start: int) -> int:
        """The end of the chunk that begins at ``start``."""
        at, last = start + self._rule.least, min(start + self._rule.most, self._size)
        while at < last:
            if at >= self._known_until:
                self._known_until = min(at + _SCAN, self._size)
                window = np.frombuffer(self._read(at - _WINDOW, self._known_until), np.uint8)
                self._known = _ends(window, self._above) + (at - _WINDOW)
            place = int(np.searchsorted(self._known, at))
            if place < len(self._known):
                return min(int(self._known[place]), last)
            at = self._known_until
        return last


def _places_in(block: memoryview, rule: Rule) -> _Places:
    return _Places(lambda start, end: block[start:end], len(block), rule)


def _ends(data: NDArray[np.uint8], above: np.uint32) -> NDArray[np.int64]:
    """Where the eight bytes before have a hash greater than ``above``; positions in ``data``, in order."""
    found = []
    for phase in range(4):
        count = (len(data) - phase) // 4
        if count < 2:
            break
        words = data[phase : phase + 4 * count].copy().view("<u4")
        words *= _FACTOR
        # Runs of one byte must not end a chunk at every place: their hash is low where a zero's is.
        hashes = words[1:] >> np.uint32(1)
        hashes ^= words[:-1]
        found.append(np.flatnonzero(hashes > above) * 4 + (phase + _WINDOW))
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)


def _segments(pieces: Iterable[Piece], least: int) -> Iterator[bytes]:
    """The stream in pieces large enough for the work to be worth a call."""
    waiting: list[Piece] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= least:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
