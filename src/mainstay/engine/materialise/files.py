# SPDX-License-Identifier: Apache-2.0
"""Files and folders: a returned ``Path`` is kept by its bytes; a folder as a list of its files.

A file reads back as a read-only path in the blob cache, so it keeps its bytes but not its name; a folder is laid out
again, names and all, in a temporary folder of this process.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from mainstay.domain import folders
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid
from mainstay.engine.materialise import Artifact, materialiser
from mainstay.engine.platform import Blobs, Folders


@materialiser("files")
class Files:
    """Any ``pathlib.Path`` that exists."""

    kinds = ("file", "folder", "files")  # "folder": one that is empty, or was kept before there were manifests

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Path)

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        if value.is_file():
            return Artifact(kind="file", digest=blobs.put_blob(value), size=value.stat().st_size)
        if not value.is_dir():
            raise Invalid(
                f"there is no file or folder {value.name!r}; return a Path to something the step has written."
            )
        files = sorted(path for path in value.rglob("*") if path.is_file())
        if not files:
            return Artifact(kind="folder", digest=blobs.put_blob(canonical_json({"files": {}})), size=0, rows=0)
        # File by file, also where there is a faster way: a folder has one digest, whichever executor its step ran on.
        kept = (
            folders.File(path=path.relative_to(value).as_posix(), digest=blobs.put_blob(path), size=path.stat().st_size)
            for path in files
        )
        digest, root = folders.write(kept, blobs.put_blob)
        return Artifact(kind="files", digest=digest, size=root.size, rows=root.files)

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        if artifact.kind == "file":
            return blobs.blob_path(artifact.digest)
        folder = Path(tempfile.mkdtemp(prefix="mainstay-folder-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        if artifact.kind == "files":
            _lay_out(artifact.digest, folder, blobs)
            return folder
        for name, (digest, _) in json.loads(blobs.get_blob(artifact.digest))["files"].items():
            _lay(folder, name, blobs.blob_path(digest))
        return folder


def bring(folder: Path, blobs: Blobs) -> Artifact:
    """A folder from outside, by the fastest way there is: what did not change since the last time is not read again."""
    if not isinstance(blobs, Folders) or not any(path.is_file() for path in folder.rglob("*")):
        return Files().write(folder, blobs)
    digest = blobs.put_folder(folder)
    root = folders.read_root(blobs.get_blob(digest))
    return Artifact(kind="files", digest=digest, size=root.size, rows=root.files)


def _lay_out(digest: str, folder: Path, blobs: Blobs) -> None:
    if isinstance(blobs, Folders):
        blobs.lay_folder(digest, folder)
        return
    for file in folders.walk(blobs.get_blob, folders.read_root(blobs.get_blob(digest)).folder):
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_list:
            shutil.copyfile(blobs.blob_path(file.digest), target)
            continue
        with target.open("xb") as made:
            for chunk, _ in folders.read_chunks(blobs.get_blob(file.digest), file.size):
                made.write(blobs.get_blob(chunk))


def _lay(folder: Path, name: str, source: Path) -> None:
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts:
        raise Invalid(f"the stored folder has a file named {name!r}, which points outside of it; it is not laid out.")
    target = folder / inner
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
