# SPDX-License-Identifier: Apache-2.0
"""A run with a file of every kind that the page can look at, some of them hostile.

In: a session. Out: the id of the run, its files uploaded as any client does it.
"""

from __future__ import annotations

import io
import json
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.client.session import Session

PATCH = """diff --git a/train.py b/train.py
index 1111111..2222222 100644
--- a/train.py
+++ b/train.py
@@ -1,3 +1,4 @@ def train():
 import mainstay as ms
-depth = 5
+depth = 6
+rate = 0.1
 model = fit(depth)
"""

MLMODEL = """artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    predict_fn: predict
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
mlflow_version: 3.4.0
model_uuid: 0f6c1c1e3e5d4c6c9d1f0a2b3c4d5e6f
signature:
  inputs: '[{"type": "double", "name": "dep_delay", "required": true}, {"type": "string",
    "name": "carrier", "required": false}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
"""

HOSTILE = """<!doctype html><title>report</title>
<script>document.title = "taken over"; fetch("/api/people")</script><h1>drawn</h1>"""

HOSTILE_PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">
<script>document.title = "taken over"</script><rect width="40" height="20" fill="teal"/></svg>"""


def png(width: int = 64, height: int = 48) -> bytes:
    """A picture without any library: a slope of colours."""
    rows = b"".join(b"\0" + bytes(x * 4 % 256 if band else y * 5 % 256 for x in range(width) for band in (0, 1, 0))
                    for y in range(height))  # fmt: skip

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def parquet() -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"carrier": ["UA", "B6", "DL"] * 100, "late": [0.25, 0.5, 0.75] * 100}), written)
    return written.getvalue()


def files() -> dict[str, bytes]:
    table = {"columns": ["question", "answer"], "data": [["why?", "because"], ["how?", "so"]]}
    return {
        "model/MLmodel": MLMODEL.encode(),
        "model/model.pkl": b"\x80\x05\x00binary",
        "plots/roc.png": png(),
        "plots/logo.svg": HOSTILE_PICTURE.encode(),
        "plots/fake.png": HOSTILE.encode(),
        "tables/scores.csv": b'carrier,auc\nUA,0.71\n"B6, Inc",0.69\n',
        "tables/asked.json": json.dumps(table).encode(),
        "tables/late.parquet": parquet(),
        "report.html": HOSTILE.encode(),
        "notes.txt": "naïve – déjà vu\n".encode(),
        "code/diff.patch": PATCH.encode(),
    }


def keep(session: Session, *, name: str = "with-files") -> str:
    """Start a run, give it every file, and finish it."""
    code = {"entry": "train.py:main", "commit": "f" * 40, "dirty": True}
    environment = {"python": "3.11.9", "packages": {"numpy": "2.3.1", "scikit-learn": "1.9.1"}}
    body = {"name": name, "params": {"depth": 6}, "code": code, "environment": environment}
    run: str = session.post("/runs", body)["id"]
    for path, content in files().items():
        digest = session.put_blob(content)
        session.post(f"/runs/{run}/artifacts", {"path": path, "digest": digest, "size": len(content)})
    session.post(
        f"/runs/{run}/log", {"metrics": [{"key": "auc", "value": 0.5 + n / 100, "step": n} for n in range(20)]}
    )
    session.post(f"/runs/{run}/finish", {"state": "succeeded"})
    return run
