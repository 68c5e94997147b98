# SPDX-License-Identifier: Apache-2.0
"""Times with a zone stay the moments that they are, whichever is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import datetime
import pyarrow
there = datetime.datetime(2024, 3, 1, 8, tzinfo=datetime.timezone(datetime.timedelta(hours=-8)))
print(pyarrow.array([there], pyarrow.timestamp("us", "UTC"))[0].as_py().hour)
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import pandera.polars\nimport mainstay as ms\nms.step",
        "import mainstay as ms\nms.step\nimport pandera.polars",
    ],
    ids=["pandera first", "pandera second"],
)
def test_a_time_with_a_zone_stays_its_moment_beside_pandera(imports: str) -> None:
    told = subprocess.run([sys.executable, "-c", imports + ASK], capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["16"]
