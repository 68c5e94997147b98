# SPDX-License-Identifier: Apache-2.0
"""The code as it was when a run was carried out, beside the code as it is: which lines of a statement have changed.

Sources are kept by content with every run, so that this can be told before anything runs again; read only when asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mainstay.domain import code
from mainstay.domain.code import Change
from mainstay.domain.errors import MainstayError
from mainstay.engine.platform import Blobs


@dataclass(kw_only=True)
class PastSources:
    """``digests``: the list of sources by run."""

    blobs: Blobs
    root: Path
    digests: Mapping[str, str] = field(default_factory=dict)
    _files: dict[str, dict[str, str]] = field(default_factory=dict)
    _changes: dict[tuple[str, str], dict[str, Change]] = field(default_factory=dict)

    def change(self, run_id: str, module: str, name: str) -> Change | None:
        """How the statement ``name`` of ``module`` differs from what it was in a run; None: that is not known."""
        place = (run_id, module)
        if place not in self._changes:
            found = self._difference(run_id, module)
            self._changes[place] = {change.name: change for change in found}
        return self._changes[place].get(name)

    def _difference(self, run_id: str, module: str) -> list[Change]:
        paths = [f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py"]
        files = self._files_of(run_id)
        path = next((path for path in paths if path in files or (self.root / path).is_file()), None)
        if path is None or not files:
            return []
        try:
            before = self.blobs.get_blob(files[path]).decode("utf-8", "replace") if path in files else None
        except MainstayError:
            return []
        here = self.root / path
        now = here.read_text("utf-8", "replace") if here.is_file() else None
        return code.difference(before, now, where=path)

    def _files_of(self, run_id: str) -> dict[str, str]:
        if run_id not in self._files:
            digest = self.digests.get(run_id)
            try:
                self._files[run_id] = dict(json.loads(self.blobs.get_blob(digest))["files"]) if digest else {}
            except (MainstayError, ValueError, KeyError, TypeError):
                self._files[run_id] = {}
        return self._files[run_id]
