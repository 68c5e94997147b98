# SPDX-License-Identifier: Apache-2.0
"""The journeys' stage: the records of the year that was lived through by the real command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.client.session import Session, connect


@pytest.fixture
def records(year: Path) -> Iterator[Session]:
    """A session on the year's workspace, in this process: nothing but the stored records answers."""
    session = connect(workspace=year / ".mainstay")
    yield session
    session.close()
