"""Under which names this API is reached, and whose pages may use it and the signaling of its sessions."""

from __future__ import annotations

import ipaddress

from broker.api.access import origins_for_relays, plain_name
from broker.settings import BrokerSettings


def own_names(settings: BrokerSettings) -> list[str]:
    """Names of this API besides the loopback ones."""
    listen = [] if settings.listen is None else [plain_name(settings.listen.host)]
    return [name for name in (*settings.names, *listen) if not _is_wildcard(name)]


def page_origins(settings: BrokerSettings) -> frozenset[str] | None:
    """Whose pages may use the API while there is identity; None without."""
    return frozenset(settings.cors_origins) if settings.identity.is_on else None


def relay_origins(settings: BrokerSettings) -> tuple[str, ...]:
    """Whose pages may open signaling. Where every address of this machine is listened on, its names are not known."""
    if settings.identity.is_on:
        return tuple(dict.fromkeys((*settings.cors_origins, *origins_for_relays(own_names(settings)))))
    if settings.listen is not None and _is_wildcard(settings.listen.host):
        return ("*",)
    return origins_for_relays(own_names(settings))


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
