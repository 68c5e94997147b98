# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as one tree of errors.

::

    MainstayError
    ├── Malformed         the bytes are not what they claim to be (not JSON, not Parquet …)
    ├── Invalid           understood, but it breaks a rule; the message says which
    ├── Unauthenticated   nobody is known to be asking
    ├── Forbidden         somebody known asks for what they may not do
    ├── NotFound          there is no such thing
    ├── Conflict          it clashes with what is already true
    ├── TooLarge          more than the stated limit
    ├── Corrupt           stored bytes no longer match their digest
    ├── Unavailable       cannot be done now; later it may work
    └── StorageFull       no room left to write durably

An error knows its *kind*, never a status code: each face translates kinds once. The message is one sentence that names
the subject, what was found, what was expected and the next step; the facts behind it stay as data.
"""

from __future__ import annotations

from typing import Any, ClassVar


class MainstayError(Exception):
    """The root. ``message`` is meant for people, ``facts`` for programs; neither holds a secret or a path of the host."""

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts: dict[str, Any] = facts


class Malformed(MainstayError):
    """The bytes are not what they claim to be."""

    kind = "malformed"


class Invalid(MainstayError):
    """Understood, but it breaks a rule."""

    kind = "invalid"


class Unauthenticated(MainstayError):
    """Nobody is known to be asking."""

    kind = "unauthenticated"


class Forbidden(MainstayError):
    """Somebody known asks for what they may not do."""

    kind = "forbidden"


class NotFound(MainstayError):
    """There is no such thing."""

    kind = "not_found"


class Conflict(MainstayError):
    """It clashes with what is already true."""

    kind = "conflict"


class TooLarge(MainstayError):
    """More than the stated limit."""

    kind = "too_large"


class Corrupt(MainstayError):
    """Stored bytes no longer match their digest."""

    kind = "corrupt"


class Unavailable(MainstayError):
    """Cannot be done now; later it may work."""

    kind = "unavailable"


class StorageFull(MainstayError):
    """No room is left to write durably."""

    kind = "storage_full"


BY_KIND: dict[str, type[MainstayError]] = {
    error.kind: error
    for error in (
        Malformed,
        Invalid,
        Unauthenticated,
        Forbidden,
        NotFound,
        Conflict,
        TooLarge,
        Corrupt,
        Unavailable,
        StorageFull,
    )
}


def of_kind(kind: str, message: str, facts: dict[str, Any] | None = None) -> MainstayError:
    """Rebuild an error from its wire form, so that a client raises what the server raised."""
    error = BY_KIND.get(kind, MainstayError)(message)
    error.facts = dict(facts or {})  # not by keyword: a fact may be called "message"
    return error
