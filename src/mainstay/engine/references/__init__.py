# SPDX-License-Identifier: Apache-2.0
"""References to tables that stay where they are: one file a system.

The folder is a port: each file that calls ``system`` is one place where tables live. What good means: `pin` looks a table up
now and names one version of it for ever; `open` gives that very version again or says that it is no longer there, never
another one in its place. Only the address and the version are written down: who may read, the environment says.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mainstay.domain.data import Field
from mainstay.domain.errors import Conflict, Invalid, Unavailable
from mainstay.domain.references import Reference

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds


class System(Protocol):
    """A place where tables live."""

    def pin(self, address: str, version: int | None) -> Reference:
        """The table at ``address``, in that version or the newest one. Raises Invalid: there is none."""
        ...

    def open(self, reference: Reference) -> ds.Dataset | pa.RecordBatchReader:
        """The rows of that very version. Raises Conflict: it is another table by now, or that version is gone."""
        ...


S = TypeVar("S", bound=type)
_systems: dict[str, System] = {}


def system(name: str) -> Any:
    """Register a class as the system ``name``; the name is also the name of its file."""

    def put(kind: S) -> S:
        _systems[name] = kind()
        return kind

    return put


def pin(name: str, address: str, version: int | None = None) -> Reference:
    """A reference as `ms.delta`, `ms.iceberg` and `ms.source` make it, by the system's name.

    Raises:
        Invalid: there is no such system, or no such table there; a version where nobody counts any.
    """
    _discovered()
    if name not in _systems:
        raise Invalid(f"nothing here reads tables of {name!r}; known are {', '.join(sorted(_systems))}.")
    return _systems[name].pin(address, version)


def open_(reference: Reference) -> ds.Dataset | pa.RecordBatchReader:
    """The rows that ``reference`` means.

    Raises:
        Conflict: they are no longer there as they were. Unavailable: the extra that reads them is not installed.
    """
    _discovered()
    if reference.system not in _systems:
        raise Invalid(f"nothing here reads tables of {reference.system!r}; known are {', '.join(sorted(_systems))}.")
    return _systems[reference.system].open(reference)


def schema_of(schema: pa.Schema) -> tuple[Field, ...]:
    """An Arrow schema in the words of a snapshot; a type that a contract has no word for by Arrow's own name."""
    import pyarrow as pa

    from mainstay.measures import columns

    def word(field: pa.Field) -> str:
        try:
            plain = columns.plain(field.name, pa.chunked_array([pa.nulls(0, field.type)]))
        except Invalid:
            return str(field.type)
        return columns.type_of(plain.type) or str(field.type)

    return tuple(Field(name=field.name, type=word(field)) for field in schema)


def gone(reference: Reference, why: str) -> Conflict:
    """The error for a version that cannot be had any more."""
    what = f"version {reference.version} of the {reference.system} table at {reference.uri}"
    return Conflict(f"{what} cannot be read as it was pinned: {why}. Restore it there, or pin a version that is there.")


def absent(extra: str) -> Unavailable:
    """The error for a library that is not installed."""
    return Unavailable(f"tables of {extra} are read by the extra `{extra}`: pip install 'mainstay[{extra}]'.")


@cache
def _discovered() -> bool:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return True
