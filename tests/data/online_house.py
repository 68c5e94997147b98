# SPDX-License-Identifier: Apache-2.0
"""A store with one feature view whose online tables tests refresh, and a clock that they move."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from mainstay.domain.digests import digest_of
from mainstay.features import definitions, rows
from mainstay.features.rows import Row
from mainstay.lifecycle.data.features import leftovers, online_rows, tables, views
from mainstay.store import Store, ledger, open_store

START = datetime(2012, 1, 1, tzinfo=UTC)
SPEND = definitions.make("spend", entity="id", time="at", ttl="90d")


class OnlineHouse:
    """A store with view ``spend`` and a clock that stands until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.now = START + timedelta(days=1)
        self.store: Store = open_store(folder, clock=lambda: self.now)

    def declare(self, word: str = "code") -> None:
        with self.store.change(actor="ana") as change:
            views.declare(
                change,
                definition=SPEND.to_json(),
                closure=digest_of(word),
                entity=[{"name": "id", "type": "str"}],
                columns=[{"name": "amount", "type": "float"}],
                entry="shop.py:spend",
            )

    def materialise(self, amounts: dict[str, float], version: int = 1, at: datetime = START) -> int:
        """As an engine does it, whatever was there before; the number of the table."""
        whole = {"id": list(amounts), "at": pa.array([at] * len(amounts), pa.timestamp("us", "UTC"))}
        new = pa.table(whole | {"amount": pa.array(list(amounts.values()), pa.float64())})
        sink = io.BytesIO()
        pq.write_table(new, sink)
        blob, _ = self.store.blobs.put(sink.getvalue())
        with self.store.view() as view:
            newest = views.table(view, "spend", version)
            before = newest if newest and newest.changed is not None else None
        old = before and pq.read_table(self.store.blobs.path(before.blob))
        changed = list(rows.changed(SPEND, old, new, ["amount"]))
        sequence = self.write(changed, version) if changed else None
        told = {"sequence": sequence, "since": before.sequence if before else 0, "changed": len(changed)}
        with self.store.change(actor="ana") as change:
            return views.materialise(
                change, view="spend", version=version, blob=blob, watermark=self.now, **told
            ).sequence

    def write(self, new: list[Row], version: int = 1) -> int:
        with self.store.ingest() as ingest:
            return online_rows.put(ingest, view="spend", version=version, new=new)

    def sweep(self, version: int = 1) -> None:
        after: str | None = ""
        while after is not None:
            with self.store.ingest() as ingest:
                after = leftovers.sweep(ingest, "spend", version, after)

    def let_go(self, version: int) -> None:
        with self.store.change(actor="system") as change:
            leftovers.let_go(change, view="spend", version=version)

    def answers(self, sequence: int, *ids: str, version: int = 1) -> list[str | None]:
        with self.store.view() as view:
            found = online_rows.as_of(view, "spend", version, [rows.key_text([each]) for each in ids], sequence)
        return [row and row.cells for row in found]

    def kept(self, version: int = 1) -> list[tuple[str, int]]:
        """Key and table of every row."""
        c = tables.online_rows.c
        with self.store.view() as view:
            found = view.rows(select(c.key, c.sequence).where(c.version == version))
        return sorted((row.key, row.sequence) for row in found)

    def told(self) -> list[dict[str, object]]:
        """What was told of versions that were let go, the first one first."""
        with self.store.view() as view:
            return [event.body for event in ledger.search(view, kind="view.freed", limit=10)][::-1]
