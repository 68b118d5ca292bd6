from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.admission import AdmissionTokens, read_secrets
from broker.configuration import ConfigurationError
from broker.identity_settings import AdmissionSettings
from signaling.errors import TableUnavailable
from signaling.table import MemoryRouteTable
from signaling.tokens import AdmissionKey, AdmissionKeys, TokenError, ViewerRole
from tests.broker.samples import ME, make_session

SECRET = b"s" * 48
SESSION = make_session()
ROTATE_S = 86400.0
START = 1_800_000_000.0


class Clock:
    """Stands still until it is told."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def tokens(clock: Clock, *secrets: bytes, token_s: float = 3600) -> AdmissionTokens:
    return AdmissionTokens(secrets or (SECRET,), token_s=token_s, rotate_s=ROTATE_S, clock=clock)


def test_a_token_says_for_whom_and_for_which_session_it_is() -> None:
    clock = Clock()
    issued = tokens(clock).issue(SESSION, by=ME, role="viewer", link="stream-1")
    claims = tokens(clock).verify(issued.token)
    assert claims == issued.claims
    said = (claims.session_id, claims.subject, claims.owner, claims.role, claims.link)
    assert said == (SESSION.id, "me", "someone", ViewerRole.VIEWER, "stream-1")
    assert (claims.issued_at, claims.expires_at) == (int(START), int(START) + 3600)
    assert tokens(clock).verify(tokens(clock).mint(SESSION, by=ME, ttl_s=60)).expires_at == int(START) + 60


def test_a_renewed_token_is_the_same_viewers_and_lives_anew() -> None:
    clock = Clock()
    both = tokens(clock)
    first = both.issue(SESSION, by=ME, role="viewer", ttl_s=120, link="stream-1").claims
    clock.now += 100
    second = both.verify(both.renewed(first).token)
    changed = {"issued_at": second.issued_at, "expires_at": second.expires_at, "token_id": second.token_id}
    assert replace(first, **changed) == second  # type: ignore[arg-type]
    assert second.token_id != first.token_id and second.expires_at == clock.now + 3600


def test_viewers_are_told_apart() -> None:
    both = tokens(Clock())
    first, second = both.issue(SESSION, by=ME).claims, both.issue(SESSION, by=ME).claims
    assert first.viewer_id != second.viewer_id and first.token_id != second.token_id


@given(age=st.floats(0, 3 * ROTATE_S), ttl_s=st.floats(1, 2 * ROTATE_S), at=st.floats(0, ROTATE_S))
def test_rotation_drops_no_token_before_its_end(age: float, ttl_s: float, at: float) -> None:
    clock = Clock(START + at)
    token = tokens(clock).issue(SESSION, by=ME, ttl_s=ttl_s)
    clock.now += age
    relay = AdmissionKeys(tokens(clock).public_keys())
    if clock.now < token.claims.expires_at:
        assert relay.verify(token.token, now=clock.now) == token.claims
    elif clock.now > token.claims.expires_at + 60:
        with pytest.raises(TokenError):
            relay.verify(token.token, now=clock.now)


@given(later=st.floats(0, ROTATE_S))
def test_a_relay_that_heard_of_keys_a_period_ago_knows_the_one_in_use(later: float) -> None:
    clock = Clock()
    relay = AdmissionKeys(tokens(clock).public_keys())
    clock.now += later
    issued = tokens(clock).issue(SESSION, by=ME)
    assert relay.verify(issued.token, now=clock.now) == issued.claims


def test_brokers_of_one_secret_sign_with_one_key_and_others_with_another() -> None:
    clock = Clock()
    assert tokens(clock).public_keys() == tokens(clock).public_keys()
    assert len(tokens(clock).public_keys()) == 3
    assert not set(tokens(clock).public_keys()) & set(tokens(clock, b"t" * 48).public_keys())
    assert not set(AdmissionTokens(clock=clock).public_keys()) & set(AdmissionTokens(clock=clock).public_keys())
    slower = AdmissionTokens([SECRET], rotate_s=2 * ROTATE_S, clock=clock)
    assert not set(tokens(clock).public_keys()) & set(slower.public_keys())


def test_a_secret_is_replaced_without_dropping_anyone() -> None:
    clock, new = Clock(), b"n" * 48
    old_broker, both, swapped = tokens(clock), tokens(clock, SECRET, new), tokens(clock, new, SECRET)
    for signer in (old_broker, both, swapped):
        token = signer.mint(SESSION, by=ME)
        for relay_of in (both, swapped):
            assert AdmissionKeys(relay_of.public_keys()).verify(token, now=START)
    with pytest.raises(TokenError):
        tokens(clock, new).verify(old_broker.mint(SESSION, by=ME))


def test_a_file_of_secrets_is_read(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("a" * 32 + "\n\n" + "b" * 40 + "\n")
    assert read_secrets(path) == (b"a" * 32, b"b" * 40)
    from_settings = AdmissionTokens.of(AdmissionSettings(secret_file=path))
    assert len(from_settings.public_keys()) == 6
    assert (
        AdmissionTokens.of(AdmissionSettings()).public_keys() != AdmissionTokens.of(AdmissionSettings()).public_keys()
    )


@pytest.mark.parametrize("content", ["", "\n\n", "short\n", "a" * 32 + "\nshort\n"])
def test_weak_secrets_are_refused_and_not_repeated(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as refused:
        read_secrets(path)
    assert str(path) in str(refused.value) and "short" not in str(refused.value).replace("shorter", "")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_secrets(tmp_path / "none")


class AwayTable(MemoryRouteTable):
    """Fails until it is told that it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.away = True
        self.asked = asyncio.Event()

    async def publish_keys(self, keys: object) -> None:
        self.asked.set()
        if self.away:
            raise TableUnavailable("away")
        await super().publish_keys(keys)  # type: ignore[arg-type]


@pytest.mark.looptime
async def test_the_route_tables_keys_are_kept_true_through_rotation_and_outages() -> None:
    clock, table = Clock(START - START % ROTATE_S + ROTATE_S - 10), AwayTable()
    signer = tokens(clock)
    running = asyncio.create_task(signer.run(table))
    seen: list[tuple[AdmissionKey, ...]] = []

    async def watch() -> None:
        async for keys in table.watch_keys():
            seen.append(keys)

    watching = asyncio.create_task(watch())
    await table.asked.wait()
    assert seen == [()]
    table.away = False
    clock.now += 10
    await asyncio.sleep(11)
    first = signer.public_keys()
    assert seen[-1] == first
    clock.now += ROTATE_S
    await asyncio.sleep(31)
    assert seen[-1] == signer.public_keys() != first
    assert seen[-1][:2] == first[1:], "current becomes previous, next becomes current"
    for task in (running, watching):
        task.cancel()
    await asyncio.gather(running, watching, return_exceptions=True)


def test_secrets_are_told_apart_without_being_given_away() -> None:
    one, other = b"a" * 32, b"b" * 32
    both = AdmissionTokens((one, other)).fingerprints
    assert both == (*AdmissionTokens((one,)).fingerprints, *AdmissionTokens((other,)).fingerprints)
    assert len(set(both)) == 2
    assert AdmissionTokens((one,), rotate_s=7200).fingerprints != both[:1], "keys that change otherwise are others"
    assert AdmissionTokens().fingerprints != AdmissionTokens().fingerprints
