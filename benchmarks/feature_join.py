# SPDX-License-Identifier: Apache-2.0
"""What a training table costs: 10 million events joined to a million labels, as of each label's time.

Out: ``results/feature_join.json`` and a table. The same tables in Arrow, the same answer (checked), in one run: this project's
join, DuckDB's ``ASOF JOIN``, and Polars' ``join_asof`` with the sorting that it asks for. Two kinds of entity, numbers and
texts; events in the order of time, as a log is, and shuffled. Each in turn, several rounds; medians.

    python benchmarks/feature_join.py [--events 10000000] [--labels 1000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.features import definitions, training

RESULT = Path(__file__).parent / "results" / "feature_join.json"
ENTITIES = 200_000
YEAR_S = 365 * 86_400
VIEW = definitions.make("spend", entity="id", time="at", available_after="1h", ttl="90d")


def worlds(events: int, labels: int) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """Name, events, labels: the same moments for numbers and for texts, as a log and shuffled; one at a time in memory."""
    random = np.random.default_rng(7)
    at = np.sort(random.integers(0, YEAR_S * 1_000, events))  # milliseconds: some stand twice
    ids = random.integers(0, ENTITIES, events)
    asked, whose = random.integers(0, YEAR_S * 1_000, labels), random.integers(0, ENTITIES, labels)
    mixed = random.permutation(events)
    for name, order in (("log", slice(None)), ("shuffled", mixed)):
        for kind, write in (("numbers", pa.array), ("texts", _texts)):
            seen = pa.table({"id": write(ids[order]), "at": _moments(at[order]), "amount": random.random(events)})
            yield f"{name}, {kind}", seen, pa.table({"id": write(whose), "asked": _moments(asked)})


def ours(events: pa.Table, labels: pa.Table) -> pa.Table:
    return training.joined(labels, [(VIEW, events)], time="asked")


def by_duckdb(events: pa.Table, labels: pa.Table) -> pa.Table:
    connection = duckdb.connect()
    connection.register("events", events)
    connection.register("labels", labels)
    found: pa.Table = connection.sql(
        "select l.id, l.asked, case when l.asked - e.at <= interval 90 day then e.amount end as amount "
        "from labels l asof left join events e on l.id = e.id and l.asked >= e.at + interval 1 hour"
    ).to_arrow_table()
    return found


def by_polars(events: pa.Table, labels: pa.Table) -> pa.Table:
    seen = pl.from_arrow(events).with_columns(known=pl.col("at") + pl.duration(hours=1)).sort("known")
    asked = pl.from_arrow(labels).sort("asked")
    found = asked.join_asof(
        seen, left_on="asked", right_on="known", by="id", strategy="backward", check_sortedness=False
    )
    fresh = pl.col("asked") - pl.col("at") <= pl.duration(days=90)
    return found.select("id", "asked", amount=pl.when(fresh).then(pl.col("amount"))).to_arrow()


PEERS: dict[str, Callable[[pa.Table, pa.Table], pa.Table]] = {
    "mainstay": ours,
    "duckdb": by_duckdb,
    "polars": by_polars,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-store", action="store_true", help="do not write the result")
    asked = parser.parse_args()
    figures = {}
    for name, events, labels in worlds(asked.events, asked.labels):
        figures[name] = measured(events, labels, asked.rounds)
        found = figures[name]
        told = "  ".join(f"{peer} {each['wall_s']:.2f} s ({each['cpu_s']:.2f} cpu)" for peer, each in found.items())
        wall, cpu = (
            found["mainstay"][by] / min(found[p][by] for p in ("duckdb", "polars")) for by in ("wall_s", "cpu_s")
        )
        print(f"{name:<20} {told}  {wall:.2f} times the faster one, {cpu:.2f} by processor time", flush=True)
    if not asked.no_store:
        RESULT.write_text(json.dumps(document(asked, figures), indent=2) + "\n")


def measured(events: pa.Table, labels: pa.Table, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each, taken in turn: by the clock, and of all processors, which a busy machine disturbs less."""
    taken: dict[str, list[tuple[float, float]]] = {peer: [] for peer in PEERS}
    sums = {}
    for _ in range(rounds):
        for peer, join in PEERS.items():
            began, used = time.perf_counter(), time.process_time()
            found = join(events, labels)
            taken[peer].append((time.perf_counter() - began, time.process_time() - used))
            sums[peer] = found["amount"].null_count, round(pc.sum(found["amount"]).as_py(), 3)
    # Where two events of an entity have one time, each may take another of the two: the sums may differ by those.
    if sums["mainstay"][0] != sums["duckdb"][0] or abs(sums["mainstay"][1] - sums["duckdb"][1]) > 50:
        sys.exit(f"the answers differ: {sums}")
    return {
        peer: {
            "wall_s": round(statistics.median(wall for wall, _ in each), 3),
            "cpu_s": round(statistics.median(cpu for _, cpu in each), 3),
        }
        for peer, each in taken.items()
    }


def document(asked: argparse.Namespace, figures: dict[str, dict[str, dict[str, float]]]) -> dict[str, object]:
    return {
        "what": f"{asked.events} events joined to {asked.labels} labels as of their time; median seconds of the rounds",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "versions": {name: importlib.metadata.version(name) for name in ("duckdb", "numpy", "polars", "pyarrow")},
        "rounds": asked.rounds,
        "figures": figures,
    }


def _moments(milliseconds: np.ndarray) -> pa.Array:
    return pa.array(milliseconds * 1_000, pa.timestamp("us", "UTC"))


def _texts(ids: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise("customer-", pa.array(ids).cast(pa.string()), "")


if __name__ == "__main__":
    main()
