"""Three callers who are told apart by their access keys."""

from __future__ import annotations

from tests.broker.api.nimble.clients import Caller
from tests.broker.api.serving import Served

KEYS = {
    "access_keys": {
        "AKIDALICE": {"secret": "alice-has-a-secret", "owner": "alice"},
        "AKIDBOB": {"secret": "bob-has-a-secret-too", "owner": "bob"},
        "AKIDROOT": {"secret": "root-has-a-secret-as-well", "owner": "root", "role": "admin"},
    }
}


def alice(served: Served) -> Caller:
    return Caller(served, "AKIDALICE", "alice-has-a-secret")


def bob(served: Served) -> Caller:
    return Caller(served, "AKIDBOB", "bob-has-a-secret-too")


def root(served: Served) -> Caller:
    return Caller(served, "AKIDROOT", "root-has-a-secret-as-well")
