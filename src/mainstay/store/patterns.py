# SPDX-License-Identifier: Apache-2.0
"""``LIKE`` and ``ILIKE`` that mean the same on SQLite and on PostgreSQL: ``%`` is any text, ``_`` any sign.

SQLite's own LIKE does not heed the case, and the switch for that holds for a whole connection; its GLOB does heed it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Like(FunctionElement[bool]):
    """``column LIKE pattern``, where the case counts. Its parts: column, pattern, the same pattern as GLOB has it."""

    name = "like"
    type = Boolean()
    inherit_cache = True


@compiles(_Like)
def _standard(element: _Like, compiler: Any, **more: Any) -> str:
    column, pattern, _ = element.clauses
    return f"{compiler.process(column, **more)} LIKE {compiler.process(pattern, **more)}"


@compiles(_Like, "sqlite")
def _sqlite(element: _Like, compiler: Any, **more: Any) -> str:
    column, _, pattern = element.clauses
    return f"{compiler.process(column, **more)} GLOB {compiler.process(pattern, **more)}"


def like(column: Any, pattern: str) -> ColumnElement[bool]:
    """Whether ``column`` matches ``pattern``, case and all."""
    return _Like(column, literal(pattern), literal(_globbed(pattern)))


def ilike(column: Any, pattern: str) -> ColumnElement[bool]:
    """Whether ``column`` matches ``pattern`` in any case; on SQLite beyond ASCII the case counts."""
    return func.lower(column).like(pattern.lower())


def _globbed(pattern: str) -> str:
    signs = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(signs.get(sign, sign) for sign in pattern)
