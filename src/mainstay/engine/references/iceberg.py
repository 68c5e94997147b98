# SPDX-License-Identifier: Apache-2.0
"""Tables of Apache Iceberg, by snapshot (extra ``iceberg``).

What is written down is the address of the metadata file and the snapshot's id: they are enough to read it again, and hold
no word of the catalogue's credentials. A snapshot stays readable until somebody expires it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainstay.domain.errors import Invalid
from mainstay.domain.references import Reference, check_uri
from mainstay.engine import references

if TYPE_CHECKING:
    import pyarrow as pa


@references.system("iceberg")
class Iceberg:
    """Read by its metadata file alone, without any catalogue."""

    def pin(self, address: str, version: int | None) -> Reference:
        return iceberg(address, snapshot=version)

    def open(self, reference: Reference) -> pa.RecordBatchReader:
        try:
            from pyiceberg.exceptions import ValidationError
            from pyiceberg.table import StaticTable  # with pydantic and more behind it: only for such tables
        except ImportError as error:
            raise references.absent("iceberg") from error
        try:
            table = StaticTable.from_metadata(reference.uri)
        except (OSError, ValueError, ValidationError) as error:
            raise references.gone(reference, "its metadata file is gone or unreadable") from error
        if str(table.metadata.table_uuid) != reference.table:
            raise references.gone(reference, "another table is there now")
        if table.metadata.snapshot_by_id(int(reference.version)) is None:
            raise references.gone(reference, "that snapshot has expired")
        try:
            found: pa.RecordBatchReader = table.scan(snapshot_id=int(reference.version)).to_arrow_batch_reader()
        except (OSError, ValueError) as error:
            raise references.gone(reference, "its data files are gone or unreadable") from error
        return found


def iceberg(table: Any, *, snapshot: int | None = None, catalog: str = "default", **properties: str) -> Reference:
    """A snapshot of an Iceberg table, by default its current one: read from where it is, not copied.

    Args:
        table: a table as pyiceberg loads it, or its name ``namespace.table`` in ``catalog``, which is configured as pyiceberg
            says, or by ``properties``; these are used now and not kept.

    Raises:
        Invalid: there is no such table or snapshot. Unavailable: the extra ``iceberg`` is not installed.
    """
    found = _load(table, catalog, properties) if isinstance(table, str) else table
    if not hasattr(found, "metadata_location"):
        raise Invalid(f"iceberg() takes a table of pyiceberg or its name; a {type(table).__name__} was given.")
    kept = found.metadata.snapshot_by_id(snapshot) if snapshot is not None else found.current_snapshot()
    if kept is None:
        raise Invalid(f"the Iceberg table {found.name()} has no snapshot {'yet' if snapshot is None else snapshot}.")
    scan = found.scan(snapshot_id=kept.snapshot_id)
    return Reference(
        system="iceberg",
        uri=check_uri(found.metadata_location),
        version=str(kept.snapshot_id),
        table=str(found.metadata.table_uuid),
        schema=references.schema_of(scan.projection().as_arrow()),
        rows=scan.count(),
        is_pinned=True,
    )


def _load(name: str, catalog: str, properties: dict[str, str]) -> Any:
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import NoSuchTableError
    except ImportError as error:
        raise references.absent("iceberg") from error
    try:
        return load_catalog(catalog, **properties).load_table(name)
    except NoSuchTableError as error:
        raise Invalid(f"there is no Iceberg table {name!r} in catalogue {catalog!r}.") from error
