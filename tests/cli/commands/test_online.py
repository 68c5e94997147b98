# SPDX-License-Identifier: Apache-2.0
"""The same commands at a running tree of processes: released, loaded, asked over HTTP, told the truth, explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay import cli

WITHIN_S = 90.0


@pytest.fixture
def folder(tmp_path: Path, project_files) -> Iterator[Path]:
    """A project whose workspace is up, on ports that were free."""
    project_files(tmp_path)
    command = [sys.executable, "-m", "mainstay", "up", "--port", "0", "--gateway-port", "0", "--no-open"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    up = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert up.stdout is not None
        assert up.stdout.readline().startswith("Mainstay is up.")
        yield tmp_path
    finally:
        up.terminate()
        up.wait(timeout=30)
        up.stdout.close()  # type: ignore[union-attr]


def test_a_version_goes_live_answers_over_http_and_is_explained(folder, capsys, monkeypatch) -> None:
    monkeypatch.chdir(folder)

    def mainstay(*words: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(words))
        told = capsys.readouterr()
        assert ended.value.code == 0, told.err
        return told.out

    mainstay("run", "trips.py:flow")
    mainstay("policy", "put", "prod", "--gate", "latency_p95_ms <= 5000.0", "--approvals", "0")
    mainstay("deployments", "put", "trips", "--model", "late")
    assert "✓ live" in mainstay("release", "late@candidate", "--to", "trips", "--wait", "-m", "first")
    end = time.monotonic() + WITHIN_S
    while "✓ matches on 1 gateway" not in mainstay("live"):
        assert time.monotonic() < end, "the gateway has not loaded the release"
        time.sleep(0.1)

    answer = json.loads(mainstay("predict", "trips", '{"x": 1.5, "y": 0.0}', "--key", "k7", "--json"))
    table = mainstay("predict", "trips", "--row", "x=1.5", "--row", "y=0")
    prediction = answer["predictions"][0]

    assert 0.5 < prediction["value"] < 1
    assert table.splitlines()[-1] == "answered by trips#1 = late/1 (champion)"
    # At once: the gateway hands the prediction over before it passes on what became of it.
    assert mainstay("feedback", prediction["id"], "1") == "1 label taken in\n"
    explained = mainstay("why", prediction["id"], "--verify")
    assert "key k7" in explained and "turned out as 1" in explained and "fixes version late/1" in explained
    assert mainstay("audit", "verify").startswith("✓ the chain of ")
