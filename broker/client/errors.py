"""What can go wrong for the client, told apart by exit status.

ClientError
├── Usage           2  the command is wrong, or the broker cannot serve it as it is written
├── Missing         3  there is no such thing, or it has ended
├── Refused         4  the broker does not let this caller do it
├── Busy            5  nothing is free, or it took longer than was to be waited
└── Unreachable     6  nothing answers there, or it is no broker
"""

from __future__ import annotations

EXIT_OK = 0


class ClientError(Exception):
    """What every error of the client is; its text names the mend."""

    status = 1


class Usage(ClientError):
    """Mend the command."""

    status = 2


class Missing(ClientError):
    """Name another one."""

    status = 3


class Refused(ClientError):
    """Give another token."""

    status = 4


class Busy(ClientError):
    """Try again later."""

    status = 5


class Unreachable(ClientError):
    """Give another address."""

    status = 6
