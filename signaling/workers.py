"""What each of several relay processes on one machine gets of the settings: a name, ports, capacity. Pure."""

from __future__ import annotations

from signaling.routes import PortRange
from signaling.settings import RelaySettings


def worker_settings(settings: RelaySettings, number: int, workers: int) -> RelaySettings:
    """Those of worker `number`, counted from 1. Raises ValueError where there is not enough for each."""
    if workers == 1:
        return settings
    pairs = (settings.port_range.hi - settings.port_range.lo + 1) // 2
    if pairs < workers:
        raise ValueError(f"ports {settings.ports} are too few for {workers} workers: each needs two")
    if settings.capacity < workers:
        raise ValueError(f"capacity {settings.capacity} is too small for {workers} workers: each needs 1 at least")
    first, last = _share(pairs, number, workers)
    lo, hi = _share(settings.capacity, number, workers)
    changes: dict[str, object] = {
        "id": f"{settings.id}-{number}",
        "ports": _slice(settings.port_range, first, last),
        "capacity": hi - lo,
    }
    if settings.advertised_ports is not None:
        changes["advertised_ports"] = _slice(settings.client_port_range, first, last)
    return RelaySettings.model_validate(settings.model_dump() | changes)


def _share(whole: int, number: int, workers: int) -> tuple[int, int]:
    """From where and up to where this worker's part goes: all parts as equal as can be, and together the whole."""
    return whole * (number - 1) // workers, whole * number // workers


def _slice(ports: PortRange, first: int, last: int) -> str:
    """Ports of the pairs from `first` up to, but not including, `last`."""
    return f"{ports.lo + 2 * first}-{ports.lo + 2 * last - 1}"
