"""Which stages may be opened."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused, is_remote, shorten


@pytest.fixture
def policy(tmp_path: Path) -> StagePolicy:
    root = tmp_path / "stages"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "box.usda").write_text("#usda 1.0\n")
    (tmp_path / "secret.usda").write_text("#usda 1.0\n")
    return StagePolicy.under(root)


def test_a_stage_under_the_root_is_admitted(policy: StagePolicy) -> None:
    assert policy.stage("inner/box.usda") == policy.root / "inner" / "box.usda"
    assert policy.stage("./inner/box.usda") == policy.root / "inner" / "box.usda"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "../secret.usda",
        "inner/../../secret.usda",
        "inner/../inner/box.usda",
        "/etc/passwd.usda",
        "~/box.usda",
        "file:inner/box.usda",
        "file:///etc/passwd.usda",
        "http://example.com/box.usda",
        "omniverse://server/box.usda",
        "inner/box.usda:SDF_FORMAT_ARGS:a=b",
        "inner\\box.usda",
        "inner/box.usdz[../box.usda]",
        "inner/box.txt",
        "inner/box",
        "inner\x00/box.usda",
        "inner/\nbox.usda",
        "a" * 2000 + ".usda",
    ],
)
def test_what_is_no_relative_path_of_a_stage_is_refused(policy: StagePolicy, uri: str) -> None:
    with pytest.raises(StageRefused):
        policy.stage(uri)


def test_a_missing_stage_is_named_without_its_folder(policy: StagePolicy) -> None:
    with pytest.raises(StageRefused, match=r"no stage 'gone\.usda'") as refused:
        policy.stage("gone.usda")
    assert str(policy.root) not in refused.value.reason


def test_symlinks_that_leave_the_root_are_refused(policy: StagePolicy, tmp_path: Path) -> None:
    (policy.root / "file.usda").symlink_to(tmp_path / "secret.usda")
    (policy.root / "folder").symlink_to(tmp_path)
    (policy.root / "loop.usda").symlink_to(policy.root / "loop.usda")
    for uri in ("file.usda", "folder/secret.usda", "loop.usda"):
        with pytest.raises(StageRefused):
            policy.stage(uri)


def test_symlinks_within_the_root_are_followed(policy: StagePolicy) -> None:
    (policy.root / "alias.usda").symlink_to("inner/box.usda")
    assert policy.stage("alias.usda") == policy.root / "inner" / "box.usda"


def test_a_root_behind_a_symlink_is_the_folder_itself(policy: StagePolicy, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(policy.root)
    assert StagePolicy.under(tmp_path / "link") == policy


def test_neither_folders_nor_pipes_are_stages(policy: StagePolicy) -> None:
    (policy.root / "folder.usda").mkdir()
    os.mkfifo(policy.root / "pipe.usda")
    for uri in ("folder.usda", "pipe.usda"):
        with pytest.raises(StageRefused, match="is not a file"):
            policy.stage(uri)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_root_that_is_no_folder_is_refused_with_the_setting_to_mend(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StageRefused, match="PIXELFERRY_USD_ROOT"):
        StagePolicy.under(tmp_path / name)


def test_a_folder_that_begins_like_the_root_is_outside(policy: StagePolicy) -> None:
    with pytest.raises(StageRefused, match="outside"):
        policy.inside(Path(f"{policy.root}-private/a.usda"), "a.usda")


def test_a_path_that_cannot_be_resolved_is_refused(policy: StagePolicy) -> None:
    with pytest.raises(StageRefused):
        policy.inside(policy.root / "a\x00b", "a?b")


def test_viewers_see_paths_relative_to_the_root(policy: StagePolicy) -> None:
    assert policy.relative(f"{policy.root}/inner/box.usda") == "inner/box.usda"
    assert policy.relative("/home/somebody/box.usda") == "box.usda"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_asked_for_nothing_outside_the_root_is_admitted(
    tmp_path_factory: pytest.TempPathFactory, uri: str
) -> None:
    policy = StagePolicy(tmp_path_factory.getbasetemp().resolve())
    try:
        admitted = policy.stage(uri)
    except StageRefused as refused:
        assert refused.reason.isprintable()
    else:
        assert admitted.is_relative_to(policy.root)


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_shortened_text_is_one_printable_line(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short.isprintable()


def test_drive_letters_are_no_scheme_but_schemes_are() -> None:
    assert not is_remote("C:/box.usda")
    assert is_remote("file:x")
    assert not is_remote("./a:b")
