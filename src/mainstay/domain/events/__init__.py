# SPDX-License-Identifier: Apache-2.0
"""Events: what happened, in the past tense. One file a station; each event is one frozen dataclass.

An event knows its ``kind`` (``noun.verbed``) and its ``subject`` (``kind:name``); its fields are the facts that only it
can tell. Who, when, why and because-of-what are added by the ledger, not by the event.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

_by_kind: dict[str, type[Event]] = {}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to one subject."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if "kind" not in cls.__dict__:
            return  # what several events of one noun have in common; not an event itself
        if cls.kind in _by_kind:
            raise TypeError(f"two events are called {cls.kind!r}: {_by_kind[cls.kind].__name__} and {cls.__name__}")
        _by_kind[cls.kind] = cls

    @property
    def subject(self) -> str:
        """What this is about, as ``kind:name``."""
        raise NotImplementedError

    def body(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def kinds() -> dict[str, type[Event]]:
    """Every event that exists, by kind."""
    return dict(_by_kind)
