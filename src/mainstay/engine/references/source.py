# SPDX-License-Identifier: Apache-2.0
"""Parquet and CSV files that stay where they are: noticed when they change, but kept by nobody.

A local file is known by its digest; one at an address (by fsspec, where that is installed) by what its place says of it: an
ETag, or size and time. It is a mutable source: everything that comes of it carries a warning.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstay.domain.errors import Invalid, Unavailable
from mainstay.domain.references import Reference, check_uri
from mainstay.engine import references

if TYPE_CHECKING:
    import pyarrow.dataset as ds

_FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}


@references.system("source")
class Source:
    """The file's mark is compared before it is read."""

    def pin(self, address: str, version: int | None) -> Reference:
        if version is not None:
            raise Invalid(f"the file at {address} has no versions, so there is no {version}; leave the version out.")
        return source(address)

    def open(self, reference: Reference) -> ds.Dataset:
        try:
            if _mark(reference.uri) != reference.table:
                raise references.gone(reference, "the file has changed")
            return _dataset(reference.uri)
        except OSError as error:
            raise references.gone(reference, "the file is gone or unreadable") from error


def source(path: str | Path) -> Reference:
    """A Parquet or CSV file, read from where it is and not copied. Nothing keeps it: prefer `snapshot` of the Path itself.

    Raises:
        Invalid: there is no such file, or it is of another kind. Unavailable: an address, and fsspec is not installed.
    """
    place = check_uri(str(path) if "://" in str(path) else str(Path(path).absolute()))
    try:
        mark, data = _mark(place), _dataset(place)
        rows = data.count_rows()
    except OSError as error:
        raise Invalid(f"there is no file at {place} that can be read; name a Parquet or CSV file.") from error
    except ValueError as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise Invalid(f"the file at {place} is no readable Parquet or CSV file: {said}.") from error
    return Reference(
        system="source",
        uri=place,
        version=mark[:12],
        table=mark,
        schema=references.schema_of(data.schema),
        rows=rows,
        is_pinned=False,
    )


def _dataset(place: str) -> ds.Dataset:
    import pyarrow.dataset as ds

    kind = _FORMATS.get(Path(place).suffix.lower())
    if kind is None:
        raise Invalid(f"the file at {place} is not called .parquet or .csv; only such files are read by reference.")
    if "://" not in place:
        return ds.dataset(place, format=kind)
    files, inner = _filesystem(place)
    return ds.dataset(inner, format=kind, filesystem=files)


def _mark(place: str) -> str:
    """What tells this state of the file from another one."""
    if "://" in place:
        files, inner = _filesystem(place)
        return hashlib.sha256(str(files.ukey(inner)).encode()).hexdigest()
    with open(place, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _filesystem(place: str) -> tuple[Any, str]:
    try:
        import fsspec  # one library for many places, and each place another one: only for whoever has them
    except ImportError as error:
        raise Unavailable(
            f"{place} is an address, which the extra `fsspec` reads: pip install 'mainstay[fsspec]'."
        ) from error
    try:
        files, inner = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise Unavailable(f"{place} cannot be read here: {error}.") from error
    return files, inner
