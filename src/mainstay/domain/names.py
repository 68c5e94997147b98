# SPDX-License-Identifier: Apache-2.0
"""Names that people give to things, paths of files among them, and the ``kind:name`` subjects by which events speak."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from typing import NamedTuple

from mainstay.domain.errors import Invalid

LONGEST = 250

_NAME = re.compile(r"[^\W_][\w.\-]*")
# One spelling a number (no leading zero, no other script's digits), and none that a database cannot hold.
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


_DEEPEST_ENCODING = 8


class Subject(NamedTuple):
    """What an event, an alert or a question is about."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def is_plain_path(path: str) -> bool:
    """Whether a path is relative, with ``/``, and climbs in no spelling: whoever reads it may decode it once too often."""
    for _ in range(_DEEPEST_ENCODING):
        if any(part in ("", ".", "..") for part in path.split("/")) or "\\" in path or path[1:2] == ":":
            return False
        if not path.isprintable():
            return False
        decoded = urllib.parse.unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False


def check_name(kind: str, name: str) -> str:
    """Return ``name`` if it can stand in a URL and in a subject; letters, digits, ``_ . -``, at most 250.

    Raises:
        Invalid: with the first rule that is broken.
    """
    if len(name) > LONGEST:
        raise Invalid(f"{kind} name has {len(name)} characters; at most {LONGEST} are allowed.")
    if unicodedata.normalize("NFC", name) != name:
        raise Invalid(f"{kind} name {name!r} is not in Unicode normal form C; write it in composed characters.")
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{kind} name {name!r} is not usable; begin with a letter or digit, then letters, digits, '_', '.', '-'."
        )
    return name


def parse_subject(text: str) -> Subject:
    """Split ``kind:name``.

    Raises:
        Invalid: there is no colon, or one side is empty.
    """
    kind, colon, name = text.partition(":")
    if not (kind and colon and name):
        raise Invalid(f"subject {text[:LONGEST]!r} is not of the form kind:name, such as 'deployment:flights'.")
    return Subject(kind, name)


def parse_numbered(text: str, mark: str, *, kind: str) -> tuple[str, int]:
    """Split ``name<mark>number``: ``flights@3`` (snapshot), ``flights-late/3`` (version), ``flights#7`` (release).

    Raises:
        Invalid: the mark or a number from 1 upwards is missing.
    """
    name, found, number = text.rpartition(mark)
    if not (found and name and _NUMBER.fullmatch(number)):
        raise Invalid(f"{kind} {text[:LONGEST]!r} is not of the form name{mark}number, such as 'flights{mark}3'.")
    return name, int(number)
