"""Headers of an authenticating gateway. They count from trusted peers alone; anybody else may write what it likes."""

from __future__ import annotations

from broker.core.principal import Principal
from broker.errors import Unauthenticated
from broker.identity.claims import RoleRule, principal
from broker.identity.headers import Headers
from broker.identity.networks import Networks
from broker.identity_settings import GatewaySettings


class Gateway:
    """Reads who asks from a gateway's headers."""

    def __init__(self, settings: GatewaySettings, trusted: Networks) -> None:
        self._settings = settings
        self._trusted = trusted
        self._rule = RoleRule(frozenset(settings.admin_values), frozenset(settings.user_values))

    def principal(self, headers: Headers, peer: str) -> Principal | None:
        """Who the gateway says it is; None where it says nothing, or no gateway speaks. Raises BrokerError."""
        named = headers.getall(self._settings.user_header, []) if peer in self._trusted else []
        if not named:
            return None
        if len(named) > 1:
            reason = f"{self._settings.user_header} came twice: the gateway must remove what clients send."
            raise Unauthenticated(reason, presented=True)
        role_header = self._settings.role_header
        groups = [] if role_header is None else headers.getall(role_header, [])
        if len(groups) > 1:
            reason = f"{role_header} came twice: the gateway must remove what clients send."
            raise Unauthenticated(reason, presented=True)
        return principal(named[0], [part.strip() for value in groups for part in value.split(",")], self._rule)
