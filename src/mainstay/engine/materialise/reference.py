# SPDX-License-Identifier: Apache-2.0
"""References to tables elsewhere: what is kept is which version is meant; what a step gets is its rows."""

from __future__ import annotations

from typing import Any

from mainstay.domain import references as manifests
from mainstay.domain.references import KIND, Reference
from mainstay.engine import references
from mainstay.engine.materialise import Artifact, arrow, materialiser
from mainstay.engine.platform import Blobs


@materialiser("reference")
class References:
    """Reads as the library the consumer's annotation names: a dataset or a reader of batches without loading it whole."""

    kinds = (KIND,)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Reference)

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        return Artifact(kind=KIND, digest=blobs.put_blob(value.manifest()), size=0, rows=value.rows)

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        reference = manifests.read(blobs.get_blob(artifact.digest))
        return reference if wanted is Reference else arrow.as_wanted(references.open_(reference), wanted)
