# SPDX-License-Identifier: Apache-2.0
"""The first rows of a columnar file, for whoever looks at it in a browser."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from mainstay.server.api import previews

TABLE = pa.table({"carrier": ["UA", "B6", None], "delay": [1.5, float("nan"), -3.0], "raw": [b"\x00\x01", b"", b"x"]})


def put(web: httpx.Client, write: Any) -> str:
    bytes_ = io.BytesIO()
    write(bytes_)
    digest = hashlib.sha256(bytes_.getvalue()).hexdigest()
    assert web.put(f"/blobs/{digest}", content=bytes_.getvalue()).status_code in (200, 201)
    return digest


@pytest.mark.parametrize("write", [pq.write_table, feather.write_feather])
def test_columns_and_rows_come_as_json_can_hold_them(web: httpx.Client, write: Any) -> None:
    digest = put(web, lambda file: write(TABLE, file))

    answer = web.get(f"/previews/{digest}", params={"limit": 2}).json()

    assert [(column["name"], column["type"]) for column in answer["columns"]] == [
        ("carrier", "string"), ("delay", "double"), ("raw", "binary"),
    ]  # fmt: skip
    assert answer["rows"] == [["UA", 1.5, "2 bytes"], ["B6", "nan", "0 bytes"]]
    assert answer["rows_total"] in (3, None)


def test_only_as_many_rows_are_read_as_are_asked_for(web: httpx.Client) -> None:
    digest = put(web, lambda file: pq.write_table(pa.table({"n": list(range(5000))}), file))

    answer = web.get(f"/previews/{digest}", params={"limit": 3}).json()

    assert answer["rows"] == [[0], [1], [2]] and answer["rows_total"] == 5000


def test_bytes_that_are_no_table_are_refused_with_a_sentence(web: httpx.Client) -> None:
    digest = put(web, lambda file: file.write(b"<script>alert(1)</script>"))

    answer = web.get(f"/previews/{digest}")

    assert answer.status_code == 400
    assert "is no Parquet, Arrow or Feather file" in answer.json()["error"]["message"]


def test_a_file_whose_first_part_is_too_large_is_not_decoded(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "MOST_DECODED_BYTES", 100)
    digest = put(web, lambda file: pq.write_table(pa.table({"n": list(range(5000))}), file))

    assert web.get(f"/previews/{digest}").status_code == 413
