# SPDX-License-Identifier: Apache-2.0
"""Taking a snapshot for a pipeline: the table's bytes go to the control plane, which checks, numbers and keeps them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstay.domain import references as manifests
from mainstay.domain.contract_toml import Intent
from mainstay.domain.contracts import read_column
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid, NotFound, Unavailable
from mainstay.domain.references import KIND as REFERENCE
from mainstay.domain.references import Examined, check_uri
from mainstay.engine import contracts, materialise, references
from mainstay.engine.materialise import Artifact, arrow
from mainstay.engine.platform import Platform

if TYPE_CHECKING:
    import pyarrow as pa

    from mainstay.measures.frames import Frame

#: Of a table elsewhere that has more rows, a sample is looked at.
MOST_ROWS = 20_000_000
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
            body["examined"] = examine(platform, dataset, batch.blob)
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


def examine(platform: Platform, dataset: str, manifest: str) -> str:
    """Read a table that stays where it is, and keep what the control plane cannot see: what in it breaks the dataset's contract,
    if there is one, and its profile. The digest of that.

    The rows come in batches and go through a file, so that memory holds a few columns; of more than `MOST_ROWS` a sample.

    Raises:
        Conflict: it is no longer there as it was.
    """
    from mainstay.measures import frames

    asked, version = _contract(platform, dataset)
    reference = manifests.read(platform.get_blob(manifest))
    data = references.open_(reference)
    with tempfile.TemporaryDirectory(prefix="mainstay-reference-") as folder:
        batches = _batches(data, max(1, -(-reference.rows // MOST_ROWS)))
        frame = frames.spooled(batches, data.schema, Path(folder) / "rows.parquet")
        found, odd = contracts.found_in(frame, asked) if asked else ((), ())
        bad = platform.put_blob(canonical_json(contracts.bad_rows(frame, asked))) if asked and found else ""
        profile, spec = ("", "") if found else _profile(platform, frame)
    examined = Examined(
        reference=manifest,
        contract=version,
        rows=frame.num_rows,
        problems=found,
        warnings=odd,
        rows_blob=bad,
        profile=profile,
        spec=spec,
    )
    return platform.put_blob(examined.content())


def _batches(data: Any, every: int) -> Iterator[pa.RecordBatch]:
    """The rows in batches, or those of one file in ``every`` where there are many, else one batch in ``every``."""
    files = list(data.get_fragments()) if every > 1 and hasattr(data, "get_fragments") else []
    if len(files) >= 2 * every:
        return chain.from_iterable(file.to_batches(schema=data.schema) for file in files[::every])
    batches = data.to_batches() if hasattr(data, "to_batches") else data
    return (batch for n, batch in enumerate(batches) if n % every == 0)


def _contract(platform: Platform, dataset: str) -> tuple[Intent | None, int]:
    try:
        found = platform.get(f"/datasets/{dataset}/contract")
    except NotFound:
        return None, 0
    columns = tuple(read_column(column) for column in found["columns"])
    keys = tuple(map(tuple, found["keys"]))
    rows = {name: found[name] for name in ("rows_low", "rows_high", "on_rows")}
    return Intent(columns=columns, keys=keys, **rows), int(found["version"])


def _profile(platform: Platform, frame: Frame) -> tuple[str, str]:
    """Digests of the profile and of the cells that it is counted in."""
    from mainstay.measures import profiles

    spec = profiles.infer_spec(frame)
    counted = profiles.profile(frame, spec)
    return platform.put_blob(canonical_json(counted.to_json())), platform.put_blob(canonical_json(spec.to_json()))


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
