# SPDX-License-Identifier: Apache-2.0
"""Names for what nobody named: an adjective, a noun and a number, easy to say and to tell apart."""

from __future__ import annotations

import secrets

_ADJECTIVES = (
    "amber", "brisk", "calm", "clear", "crisp", "eager", "early", "fair", "fresh", "gentle", "glad", "golden", "keen", "kind",
    "light", "lively", "mellow", "neat", "noble", "plain", "polite", "proud", "quick", "quiet", "ready", "round", "sharp",
    "silent", "silver", "smooth", "steady", "still", "sunny", "swift", "tidy", "true", "warm", "wide", "wise", "young",
)  # fmt: skip
_NOUNS = (
    "anchor", "barge", "bay", "beacon", "boom", "bow", "breeze", "buoy", "cape", "cove", "crane", "current", "deck", "dock",
    "ebb", "fjord", "gale", "gull", "harbour", "haven", "heron", "hull", "island", "jetty", "keel", "lagoon", "mast", "oar",
    "pier", "port", "quay", "reef", "rudder", "sail", "shoal", "sloop", "stern", "surf", "tide", "wharf",
)  # fmt: skip


def made_up() -> str:
    """Such as ``calm-harbour-417``."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(1000)}"
