# SPDX-License-Identifier: Apache-2.0
"""Server, gateway and worker are killed during the year; nothing that was acknowledged is lost, and the year goes on."""

from __future__ import annotations

import json
from pathlib import Path

from mainstay.client.session import Session, connect

from .. import databases
from ..years import KILLED


def test_a_killed_server_and_a_killed_gateway_cost_time_and_nothing_else(disturbed_year: Path, tmp_path: Path) -> None:
    # Asking whether a prediction is in the log gives it a label: not in the records that others read.
    session = connect(workspace=databases.copied(disturbed_year / ".mainstay", tmp_path / ".mainstay"))
    try:
        assert lost(session, disturbed_year) == []
        assert session.get("/audit/verify")["ok"]
        assert len(session.get("/monitors/flights/windows")["items"]) == 10
    finally:
        session.close()


def lost(session: Session, folder: Path) -> list[str]:
    """Ids that the gateway acknowledged and that the log does not hold. Each five-hundredth of all, and all of the months with
    a kill."""
    missing = []
    for file in sorted((folder / "answers").glob("*.ndjson")):
        answers = [json.loads(line) for line in file.read_text().splitlines()]
        asked = [one for one in answers if "variant" in one] if file.stem in KILLED else answers[::500]
        lines = "\n".join(json.dumps({"id": one["id"], "label": 0}) for one in asked)
        told = session.post_bytes("/feedback", lines.encode(), content_type="application/x-ndjson")
        missing += [one["id"] for one in told["refused"]]
    return missing
