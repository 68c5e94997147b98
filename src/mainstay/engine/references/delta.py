# SPDX-License-Identifier: Apache-2.0
"""Tables of Delta Lake, by version (extra ``delta``). A version stays readable until somebody vacuums its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstay.domain.errors import Invalid
from mainstay.domain.references import Reference, check_uri
from mainstay.engine import references

if TYPE_CHECKING:
    import pyarrow.dataset as ds


@references.system("delta")
class Delta:
    """The table's id is compared: another table at the same place has versions of the same numbers."""

    def pin(self, address: str, version: int | None) -> Reference:
        return delta(address, version=version)

    def open(self, reference: Reference) -> ds.Dataset:
        try:
            table = _table(reference.uri, int(reference.version))
        except Invalid as error:
            raise references.gone(reference, error.message.rstrip(".")) from error
        if str(table.metadata().id) != reference.table:
            raise references.gone(reference, "another table is there now")
        found: ds.Dataset = table.to_pyarrow_dataset()
        return found


def delta(uri: str | Path, *, version: int | None = None) -> Reference:
    """A version of a Delta table, by default its newest one now: read from where it is, not copied.

    Raises:
        Invalid: there is no such table or version. Unavailable: the extra ``delta`` is not installed.
    """
    place = check_uri(str(Path(uri).absolute()) if "://" not in str(uri) else str(uri))
    table = _table(place, version)
    data = table.to_pyarrow_dataset()
    return Reference(
        system="delta",
        uri=place,
        version=str(table.version()),
        table=str(table.metadata().id),
        schema=references.schema_of(data.schema),
        rows=data.count_rows(),
        is_pinned=True,
    )


def _table(uri: str, version: int | None) -> Any:
    try:
        from deltalake import DeltaTable  # brings its own native reader: only for whoever has such tables
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise references.absent("delta") from error
    try:
        return DeltaTable(uri, version=version)
    except (DeltaError, OSError, ValueError) as error:
        which = "" if version is None else f" in version {version}"
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise Invalid(f"there is no Delta table at {uri}{which}: {said}.") from error
