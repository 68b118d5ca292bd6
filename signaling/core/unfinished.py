"""The bytes of one WebSocket direction since its last whole message: what a successor has to read again.

A parser keeps half a frame, or half a message with its decompressor, inside itself. These bytes put another one into
the same place (RFC 6455 §5.2 to §5.4), as long as no compression context outlives a message (RFC 7692 §7.1.1).
"""

from __future__ import annotations

_FIN = 0x80
_CONTROL = 0x08
_MASKED = 0x80
_LENGTH_BYTES = {126: 2, 127: 8}


class UnfinishedMessage:
    """Follows a stream from a message's begin, or with `after_head` from that of an HTTP head which comes first."""

    def __init__(self, limit: int, *, after_head: bool = False) -> None:
        self._limit = limit
        self._in_head = after_head
        self._buffer: bytearray | None = bytearray()
        self._frame = 0  # where in the buffer the first frame begins that is not whole

    @property
    def rest(self) -> bytes | None:
        """What a successor must read first; None where it grew beyond the limit."""
        return bytes(self._buffer) if self._buffer is not None else None

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream."""
        buffer = self._buffer
        if buffer is None:
            return
        buffer += data
        if self._in_head:
            end = buffer.find(b"\r\n\r\n")
            self._in_head = end < 0
            if end >= 0:
                del buffer[: end + 4]
        if not self._in_head:
            self._pass_frames(buffer)
        if len(buffer) > self._limit:
            self._buffer = None

    def _pass_frames(self, buffer: bytearray) -> None:
        while (end := self._frame_end(buffer)) is not None:
            first = buffer[self._frame]
            if first & _CONTROL:  # may come between the fragments of a message; it was dealt with
                del buffer[self._frame : end]
            elif first & _FIN:
                del buffer[:end]
                self._frame = 0
            else:
                self._frame = end

    def _frame_end(self, buffer: bytearray) -> int | None:
        """Where the first frame that is not passed ends; None where it is not all there."""
        at = self._frame + 2
        if len(buffer) < at:
            return None
        second = buffer[self._frame + 1]
        length = second & ~_MASKED
        extended = _LENGTH_BYTES.get(length, 0)
        if extended:
            length = int.from_bytes(buffer[at : at + extended], "big")
        end = at + extended + (4 if second & _MASKED else 0) + length
        return end if len(buffer) >= at + extended and len(buffer) >= end else None
