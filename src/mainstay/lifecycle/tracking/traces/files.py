# SPDX-License-Identifier: Apache-2.0
"""Files of traces: what was attached to them, such as images, and the spans of clients that write them into one file."""

from __future__ import annotations

from mainstay.domain.tracking import Artifact
from mainstay.lifecycle.tracking import logs
from mainstay.lifecycle.tracking.traces import stories, tables
from mainstay.lifecycle.tracking.traces.stories import get as get
from mainstay.store import Ingest, View


def add_artifact(ingest: Ingest, trace: str, artifact: Artifact) -> Artifact:
    """Name a blob as a file of the trace; the same path again means the newer bytes.

    Raises:
        NotFound: no such trace or blob. Invalid: an unusable path, or another size than said.
    """
    stories.get(ingest, trace)
    logs.check_artifact(ingest, artifact)
    tables.put_file(ingest, trace, artifact)
    return artifact


def artifacts_of(view: View, trace: str) -> list[Artifact]:
    """The files of a trace, by path."""
    return tables.files_of(view, trace)


def artifact_of(view: View, trace: str, path: str) -> Artifact | None:
    """One file of a trace."""
    return next((file for file in tables.files_of(view, trace) if file.path == path), None)


def remove_artifacts(ingest: Ingest, trace: str, path: str) -> int:
    """Forget a file, or every file below a folder ("" is all of it); how many."""
    inside = [
        file.path for file in tables.files_of(ingest, trace) if not path or f"{file.path}/".startswith(f"{path}/")
    ]
    return tables.remove_files(ingest, trace, inside)
