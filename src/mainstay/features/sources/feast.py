# SPDX-License-Identifier: Apache-2.0
"""Feast: features of a Feast repository; the address is its folder, or a URL of its configuration file.

Needs the package ``feast``, which brings half a gigabyte, and so is neither a dependency nor an extra: whoever has a Feast
repository has it installed. Features are named as there, ``driver_stats:conv_rate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

_ROW = "mainstay_row"
_TIME = "event_timestamp"


class Feast:
    """A Feast repository."""

    def __init__(self, address: str) -> None:
        from feast import FeatureStore  # not ours to install

        self._store = (
            FeatureStore(repo_path=address) if Path(address).is_dir() else FeatureStore(fs_yaml_file=Path(address))
        )

    def get_historical(self, labels: pa.Table, features: Sequence[str], *, time: str) -> pa.Table:
        # Feast wants its own name for the time, and gives rows in an order of its own.
        names = [_TIME if name == time else name for name in labels.column_names]
        asked = labels.rename_columns(names).append_column(_ROW, pa.array(range(labels.num_rows), pa.int64()))
        found = self._store.get_historical_features(entity_df=asked.to_pandas(), features=list(features)).to_arrow()
        return found.sort_by(_ROW).select([_column(name) for name in features])

    def get_online(self, entities: pa.Table, features: Sequence[str]) -> pa.Table:
        found = self._store.get_online_features(features=list(features), entity_rows=entities.to_pylist()).to_dict()
        return pa.table({_column(name): found[_column(name)] for name in features})


def _column(feature: str) -> str:
    return feature.rpartition(":")[2]
