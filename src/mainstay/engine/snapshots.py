# SPDX-License-Identifier: Apache-2.0
"""Taking a snapshot for a pipeline: the table's bytes go to the control plane, which checks, numbers and keeps them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstay.domain.contract_toml import Intent
from mainstay.domain.contracts import read_column
from mainstay.domain.errors import Invalid, NotFound, Unavailable
from mainstay.domain.references import KIND as REFERENCE
from mainstay.domain.references import check_uri
from mainstay.engine import contracts, materialise
from mainstay.engine.materialise import Artifact, arrow
from mainstay.engine.platform import Platform

_TAKEN = (
    "a table (Arrow, pandas, Polars, DuckDB), a Parquet or CSV file or its address, a folder or any other file, "
    "or a reference (delta, iceberg, source)"
)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A snapshot as the rest of the run uses it. ``artifact``: its rows, read as what the producer made them with."""

    id: str
    digest: str
    artifact: Artifact
    is_known: bool = False


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Bytes on their way to become a snapshot. ``kind``: what the rows are read as afterwards."""

    blob: str
    format: str
    kind: str


def batch_of(found: Any, platform: Platform) -> Batch:
    """The batch of a table, of a stored result, of a file here or at an address, of a folder, or of a reference.

    Raises:
        Invalid: it is none of them.
    """
    if isinstance(found, Path):
        return _file(found, platform)
    if isinstance(found, str) and "://" in found:
        return _file(_fetched(found), platform)
    artifact = found if isinstance(found, Artifact) else materialise.write(found, platform)
    if artifact.kind == "files":
        return Batch(blob=artifact.digest, format="files", kind="files")
    if artifact.kind == REFERENCE:
        return Batch(blob=artifact.digest, format=REFERENCE, kind=REFERENCE)
    if artifact.kind not in arrow.Tables.kinds:
        raise Invalid(f"a snapshot is made of {_TAKEN}; a {artifact.kind} was given.")
    return Batch(blob=artifact.digest, format="parquet", kind=artifact.kind)


def take(
    platform: Platform,
    dataset: str,
    batch: Batch,
    *,
    source: str,
    period: Mapping[str, Any] | None,
    run_id: str,
    parents: Sequence[str],
) -> Taken:
    """Hand the batch in; a dataset that is new is made, owned by whoever asks.

    Raises:
        Invalid: the rows break the dataset's contract; the facts list the problems.
    """
    body: dict[str, Any] = {"blob": batch.blob, "format": batch.format, "source": source, "run_id": run_id}
    body |= {"period": dict(period)} if period else {}
    body |= {"parents": list(parents)} if parents else {}
    path = f"/datasets/{dataset}/snapshots"
    try:
        platform.get(f"/datasets/{dataset}")
    except NotFound:
        platform.post("/datasets", {"name": dataset, "owner": platform.get("/me")["actor"], "description": ""})
    try:
        if batch.format == REFERENCE:
            hold(platform, dataset, batch.blob)
        return from_json(platform.post(path, body), batch.kind)
    except Invalid as refusal:
        _keep_bad_rows(platform, run_id, dataset, refusal)
        raise


def from_json(snapshot: Mapping[str, Any], kind: str = "arrow") -> Taken:
    """A snapshot as the control plane describes it."""
    kind = str(snapshot["kind"]) if snapshot.get("kind", "table") != "table" else kind
    artifact = Artifact(kind=kind, digest=snapshot["blob"], size=int(snapshot["size"]), rows=int(snapshot["rows"]))
    return Taken(
        id=snapshot["id"], digest=snapshot["digest"], artifact=artifact, is_known=bool(snapshot.get("is_known"))
    )


def hold(platform: Platform, dataset: str, manifest: str) -> None:
    """Hold a table that stays where it is against the dataset's contract, if it has one: its rows are not where the others
    are checked.

    Raises:
        Invalid: it breaks the contract; the facts list the problems. Conflict: it is no longer there.
    """
    try:
        found = platform.get(f"/datasets/{dataset}/contract")
    except NotFound:
        return
    columns = tuple(read_column(column) for column in found["columns"])
    keys = tuple(map(tuple, found["keys"]))
    asked = Intent(
        columns=columns, rows_low=found["rows_low"], rows_high=found["rows_high"], on_rows=found["on_rows"], keys=keys
    )
    artifact = Artifact(kind=REFERENCE, digest=manifest, size=0)
    table = materialise.read(artifact, platform)
    contracts.check(table, asked, f"the table for dataset {dataset!r}", put=platform.put_blob)


def _keep_bad_rows(platform: Platform, run_id: str, dataset: str, refusal: Invalid) -> None:
    """Let the run that made a refused batch hold its first bad rows, where whoever looks at the run will look for them."""
    digest = refusal.facts.get("rows_blob")
    if digest:
        size = len(platform.get_blob(digest))
        bad = {"path": f"refused/{dataset}.json", "digest": digest, "size": size, "media_type": "application/json"}
        platform.post(f"/runs/{run_id}/artifacts", bad)


def _file(path: Path, platform: Platform) -> Batch:
    formats = {".parquet": "parquet", ".csv": "csv"}
    if not path.exists():
        raise Invalid(f"there is no file or folder {path.name!r}; a snapshot is made of {_TAKEN}.")
    if path.is_dir() or path.suffix.lower() not in formats:
        return _files(path, platform)
    return Batch(blob=platform.put_blob(path), format=formats[path.suffix.lower()], kind="arrow")


def _files(path: Path, platform: Platform) -> Batch:
    """A folder, or a file of any other kind: kept as it is, and read as a folder afterwards."""
    return Batch(blob=platform.put_folder(path), format="files", kind="files")


def _fetched(address: str) -> Path:
    """The file at an address, brought into the cache of this process by fsspec, where that is installed."""
    check_uri(address)
    suffix = Path(address).suffix
    try:
        import fsspec  # one library for many places: only for whoever has files there
    except ImportError as error:
        raise Unavailable(
            f"{address} is an address, which the extra `fsspec` reads: pip install 'mainstay[fsspec]'."
        ) from error
    folder = Path(tempfile.mkdtemp(prefix="mainstay-address-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        files, inner = fsspec.core.url_to_fs(address)
        files.get_file(inner, str(folder / f"file{suffix}"))
    except (OSError, ImportError, ValueError) as error:
        raise Invalid(f"there is no file at {address} that can be read: {str(error)[:200].rstrip('.')}.") from error
    return folder / f"file{suffix}"
