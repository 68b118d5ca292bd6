"""What the relay reads in a datagram: its kind (RFC 7983), and of STUN (RFC 8489) what admission needs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from aioice import stun

STUN_BELOW = 4
"""RFC 7983 §7: a first byte below this may be STUN."""

_COOKIE = stun.COOKIE.to_bytes(4, "big")


class PacketKind(Enum):
    """What a datagram is, told by its first byte (RFC 7983 §7)."""

    STUN = "stun"
    DTLS = "dtls"
    OTHER = "other"


class StunKind(Enum):
    """The class of a STUN message."""

    REQUEST = stun.Class.REQUEST
    INDICATION = stun.Class.INDICATION
    RESPONSE = stun.Class.RESPONSE
    ERROR = stun.Class.ERROR


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A Binding message as it came; nothing in it is proven before `authentic` says so."""

    kind: StunKind
    transaction_id: bytes
    username: str | None
    _message: stun.Message

    def authentic(self, pwd: str) -> bool:
        """Whether MESSAGE-INTEGRITY is there and made with `pwd`."""
        return self._message.check_message_integrity(pwd.encode(errors="replace"))  # halves of characters: never


def packet_kind(datagram: bytes) -> PacketKind:
    """Tell a datagram's kind; STUN must carry the magic cookie as well."""
    first = datagram[0] if datagram else 255
    if first < 4:
        return PacketKind.STUN if datagram[4:8] == _COOKIE else PacketKind.OTHER
    return PacketKind.DTLS if 20 <= first <= 63 else PacketKind.OTHER


def parse_binding(datagram: bytes) -> StunMessage | None:
    """Read a Binding message; None for anything else, however broken."""
    try:
        message = stun.parse_message(datagram)
    except (ValueError, struct.error):  # struct.error: an attribute shorter than its type
        return None
    if message.message_method is not stun.Method.BINDING:
        return None
    username = message.attributes.get("USERNAME")
    return StunMessage(StunKind(message.message_class), message.transaction_id, username, message)
