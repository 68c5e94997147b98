# SPDX-License-Identifier: Apache-2.0
"""Regular expressions that cannot be made to run for ever.

SQLite has none of its own, and Python's go back and forth: a pattern of ten characters from a stranger could hold a
reader for hours. These are Rust's, which take time in proportion to the text, whatever the pattern; they come with
the library for conditions. PostgreSQL has its own (``~``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mainstay.domain.errors import Invalid


def found(pattern: str, text: Any) -> bool:
    """Whether ``pattern`` occurs in ``text``; never in nothing.

    >>> found("^gpt-[0-9]", "gpt-4"), found("b$", "abc"), found("a", None)
    (True, False, False)
    """
    if text is None:
        return False
    return bool(_program().execute({"text": str(text), "pattern": pattern}))


def check(pattern: str) -> str:
    """Return ``pattern`` if it is a regular expression.

    Raises:
        Invalid: it is not, or is too large to be tried.
    """
    try:
        found(pattern, "")
    except RuntimeError as error:
        raise Invalid(
            f"{pattern[:80]!r} is not a usable regular expression; groups, classes and repetitions are."
        ) from error
    return pattern


@lru_cache(maxsize=1)
def _program() -> Any:
    # Late: the library takes a sixth of a second, and few questions need it.
    import cel

    return cel.compile("text.matches(pattern)")
