"""What can go wrong in the broker, told apart by what the caller can do about it.

BrokerError
├── NotFound            name another one
├── Invalid             mend the request
├── Unauthenticated     say who you are
├── Forbidden           ask as someone else
├── Conflict            the thing is in another state, or was asked for differently
├── NoCapacity          try again after `retry_after_s`
├── QuotaExceeded       end a session of your own first
├── RateLimited         ask less often; try again after `retry_after_s`
├── BackendFailed       the streaming backend did not do its part
└── StoreUnavailable    try again after `retry_after_s`; nothing was lost
    └── IssuerUnavailable   the same, of the keys that tokens are checked with
"""

from __future__ import annotations

from dataclasses import dataclass


class BrokerError(Exception):
    """What every error of the broker's own is."""


@dataclass(eq=False)
class NotFound(BrokerError):
    """There is no such thing. `kind` is what was looked for: "session", "application", …"""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"There is no {self.kind} {self.name!r}."


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: where, in people's words, and its type in the validator's words."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


@dataclass(eq=False)
class Invalid(BrokerError):
    """The request cannot be served as it is written."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "; ".join(f"{'.'.join(map(str, problem.loc))}: {problem.msg}" for problem in self.problems)


@dataclass(eq=False)
class Unauthenticated(BrokerError):
    """Nobody is known behind the request. `presented`: something was presented, and it does not hold."""

    reason: str = "This needs authentication: send 'Authorization: Bearer <token or key>'."
    presented: bool = False

    def __str__(self) -> str:
        return self.reason

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate (RFC 6750 §3): no error is named to who presented nothing."""
        return 'Bearer realm="pixelferry"' + (', error="invalid_token"' if self.presented else "")


@dataclass(eq=False)
class Forbidden(BrokerError):
    """The caller may not do this."""

    reason: str = "You do not have permission to access this resource."

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class Conflict(BrokerError):
    """The request contradicts what is there already."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class NoCapacity(BrokerError):
    """Nothing is free of `what`; nothing was allocated."""

    what: str
    retry_after_s: float = 10.0

    def __str__(self) -> str:
        return f"There is no free {self.what} now. Try again in {self.retry_after_s:.0f} s."


@dataclass(eq=False)
class QuotaExceeded(BrokerError):
    """The owner has as many sessions as allowed; without an owner, all together have."""

    owner: str | None
    limit: int

    def __str__(self) -> str:
        if self.owner is None:
            return f"There are {self.limit} sessions, as many as allowed in all. Try again when some have ended."
        return f"{self.owner!r} has {self.limit} sessions, as many as allowed. End one first."


@dataclass(eq=False)
class RateLimited(BrokerError):
    """The caller asks more often than it may."""

    retry_after_s: float

    def __str__(self) -> str:
        return f"You ask too often. Try again in {self.retry_after_s:.1f} s."


@dataclass(eq=False)
class BackendFailed(BrokerError):
    """The streaming backend did not start, did not answer, or answered wrongly."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class StoreUnavailable(BrokerError):
    """The store cannot be reached, or answered too many races; nothing was changed.

    `reason` says more, to those who run the store.
    """

    retry_after_s: float = 5.0
    reason: str = ""

    def __str__(self) -> str:
        return f"The session store is not available. Try again in {self.retry_after_s:.0f} s."

    @property
    def told(self) -> str:
        """For the log."""
        return self.reason or str(self)


@dataclass(eq=False)
class IssuerUnavailable(StoreUnavailable):
    """No key was ever had from the issuer of tokens, so none can be checked."""

    retry_after_s: float = 30.0

    def __str__(self) -> str:
        return f"Tokens cannot be checked now, for their issuer is away. Try again in {self.retry_after_s:.0f} s."
