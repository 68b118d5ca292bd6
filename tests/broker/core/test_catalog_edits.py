from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core import catalog_edits
from broker.core.catalog import Application, ApplicationVersion, Catalog
from broker.core.catalog_edits import (
    CatalogEdits,
    changed,
    created,
    deleted,
    merged,
    version_created,
    version_deleted,
)
from broker.errors import Conflict, NotFound
from tests.broker.samples import make_profile

NONE = CatalogEdits()
V1, V2, V3 = (ApplicationVersion(f"{number}.0.0", container=f"c{number}") for number in (1, 2, 3))
APP = Application("app", "App", "An application", ("a",), "1.0.0", {"1.0.0": V1, "2.0.0": V2}, "special")
PROFILE = make_profile()
FILE = Catalog({"app": APP}, {PROFILE.id: PROFILE})


def make(edits: CatalogEdits, application_id: str, name: str = "N") -> CatalogEdits:
    return created(FILE, edits, application_id, name=name, description="D", tags=("t",))


def test_a_made_application_stands_beside_the_files() -> None:
    catalog = merged(FILE, make(NONE, "new"))
    assert catalog.applications["app"] == APP
    assert catalog.applications["new"] == Application("new", "N", "D", ("t",), None, {})
    assert catalog.profiles is FILE.profiles


@pytest.mark.parametrize("application_id", ["app", "new"])
def test_what_is_there_is_not_made_again(application_id: str) -> None:
    edits = make(NONE, "new")
    with pytest.raises(Conflict, match=application_id):
        make(edits, application_id)


def test_changes_replace_what_they_name_and_leave_the_rest() -> None:
    edits = changed(FILE, NONE, "app", name="Other")
    edits = changed(FILE, edits, "app", tags=())
    app = merged(FILE, edits).application("app")
    assert (app.name, app.description, app.tags) == ("Other", "An application", ())
    assert (app.versions, app.default_version, app.default_profile) == (APP.versions, "1.0.0", "special")
    app = merged(FILE, changed(FILE, edits, "app", description="")).application("app")
    assert (app.name, app.description) == ("Other", "")


def test_a_deleted_application_of_the_file_is_hidden_until_it_is_made_anew() -> None:
    gone = deleted(FILE, changed(FILE, NONE, "app", name="Other"), "app")
    assert not merged(FILE, gone).applications
    again = merged(FILE, make(gone, "app")).application("app")
    assert again == Application("app", "N", "D", ("t",), None, {})
    assert not merged(FILE, deleted(FILE, make(gone, "app"), "app")).applications


def test_a_deleted_application_that_was_made_leaves_nothing() -> None:
    assert deleted(FILE, make(NONE, "new"), "new") == NONE


@pytest.mark.parametrize(
    "edit",
    [
        lambda edits: changed(FILE, edits, "nope", name=""),
        lambda edits: deleted(FILE, edits, "nope"),
        lambda edits: version_created(FILE, edits, "nope", V3),
        lambda edits: version_deleted(FILE, edits, "nope", "1.0.0"),
        lambda edits: version_deleted(FILE, edits, "app", "9.9.9"),
        lambda edits: changed(FILE, deleted(FILE, edits, "app"), "app", name=""),
    ],
)
def test_what_is_not_there_is_not_edited(edit: Callable[[CatalogEdits], CatalogEdits]) -> None:
    with pytest.raises(NotFound):
        edit(NONE)


def test_a_version_is_added_and_taken_away() -> None:
    edits = version_created(FILE, NONE, "app", V3)
    assert merged(FILE, edits).application("app").versions == {"1.0.0": V1, "2.0.0": V2, "3.0.0": V3}
    with pytest.raises(Conflict, match=r"3\.0\.0"):
        version_created(FILE, edits, "app", V3)
    edits = version_deleted(FILE, edits, "app", "3.0.0")
    edits = version_deleted(FILE, edits, "app", "2.0.0")
    assert set(merged(FILE, edits).application("app").versions) == {"1.0.0"}
    with pytest.raises(NotFound):
        version_deleted(FILE, edits, "app", "2.0.0")


def test_a_version_may_be_made_anew_with_other_contents() -> None:
    edits = version_created(FILE, version_deleted(FILE, NONE, "app", "2.0.0"), "app", ApplicationVersion("2.0.0", "x"))
    assert merged(FILE, edits).application("app").version("2.0.0").container == "x"


def test_a_default_version_that_is_deleted_leaves_the_highest_as_default() -> None:
    app = merged(FILE, version_deleted(FILE, NONE, "app", "1.0.0")).application("app")
    assert app.default_version is None
    assert app.version("latest") == V2


def test_versions_of_an_application_made_anew_owe_nothing_to_the_file() -> None:
    edits = make(deleted(FILE, NONE, "app"), "app")
    edits = version_created(FILE, edits, "app", V3)
    assert set(merged(FILE, edits).application("app").versions) == {"3.0.0"}
    assert not merged(FILE, version_deleted(FILE, edits, "app", "3.0.0")).application("app").versions


def test_edits_of_what_the_file_no_longer_has_are_without_effect() -> None:
    edits = deleted(FILE, changed(FILE, NONE, "app", name="Other"), "app")
    empty = Catalog({}, FILE.profiles)
    assert merged(empty, edits) == empty
    assert merged(empty, changed(FILE, NONE, "app", name="Other")) == empty


def test_what_grows_by_requests_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_edits, "MOST_APPLICATIONS", 2)
    monkeypatch.setattr(catalog_edits, "MOST_VERSIONS", 3)
    edits = make(make(NONE, "a"), "b")
    with pytest.raises(Conflict, match="2 applications"):
        make(edits, "c")
    changed(FILE, edits, "b", name="still to be changed")
    edits = version_created(FILE, NONE, "app", V3)
    with pytest.raises(Conflict, match="3 versions"):
        version_created(FILE, edits, "app", ApplicationVersion("4.0.0"))


IDS = st.sampled_from(["app", "x", "y"])
EDITS = st.lists(
    st.one_of(
        st.builds(lambda key: lambda edits: make(edits, key), IDS),
        st.builds(lambda key, name: lambda edits: changed(FILE, edits, key, name=name), IDS, st.text(max_size=3)),
        st.builds(lambda key: lambda edits: deleted(FILE, edits, key), IDS),
        st.builds(lambda key, it: lambda edits: version_created(FILE, edits, key, it), IDS, st.sampled_from([V1, V3])),
        st.builds(
            lambda key, it: lambda edits: version_deleted(FILE, edits, key, it.version), IDS, st.sampled_from([V1, V3])
        ),
    ),
    max_size=12,
)


@given(EDITS)
def test_any_edits_leave_a_catalog_that_hangs_together(
    edits_to_make: list[Callable[[CatalogEdits], CatalogEdits]],
) -> None:
    edits = NONE
    for edit in edits_to_make:
        with suppress(Conflict, NotFound):
            edits = edit(edits)
    for key, application in merged(FILE, edits).applications.items():
        assert application.id == key
        assert all(name == version.version for name, version in application.versions.items())
        assert application.default_version is None or application.default_version in application.versions
