# SPDX-License-Identifier: Apache-2.0
"""What happens to the store itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class StoreCollected(Event):
    """Blobs that nothing referred to are taken away, from now on."""

    kind = "store.collected"
    objects: int
    size: int  # bytes
    rewritten: int  # packs that held more than these
    grace_s: int
    listed: str  # a blob with the digest of each; "" if nothing goes
    kinds: list[dict[str, Any]]  # why they go: what, objects, size
    forgotten: int  # results by key that are no hit any more

    @property
    def subject(self) -> str:
        return "store:blobs"
