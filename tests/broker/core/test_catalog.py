from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.catalog import (
    Application,
    ApplicationPattern,
    ApplicationVersion,
    Catalog,
    Profile,
    is_semver,
    semver_key,
)
from broker.errors import Invalid, NotFound
from tests.broker.samples import make_profile

PROFILE = make_profile()


def make_application(
    *versions: str, application_id: str = "app", default: str | None = None, default_profile: str = "default"
) -> Application:
    known = {version: ApplicationVersion(version) for version in versions}
    return Application(application_id, "App", "", (), default, known, default_profile)


def profile_of(profile_id: str, *patterns: ApplicationPattern) -> Profile:
    return replace(PROFILE, id=profile_id, applications=patterns)


def make_catalog(application: Application, *profiles: Profile) -> Catalog:
    return Catalog({application.id: application}, {profile.id: profile for profile in profiles or (PROFILE,)})


@pytest.mark.parametrize("asked", [None, "", "default", "latest"])
def test_no_version_means_the_highest_by_semver(asked: str | None) -> None:
    application = make_application("1.9.0", "1.10.0", "1.10.0-rc.1", "2.0.0-alpha")
    assert application.version(asked).version == "2.0.0-alpha"
    assert make_application("1.9.0", "1.10.0", "1.10.0-rc.1").version(asked).version == "1.10.0"


def test_a_default_version_comes_before_the_highest() -> None:
    application = make_application("1.0.0", "2.0.0", default="1.0.0")
    assert application.version("latest").version == "1.0.0"
    assert application.version("2.0.0").version == "2.0.0"


@pytest.mark.parametrize("asked", ["3.0.0", "1.0", "Latest"])
def test_an_unknown_version_is_named(asked: str) -> None:
    with pytest.raises(NotFound, match=asked):
        make_application("1.0.0").version(asked)


def test_an_application_without_versions_has_none() -> None:
    with pytest.raises(NotFound, match="latest"):
        make_application().version(None)


def test_patterns_match_by_id_and_version_or_wildcard() -> None:
    assert ApplicationPattern("*").matches("app", "1.0.0")
    assert ApplicationPattern("app", ("1.0.0",)).matches("app", "1.0.0")
    assert not ApplicationPattern("app", ("1.0.0",)).matches("app", "1.0.1")
    assert not ApplicationPattern("ap").matches("app", "1.0.0")


def test_names_resolve_to_application_version_and_profile() -> None:
    catalog = make_catalog(make_application("1.0.0"))
    resolved = catalog.resolve("app", None, "default")
    assert (resolved.application.id, resolved.version.version, resolved.profile) == ("app", "1.0.0", PROFILE)
    assert catalog.resolve("app", None, None) == catalog.resolve("app", None, "") == resolved


def test_an_application_may_mean_another_profile_by_default() -> None:
    application = make_application("1.0.0", default_profile="fast")
    fast = profile_of("fast", ApplicationPattern("app"))
    catalog = make_catalog(application, PROFILE, fast)
    assert catalog.resolve("app", None, None).profile is fast
    assert catalog.resolve("app", None, "default").profile is fast
    assert catalog.profiles_of(application, "1.0.0") == (fast, PROFILE)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("nope", None, None), "application 'nope'"),
        (("app", "9.0.0", None), "'9.0.0'"),
        (("app", None, "nope"), "'nope'"),
        (("app", None, "elsewhere"), "'elsewhere'"),
        (("app", "1.0.0", "new"), "'new'"),
    ],
)
def test_what_is_unknown_or_does_not_serve_is_named(names: tuple[str, str | None, str | None], missing: str) -> None:
    elsewhere = profile_of("elsewhere", ApplicationPattern("other"))
    new = profile_of("new", ApplicationPattern("app", ("2.0.0",)))
    with pytest.raises(NotFound, match=missing):
        make_catalog(make_application("1.0.0", "2.0.0"), PROFILE, elsewhere, new).resolve(*names)


def test_environment_is_added_where_a_profile_does_not_set_it() -> None:
    own = replace(PROFILE, environment={"A": "own"})
    catalog = make_catalog(make_application("1.0.0"), own).with_environment({"A": "given", "B": "given"})
    assert catalog.profiles["default"].environment == {"A": "own", "B": "given"}


def test_arguments_that_say_nothing_are_none() -> None:
    assert PROFILE.check_arguments({"stage": "a", "undeclared": "", "other": None}) == {"stage": "a"}


@pytest.mark.parametrize(
    ("arguments", "names", "kind"),
    [
        ({"stage": "a\nb"}, ["stage"], "string_pattern_mismatch"),
        ({"stage": "a\0b"}, ["stage"], "string_pattern_mismatch"),
        ({"x": "1", "y": "2"}, ["x", "y"], "extra_forbidden"),
    ],
)
def test_arguments_that_are_undeclared_or_do_not_match_are_named(
    arguments: dict[str, str | None], names: list[str], kind: str
) -> None:
    with pytest.raises(Invalid) as refused:
        PROFILE.check_arguments(arguments)
    assert [problem.loc for problem in refused.value.problems] == [(name,) for name in names]
    assert {problem.type for problem in refused.value.problems} == {kind}


def test_a_profile_without_arguments_says_that_there_are_none() -> None:
    with pytest.raises(Invalid, match="declared: none"):
        replace(PROFILE, arguments={}).check_arguments({"x": "1"})


@given(st.dictionaries(st.text(), st.text() | st.none()))
def test_what_passes_is_declared_matches_and_is_not_empty(arguments: dict[str, str | None]) -> None:
    try:
        passed = replace(PROFILE, arguments={"a": "[a-z]+", "b": ".*"}).check_arguments(arguments)
    except Invalid:
        return
    assert set(passed) <= {"a", "b"}
    assert all(value and "\0" not in value for value in passed.values())


# SemVer 2.0.0 §11's own example, and what is between its numbers.
ASCENDING = [
    "0.9.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0",
]


def test_versions_are_ordered_as_semver_has_it() -> None:
    assert sorted(reversed(ASCENDING), key=semver_key) == ASCENDING


@pytest.mark.parametrize(
    "text", ["", "1", "1.0", "01.0.0", "1.0.0 ", "v1.0.0", "1.0.0-", "1.0.0\n", "\u0661.0.0", "1.0.0-01", "1.0.0+a..b"]
)
def test_what_is_no_version_is_told_apart(text: str) -> None:
    assert not is_semver(text)
    with pytest.raises(ValueError, match="no version"):
        semver_key(text)


identifiers = st.lists(
    st.from_regex(r"0|[1-9][0-9]{0,2}|[0-9A-Za-z]?[A-Za-z-][0-9A-Za-z-]?", fullmatch=True), max_size=3
)
versions = st.builds(
    lambda core, pre: ".".join(map(str, core)) + ("-" + ".".join(pre) if pre else ""),
    st.tuples(*[st.integers(0, 99)] * 3),
    identifiers,
)


@given(st.lists(versions, min_size=1, unique=True))
def test_the_default_version_is_one_that_none_exceeds(texts: list[str]) -> None:
    chosen = make_application(*texts).version(None).version
    assert all(semver_key(text) <= semver_key(chosen) for text in texts)
    assert all(map(is_semver, texts))
