# SPDX-License-Identifier: Apache-2.0
"""Materialisers: values to bytes and back, one file a family of types.

In: what a step returned. Out: an ``Artifact``, whose bytes are kept by digest, and later the value again. The folder is
a port: each file that calls ``materialiser`` is one family.

What good means. Equal values give equal bytes in any process and any workspace, so that a step downstream of an
unchanged result is a hit. Reading never executes what was stored: no pickle. A value always reaches the next step by
way of its bytes, also in the run that made it, so that a cached run and a fresh one cannot differ. Anything that no
family accepts is an error that lists the ways out, never a guess.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

from mainstay.domain.errors import Invalid
from mainstay.engine.platform import Blobs

_ORDER = (
    "arrow",
    "arrays",
    "files",
    "json",
    "model",
    "nested",
)  # cheap questions first; whoever is not named comes before `json`


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A stored value. ``kind`` says how to read it; ``rows`` is None where rows make no sense."""

    kind: str
    digest: str
    size: int
    rows: int | None = None


class Materialiser(Protocol):
    """A family of types. ``kinds`` are the artifact kinds it reads."""

    kinds: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is of this family; imports nothing heavy."""
        ...

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        """Keep ``value``. Raises Invalid: it is of the family, but holds something that cannot be kept."""
        ...

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        """The value again, as the type ``wanted`` if the family can, else as it was written."""
        ...


M = TypeVar("M", bound=type)
_families: dict[str, Materialiser] = {}


def materialiser(name: str) -> Any:
    """Register a class as the family ``name``; the name is also the name of its file."""

    def put(kind: M) -> M:
        _families[name] = kind()
        return kind

    return put


def write(value: Any, blobs: Blobs) -> Artifact:
    """Keep ``value`` by content.

    Raises:
        Invalid: no family takes it; the message lists three ways out.
    """
    family = family_of(value)
    if family is None:
        raise unsupported(value)
    return family.write(value, blobs)


def read(artifact: Artifact, blobs: Blobs, wanted: Any = None) -> Any:
    """The value of ``artifact``."""
    for family in _all():
        if artifact.kind in family.kinds:
            return family.read(artifact, blobs, wanted)
    raise Invalid(f"no materialiser reads artifacts of kind {artifact.kind!r}; install the package that wrote it.")


def family_of(value: Any) -> Materialiser | None:
    """The first family that accepts ``value``."""
    return next((family for family in _all() if family.accepts(value)), None)


def is_several(value: Any) -> bool:
    """Whether ``value`` is best kept as several results: a container of which only the parts can be stored."""
    family = family_of(value)
    return family is None or family.kinds == ("nested",)


def unsupported(value: Any) -> Invalid:
    """The error for a value that cannot be kept."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return Invalid(
        f"a {kind} cannot be stored. Three ways out: pass on a table (Arrow, pandas, Polars), an array, a fitted model,"
        " a Path, or a dict, list, dataclass or scalar made of plain values; make the object inside the step that uses"
        " it; or write a materialiser for it (a class under `@ms.materialiser(...)`).",
        type=kind,
    )


@cache
def _discovered() -> bool:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return True


def _all() -> list[Materialiser]:
    _discovered()
    return [_families[name] for name in sorted(_families, key=_place)]


def _place(name: str) -> float:
    return _ORDER.index(name) if name in _ORDER else _ORDER.index("json") - 0.5
