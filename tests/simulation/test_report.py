from pathlib import Path

import pytest

from simulation.__main__ import main, write


def test_the_same_seed_gives_the_same_page_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("one", "two"):
        assert write(["village"], 1, tmp_path / folder) == 0
    page = (tmp_path / "one" / "simulation.md").read_text()
    assert page == (tmp_path / "two" / "simulation.md").read_text()
    assert "| faults of the books (claims, pools, slots with two backends) | 0 |" in page
    assert "| from a dead relay to a picture again |" in page
    picture = Path("images", "simulation-village.svg")
    assert f"]({picture})" in page
    drawn = (tmp_path / "one" / picture).read_bytes()
    assert drawn == (tmp_path / "two" / picture).read_bytes() and b"wait for a slot" in drawn
    assert "0 faults" in capsys.readouterr().out


def test_a_scenario_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["simulation", "vilage"])
    with pytest.raises(SystemExit):
        main()
    assert "there is no scenario vilage: choose of day, full-house, village" in capsys.readouterr().err
