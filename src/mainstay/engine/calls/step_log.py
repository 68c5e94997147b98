# SPDX-License-Identifier: Apache-2.0
"""What a step says of itself while it runs: parameters, metrics, artifacts.

It belongs to the step's run, which exists once the step is committed; until then it is collected here.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.engine import materialise
from mainstay.engine.platform import Blobs


@dataclass(kw_only=True)
class StepLog:
    """Collected in the order of the calls. ``blobs`` is None where it has come from another process."""

    blobs: Blobs | None
    params: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Whether the step said nothing."""
        return not (self.params or self.metrics or self.artifacts)


def metric(log: StepLog, key: str, value: float, step: int | None = None) -> None:
    """Add one point. Raises Invalid: it is not a number."""
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise Invalid(f"metric {key!r} is a {type(value).__name__}; a number is expected.", metric=key)
    log.metrics.append({"key": key, "value": float(number), "step": step, "at": _now()})


def params(log: StepLog, values: Mapping[str, Any]) -> None:
    """Add parameters; a later value of the same name wins."""
    for name, value in values.items():
        log.params[name] = value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def artifact(log: StepLog, path: str, content: Any) -> None:
    """Keep ``content`` (bytes, text, a Path, or anything a step may return) as the file ``path`` of the step's run."""
    assert log.blobs is not None, "a step logs where it runs"
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes):
        digest, size = log.blobs.put_blob(content), len(content)
    elif isinstance(content, Path) and content.is_file():
        digest, size = log.blobs.put_blob(content), content.stat().st_size
    else:
        stored = materialise.write(content, log.blobs)
        digest, size = stored.digest, stored.size
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    log.artifacts.append({"path": path, "digest": digest, "size": size, "media_type": kind})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
