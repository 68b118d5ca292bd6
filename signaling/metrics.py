"""What the relay counts: every counter once, each label value from an enum and there from the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Label = TypeVar("Label", bound=StrEnum)


class Direction(StrEnum):
    """Which way a datagram went."""

    TO_BACKEND = "to_backend"
    TO_CLIENT = "to_client"


class MediaDrop(StrEnum):
    """Why a datagram was not passed on."""

    MALFORMED = "malformed"  # begins like STUN, cannot be read
    NOT_ADMITTED = "not_admitted"  # neither STUN nor from a known address
    NOT_CONFIRMED = "not_confirmed"  # media before its address was confirmed
    UNKNOWN_USER = "unknown_user"  # no viewer has these ICE credentials
    BAD_INTEGRITY = "bad_integrity"  # MESSAGE-INTEGRITY is missing or wrong
    REPLAYED = "replayed"  # a transaction id that another address used first
    UNKNOWN_TRANSACTION = "unknown_transaction"  # an answer to nothing that was asked
    OTHER_VIEWER = "other_viewer"  # the address belongs to another, living viewer
    TABLE_FULL = "table_full"  # as many living addresses as a session may have
    RATE_LIMITED = "rate_limited"  # too many failed attempts by strangers
    AMPLIFICATION = "amplification"  # more than an unconfirmed address may be sent
    FOREIGN_SOURCE = "foreign_source"  # towards the client, but not from the backend's transport
    NO_CLIENT = "no_client"  # from the backend, and no client is there yet
    NO_TARGET = "no_target"  # no transport of the backend is known or locked
    REFUSED = "refused"  # the other end's host said that nobody listens
    SEND_FAILED = "send_failed"  # the kernel would not take it
    RECEIVE_FAILED = "receive_failed"  # the kernel said so instead of handing one over
    NO_SOCKET = "no_socket"  # admitted, but the process may open no more sockets


class SignalingRefusal(StrEnum):
    """Why a signaling connection was turned away or ended by the relay."""

    BAD_HEAD = "bad_head"
    HEAD_TOO_LARGE = "head_too_large"
    HEAD_TIMEOUT = "head_timeout"
    WRONG_SESSION = "wrong_session"
    BAD_ORIGIN = "bad_origin"
    NO_TOKEN = "no_token"  # noqa: S105
    BAD_TOKEN = "bad_token"  # noqa: S105
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    VIEWER_ROLE = "viewer_role"
    TOO_MANY_HANDSHAKES = "too_many_handshakes"
    TOO_MANY_VIEWERS = "too_many_viewers"
    BACKEND_UNREACHABLE = "backend_unreachable"
    BACKEND_REFUSED = "backend_refused"


class FrameDrop(StrEnum):
    """Why a signaling frame was not passed on."""

    FOREIGN_CANDIDATE = "foreign_candidate"  # an address other than the relay's was left after the edit
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"


class CandidateRefusal(StrEnum):
    """Why a media address that signaling named was not learned."""

    FOREIGN_HOST = "foreign_host"


class Counter(Generic[Label]):
    """One metric with one label; every value of the label exists at zero from the start."""

    def __init__(self, name: str, label: str, values: type[Label]) -> None:
        self.name = name
        self.label = label
        self._counts: dict[Label, int] = dict.fromkeys(values, 0)

    def add(self, value: Label, amount: int = 1) -> None:
        """Count `amount` more."""
        self._counts[value] += amount

    def add_all(self, counted: Mapping[str, int]) -> None:
        """What another process counted; values of the label that are none of ours are left out."""
        for value in self._counts:
            self._counts[value] += counted.get(value.value, 0)

    def __getitem__(self, value: Label) -> int:
        return self._counts[value]

    def __iter__(self) -> Iterator[tuple[Label, int]]:
        return iter(self._counts.items())

    def total(self) -> int:
        """Over all values of the label."""
        return sum(self._counts.values())


class RelayCounters:
    """Everything that one relay process counts."""

    def __init__(self) -> None:
        self.media_packets = Counter("pixelferry_relay_media_packets_total", "direction", Direction)
        self.media_bytes = Counter("pixelferry_relay_media_bytes_total", "direction", Direction)
        self.media_dropped = Counter("pixelferry_relay_media_dropped_total", "cause", MediaDrop)
        self.candidates_refused = Counter("pixelferry_relay_candidates_refused_total", "cause", CandidateRefusal)
        self.signaling_refused = Counter("pixelferry_relay_signaling_refused_total", "cause", SignalingRefusal)
        self.frames_dropped = Counter("pixelferry_relay_frames_dropped_total", "cause", FrameDrop)

    def snapshot(self) -> dict[str, dict[str, int]]:
        """All counts, for another process to go on from."""
        return {name: {value.value: count for value, count in counter} for name, counter in vars(self).items()}

    def restore(self, told: Mapping[str, Mapping[str, int]]) -> None:
        """Go on from another process' counts."""
        for name, counter in vars(self).items():
            counter.add_all(told.get(name, {}))


@dataclass(frozen=True, slots=True)
class RelayState:
    """How one relay stands. `sessions` have their ports bound, of `failed` ones the ports could not be."""

    sessions: int
    failed: int
    capacity: int
    draining: bool
    table_is_away: bool
