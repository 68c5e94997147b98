# SPDX-License-Identifier: Apache-2.0
"""Features of another feature store, in pipelines: named in ``get_training`` beside views, pinned by what was trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from mainstay.engine.materialise.arrow import to_arrow
from mainstay.engine.steps import step
from mainstay.features import sources
from mainstay.features.sources import External

_NAMES: dict[Any, str] = {float: "float", int: "int", str: "str", bool: "bool"}


def external_features(source: str, features: Mapping[str, Any], *, entity: Mapping[str, Any]) -> External:
    """Features that another store keeps, for ``get_training``.

    Args:
        source: the name that `MAINSTAY_FEATURE_SOURCES` gives it. features: their names there → types (float, int, str, bool,
            datetime). entity: the columns by which it is asked → their types.

    Raises:
        Invalid: something of this cannot be.
    """
    return sources.make(source, _typed(features), _typed(entity))


# What another store knows may be other the next time.
@step(cache=False)
def join_external(labels: Any, external: dict[str, Any], time: str) -> pa.Table:
    """``labels`` with the features of a source as of ``time``."""
    return sources.joined(to_arrow(labels), sources.from_json(external), time=time)


def _typed(kinds: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: kind if isinstance(kind, str) else _NAMES.get(kind) or str(getattr(kind, "__name__", kind))
        for name, kind in kinds.items()
    }
