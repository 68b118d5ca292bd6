"""The options of `pixelferry relay`, apart from what runs it, so that the command line imports little."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

OPTIONS: Mapping[str, tuple[str, str, str]] = {
    "redis": ("redis.url", "URL", "where the route table is, such as redis://127.0.0.1:6379/0"),
    "workers": ("workers", "N", "so many processes, one a core, that share ports and capacity (default: 1)"),
    "listen": ("listen", "HOST:PORT", "where health and metrics are (default: nowhere)"),
    "id": ("relay.id", "NAME", "name of this relay, unlike that of any other (default: relay)"),
    "host": ("relay.host", "ADDRESS", "address to bind (default: 127.0.0.1)"),
    "advertised_host": ("relay.advertised_host", "HOST", "what clients connect to, if it is another (NAT)"),
    "ports": ("relay.ports", "LO-HI", "ports that sessions are given, two each (default: 31000-31999)"),
    "capacity": ("relay.capacity", "N", "how many sessions at once (default: 100)"),
    "zone": ("relay.zone", "WORD", "where it stands; sessions with a backend there get it first"),
    "handover_folder": ("handover_folder", "DIR", "where relays meet of which one takes over from the other"),
    "log_format": ("log_format", "FORMAT", "text (default) or json"),
    "log_level": ("log_level", "LEVEL", "debug, info (default), warning or error"),
}
"""Options with the setting that each stands for."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "A relay alone. It takes its routes from a table in Redis, where brokers write them, and serves them on while "
        "Redis is away. SIGTERM drains it: no new sessions, and those it has stay for relay.drain_s seconds at most."
    )
    parser.epilog = (
        "Every setting can also be given by environment (PIXELFERRY_RELAY__PORTS, PIXELFERRY_REDIS__PASSWORD) or in "
        "the TOML file of --config; the command line comes before the environment, the environment before the file. "
        "They are described in broker/relay_settings.py."
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file of settings (environment: PIXELFERRY_CONFIG)")
    for name, (_, metavar, tells) in OPTIONS.items():
        parser.add_argument("--" + name.replace("_", "-"), metavar=metavar, help=tells)
    parser.add_argument(
        "--takeover",
        action="store_true",
        default=None,
        help="take over from the relay of this name on this host, if there is one: with all its sessions, which go on",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
