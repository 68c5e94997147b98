# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays of numbers, dates and fixed-width text, as ``.npy`` in C order and little-endian.

Arrays of objects are refused: they would need pickle.
"""

from __future__ import annotations

import io
from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.engine.materialise import Artifact, materialiser
from mainstay.engine.platform import Blobs


@materialiser("arrays")
class Arrays:
    """Plain ``numpy.ndarray``; a read array is the reader's own and may be changed."""

    kinds = ("numpy",)

    def accepts(self, value: Any) -> bool:
        return (type(value).__module__, type(value).__name__) == ("numpy", "ndarray")

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        import numpy as np

        if value.dtype.hasobject:
            raise Invalid(
                f"an array of objects, shape {value.shape}, cannot be stored; make it a table, or of one plain type."
            )
        sink = io.BytesIO()
        plain = np.ascontiguousarray(value).reshape(
            value.shape
        )  # ascontiguousarray makes a scalar array one-dimensional
        np.lib.format.write_array(
            sink, plain.astype(plain.dtype.newbyteorder("<"), copy=False), version=(2, 0), allow_pickle=False
        )
        content = sink.getvalue()
        return Artifact(
            kind="numpy", digest=blobs.put_blob(content), size=len(content), rows=len(value) if value.ndim else None
        )

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        import numpy as np

        return np.load(io.BytesIO(blobs.get_blob(artifact.digest)), allow_pickle=False)
