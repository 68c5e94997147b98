# SPDX-License-Identifier: Apache-2.0
"""Who is asking, as far as the server itself knows; nothing a client merely claims is in here."""

from __future__ import annotations

from dataclasses import dataclass

from mainstay.domain.errors import Forbidden
from mainstay.domain.governance import PERMISSIONS_BY_ROLE


@dataclass(frozen=True, kw_only=True)
class Principal:
    """An authenticated asker. ``via`` tells how: ``token:<id>``, ``cookie:<id>`` or ``in-process``."""

    actor: str
    roles: frozenset[str]
    via: str

    def may(self, permission: str) -> bool:
        """Whether one of the roles grants ``permission``."""
        return any(permission in PERMISSIONS_BY_ROLE[role] for role in self.roles)

    def require(self, permission: str, what: str) -> None:
        """Let pass, or refuse.

        Raises:
            Forbidden: naming who, what and the roles that would do.
        """
        if self.may(permission):
            return
        able = sorted(role for role, granted in PERMISSIONS_BY_ROLE.items() if permission in granted)
        raise Forbidden(
            f"{self.actor} may not {what}: that takes permission {permission!r} (roles {', '.join(able)}), "
            f"and {self.actor} is {', '.join(sorted(self.roles)) or 'without a role'}. Ask an admin.",
            permission=permission,
        )
