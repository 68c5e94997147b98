# SPDX-License-Identifier: Apache-2.0
"""A large file goes up and comes down through MLflow's client, and the server's memory does not notice.

``TEST_LARGE`` says how many GiB it has; without it, a quarter of one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..databases import on_sqlite
from ..protocols.conftest import Served, serving, talk

pytestmark = on_sqlite  # it is about bytes, and those are kept beside either database

SIZE = int(float(os.environ.get("TEST_LARGE", "0.25")) * (1 << 30))
MOST_BYTES = 64 << 20  # of memory, whatever the size of the file

SCRIPT = """
import hashlib, json, os, time, mlflow

def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

with open(FOLDER + "/large.bin", "wb") as file:
    for part in range(SIZE >> 20):
        file.write(os.urandom(64) * (1 << 14))
client = mlflow.MlflowClient()
run = client.create_run("0").info.run_id
begun = time.monotonic()
client.log_artifact(run, FOLDER + "/large.bin", "deep")
sent = time.monotonic()
before = digest(FOLDER + "/large.bin")
os.unlink(FOLDER + "/large.bin")
asked = time.monotonic()
got = client.download_artifacts(run, "deep/large.bin", FOLDER)
came = time.monotonic()
print(json.dumps({"run": run, "sent": before, "came": digest(got), "up_s": sent - begun, "down_s": came - asked}))
"""


@pytest.mark.timeout(3600)
def test_a_large_file_comes_back_and_the_server_stays_small(tmp_path: Path) -> None:
    with serving(tmp_path / ".mainstay") as served:
        before = peak(served)
        words = {"FOLDER": str(tmp_path), "SIZE": SIZE}
        told = talk(served.url, "".join(f"{name} = {value!r}\n" for name, value in words.items()) + SCRIPT)
        grown = peak(served) - before
        [kept] = served.ask("GET", f"/api/runs/{told['run']}").json()["artifacts"]
    print(f"{SIZE} bytes: up {told['up_s']:.1f} s, down {told['down_s']:.1f} s, {grown >> 20} MiB more memory at most")

    assert (kept["size"], kept["digest"]) == (SIZE, told["sent"])
    assert told["came"] == told["sent"]
    assert grown < MOST_BYTES


def peak(served: Served) -> int:
    """The most memory that the server ever held, in bytes."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
