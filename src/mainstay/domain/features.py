# SPDX-License-Identifier: Apache-2.0
"""Versions of feature views, and the online tables that were made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ViewVersion:
    """One state of a view: definition, code and columns; its digest covers these three.

    ``closure`` is the digest of all the code that its function can reach, ``entity`` and ``columns`` are names with types.
    """

    view: str
    number: int
    digest: str
    definition: dict[str, Any]
    closure: str
    entity: tuple[dict[str, str], ...]
    columns: tuple[dict[str, str], ...]
    entry: str  # ``flights.py:spend``, as it was when this version was first seen
    created_at: datetime
    created_by: str

    @property
    def id(self) -> str:
        return f"{self.view}/{self.number}"

    @property
    def subject(self) -> str:
        return f"view:{self.view}"


@dataclass(frozen=True, kw_only=True)
class OnlineTable:
    """What a version's rows were at ``watermark``: one row an entity, as an immutable file and key by key.

    ``changed``: rows that were written because they were others before; None: it was made before rows were kept by key.
    """

    view: str
    version: int
    sequence: int
    blob: str
    size: int
    rows: int
    changed: int | None
    watermark: datetime
    run_id: str | None
    event: int
    made_at: datetime
    made_by: str
