# SPDX-License-Identifier: Apache-2.0
"""Find: jump to anything by a part of its name, or by the beginning of an id."""

from __future__ import annotations

from typing import Any

from mainstay.domain import ids
from mainstay.lifecycle.answers import hrefs
from mainstay.store import View, ledger


def ask(view: View, text: str, *, limit: int) -> list[dict[str, Any]]:
    """Subjects that match ``text``, those that changed last first. A whole prediction id finds its prediction."""
    wanted = text.strip().lower()
    if not wanted:
        return []
    found = [f"prediction:{wanted}"] if ids.is_id(wanted) and not ledger.subjects(view, wanted, limit=1) else []
    found += ledger.subjects(view, wanted, limit=limit)
    return [
        {"subject": subject, "title": subject.replace(":", " ", 1), "href": hrefs.of(subject)}
        for subject in found
        if hrefs.of(subject) is not None
    ][:limit]
