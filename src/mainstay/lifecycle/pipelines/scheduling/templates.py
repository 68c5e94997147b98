# SPDX-License-Identifier: Apache-2.0
"""Templates: parameters with words in braces, which stand for the time that a run is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid

LARGEST_PARAMS = 100_000
DEEPEST = 20

_ENTRY = re.compile(r"[\w./\-]+\.py:\w+|[\w.]+:\w+")
_BLANK = re.compile(r"{(\w+)}")


def check_entry(pipeline: str, *, what: str) -> None:
    """See that ``pipeline`` names a function in a file.

    Raises:
        Invalid: it does not.
    """
    if not _ENTRY.fullmatch(pipeline):
        raise Invalid(f"{what} names pipeline {pipeline[:80]!r}; 'file.py:function' is expected.")


def checked(params: Mapping[str, Any], *, words: tuple[str, ...], what: str) -> dict[str, Any]:
    """``params`` as they will be kept.

    Raises:
        Invalid: they are no JSON, too large, or hold a word in braces that stands for nothing.
    """
    try:
        size = len(canonical_json(dict(params)))
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"params of {what} are no JSON: {error}.") from error
    if size > LARGEST_PARAMS:
        raise Invalid(f"params of {what} take {size} bytes; at most {LARGEST_PARAMS} fit.")
    for text in _texts(dict(params), what):
        for word in _BLANK.findall(text):
            if word not in words:
                known = ", ".join(f"{{{each}}}" for each in words)
                raise Invalid(f"params of {what} hold {{{word}}}, which stands for nothing; {known} stand for times.")
    return dict(params)


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """``value`` with every word in braces replaced, however deep it stands."""
    if isinstance(value, str):
        # By hand: a format string could reach into the objects behind it.
        return _BLANK.sub(lambda found: words.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [filled(each, words) for each in value]
    if isinstance(value, dict):
        return {name: filled(each, words) for name, each in value.items()}
    return value


def _texts(value: Any, what: str, depth: int = 0) -> list[str]:
    if depth > DEEPEST:
        raise Invalid(f"params of {what} are nested more than {DEEPEST} deep; give plainer ones.")
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts(each, what, depth + 1)]
