# SPDX-License-Identifier: Apache-2.0
"""Models, their numbered versions, and the movable names on them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid
from mainstay.domain.names import LONGEST, check_name, is_plain_path, parse_numbered

# How much harm a wrong answer can do; it sets the defaults for approvals and reviews.
TIERS = ("low", "medium", "high")
ROLES = ("train", "holdout", "input")

# What is only a name for bytes that are elsewhere, or nowhere: it has a number, and nothing that could be loaded.
REFERENCE = "reference"
PROMPT = "prompt"
# A model is what answers rows; a prompt is a text for a language model that is numbered in the same way.
KINDS = ("model", "prompt")

LONGEST_FILE_NAME = 500
LONGEST_TAG_KEY = 250
LONGEST_TAG = 100_000
LONGEST_DESCRIPTION = 5_000
LONGEST_SOURCE = 2_000

_NUMERIC = re.compile(r"v?\d+", re.IGNORECASE)
_LOCAL = re.compile(r"file:|/|\.{1,2}(?:/|$)|~|[a-z]:[\\/]|\\", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*:/", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A name for the versions of one model, and who answers for it."""

    name: str
    owner: str
    tier: str
    description: str
    created_at: datetime
    created_by: str
    kind: str = "model"
    updated_at: datetime
    tags: dict[str, str] = field(default_factory=dict)


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
    """A numbered, immutable result of a run. Only ``state`` and what is said of it (``description``, ``tags``) ever
    change; the number is never used again.

    ``digest`` covers format, files, environment and signature: all that decides what the version answers.
    ``run_id``: None where no run of this workspace made it. ``claims``: what whoever registered it said of its origin and
    nobody here can check (``run_id``, ``run_link``, ``model_id``). ``is_known``: this very registration was made before.
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
    run_id: str | None
    description: str
    state: str
    created_at: datetime
    actor: str
    source: str = ""
    claims: dict[str, str] = field(default_factory=dict)
    updated_at: datetime
    tags: dict[str, str] = field(default_factory=dict)
    is_known: bool = False

    @property
    def id(self) -> str:
        return f"{self.model}/{self.number}"

    @property
    def is_reference(self) -> bool:
        """Whether only a name of bytes was registered, not the bytes."""
        return self.format == REFERENCE


@dataclass(frozen=True, kw_only=True)
class Permission:
    """An admin's word that what is normally refused may be done with a model, or with one version of it.

    ``what``: ``allow_pickle``. ``number``: None for every version of the model.
    """

    model: str
    number: int | None
    what: str
    actor: str
    at: datetime
    reason: str
    event: int


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A movable name on a version, such as ``champion``. It never points across models."""

    model: str
    name: str
    version: int
    moved_at: datetime
    actor: str


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address outside that is told of events of the registry. ``secret`` signs what is sent; it is never shown.

    ``state``: active, or disabled. ``events``: words such as ``model_version.created``.
    """

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    description: str
    secret: str
    state: str
    created_at: datetime
    updated_at: datetime
    actor: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Something that a webhook is to be told, once; the same ``id`` goes with every attempt.

    ``state``: due, done or failed. ``seq``: the event of the ledger behind it.
    """

    id: str
    webhook: str
    seq: int
    event: str
    data: dict[str, Any]
    at: datetime
    state: str
    attempts: int
    due_at: datetime
    answer: str


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
    return check_model_name(name), number


def check_model_name(name: str) -> str:
    """Return ``name`` if a model can be called so: printable, without ``/`` and ``:``, at most 250 characters.

    Wider than other names, since clients of other registries bring theirs: spaces and any script are welcome.

    Raises:
        Invalid: with the first rule that is broken.
    """
    if not name.strip() or name in (".", ".."):
        raise Invalid(f"model name {name!r} is not usable; 1 to {LONGEST} characters without '/' and ':' are expected.")
    if len(name) > LONGEST:
        raise Invalid(f"model name has {len(name)} characters; at most {LONGEST} are allowed.")
    if unicodedata.normalize("NFC", name) != name:
        raise Invalid(f"model name {name!r} is not in Unicode normal form C; write it in composed characters.")
    if odd := next((sign for sign in name if sign in "/:\\" or not sign.isprintable()), None):
        raise Invalid(f"model name {name!r} holds {odd!r}; it may hold anything printable but '/', ':' and '\\'.")
    return name


def check_source(source: str) -> str:
    """Return ``source`` if it can say where bytes came from: an address with a scheme, never a place on a disk.

    A local path means another file on each machine, and on the server's own it would name what nobody asked to share.

    Raises:
        Invalid: with what was found.
    """
    if len(source) > LONGEST_SOURCE or not source.isprintable():
        raise Invalid(f"source {source[:80]!r} is not usable; at most {LONGEST_SOURCE} printable characters are.")
    if _LOCAL.match(source.strip()) or not _SCHEME.match(source.strip()):
        raise Invalid(
            f"source {source[:80]!r} is a place on a disk; log the files to a run and register that, "
            "or name an address such as 's3://bucket/model'."
        )
    if any(part == ".." for part in re.split(r"[/\\]", source)):
        raise Invalid(f"source {source[:80]!r} climbs with '..'; name the place itself.")
    return source


def check_tags(what: str, tags: Mapping[str, str]) -> None:
    """Pass if ``what`` can have these tags.

    Raises:
        Invalid: an unusable key, or a value that is too long.
    """
    for key, value in tags.items():
        if not key or len(key) > LONGEST_TAG_KEY or not key.isprintable():
            raise Invalid(
                f"tag key {key[:40]!r} of {what} is not usable; 1 to {LONGEST_TAG_KEY} printable characters are."
            )
        if len(value) > LONGEST_TAG or "\0" in value:
            raise Invalid(f"tag {key!r} of {what} has {len(value)} characters; at most {LONGEST_TAG} are kept.")


def check_description(what: str, text: str) -> str:
    """Return ``text`` if it can describe ``what``.

    Raises:
        Invalid: it is too long.
    """
    if len(text) > LONGEST_DESCRIPTION or "\0" in text:
        raise Invalid(f"description of {what} has {len(text)} characters; at most {LONGEST_DESCRIPTION} are kept.")
    return text


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
    if len(name) > LONGEST_FILE_NAME or not is_plain_path(name):
        raise Invalid(f"file name {name[:80]!r} is not usable; a relative one such as 'model.skops' is expected.")
    return name
