# SPDX-License-Identifier: Apache-2.0
"""References: a table that stays where it is, and the version of it that is meant.

In a workspace a reference is a few lines of canonical JSON, a snapshot's manifest. ``is_pinned``: the system where the table
lives keeps that very version, so that it can be read again; a plain file does not, and whatever comes of it carries a warning.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from mainstay.domain.data import Field, Problem
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid

KIND = FORMAT = "reference"
_EXAMINED = "examined"
_LONGEST_URI = 2_000
_TYPES: dict[str, Any] = {
    "form": int,
    "kind": str,
    "system": str,
    "uri": str,
    "version": str,
    "table": str,
    "schema": list,
    "rows": int,
    "is_pinned": bool,
}


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What somebody who can read a reference's rows found in them.

    ``reference``: the manifest's digest. ``contract``: the version that they were held against, 0 where there is none. ``rows``:
    how many were looked at; fewer than there are mean a sample. ``profile`` and ``spec`` are blobs, as a snapshot's.
    """

    reference: str
    contract: int
    rows: int
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rows_blob: str
    profile: str
    spec: str

    def content(self) -> bytes:
        """As it is handed in."""
        return canonical_json({"form": 1, "kind": _EXAMINED, **asdict(self)})


@dataclass(frozen=True, kw_only=True)
class Reference:
    """``system``: who keeps the table (delta, iceberg, source). ``table``: its identity there, or a file's digest, so that
    another table at the same place is noticed. ``version``: as the system counts."""

    system: str
    uri: str
    version: str
    table: str
    schema: tuple[Field, ...]
    rows: int
    is_pinned: bool

    def __post_init__(self) -> None:
        check_uri(self.uri)

    @property
    def sentence(self) -> str:
        """Why it is not to be relied on; empty for a pinned one."""
        if self.is_pinned:
            return ""
        return f"it is read by reference from {self.uri}, where nothing keeps it as it was: it may change or go."

    def manifest(self) -> bytes:
        """What the digest covers."""
        content = {"form": 1, "kind": KIND, **asdict(self), "schema": [asdict(field) for field in self.schema]}
        return canonical_json(content)


def read(data: bytes) -> Reference:
    """The reference that `Reference.manifest` wrote.

    Raises:
        Invalid: it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid("the manifest of a reference is no JSON; take the snapshot with this program.") from error
    if not isinstance(found, dict) or found.get("kind") != KIND or found.get("form") != 1 or set(found) != set(_TYPES):
        raise Invalid(f"the manifest of a reference has {', '.join(_TYPES)}, and form 1; take it with this program.")
    if wrong := [name for name, kind in _TYPES.items() if type(found[name]) is not kind]:
        raise Invalid(f"{wrong[0]!r} in the manifest of a reference is no {_TYPES[wrong[0]].__name__}.")
    fields = [each for each in found["schema"] if isinstance(each, dict) and set(each) == {"name", "type"}]
    texts = [text for each in fields for text in each.values()]
    if len(fields) != len(found["schema"]) or not all(isinstance(text, str) for text in texts) or found["rows"] < 0:
        raise Invalid("the schema in the manifest of a reference is a list of names and types, and rows count from 0.")
    plain = {name: found[name] for name in _TYPES if name not in ("form", "kind", "schema")}
    return Reference(**plain, schema=tuple(Field(**each) for each in fields))


def read_examined(data: bytes) -> Examined:
    """What `Examined.content` wrote.

    Raises:
        Invalid: it is none.
    """
    try:
        found = json.loads(data)
        if (found.pop("form"), found.pop("kind")) != (1, _EXAMINED):
            raise ValueError("it is something else")
        told = {name: tuple(map(Problem.from_json, found[name])) for name in ("problems", "warnings")}
        examined = Examined(**found | told)
        if not all(isinstance(getattr(examined, name), str) for name in ("reference", "rows_blob", "profile", "spec")):
            raise ValueError("a digest is no text")
        if not all(type(number) is int and number >= 0 for number in (examined.contract, examined.rows)):
            raise ValueError("a number is none")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(f"what was found in the rows of a reference cannot be read: {error}.") from error
    return examined


def check_uri(uri: str) -> str:
    """``uri`` if it may be written down for everybody to read.

    Raises:
        Invalid: it holds a password or a signature, or is no address.
    """
    parts = urlsplit(uri)
    if parts.username or parts.password or parts.query:
        place = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        raise Invalid(
            f"the address {place!r} carries a user, a password or a query, which would be kept for everybody to read; "
            "leave that to the environment's own variables."
        )
    if not uri or len(uri) > _LONGEST_URI or not uri.isprintable():
        raise Invalid(f"an address has 1 to {_LONGEST_URI} printable characters; {uri[:60]!r} is none.")
    return uri
