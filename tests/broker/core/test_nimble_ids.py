from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.nimble_ids import digest_id, launch_profile_id, session_id_of, short_id, streaming_image_id

ID = re.compile(r"[A-Za-z0-9_-]{1,22}", re.ASCII)
IDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,62}", fullmatch=True)


@settings(deadline=None)
@given(st.uuids())
def test_a_short_id_is_another_writing_of_the_long_one(uuid: UUID) -> None:
    short = short_id(str(uuid))
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", short)
    assert session_id_of(short) == str(uuid)


@settings(deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True))
def test_any_text_is_a_short_id_or_none(text: str) -> None:
    session_id = session_id_of(text)
    assert session_id is None or short_id(session_id) == text


@pytest.mark.parametrize("text", ["", "AAAAAAAAAAAAAAAAAAAAAB", "A" * 21, "A" * 23, "A" * 21 + "\n", "A" * 21 + "é"])
def test_what_no_session_can_have_is_none(text: str) -> None:
    assert session_id_of(text) is None


def test_what_is_short_and_plain_is_named_so_that_people_can_read_it() -> None:
    assert launch_profile_id("usd-viewer", "default") == "usd-viewer_default"
    assert streaming_image_id("usd-viewer", "1.0.0") == "usd-viewer_1-0-0"


@pytest.mark.parametrize(
    ("application_id", "profile_id"),
    [("a" * 20, "default"), ("a_b", "c"), ("a", "b_c"), ("application-one", "default")],
)
def test_everything_else_is_a_digest(application_id: str, profile_id: str) -> None:
    found = launch_profile_id(application_id, profile_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", found) and found != f"{application_id}_{profile_id}"


def test_versions_that_only_look_alike_are_two_images() -> None:
    assert streaming_image_id("a", "1.0.0-b.c") != streaming_image_id("a", "1.0.0-b-c")


@settings(deadline=None)
@given(IDS, IDS, IDS, IDS)
def test_different_pairs_have_different_ids(application: str, profile: str, other: str, another: str) -> None:
    first, second = launch_profile_id(application, profile), launch_profile_id(other, another)
    assert ID.fullmatch(first) and ID.fullmatch(second)
    assert (first == second) is ((application, profile) == (other, another))


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_a_digest_tells_its_parts_apart(parts: list[str], others: list[str]) -> None:
    assert (digest_id(*parts) == digest_id(*others)) is (parts == others)
