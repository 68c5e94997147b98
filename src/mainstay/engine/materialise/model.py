# SPDX-License-Identifier: Apache-2.0
"""Fitted models, by ``mainstay.formats``: its files as blobs, and one small list of them whose digest stands for the
model.

A step receives the estimator itself (``predict_proba`` and all), loaded from those files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mainstay import formats
from mainstay.domain.digests import canonical_json
from mainstay.engine.materialise import Artifact, materialiser
from mainstay.engine.platform import Blobs

_LIBRARIES = frozenset({"sklearn", "xgboost", "lightgbm", "onnx"})


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """What ``formats.save`` gave, with digests in place of bytes. ``sizes`` in bytes."""

    format: str
    version: int
    files: dict[str, str]
    sizes: dict[str, int]
    environment: dict[str, str]


@materialiser("model")
class Models:
    """Whatever a format recognises."""

    kinds = ("model",)

    def accepts(self, value: Any) -> bool:
        # A class of no model library is not asked about: asking imports every format.
        if _LIBRARIES.isdisjoint(kind.__module__.partition(".")[0] for kind in type(value).__mro__):
            return False
        return any(formats.get(name).recognises(value) for name in formats.names())

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        saved = formats.save(value)
        stored = StoredModel(
            format=saved.format,
            version=saved.version,
            files={name: blobs.put_blob(content) for name, content in saved.files.items()},
            sizes={name: len(content) for name, content in saved.files.items()},
            environment=saved.environment,
        )
        content = canonical_json(asdict(stored))
        return Artifact(kind="model", digest=blobs.put_blob(content), size=sum(stored.sizes.values()))

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        model = load(stored(artifact, blobs), blobs)
        return getattr(model, "estimator", model)


def stored(artifact: Artifact, blobs: Blobs) -> StoredModel:
    """The list of files behind a model artifact."""
    return StoredModel(**json.loads(blobs.get_blob(artifact.digest)))


def load(model: StoredModel, blobs: Blobs) -> formats.Model:
    """The model as something that scores rows."""
    return formats.load(model.format, paths(model.files, blobs), environment=model.environment)


def paths(files: Mapping[str, str], blobs: Blobs) -> dict[str, Path]:
    """Local paths of files given by digest."""
    return {name: blobs.blob_path(digest) for name, digest in files.items()}
