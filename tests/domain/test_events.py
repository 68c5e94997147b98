# SPDX-License-Identifier: Apache-2.0
"""Events: each has a kind of its own, in the past tense, and a body that is JSON."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass

import pytest

from mainstay.domain import events
from mainstay.domain.events import Event

for module in pkgutil.iter_modules(events.__path__):
    importlib.import_module(f"{events.__name__}.{module.name}")


@pytest.mark.parametrize("kind", sorted(events.kinds()))
def test_a_kind_is_noun_dot_verb_and_its_event_explains_itself(kind: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", kind)
    assert (events.kinds()[kind].__doc__ or "").strip()


def test_two_events_cannot_share_a_kind() -> None:
    taken = next(iter(events.kinds()))

    with pytest.raises(TypeError, match="two events are called"):

        @dataclass(frozen=True, kw_only=True)
        class Impostor(Event):
            kind = taken
