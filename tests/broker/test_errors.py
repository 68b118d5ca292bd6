import pytest

from broker.errors import (
    BackendFailed,
    BrokerError,
    Conflict,
    Forbidden,
    Invalid,
    NoCapacity,
    NotFound,
    Problem,
    QuotaExceeded,
    RateLimited,
    StoreUnavailable,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("session", "abc"), "There is no session 'abc'."),
        (Invalid((Problem(("body", "id"), "Field required", "missing"),)), "body.id: Field required"),
        (Forbidden(), "You do not have permission to access this resource."),
        (Conflict("Take another key."), "Take another key."),
        (NoCapacity("slot", 7.0), "There is no free slot now. Try again in 7 s."),
        (QuotaExceeded("me", 2), "'me' has 2 sessions, as many as allowed. End one first."),
        (QuotaExceeded(None, 2), "There are 2 sessions, as many as allowed in all. Try again when some have ended."),
        (Forbidden("Not here."), "Not here."),
        (RateLimited(1.25), "You ask too often. Try again in 1.2 s."),
        (BackendFailed("it fell"), "it fell"),
        (StoreUnavailable(3.0), "The session store is not available. Try again in 3 s."),
    ],
)
def test_an_error_says_what_is_wrong_and_what_helps(error: BrokerError, text: str) -> None:
    assert str(error) == text
