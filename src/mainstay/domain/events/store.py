# SPDX-License-Identifier: Apache-2.0
"""What happens to the store itself."""

from __future__ import annotations

from dataclasses import dataclass

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class StoreCollected(Event):
    """Blobs that nothing referred to were taken away."""

    kind = "store.collected"
    objects: int
    size: int  # bytes
    rewritten: int  # packs that held more than these
    grace_s: int

    @property
    def subject(self) -> str:
        return "store:blobs"
