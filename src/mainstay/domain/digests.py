# SPDX-License-Identifier: Apache-2.0
"""One digest everywhere: SHA-256 in lower-case hexadecimal, and the one canonical JSON whose bytes are hashed."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_PATTERN = re.compile(r"[0-9a-f]{64}")


def sha256_hex(data: bytes | memoryview) -> str:
    """SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(file: Path) -> str:
    """SHA-256 of what ``file`` holds, however large it is."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """The bytes that stand for ``value``: keys sorted, no spaces, UTF-8, no NaN.

    These bytes are hashed and stored verbatim, so they must never depend on insertion order or locale.

    >>> canonical_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return _CANONICAL.encode(value).encode()


# Made once: to make one for each of hundreds of small values would take as long as their writing.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Digest of a JSON value by its canonical bytes."""
    return sha256_hex(canonical_json(value))


def is_digest(text: str) -> bool:
    """Whether ``text`` has the form of a digest."""
    return _PATTERN.fullmatch(text) is not None
