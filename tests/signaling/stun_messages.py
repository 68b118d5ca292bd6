"""STUN messages as ICE agents send them, and datagrams of other kinds."""

from __future__ import annotations

from aioice import stun

from signaling.core.media_path import IceCredentials

CLIENT = IceCredentials("clie", "client-password-client")
BACKEND = IceCredentials("back", "backend-password-backend")
DTLS = bytes([22]) + b"dtls record"
SRTP = bytes([128]) + b"media"


def request(
    *, to: IceCredentials = BACKEND, by: IceCredentials = CLIENT, transaction_id: bytes | None = None, pwd: str = ""
) -> bytes:
    """A Binding request, authenticated as RFC 8445 §7.2.2 says."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction_id)
    message.attributes["USERNAME"] = f"{to.ufrag}:{by.ufrag}"
    message.attributes["PRIORITY"] = 1853824767
    message.add_message_integrity((pwd or to.pwd).encode())
    return bytes(message)


def response(to_request: bytes, pwd: str, *, kind: stun.Class = stun.Class.RESPONSE) -> bytes:
    """The answer to a request, signed with `pwd`."""
    message = stun.Message(stun.Method.BINDING, kind, to_request[8:20])
    message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 1)
    message.add_message_integrity(pwd.encode())
    return bytes(message)


def indication() -> bytes:
    """A keep-alive (RFC 8445 §11), which nobody signs."""
    return bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION))
