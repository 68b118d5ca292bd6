"""A request for a session: what it asks for, what it counts under, and the session as it begins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.core.catalog import Resolved
from broker.core.ledger import ALL_SESSIONS, share_pool
from broker.core.principal import Principal
from broker.core.session import Session
from signaling.routes import Admission


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many sessions that have not ended each owner may have, and all together; None is no bound.

    Without identity an owner is told by address.
    """

    per_owner: int | None = None
    total: int | None = None
    exempt_admins: bool = False

    def bounds(self, share: str, *, by: Principal) -> dict[str, int]:
        """What a new session of this share, made by this principal, has to keep to."""
        if self.exempt_admins and by.is_admin:
            return {}
        most = {share_pool(share): self.per_owner, ALL_SESSIONS: self.total}
        return {pool: bound for pool, bound in most.items() if bound is not None}


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What a caller asks for. `key` makes a repeated request known again; `admission` takes the place of the profile's.

    `labels` are notes of an API's own.
    """

    resolved: Resolved
    arguments: Mapping[str, str]
    by: Principal
    owner: str
    key: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    admission: Admission | None = None

    @property
    def share(self) -> str:
        """What fairness and quotas count the session under: what is made for another counts for that one."""
        return self.by.share if self.owner == self.by.name else self.owner

    @property
    def claim(self) -> str | None:
        """The claim of its key, scoped by principal and operation."""
        return None if self.key is None else f"idempotency/create/{digest(self.by.name, self.key)}"

    def asks_for(self, session: Session) -> bool:
        """Whether this request is the one that made the session."""
        names = (self.resolved.application.id, self.resolved.version.version, self.resolved.profile.id, self.owner)
        made = (session.application, session.version, session.profile, session.owner)
        return (*names, dict(self.arguments)) == (*made, dict(session.arguments))

    def draft(self, session_id: str, secret: str, allowed_origins: tuple[str, ...], now: float) -> Session:
        """The session before it has a place."""
        profile = self.resolved.profile
        return Session(
            id=session_id,
            application=self.resolved.application.id,
            version=self.resolved.version.version,
            profile=profile.id,
            arguments=self.arguments,
            owner=self.owner,
            share=self.share,
            created_by=self.by.name,
            updated_by=self.by.name,
            labels=self.labels,
            created_at=now,
            updated_at=now,
            pending_since=now,
            clocks=profile.clocks,
            slot=None,
            backend_secret=secret,
            signaling=profile.signaling,
            admission=self.admission or profile.admission,
            allowed_origins=allowed_origins,
            idempotency=self.claim,
        )


def digest(caller: str, key: str) -> str:
    """A caller's key of any length and form as one short text, different for each caller."""
    return hashlib.sha256(f"{len(caller)}/{caller}/{key}".encode()).hexdigest()
