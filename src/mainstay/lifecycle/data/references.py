# SPDX-License-Identifier: Apache-2.0
"""Snapshots by reference: a table that stays where it is, and the version of it that is meant.

In: the manifest that a client made (``domain.references``), and what it found in the rows, which are not here. Out: a snapshot
without parts. Where there is a contract none is taken without that (`examined`). What nothing keeps as it was is a warning on the
snapshot, and on whatever came of it (`mutable_behind`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mainstay.domain import references
from mainstay.domain.contracts import Column, Contract
from mainstay.domain.data import Field, Problem, Snapshot, parse_snapshot
from mainstay.domain.errors import Invalid
from mainstay.domain.references import Examined, Reference
from mainstay.lifecycle.data import tables
from mainstay.lifecycle.data.manifests import Manifest
from mainstay.store import View
from mainstay.store.blobs import Blobs

KIND = FORMAT = references.KIND


def read(blobs: Blobs, digest: str) -> tuple[Manifest, tuple[Problem, ...]]:
    """The manifest ``digest``, and the warning if nothing keeps what it names.

    Raises:
        NotFound: there is no such blob. Invalid: it is no manifest of a reference.
    """
    found = references.read(blobs.read(digest))
    manifest = Manifest(schema=found.schema, rows=found.rows, parts=(), digest=digest, size=0)
    if found.is_pinned:
        return manifest, ()
    warning = Problem(
        column=None,
        problem="mutable",
        found=f"a file at {found.uri}",
        expected="a snapshot, or a table that keeps its versions",
        sentence=found.sentence,
    )
    return manifest, (warning,)


def examined(blobs: Blobs, manifest: str, schema: Sequence[Field], told: str, contract: Contract | None) -> Examined:
    """What was found in the rows of a reference; ``told`` is the blob that says so. Columns that the contract names and the
    manifest does not are missing, whatever it says.

    Raises:
        Invalid: nothing was told although there is a contract, it was found in other rows or by another contract, or cannot be
        read. NotFound: there is no such blob.
    """
    if not told:
        if contract is not None:
            raise Invalid(
                f"dataset {contract.dataset!r} has a contract, and the rows of a reference are not here to be held against it: "
                "hand in what was found where they are ('examined'), as `mainstay datasets refer` does."
            )
        return Examined(
            reference=manifest, contract=0, rows=0, problems=(), warnings=(), rows_blob="", profile="", spec=""
        )
    found = references.read_examined(blobs.read(told))
    wanted = contract.version if contract else 0
    if (found.reference, found.contract) != (manifest, wanted):
        raise Invalid(
            f"the rows were held against contract version {found.contract} for manifest {found.reference[:12]}; version {wanted} "
            f"for manifest {manifest[:12]} is expected. Look at them again."
        )
    missing = [rule for rule in contract.columns if rule.name not in {f.name for f in schema}] if contract else []
    known = {problem.column for problem in found.problems}
    return replace(found, problems=(*found.problems, *(_missing(rule) for rule in missing if rule.name not in known)))


def _missing(rule: Column) -> Problem:
    return Problem(
        column=rule.name,
        problem="missing",
        found="no such column",
        expected=rule.type,
        sentence=f"column {rule.name!r} is missing.",
    )


def of(blobs: Blobs, snapshot: Snapshot) -> Reference | None:
    """What a snapshot refers to; None for one whose content is here."""
    return references.read(blobs.read(snapshot.digest)) if snapshot.kind == KIND else None


def mutable_behind(view: View, names: Iterable[str]) -> list[str]:
    """Of these snapshots and whatever they were made from, those that nothing keeps as they were."""
    found, seen, ahead = [], set(), [place for name in names if (place := _place(name))]
    while ahead:
        place = ahead.pop(0)
        snapshot = tables.snapshot(view, *place) if place not in seen else None
        seen.add(place)
        if snapshot is None:
            continue
        if any(warning.problem == "mutable" for warning in snapshot.warnings):
            found.append(snapshot.id)
        ahead += [place for parent in snapshot.parents if (place := _place(parent))]
    return found


def warning_of(view: View, names: Iterable[str]) -> list[str]:
    """The same as sentences, for whatever came of these snapshots."""
    return [f"{name} is read from a place that may change" for name in mutable_behind(view, names)]


def _place(name: str) -> tuple[str, int] | None:
    """Dataset and number; None for what another tool calls a snapshot."""
    try:
        return parse_snapshot(name)
    except Invalid:
        return None
