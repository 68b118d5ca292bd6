"""Zip files whose directories may lie."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_ALIGNMENT = 64


@dataclass(frozen=True)
class Member:
    """A file in a package; what is not given is the truth."""

    name: str
    data: bytes
    method: int = 0
    size: int | None = None
    listed_size: int | None = None
    offset: int | None = None


def package(members: Sequence[Member]) -> bytes:
    """A .usdz: members aligned as its specification asks."""
    body, directory = b"", b""
    for member in members:
        name, start = member.name.encode(), len(body)
        padding = -(start + 30 + len(name) + 4) % _ALIGNMENT
        extra = struct.pack("<HH", 0x1986, padding) + bytes(padding)
        size = len(member.data) if member.size is None else member.size
        listed = size if member.listed_size is None else member.listed_size
        checksum = zlib.crc32(member.data)
        local = (20, 0, member.method, 0, 0, checksum, _field(size), _field(size), len(name), len(extra))
        body += b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", *local) + name + extra + member.data
        offset = start if member.offset is None else member.offset
        entry = (
            20,
            20,
            0,
            member.method,
            0,
            0,
            checksum,
            _field(listed),
            _field(listed),
            len(name),
            0,
            0,
            0,
            0,
            0,
            offset,
        )
        directory += b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", *entry) + name
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def _field(size: int) -> int:
    return min(size, 2**32 - 1)
