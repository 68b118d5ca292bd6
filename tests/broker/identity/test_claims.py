from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.principal import Principal, Role
from broker.errors import Forbidden, Unauthenticated
from broker.identity.claims import RoleRule, claim_at, owner_name, principal, texts_at

RULE = RoleRule(frozenset({"ferry-admin"}), frozenset({"ferry-user"}))
CLAIMS = {
    "sub": "ann",
    "roles": ["ferry-user", 7, None],
    "realm_access": {"roles": ["ferry-admin"]},
    "https://example.com/roles": ["ferry-user"],
    "scope": "openid ferry-admin",
    "group": "not ferry-admin",
}


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("roles", ("ferry-user",)),
        ("realm_access.roles", ("ferry-admin",)),
        ("https://example.com/roles", ("ferry-user",)),
        ("scope", ("openid", "ferry-admin")),
        ("group", ("not ferry-admin",)),
        ("sub.roles", ()),
        ("nothing", ()),
        ("realm_access", ()),
        (None, ()),
    ],
)
def test_values_are_found_by_name_and_by_path(path: str | None, texts: tuple[str, ...]) -> None:
    assert texts_at(CLAIMS, path) == texts


def test_a_name_comes_before_a_path() -> None:
    assert claim_at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert claim_at({"a": {"b": 2}}, "a.b") == 2


@given(st.sets(st.sampled_from(["ferry-admin", "ferry-user", "other", ""])))
def test_the_highest_role_counts_and_nobody_gets_one_unasked(values: set[str]) -> None:
    if "ferry-admin" in values:
        assert RULE.role_of(values) is Role.ADMIN
    elif "ferry-user" in values:
        assert RULE.role_of(values) is Role.USER
    else:
        with pytest.raises(Forbidden):
            RULE.role_of(values)
    assert RoleRule().role_of(values) is Role.USER


@given(st.text(max_size=300) | st.integers() | st.none() | st.lists(st.text()))
def test_an_owner_is_printable_text_of_bounded_length(value: object) -> None:
    try:
        name = owner_name(value)
    except Unauthenticated as error:
        assert error.presented
        return
    assert name == value and 0 < len(name) <= 255 and name.isprintable() and name.strip() == name


@pytest.mark.parametrize("value", ["", " ann", "ann\n", "a\x00b", "x" * 256, 7, None, ["ann"], "a\u202eb"])
def test_what_is_no_name_owns_nothing(value: object) -> None:
    with pytest.raises(Unauthenticated):
        owner_name(value)


def test_a_principal_is_counted_under_its_name() -> None:
    assert principal("ann", ["ferry-admin"], RULE) == Principal("ann", Role.ADMIN, "ann")
