"""Redis' replies as plain values; one that is not as expected is as good as none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from signaling.redis_link import RedisUnavailable, Reply


def items(reply: Reply) -> Sequence[Reply]:
    """An array; empty for nothing. Raises RedisUnavailable for anything else."""
    if reply is None:
        return ()
    if isinstance(reply, bytes) or not isinstance(reply, Sequence):
        raise RedisUnavailable("Redis answered something else than was asked for")
    return reply


def text(reply: Reply) -> str:
    """A text; empty for nothing. Bytes that are no text get marks of replacement."""
    if reply is None:
        return ""
    if not isinstance(reply, bytes):
        raise RedisUnavailable("Redis answered something else than was asked for")
    return reply.decode(errors="replace")


def texts(reply: Reply) -> list[str]:
    """An array of texts."""
    return [text(item) for item in items(reply)]


def pairs(reply: Reply) -> Iterator[tuple[str, str]]:
    """Names and values of an array that has them in turn."""
    found = texts(reply)
    return zip(found[::2], found[1::2], strict=False)


def number(reply: Reply) -> int:
    """A whole number, as a number or as digits; 0 for nothing and for anything else."""
    if isinstance(reply, bytes) and reply.removeprefix(b"-").isdigit():
        return int(reply)
    return reply if isinstance(reply, int) else 0
