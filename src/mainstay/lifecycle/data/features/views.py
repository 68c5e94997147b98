# SPDX-License-Identifier: Apache-2.0
"""Views: the versions of each feature view, and the online tables made of them.

In: what an engine found a view to be. Out: a number; the same state again has the same one. An online table belongs to one
version and never to another: what a model was trained on is answered by the code that it was trained with, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.domain.clock import to_wire
from mainstay.domain.digests import digest_of, is_digest
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.features import ViewChanged, ViewMaterialised
from mainstay.domain.features import OnlineTable, ViewVersion
from mainstay.features import definitions, transforms
from mainstay.lifecycle.data.features import tables
from mainstay.store import Change, View

MOST_COLUMNS = 2_000


def declare(
    change: Change,
    *,
    definition: Mapping[str, Any],
    closure: str,
    entity: Sequence[Mapping[str, str]],
    columns: Sequence[Mapping[str, str]],
    entry: str,
) -> ViewVersion:
    """Give a state of a view its number.

    Raises:
        Invalid: a definition, digest or column that cannot be. Conflict: this state has its number already.
    """
    read = definitions.from_json(definition)
    if not is_digest(closure):
        raise Invalid(f"view {read.name!r} has closure {closure[:80]!r}; a digest is expected.")
    state: dict[str, Any] = {
        "definition": read.to_json(),
        "closure": closure,
        "entity": _columns(read.name, entity, definitions.ENTITY_TYPES),
        "columns": _columns(read.name, columns, definitions.TYPES),
    }
    known = tables.versions_of(change, read.name)
    digest = digest_of(state)
    if found := next((each for each in known if each.digest == digest), None):
        raise Conflict(f"this state of view {read.name!r} is version {found.id} already.", version=found.number)
    new = ViewVersion(
        view=read.name,
        number=1 + max((each.number for each in known), default=0),
        digest=digest,
        definition=state["definition"],
        closure=closure,
        entity=tuple(state["entity"]),
        columns=tuple(state["columns"]),
        entry=entry[:1000],
        created_at=change.now(),
        created_by=change.actor,
    )
    tables.put_version(change, new)
    change.record(
        ViewChanged(
            view=new.view,
            version=new.number,
            digest=digest,
            definition=new.definition,
            closure=closure,
            columns=list(new.columns),
            entry=new.entry,
        )
    )
    return new


def materialise(
    change: Change,
    *,
    view: str,
    version: int,
    blob: str,
    watermark: datetime,
    sequence: int | None,
    since: int,
    changed: int,
    run_id: str | None = None,
) -> OnlineTable:
    """Answer from these rows of a version from now on.

    Args:
        blob: all of them, as a file. sequence: under which ``changed`` of them were written; None: none was. since: the table
            with which they were compared; 0: none.

    Raises:
        NotFound: no such version or blob. Invalid: it is not that version's table. Conflict: what is answered from is newer,
            or the rows that were written are not those that changed since.
    """
    found = get(change, view, version)
    path = change.blobs.path(blob)
    rows = _rows(found, path)
    before = tables.newest_table(change, view, version)
    if before is not None and before.watermark > watermark:
        raise Conflict(
            f"{found.id} is known up to {to_wire(before.watermark)} already; what is known up to {to_wire(watermark)} "
            "would take back what happened since."
        )
    number = _number(change, found, before, sequence, since, changed)
    told = ViewMaterialised(view=view, version=version, blob=blob, rows=rows, watermark=to_wire(watermark), run=run_id)
    new = OnlineTable(
        view=view,
        version=version,
        sequence=number,
        blob=blob,
        size=path.stat().st_size,
        rows=rows,
        changed=changed,
        watermark=watermark,
        run_id=run_id,
        event=change.record(told).seq,
        made_at=change.now(),
        made_by=change.actor,
    )
    tables.put_table(change, new)
    return new


def names(view: View) -> list[str]:
    """Every view of which a version is known."""
    return tables.names(view)


def versions(view: View, name: str) -> list[ViewVersion]:
    """The versions of a view, newest first.

    Raises:
        NotFound: no such view was ever seen.
    """
    found = tables.versions_of(view, name)
    if not found:
        raise NotFound(
            f"there is no feature view {name[:80]!r}; `mainstay features list` shows those there are, and running one, "
            "or a pipeline that uses it, makes it known."
        )
    return found


def get(view: View, name: str, number: int) -> ViewVersion:
    """One version of a view.

    Raises:
        NotFound: there is none of that number.
    """
    found = next((each for each in versions(view, name) if each.number == number), None)
    if found is None:
        raise NotFound(f"view {name!r} has no version {number}; `mainstay features show {name}` lists them.")
    return found


def table(view: View, name: str, number: int) -> OnlineTable | None:
    """What can be answered from, if anything was made of this version."""
    return tables.newest_table(view, name, number)


def tables_of(view: View, name: str, *, limit: int = 1000) -> list[OnlineTable]:
    """What could ever be answered from, of any version, newest first.

    Raises:
        NotFound: no such view was ever seen.
    """
    versions(view, name)
    return tables.tables_of(view, name, limit)


def pinned(view: View, pins: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The views that a signature pins, as a release fixes them.

    Raises:
        Conflict: a view is not what it was when the model was trained, or nothing was made of that version.
    """
    for pin in pins:
        if fault := routed(view, pin)["fault"]:
            raise Conflict(fault)
    return [{"view": f"{pin['view']}/{pin['version']}", "digest": str(pin["digest"])} for pin in pins]


def check_transforms(held: Sequence[Mapping[str, Any]]) -> None:
    """Hold the transforms of a signature, which may have come from anywhere, against what a gateway can carry out.

    Raises:
        Invalid: one of them is none.
    """
    for each in held:
        transforms.from_json(each)


def routed(view: View, pin: Mapping[str, Any]) -> dict[str, Any]:
    """A pin of a signature with the table that it is answered from; or, as ``fault``, why it cannot be."""
    name, number = str(pin["view"]), int(pin["version"])
    there = tables.versions_of(view, name)
    found = next((each for each in there if each.number == number), None)
    made = tables.newest_table(view, name, number)
    if found is None or found.digest != pin["digest"]:
        fault = (
            f"the model was trained on view {name}/{number} with digest {str(pin['digest'])[:12]}, "
            "which is not known here; register the model where its views are."
        )
    elif made is None:
        others = [each for each in there if tables.newest_table(view, name, each.number)]
        instead = f"what is materialised is {others[0].id}" if others else "nothing of it is materialised"
        fault = f"the model was trained on view {found.id}, and {instead}; run {found.entry} as it was then, or train again."
    else:
        told = {"blob": made.blob, "rows": made.rows, "watermark": to_wire(made.watermark), "sequence": made.sequence}
        told |= {"by_key": made.changed is not None, "columns": list(found.columns)}
        return dict(pin) | {"online": told, "fault": None}
    return dict(pin) | {"online": None, "fault": fault}


def _number(
    change: Change, found: ViewVersion, before: OnlineTable | None, sequence: int | None, since: int, changed: int
) -> int:
    """The number of a table to be published, after a look at the rows that were written under it.

    Raises:
        Conflict: they were compared with another table than the newest, or are not all there.
    """
    newest = before.sequence if before else 0
    comparable = newest if before and before.changed is not None else 0
    if since != comparable or (sequence is not None and sequence <= newest):
        raise Conflict(
            f"the rows of {found.id} were compared with table {since}, and the newest is {newest}: somebody refreshed it "
            "meanwhile; refresh it again."
        )
    there = 0 if sequence is None else tables.count_rows(change, found.view, found.number, sequence)
    if there != changed:
        raise Conflict(f"{changed} rows of {found.id} changed, and {there} were written; refresh it again.")
    if sequence is not None and there:
        return sequence
    return 1 + max(newest, tables.newest_row_sequence(change, found.view, found.number))


def _columns(view: str, told: Sequence[Mapping[str, str]], types: Sequence[str]) -> list[dict[str, str]]:
    if not 0 < len(told) <= MOST_COLUMNS:
        raise Invalid(f"view {view!r} has {len(told)} columns; from 1 to {MOST_COLUMNS} are possible.")
    for each in told:
        if set(each) != {"name", "type"} or each["type"] not in types:
            raise Invalid(
                f"view {view!r} has column {str(dict(each))[:100]}; a name and a type of {', '.join(types)} are."
            )
    return [{"name": str(each["name"]), "type": each["type"]} for each in told]


def _rows(version: ViewVersion, path: Any) -> int:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise Invalid(f"the online table of {version.id} is not Parquet: {str(error).splitlines()[0]}.") from error
    known = definitions.from_json(version.definition)
    checked = definitions.checked(known, file.schema_arrow.empty_table())
    if definitions.described(known, checked) != list(version.columns):
        raise Invalid(f"the online table has other columns than {version.id}; it was made by another version.")
    return int(file.metadata.num_rows)
