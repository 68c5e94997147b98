# SPDX-License-Identifier: Apache-2.0
"""Snapshots: immutable states of a dataset.

In: a blob that claims to be Parquet or CSV. Out: a `Snapshot`, or a `Refused` that is on record as well. The way of a
batch: `prepare` reads it (``batches``), holds it against the contract (``checks``), writes it in its one canonical
form (``manifests``) and profiles it; `take` numbers it. `prepare` only reads the database and writes blobs, so that
it may run before the write transaction begins; if the contract moved meanwhile, `take` does it again. Content that is
a snapshot already is answered with that snapshot and no new number. A folder of files comes as its manifest, and goes
by a shorter way (``folders``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.domain.contracts import Contract
from mainstay.domain.data import Period, Problem, Refused, Snapshot, parse_snapshot
from mainstay.domain.digests import canonical_json, is_digest
from mainstay.domain.errors import Corrupt, Invalid, NotFound
from mainstay.domain.events.data import SnapshotRepeated, SnapshotRestored, SnapshotTaken
from mainstay.domain.references import Examined
from mainstay.lifecycle.data import (
    batches,
    checks,
    contracts,
    datasets,
    folders,
    manifests,
    references,
    refusals,
    tables,
)
from mainstay.measures import profiles
from mainstay.measures.frames import Frame
from mainstay.measures.profiles import Profile, ReferenceSpec
from mainstay.store import Change, View
from mainstay.store.blobs import Blobs

KIND_TABLE = "table"
_UNDESCRIBED = {
    folders.KIND: "files have no columns",
    references.KIND: "its rows are not here, and nobody told what is in them",
}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch as `prepare` left it: checked against ``contract_version`` (0: there was none), and kept if it is
    sound."""

    blob: str
    format: str
    contract_version: int
    table: Frame
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    manifest: manifests.Manifest | None  # None: refused
    profile: str
    spec: str
    rows_blob: str


@dataclass(frozen=True, kw_only=True)
class _Arrival:
    """What is handed in, and what is said of where it comes from."""

    dataset: str
    blob: str
    format: str
    source: str
    period: Period | None
    run_id: str | None
    parents: tuple[str, ...]


def take(
    change: Change,
    *,
    dataset: str,
    blob: str,
    format: str,
    examined: str = "",
    source: str = "",
    period: Period | None = None,
    run_id: str | None = None,
    parents: Sequence[str] = (),
    batch: Batch | None = None,
) -> Snapshot | Refused:
    """Make a snapshot of the rows in ``blob``, and point ``current`` at it.

    Args:
        examined: of a reference, the blob that says what is in its rows. parents: the snapshots it was made from, such as
        ``flights@2``.
        batch: what `prepare` answered, if that was done before.

    Raises:
        NotFound: no such dataset, blob or parent. Malformed, Invalid, TooLarge: the bytes are no table that a
        snapshot could hold. Corrupt: the blob was damaged.
    """
    datasets.lock(change, dataset)
    arrival = _Arrival(
        dataset=dataset,
        blob=blob,
        format=format,
        source=source,
        period=period,
        run_id=run_id,
        parents=tuple(named(change, parent).id for parent in parents),
    )
    _check_kind(change, dataset, format)
    if format == folders.FORMAT:
        return _take_folder(change, arrival)
    if format == references.FORMAT:
        return _take_reference(change, arrival, examined)
    return _take_rows(change, arrival, batch)


def _take_folder(change: Change, arrival: _Arrival) -> Snapshot:
    manifest = folders.read(change.blobs, arrival.blob)
    return _repeated(change, arrival, manifest, None) or _number(change, arrival, manifest, None, None, ())


def _take_reference(change: Change, arrival: _Arrival, examined: str) -> Snapshot | Refused:
    contract = tables.contract(change, arrival.dataset)
    manifest, odd = references.read(change.blobs, arrival.blob)
    told = references.examined(change.blobs, arrival.blob, manifest.schema, examined, contract)
    _check_profile(change.blobs, told)
    if told.problems:
        return _refuse(change, arrival, told.contract, told.problems, told.rows_blob)
    known = _repeated(change, arrival, manifest, None)
    return known or _number(change, arrival, manifest, told, contract, (*odd, *told.warnings))


def _take_rows(change: Change, arrival: _Arrival, batch: Batch | None) -> Snapshot | Refused:
    contract = tables.contract(change, arrival.dataset)
    version = contract.version if contract else 0
    if batch is None or batch.blob != arrival.blob or batch.contract_version != version:
        batch = prepare(change, dataset=arrival.dataset, blob=arrival.blob, format=arrival.format)
    if batch.manifest is None:
        return _refuse(change, arrival, batch.contract_version, batch.problems, batch.rows_blob)
    if known := _repeated(change, arrival, batch.manifest, batch):
        return known
    if contract is None:
        contract = contracts.infer(change, arrival.dataset, batch.table)
    return _number(change, arrival, batch.manifest, batch, contract, batch.warnings)


def prepare(view: View, *, dataset: str, blob: str, format: str) -> Batch:
    """Read, check, canonicalise and profile a blob, without writing a row."""
    contract = tables.contract(view, dataset)
    newest = tables.newest_snapshot(view, dataset)
    as_text = checks.text_columns(contract) if contract else ()
    table = batches.read(view.blobs.path(blob), format=format, as_text=as_text)

    def before(column: str) -> pa.ChunkedArray | None:
        return _values(view.blobs, newest, column)

    checked = checks.check(table, contract, before, view.now()) if contract else checks.check_first(table)
    manifest, profile, spec, rows_blob = None, "", "", ""
    if checked.problems:
        rows_blob = refusals.keep_rows(view.blobs, checked.table, contract)
    else:
        manifest = manifests.publish(view.blobs, checked.table)
        profile, spec = _profile(view.blobs, checked.table, newest)
    return Batch(
        blob=blob,
        format=format,
        contract_version=contract.version if contract else 0,
        table=checked.table,
        problems=checked.problems,
        warnings=checked.warnings,
        manifest=manifest,
        profile=profile,
        spec=spec,
        rows_blob=rows_blob,
    )


def get(view: View, dataset: str, number: int) -> Snapshot:
    """One snapshot.

    Raises:
        NotFound: there is no such dataset or number.
    """
    found = tables.snapshot(view, dataset, number)
    if found is None:
        datasets.get(view, dataset)
        newest = tables.newest_snapshot(view, dataset)
        there = f"its snapshots are 1 to {newest.number}" if newest else "it has none yet"
        raise NotFound(f"dataset {dataset!r} has no snapshot {number}; {there}.", snapshot=f"{dataset}@{number}")
    return found


def of_digest(view: View, digest: str) -> list[Snapshot]:
    """The snapshots, of any dataset, that have this digest."""
    return tables.snapshots_with_digest(view, digest) if is_digest(digest) else []


def named(view: View, name: str) -> Snapshot:
    """The snapshot called ``flights@3``, ``flights@current`` (or another ref), or ``flights@latest``.

    Raises:
        Invalid, NotFound.
    """
    dataset, mark, which = name.rpartition("@")
    if mark and dataset and not which.isdecimal():
        found = tables.newest_snapshot(view, dataset) if which == "latest" else _at_ref(view, dataset, which)
        if found is None:
            datasets.get(view, dataset)
            raise NotFound(f"dataset {dataset!r} has nothing called {which!r}; name a snapshot by its number.")
        return found
    return get(view, *parse_snapshot(name))


def listed(view: View, *, dataset: str, before: int | None = None, limit: int = 100) -> list[Snapshot]:
    """Snapshots of ``dataset``, newest first, from below number ``before``."""
    return tables.snapshots_of(view, dataset, before=before, limit=limit)


def profile_of(view: View, snapshot: Snapshot) -> tuple[Profile, ReferenceSpec]:
    """The profile of a snapshot, and the cells it was counted in.

    Raises:
        NotFound, Corrupt: a blob is gone or damaged.
    """
    return read_profile(view.blobs, snapshot)


def read_profile(blobs: Blobs, snapshot: Snapshot) -> tuple[Profile, ReferenceSpec]:
    """As `profile_of`, for work that holds no view."""
    profile = Profile.from_json(msgspec.json.decode(blobs.read(snapshot.profile)))
    return profile, ReferenceSpec.from_json(msgspec.json.decode(blobs.read(snapshot.spec)))


def described(view: View, snapshot: Snapshot) -> tuple[list[dict[str, Any]] | None, str | None]:
    """The profile for people: one summary a column, in column order; or None, and why it cannot be shown."""
    if not snapshot.profile:
        return None, _UNDESCRIBED[snapshot.kind]
    try:
        found = profiles.describe(*profile_of(view, snapshot))["columns"]
    except (NotFound, Corrupt) as error:
        return None, error.message
    return [_summary(name, summary) for name, summary in found.items()], None


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A part of a snapshot that is gone or no longer what it was: a file's path, or what else it is."""

    what: str
    digest: str
    sentence: str
    is_gone: bool = False


def verify(view: View, snapshot: Snapshot) -> None:
    """Hash again whatever the digest of ``snapshot`` covers.

    Raises:
        NotFound, Corrupt: a part or the manifest is gone or damaged.
    """
    for damage in damages(view.blobs, snapshot):
        kind = NotFound if damage.is_gone else Corrupt
        raise kind(f"snapshot {snapshot.id} is damaged, in {damage.what}: {damage.sentence}", digest=damage.digest)


def damages(blobs: Blobs, snapshot: Snapshot) -> Iterator[Damage]:
    """Hash again whatever the digest of ``snapshot`` covers, and its profile: what is damaged."""
    kept = [
        ("the manifest", snapshot.digest),
        *((f"part {n}", part.digest) for n, part in enumerate(snapshot.parts, 1)),
    ]
    if snapshot.profile:
        kept += [("the profile", snapshot.profile), ("the profile's cells", snapshot.spec)]
    found = [
        Damage(what=what, digest=digest, sentence=error.message, is_gone=isinstance(error, NotFound))
        for what, digest in kept
        if (error := _hash(blobs, digest))
    ]
    yield from found
    if snapshot.kind == folders.KIND and not found:
        try:
            for file, error in folders.damaged(blobs, snapshot):
                is_gone = isinstance(error, NotFound)
                yield Damage(what=file.path, digest=file.digest, sentence=error.message, is_gone=is_gone)
        except (NotFound, Corrupt) as error:
            digest, is_gone = error.facts.get("digest", ""), isinstance(error, NotFound)
            yield Damage(what="a folder of the manifest", digest=digest, sentence=error.message, is_gone=is_gone)


def _hash(blobs: Blobs, digest: str) -> NotFound | Corrupt | None:
    """What is wrong with a blob, if anything."""
    try:
        for _ in blobs.pieces(digest):
            pass
    except (NotFound, Corrupt) as error:
        return error
    return None


def _summary(name: str, found: dict[str, Any]) -> dict[str, Any]:
    top = [{"value": each["name"], "count": each["count"]} for each in found["top"]] if "top" in found else None
    return {
        "name": name,
        "kind": found["kind"],
        "n": found["n"],
        "null_share": found["null_share"],
        "mean": found.get("mean"),
        "sd": found.get("sd"),
        "minimum": found.get("min"),
        "maximum": found.get("max"),
        "quantiles": found.get("quantiles"),
        "histogram": found.get("histogram"),
        "top": top,
    }


def _kind_of(format: str) -> str:
    return format if format in (folders.FORMAT, references.FORMAT) else KIND_TABLE


def _check_kind(view: View, dataset: str, format: str) -> None:
    """A dataset stays what it began as: what reads its snapshots must know what to expect."""
    newest, wanted = tables.newest_snapshot(view, dataset), _kind_of(format)
    if newest and newest.kind != wanted:
        raise Invalid(
            f"dataset {dataset!r} is of kind {newest.kind}, and {wanted} were handed in; give those a dataset of their own."
        )


def _repeated(change: Change, arrival: _Arrival, manifest: manifests.Manifest, batch: Batch | None) -> Snapshot | None:
    """The snapshot that has this content already, if there is one; one that was dropped is wanted again."""
    dataset = arrival.dataset
    known = tables.snapshot_with_digest(change, dataset, manifest.digest)
    if known is None:
        return None
    if known.dropped_at is not None:
        # What it was described by may be gone; the bytes themselves were brought again just now.
        new = {"given": batch.blob, "profile": batch.profile, "spec": batch.spec} if batch else {}
        tables.set_snapshot(change, dataset, known.number, dropped_at=None, **new)
        change.record(SnapshotRestored(dataset=dataset, number=known.number, digest=known.digest))
        known = get(change, dataset, known.number)
    change.record(
        SnapshotRepeated(
            dataset=dataset, number=known.number, digest=known.digest, source=arrival.source, run_id=arrival.run_id
        )
    )
    return replace(known, is_known=True)


def _refuse(
    change: Change, arrival: _Arrival, contract_version: int, problems: tuple[Problem, ...], rows_blob: str
) -> Refused:
    return refusals.record(
        change,
        dataset=arrival.dataset,
        blob=arrival.blob,
        format=arrival.format,
        source=arrival.source,
        contract_version=contract_version,
        problems=problems,
        rows_blob=rows_blob,
    )


def _check_profile(blobs: Blobs, told: Examined) -> None:
    """See that a profile which somebody else counted can be read."""
    try:
        if told.profile:
            Profile.from_json(msgspec.json.decode(blobs.read(told.profile)))
            ReferenceSpec.from_json(msgspec.json.decode(blobs.read(told.spec)))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid("the profile of the reference's rows cannot be read; take it in with this program.") from error


def _number(
    change: Change,
    arrival: _Arrival,
    manifest: manifests.Manifest,
    read: Batch | Examined | None,
    contract: Contract | None,
    warnings: tuple[Problem, ...],
) -> Snapshot:
    """Give the next number; what nobody has ``read`` has no profile."""
    newest = tables.newest_snapshot(change, arrival.dataset)
    new = Snapshot(
        dataset=arrival.dataset,
        number=newest.number + 1 if newest else 1,
        kind=_kind_of(arrival.format),
        digest=manifest.digest,
        rows=manifest.rows,
        size=manifest.size,
        schema=manifest.schema,
        parts=manifest.parts,
        given=read.blob if isinstance(read, Batch) else manifest.digest,
        profile=read.profile if read else "",
        spec=read.spec if read else "",
        contract_version=contract.version if contract else 0,
        period=arrival.period,
        source=arrival.source,
        created_at=change.now(),
        actor=change.actor,
        run_id=arrival.run_id,
        parents=arrival.parents,
        warnings=warnings,
    )
    tables.put_snapshot(change, new)
    for parent in new.parents:
        made_from, number = parse_snapshot(parent)
        subject = f"snapshot:{new.id}"
        tables.put_use(change, dataset=made_from, number=number, subject=subject, role="parent", at=change.now())
    datasets.move(change, new.dataset, datasets.CURRENT, new.number)
    change.record(_taken(new))
    return new


def _taken(new: Snapshot) -> SnapshotTaken:
    return SnapshotTaken(
        dataset=new.dataset,
        number=new.number,
        digest=new.digest,
        rows=new.rows,
        size=new.size,
        contract_version=new.contract_version,
        source=new.source,
        run_id=new.run_id,
        parents=list(new.parents),
        warnings=[refusals.in_short(warning) for warning in new.warnings],
    )


def _profile(blobs: Blobs, table: Frame, newest: Snapshot | None) -> tuple[str, str]:
    """Digests of the profile and its spec. The cells stay those of the newest snapshot while the columns do, so that
    profiles add up."""
    spec = ReferenceSpec.from_json(msgspec.json.decode(blobs.read(newest.spec))) if newest else None
    same = newest and [field.name for field in newest.schema] == table.column_names
    if spec is None or not same:
        spec = profiles.infer_spec(table)
    digest, _ = blobs.put(canonical_json(spec.to_json()))
    counted, _ = blobs.put(canonical_json(profiles.profile(table, spec).to_json()))
    return counted, digest


def _values(blobs: Blobs, newest: Snapshot | None, column: str) -> pa.ChunkedArray | None:
    if newest is None or all(field.name != column for field in newest.schema):
        return None
    with blobs.path(newest.blob).open("rb") as stream:
        return pq.read_table(stream, columns=[column]).column(column)


def _at_ref(view: View, dataset: str, ref: str) -> Snapshot | None:
    found = tables.ref(view, dataset, ref)
    return tables.snapshot(view, dataset, found.number) if found else None
