# SPDX-License-Identifier: Apache-2.0
"""Folders of files as a tree of digests, so that two states of a folder share what did not change, and one digest stands for all.

A folder is a blob of canonical JSON that names each file by the SHA-256 of its bytes and each folder inside by that of its own
such blob. A large file is named by a *list of chunks*, which is a blob too: it can then be hashed on several cores, sent in
parts, and share most of its bytes with the state before; a chunk is named by its BLAKE3. The root says how many files and
bytes there are below it.

::

    root    {"form": 1, "kind": "files", "files": 2, "size": 30, "root": DIGEST}
    folder  {"entries": {"a.png": ["file", DIGEST, 10], "big.bin": ["chunks", DIGEST, 20], "sub": ["folder", DIGEST]}}
    chunks  {"chunks": [[DIGEST, 12], [DIGEST, 8]]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mainstay.domain.digests import canonical_json, is_digest
from mainstay.domain.errors import Invalid

FORM = 1
#: A file of at least this many bytes is named by a list of chunks.
LARGE = 8 << 20
LONGEST_NAME = 255
DEEPEST = 64

_NOT_NAMES = frozenset({"", ".", ".."})
# Separators, control characters, and halves of characters that UTF-8 cannot write.
_UNSAFE = re.compile("[/\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a folder: ``path`` with ``/`` between its parts. ``digest``: of its bytes, or of the list of its chunks."""

    path: str
    digest: str
    size: int
    is_list: bool = False


@dataclass(frozen=True, kw_only=True)
class Root:
    """What a manifest of files says."""

    files: int
    size: int
    folder: str


def check_part(name: str) -> str:
    """One part of a path, if every system can have a file of that name and it stays where it is laid.

    Raises:
        Invalid: it cannot.
    """
    if name in _NOT_NAMES or _UNSAFE.search(name) or len(name.encode(errors="replace")) > LONGEST_NAME:
        raise Invalid(f"a file is named {name[:80]!r}, which is not a name that can be laid out everywhere; rename it.")
    return name


def write(files: Iterable[File], keep: Callable[[bytes], str]) -> tuple[str, Root]:
    """Keep the tree of ``files`` by ``keep``, which answers a digest; the manifest's digest, and what it says.

    Raises:
        Invalid: a path that could not be laid out, or the same one twice.
    """
    top: dict[str, Any] = {}
    count = total = 0
    for file in files:
        *folders, name = map(check_part, file.path.split("/"))
        place = top
        for folder in folders:
            place = place.setdefault(folder, {})
        if len(folders) > DEEPEST or not isinstance(place, dict) or name in place:
            raise Invalid(f"file {file.path[:200]!r} stands there twice, or more than {DEEPEST} folders deep.")
        place[name] = ["chunks" if file.is_list else "file", file.digest, file.size]
        count, total = count + 1, total + file.size
    root = Root(files=count, size=total, folder=_keep_folder(top, keep))
    content = {"form": FORM, "kind": "files", "files": count, "size": total, "root": root.folder}
    return keep(canonical_json(content)), root


def chunk_list(chunks: Iterable[tuple[str, int]]) -> bytes:
    """The blob that stands for a large file."""
    return canonical_json({"chunks": [list(chunk) for chunk in chunks]})


def read_root(content: bytes) -> Root:
    """The manifest of a snapshot of files.

    Raises:
        Invalid: it is none.
    """
    found = _canonical(content)
    if (
        set(found) != {"form", "kind", "files", "size", "root"}
        or (found["form"], found["kind"]) != (FORM, "files")
        or not (_is_count(found["files"]) and _is_count(found["size"]) and _is_name(found["root"]))
    ):
        raise Invalid(
            f"the manifest does not say what files there are in form {FORM}; take the snapshot with this program."
        )
    return Root(files=found["files"], size=found["size"], folder=found["root"])


def read_folder(content: bytes) -> dict[str, list[Any]]:
    """The entries of one folder by name: ``["file" or "chunks", digest, size]`` or ``["folder", digest]``.

    Raises:
        Invalid: it is none, or holds a name that could not be laid out.
    """
    entries = _canonical(content).get("entries")
    if not isinstance(entries, dict) or not all(_is_entry(entry) for entry in entries.values()):
        raise Invalid(
            "a folder of the manifest is not a list of files and folders; take the snapshot with this program."
        )
    for name in entries:
        check_part(name)
    return entries


def read_chunks(content: bytes, size: int) -> list[tuple[str, int]]:
    """The chunks of a large file of ``size`` bytes.

    Raises:
        Invalid: they are none, or not that many bytes.
    """
    chunks = _canonical(content).get("chunks")
    if (
        not isinstance(chunks, list)
        or not all(isinstance(c, list) and len(c) == 2 and _is_name(c[0]) and _is_count(c[1]) for c in chunks)
        or sum(chunk[1] for chunk in chunks) != size
    ):
        raise Invalid(f"a list of chunks does not make a file of {size} bytes; take the snapshot with this program.")
    return [(digest, length) for digest, length in chunks]


def walk(read: Callable[[str], bytes], folder: str, above: tuple[str, ...] = ()) -> Iterator[File]:
    """Every file below a folder, by path; ``read`` answers the bytes of a digest."""
    if len(above) > DEEPEST:
        raise Invalid(f"the manifest has folders more than {DEEPEST} deep; take the snapshot with this program.")
    for name, (kind, digest, *rest) in sorted(read_folder(read(folder)).items()):
        if kind == "folder":
            yield from walk(read, digest, (*above, name))
        else:
            yield File(path="/".join((*above, name)), digest=digest, size=rest[0], is_list=kind == "chunks")


def _keep_folder(place: Mapping[str, Any], keep: Callable[[bytes], str]) -> str:
    entries = {
        name: ["folder", _keep_folder(entry, keep)] if isinstance(entry, dict) else entry
        for name, entry in place.items()
    }
    return keep(canonical_json({"entries": entries}))


def _canonical(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
        if isinstance(found, dict) and canonical_json(found) == content:
            return found
    except (ValueError, RecursionError):
        pass
    raise Invalid("a part of the manifest is not canonical JSON; take the snapshot with this program.")


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, list) or len(entry) < 2 or not _is_name(entry[1]):
        return False
    if entry[0] == "folder":
        return len(entry) == 2
    return entry[0] in ("file", "chunks") and len(entry) == 3 and _is_count(entry[2])


def _is_name(found: Any) -> bool:
    return isinstance(found, str) and is_digest(found)


def _is_count(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 1 << 62
