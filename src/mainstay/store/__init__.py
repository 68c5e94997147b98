# SPDX-License-Identifier: Apache-2.0
"""The floor under the control plane: the database, the ledger, the jobs queue and the blobs.

In: verbs of the rooms above, inside a `Change` (governed), an `Ingest` (telemetry) or a `View` (reads). Out: durable rows,
one hash-chained event a change, bytes named by their digest. SQL stands here and in each room's ``tables.py`` only.
"""

from mainstay.store.change import Change, Ingest, View
from mainstay.store.database import Store, open_store
from mainstay.store.databases import Prepared
from mainstay.store.schema import Instant, Json, metadata

__all__ = ["Change", "Ingest", "Instant", "Json", "Prepared", "Store", "View", "metadata", "open_store"]
