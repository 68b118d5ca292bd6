"""Who asks: the principal behind a request, and what it may touch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ANONYMOUS = "anonymous"
"""The name of everybody while there is no identity."""


class Role(StrEnum):
    """What a principal may do. Users see and touch their own sessions, admins all."""

    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` becomes the owner of what it creates.

    `share` is what fairness and limits count it under: its name, or its address while there is no identity.
    """

    name: str
    role: Role
    share: str

    @property
    def is_admin(self) -> bool:
        """Whether it may touch everything."""
        return self.role is Role.ADMIN

    def may_touch(self, owner: str) -> bool:
        """Whether what this owner has may be seen and changed by it."""
        return self.is_admin or self.name == owner


ITSELF = Principal("pixelferry", Role.ADMIN, "pixelferry")
"""The broker's own principal, for what no caller asked for."""


def nobody(address: str) -> Principal:
    """Everybody's principal while there is no identity: who reaches the API may do all of it."""
    return Principal(ANONYMOUS, Role.ADMIN, address)
