# SPDX-License-Identifier: Apache-2.0
"""Models, their numbered versions, and the movable names on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid
from mainstay.domain.names import check_name, parse_numbered

# How much harm a wrong answer can do; it sets the defaults for approvals and reviews.
TIERS = ("low", "medium", "high")
ROLES = ("train", "holdout", "input")

LONGEST_FILE_NAME = 500

_NUMERIC = re.compile(r"v?\d+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A name for the versions of one model, and who answers for it."""

    name: str
    owner: str
    tier: str
    description: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a version; its bytes by digest."""

    digest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Used:
    """A snapshot that a version came from, and as what: train, holdout or input."""

    id: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """A numbered, immutable result of a run. Only ``state`` ever changes; the number is never used again.

    ``digest`` covers format, files, environment and signature: all that decides what the version answers.
    ``is_known``: this very registration was made before.
    """

    model: str
    number: int
    digest: str
    format: str
    files: dict[str, File]
    environment: dict[str, Any]
    signature: dict[str, Any]
    metrics: dict[str, float]
    evaluation_blob: str | None
    snapshots: tuple[Used, ...]
    run_id: str
    description: str
    state: str
    created_at: datetime
    actor: str
    is_known: bool = False

    @property
    def id(self) -> str:
        return f"{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A movable name on a version, such as ``champion``. It never points across models."""

    model: str
    name: str
    version: int
    moved_at: datetime
    actor: str


def manifest_digest(
    *, format: str, files: Mapping[str, str], environment: Mapping[str, Any], signature: Mapping[str, Any]
) -> str:
    """The digest of a version: ``files`` are digests by name."""
    return digest_of({"form": 1, "format": format, "files": files, "environment": environment, "signature": signature})


def parse_version(text: str) -> tuple[str, int]:
    """Split ``flights-late/3``.

    Raises:
        Invalid: it is not of that form.
    """
    name, number = parse_numbered(text, "/", kind="version")
    return check_name("model", name), number


def check_alias(name: str) -> str:
    """Return ``name`` if it can be an alias: a name that cannot be taken for a version's number.

    Raises:
        Invalid: with what was found.
    """
    if name == "latest" or _NUMERIC.fullmatch(name):
        raise Invalid(f"alias {name!r} would read as a version; choose a word, such as 'champion'.")
    return check_name("alias", name)


def check_file_name(name: str) -> str:
    """Return ``name`` if a version's file can be called so: relative, with ``/``, without ``..``.

    Raises:
        Invalid: with what was found.
    """
    odd = any(part in ("", ".", "..") for part in name.split("/"))
    if odd or len(name) > LONGEST_FILE_NAME or "\\" in name or not name.isprintable():
        raise Invalid(f"file name {name[:80]!r} is not usable; a relative one such as 'model.skops' is expected.")
    return name
