# SPDX-License-Identifier: Apache-2.0
"""Segments: the prediction log as bytes, between the gateway that writes and the control plane that seals.

A segment is records end to end: u32 little-endian length, u32 CRC-32 of the payload, payload (UTF-8 JSON, one object a
prediction, keys in `FIELDS`). There is no header and no footer, so a segment may be cut after any whole record: what a
killed writer left is sound up to the first record whose length or checksum does not fit, and nothing after that counts.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mainstay.domain.errors import Corrupt

HEADER = struct.Struct("<II")
# No record comes near this; a longer length is damage, and believing it would swallow the rest of the file.
LARGEST_BYTES = 64 << 20

FIELDS = (
    "id", "at", "logged", "deployment", "release", "model", "version", "variant",
    "status", "latency_us", "value", "key", "flags", "row",
)  # fmt: skip
STATUSES = ("ok", "invalid_output", "model_error", "timeout")

# The sealed (Parquet) form begins with these columns; one column for each input of the signature follows.
SEALED = (
    "_id", "_at", "_logged_at", "_deployment", "_release", "_model", "_version", "_variant",
    "_status", "_latency_us", "_value", "_key", "_source", "_flags",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What is sound in a segment."""

    payloads: list[bytes]
    sound_bytes: int
    fault: str | None  # None: every byte belongs to a sound record


def frame(payload: bytes) -> bytes:
    """``payload`` as one record."""
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def encode(records: Iterable[Mapping[str, Any]]) -> bytes:
    """A whole segment from plain objects. The gateway has a faster way to the same bytes.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    dumped = (json.dumps(r, separators=(",", ":"), ensure_ascii=False, allow_nan=False) for r in records)
    return b"".join(frame(text.encode()) for text in dumped)


def scan(data: bytes) -> Scan:
    """Read up to the first record that is cut short or fails its checksum.

    >>> scan(frame(b"{}") + b"torn").sound_bytes
    10
    """
    payloads: list[bytes] = []
    place = 0
    while place < len(data):
        fault, payload = _record_at(data, place)
        if fault:
            return Scan(payloads=payloads, sound_bytes=place, fault=fault)
        payloads.append(payload)
        place += HEADER.size + len(payload)
    return Scan(payloads=payloads, sound_bytes=place, fault=None)


def decode(data: bytes) -> list[dict[str, Any]]:
    """Every record of a segment that must be whole.

    Raises:
        Corrupt: a record is cut short, fails its checksum or is not a JSON object.
    """
    found = scan(data)
    if found.fault:
        raise Corrupt(f"segment of {len(data)} bytes is damaged: {found.fault}; ship it again from the spool.")
    return [_object(payload, number) for number, payload in enumerate(found.payloads)]


def _record_at(data: bytes, place: int) -> tuple[str, bytes]:
    if place + HEADER.size > len(data):
        return f"the record at byte {place} has no whole header", b""
    length, checksum = HEADER.unpack_from(data, place)
    start = place + HEADER.size
    if length > LARGEST_BYTES or start + length > len(data):
        return f"the record at byte {place} claims {length} bytes, {len(data) - start} follow", b""
    payload = data[start : start + length]
    if zlib.crc32(payload) != checksum:
        return f"the record at byte {place} fails its checksum", b""
    return "", payload


def _object(payload: bytes, number: int) -> dict[str, Any]:
    try:
        record = json.loads(payload)
    except ValueError as error:
        raise Corrupt(f"record {number} of the segment is not JSON: {error}.") from error
    if not isinstance(record, dict):
        raise Corrupt(f"record {number} of the segment is not an object.")
    return record
