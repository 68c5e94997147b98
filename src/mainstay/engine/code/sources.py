# SPDX-License-Identifier: Apache-2.0
"""Which code a run was: entry, git commit, whether the tree was clean, the difference, and the sources themselves as
blobs.

The sources blob lists path → digest of every first-party file in the pipeline's closure, so that a run can be read and
repeated without its repository.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from mainstay.domain.digests import canonical_json
from mainstay.engine.code import roots
from mainstay.engine.code.closure import Closure
from mainstay.engine.platform import Blobs

_LARGEST_DATA = 16 << 20  # of a file that code reads by its path; what is larger belongs into a snapshot
_GIT_S = 10  # a repository on a slow disk must not keep a run from starting


def record(entry: str, *, root: Path, closure: Closure, blobs: Blobs) -> dict[str, Any]:
    """The ``code`` of a run."""
    commit, is_dirty = _stand(root)
    difference = _git(root, "diff", "HEAD", "--binary", "--", ".") if is_dirty else None
    return {
        "entry": entry,
        "commit": commit,
        "dirty": is_dirty,
        "sources_digest": _keep(closure, root, blobs),
        "diff_digest": blobs.put_blob(difference) if difference else None,
    }


def _keep(closure: Closure, root: Path, blobs: Blobs) -> str:
    files = {_name(path, root, closure): blobs.put_blob(path.read_bytes()) for path in closure.files}
    # Files that the code reads by a path of the project, and the declared intent, belong to what makes it run.
    others = [root / name for name in (*closure.data, roots.FILE)]
    for path in (each for each in others if each.is_file() and each.is_relative_to(root)):
        if path.stat().st_size <= _LARGEST_DATA:
            files[path.relative_to(root).as_posix()] = blobs.put_blob(path.read_bytes())
    return blobs.put_blob(canonical_json({"files": files}))


def _name(path: Path, root: Path, closure: Closure) -> str:
    """The place in the project; code outside of it (an editable install) goes by its module's name: where a disk is mounted
    is nobody's business."""
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    words = closure.labels.get(path, path.stem).split(".")
    return "/".join(("…", *words, f"__init__{path.suffix}") if path.stem == "__init__" else ("…", *words)) + (
        "" if path.stem == "__init__" else path.suffix
    )


def _stand(root: Path) -> tuple[str | None, bool | None]:
    """The commit, and whether anything differs from it; one question, as starting git takes longer than it does."""
    if "GIT_DIR" not in os.environ and not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None, None
    told = _git(root, "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--", ".") or b""
    lines = told.decode(errors="replace").splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)":
        return None, None
    return commit, any(not line.startswith("#") for line in lines)


def _git(root: Path, *arguments: str) -> bytes | None:
    """What git answers, or None: no git, no repository, no commit yet."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            timeout=_GIT_S,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
