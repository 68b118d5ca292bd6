"""What a token or a header says of its bearer, read into owner and role. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.core.principal import Principal, Role
from broker.errors import Forbidden, Unauthenticated

LONGEST_OWNER = 255
_CLAIMS_OF_WORDS = ("scope", "scp")
_MOST_VALUES = 1000


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Which values make an admin, which a user; without the latter everybody who is known is a user."""

    admin: frozenset[str] = frozenset()
    user: frozenset[str] = frozenset()

    def role_of(self, values: Iterable[str]) -> Role:
        """The highest role that these values give. Raises Forbidden where they give none."""
        held = set(values)
        if held & self.admin:
            return Role.ADMIN
        if self.user and not held & self.user:
            raise Forbidden
        return Role.USER


def principal(owner: object, values: Iterable[str], rule: RoleRule) -> Principal:
    """Who this is. Raises Unauthenticated for an owner that is no proper name, Forbidden for one without a role."""
    name = owner_name(owner)
    return Principal(name, rule.role_of(values), name)


def owner_name(value: object) -> str:
    """The value as an owner's name: printable text, not empty, of bounded length. Raises Unauthenticated."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_OWNER:
        raise Unauthenticated(f"The owner's name must be a text of 1 to {LONGEST_OWNER} characters.", True)
    if not value.isprintable() or value != value.strip():
        raise Unauthenticated("The owner's name must be printable, without blanks around it.", True)
    return value


def claim_at(claims: Mapping[str, object], path: str) -> object:
    """The claim of this very name, else the one at this dotted path; None where there is neither."""
    if path in claims:
        return claims[path]
    value: object = claims
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def texts_at(claims: Mapping[str, object], path: str | None) -> tuple[str, ...]:
    """The texts of a claim: itself, or those of its list. A group's name may hold blanks, a scope may not."""
    value = None if path is None else claim_at(claims, path)
    if isinstance(value, str):
        return tuple(value.split()) if path in _CLAIMS_OF_WORDS else (value,)
    if isinstance(value, list):
        return tuple(item for item in value[:_MOST_VALUES] if isinstance(item, str))
    return ()
