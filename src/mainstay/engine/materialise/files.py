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
from mainstay.engine.platform import Blobs


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
        if not any(path.is_file() for path in value.rglob("*")):
            return Artifact(kind="folder", digest=blobs.put_blob(canonical_json({"files": {}})), size=0, rows=0)
        digest = blobs.put_folder(value)
        root = folders.read_root(blobs.get_blob(digest))
        return Artifact(kind="files", digest=digest, size=root.size, rows=root.files)

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        if artifact.kind == "file":
            return blobs.blob_path(artifact.digest)
        folder = Path(tempfile.mkdtemp(prefix="mainstay-folder-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        if artifact.kind == "files":
            blobs.lay_folder(artifact.digest, folder)
            return folder
        for name, (digest, _) in json.loads(blobs.get_blob(artifact.digest))["files"].items():
            _lay(folder, name, blobs.blob_path(digest))
        return folder


def _lay(folder: Path, name: str, source: Path) -> None:
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts:
        raise Invalid(f"the stored folder has a file named {name!r}, which points outside of it; it is not laid out.")
    target = folder / inner
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
