# SPDX-License-Identifier: Apache-2.0
"""What happens to feature views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class ViewChanged(Event):
    """A feature view has a definition, code or columns that it never had before: another version of it."""

    kind = "view.changed"
    view: str
    version: int
    digest: str
    definition: dict[str, Any]
    closure: str
    columns: list[dict[str, str]]
    entry: str

    @property
    def subject(self) -> str:
        return f"view:{self.view}"


@dataclass(frozen=True, kw_only=True)
class ViewFreed(Event):
    """No release needs a version of a feature view any more: its rows are not kept key by key, its tables remain as files."""

    kind = "view.freed"
    view: str
    version: int
    rows: int

    @property
    def subject(self) -> str:
        return f"view:{self.view}"


@dataclass(frozen=True, kw_only=True)
class ViewMaterialised(Event):
    """A version of a feature view has a newer online table; gateways load it."""

    kind = "view.materialised"
    view: str
    version: int
    blob: str
    rows: int
    watermark: str
    run: str | None

    @property
    def subject(self) -> str:
        return f"view:{self.view}"
