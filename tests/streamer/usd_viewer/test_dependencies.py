"""A stage may refer to what lies under the root, and to nothing else."""

import os
from pathlib import Path

import pytest
from pxr import Sdf

from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused
from tests.streamer.usd_viewer.stages import mesh, world

REACHES: dict[str, str] = {
    "sublayer": "#usda 1.0\n(\n    subLayers = [@{asset}@]\n)\n",
    "reference": '#usda 1.0\ndef Xform "A" (\n    prepend references = @{asset}@\n)\n{{\n}}\n',
    "payload": '#usda 1.0\ndef Xform "A" (\n    prepend payload = @{asset}@\n)\n{{\n}}\n',
    "variant": (
        '#usda 1.0\ndef Xform "A" (\n    prepend variantSets = "v"\n)\n{{\n'
        '    variantSet "v" = {{\n        "unchosen" {{\n'
        '            def "B" (\n                prepend references = @{asset}@\n            )\n            {{\n'
        "            }}\n        }}\n    }}\n}}\n"
    ),
    "attribute": '#usda 1.0\ndef Shader "A"\n{{\n    asset inputs:file = @{asset}@\n}}\n',
    "time sample": (
        '#usda 1.0\ndef Shader "A"\n{{\n    asset inputs:file.timeSamples = {{\n        1: @{asset}@,\n    }}\n}}\n'
    ),
    "metadata": "#usda 1.0\n(\n    customLayerData = {{\n        asset thing = @{asset}@\n    }}\n)\n",
    "clip manifest": (
        '#usda 1.0\ndef Xform "A" (\n    clips = {{\n        dictionary default = {{\n'
        '            asset manifestAssetPath = @{asset}@\n            string primPath = "/A"\n'
        "        }}\n    }}\n)\n{{\n}}\n"
    ),
    "value clip": (
        '#usda 1.0\ndef Xform "A" (\n    clips = {{\n        dictionary default = {{\n'
        '            asset[] assetPaths = [@{asset}@]\n            string primPath = "/A"\n'
        "        }}\n    }}\n)\n{{\n}}\n"
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "inner").mkdir(parents=True)
    (tmp_path / "secret.usda").write_text(world(mesh()))
    (tmp_path / "root" / "part.usda").write_text(world(mesh()))
    (tmp_path / "root" / "link.usda").symlink_to(tmp_path / "secret.usda")
    return tmp_path / "root"


def open_stage(root: Path, name: str = "inner/stage.usda") -> tuple[str, ...]:
    policy = StagePolicy.under(root)
    return read_stage(policy.stage(name), policy, lambda prims: None).omissions


@pytest.mark.parametrize("way", REACHES)
@pytest.mark.parametrize(
    "asset",
    [
        "../../secret.usda",
        "{outside}/secret.usda",
        "../link.usda",
        "file:/etc/passwd",
        "http://127.0.0.1:9/a.usda",
        "https://127.0.0.1:9/a.usdz",
        "omniverse://127.0.0.1/a.usda",
        "/etc/passwd",
        "../../secret.usda:SDF_FORMAT_ARGS:a=b",
    ],
)
def test_whatever_leads_outside_is_refused(root: Path, way: str, asset: str) -> None:
    asset = asset.replace("{outside}", str(root.parent))
    (root / "inner" / "stage.usda").write_text(REACHES[way].format(asset=asset))
    with pytest.raises(StageRefused) as refused:
        open_stage(root)
    assert "outside" in refused.value.reason or "is a URI" in refused.value.reason
    assert "inner/stage.usda" in refused.value.reason


@pytest.mark.parametrize("way", REACHES)
def test_what_lies_inside_is_admitted(root: Path, way: str) -> None:
    (root / "inner" / "stage.usda").write_text(REACHES[way].format(asset="../part.usda"))
    open_stage(root)


@pytest.mark.parametrize("pattern", ["../../clip.###.usda", "../inside/clip.###.usda"])
def test_clips_by_pattern_are_admitted_before_they_are_opened(root: Path, pattern: str) -> None:
    os.mkfifo(root.parent / "clip.001.usda")
    (root / "inside").mkdir()
    (root / "inside" / "clip.001.usda").symlink_to(root.parent / "clip.001.usda")
    (root / "inner" / "stage.usda").write_text(
        '#usda 1.0\ndef Xform "A" (\n    clips = {\n        dictionary default = {\n'
        f'            string templateAssetPath = "{pattern}"\n            double templateStartTime = 1\n'
        "            double templateEndTime = 2\n            double templateStride = 1\n"
        '            string primPath = "/A"\n        }\n    }\n)\n{\n    double x\n}\n'
    )
    with pytest.raises(StageRefused, match="outside"):
        open_stage(root)


def test_each_tile_of_a_texture_has_to_lie_inside(root: Path) -> None:
    (root / "inner" / "stage.usda").write_text(REACHES["attribute"].format(asset="./tile.<UDIM>.png"))
    assert any("tile.<UDIM>.png" in line for line in open_stage(root))
    (root / "inner" / "tile.1001.png").write_bytes(b"")
    (root / "inner" / "tile.secret.png").symlink_to("/etc/passwd")
    assert not any("tile.<UDIM>.png" in line for line in open_stage(root))
    (root / "inner" / "tile.1002.png").symlink_to("/etc/passwd")
    with pytest.raises(StageRefused, match="outside"):
        open_stage(root)


ALONE: dict[str, str] = {"beside it": "./part.usda", "missing": "./gone.usda", "above it": "../secret.usda"}


@pytest.mark.parametrize("way", REACHES)
@pytest.mark.parametrize("asset", ALONE.values(), ids=ALONE)
def test_a_stage_alone_may_refer_to_nothing_else(root: Path, way: str, asset: str) -> None:
    (root / "stage.usda").write_text(REACHES[way].format(asset=asset))
    with pytest.raises(StageRefused, match=r"usdz|outside"):
        read_stage(root / "stage.usda", StagePolicy.for_file(root / "stage.usda"), lambda prims: None)


def test_a_package_alone_may_refer_to_what_it_holds(root: Path) -> None:
    (root / "stage.usda").write_text(REACHES["reference"].format(asset="./part.usda"))
    package = root / "inner" / "packed.usdz"
    with Sdf.ZipFileWriter.CreateNew(str(package)) as writer:
        writer.AddFile(str(root / "stage.usda"), "stage.usda")
        writer.AddFile(str(root / "part.usda"), "part.usda")
    (root / "part.usda").unlink()
    scene = read_stage(package, StagePolicy.for_file(package), lambda prims: None)
    assert not any("missing" in line for line in scene.omissions)


def test_a_package_may_not_refer_out_of_itself(root: Path) -> None:
    (root / "stage.usda").write_text(REACHES["reference"].format(asset="../../secret.usda"))
    package = root / "packed.usdz"
    with Sdf.ZipFileWriter.CreateNew(str(package)) as writer:
        writer.AddFile(str(root / "stage.usda"), "stage.usda")
    for policy in (StagePolicy.for_file(package), StagePolicy.under(root)):
        try:
            scene = read_stage(package, policy, lambda prims: None)
        except StageRefused as refused:
            assert "outside" in refused.reason or "usdz" in refused.reason
        else:
            assert scene.triangles == 0


def test_what_is_refused_deep_down_is_found(root: Path) -> None:
    (root / "a.usda").write_text(REACHES["reference"].format(asset="./b.usda"))
    (root / "b.usda").write_text(REACHES["payload"].format(asset="./c.usda"))
    (root / "c.usda").write_text(REACHES["sublayer"].format(asset="../secret.usda"))
    with pytest.raises(StageRefused, match=r"'\.\./secret\.usda' in 'c\.usda' lies outside"):
        open_stage(root, "a.usda")


@pytest.mark.parametrize("way", REACHES)
def test_nothing_refused_is_ever_opened(root: Path, way: str) -> None:
    os.mkfifo(root.parent / "pipe.usda")  # whoever opens it waits for ever
    (root / "a.usda").write_text(REACHES[way].format(asset="../pipe.usda"))
    with pytest.raises(StageRefused, match="outside"):
        open_stage(root, "a.usda")


def test_expressions_that_lead_outside_are_refused(root: Path) -> None:
    (root / "a.usda").write_text(
        '#usda 1.0\n(\n    expressionVariables = {\n        string UP = ".."\n    }\n'
        '    subLayers = [@`"${UP}/secret.usda"`@]\n)\n'
    )
    with pytest.raises(StageRefused, match="outside"):
        open_stage(root, "a.usda")


def test_expressions_set_from_elsewhere_are_caught_after_composition(root: Path) -> None:
    (root / "a.usda").write_text(
        '#usda 1.0\n(\n    expressionVariables = {\n        string WHERE = "../secret.usda"\n    }\n)\n'
        'def "A" (\n    prepend references = @./b.usda@</B>\n)\n{\n}\n'
    )
    (root / "b.usda").write_text(
        '#usda 1.0\n(\n    expressionVariables = {\n        string WHERE = "./part.usda"\n    }\n)\n'
        'def "B" (\n    prepend references = @`"${WHERE}"`@</World>\n)\n{\n}\n'
    )
    with pytest.raises(StageRefused, match="outside"):
        open_stage(root, "a.usda")


def test_missing_files_are_told_and_the_rest_is_drawn(root: Path) -> None:
    (root / "a.usda").write_text(REACHES["reference"].format(asset="./gone.usda"))
    assert any("gone.usda" in line for line in open_stage(root, "a.usda"))


def test_references_in_a_circle_end(root: Path) -> None:
    (root / "a.usda").write_text(REACHES["reference"].format(asset="./b.usda"))
    (root / "b.usda").write_text(REACHES["reference"].format(asset="./a.usda"))
    open_stage(root, "a.usda")
