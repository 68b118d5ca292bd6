"""The prims of a composed stage."""

from pathlib import Path

from streamer.usd_viewer.prim_tree import PrimTree
from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy
from tests.streamer.usd_viewer.stages import mesh, world


def tree_of(folder: Path, text: str) -> PrimTree:
    (folder / "stage.usda").write_text(text)
    kept: list[PrimTree] = []
    read_stage(folder / "stage.usda", StagePolicy.under(folder), lambda prims: None, kept.append)
    (tree,) = kept
    return tree


def paths(tree: PrimTree, index: int = -1, above: str = "") -> list[str]:
    found = []
    for child in tree.children(index):
        path = f"{above}/{tree.prim(child).name}"
        found += [path, *paths(tree, child, path)]
    return found


def test_all_prims_are_there_in_order(tmp_path: Path) -> None:
    text = world(mesh(name="A") + 'def Scope "Looks" { def "Inner" { } }' + mesh(name="B")) + 'def Sphere "S" {\n}\n'
    assert paths(tree_of(tmp_path, text)) == [
        "/World",
        "/World/A",
        "/World/Looks",
        "/World/Looks/Inner",
        "/World/B",
        "/S",
    ]


def test_prims_of_instances_are_there_and_abstract_and_inactive_ones_are_not(tmp_path: Path) -> None:
    text = world(
        'class "Kind" { def Cube "Part" { } }'
        'def Xform "One" ( instanceable = true\ninherits = </World/Kind> ) { }'
        'def Xform "Off" ( active = false ) { }'
        'over "Nothing" { }'
    )
    assert paths(tree_of(tmp_path, text)) == ["/World", "/World/One", "/World/One/Part"]


def test_kinds_are_those_of_the_schemas(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, world(mesh(name="M") + 'def Sphere "S" { }def Scope "Looks" { def Material "P" { } }'))
    kinds = {tree.prim(index).name: tree.prim(index).kind.name for index in range(len(tree))}
    assert kinds["World"] == "XFORM|GEOMETRY"
    assert kinds["M"] == "MESH|GEOMETRY"
    assert kinds["S"] == "GEOMETRY"
    assert kinds["Looks"] == "SCOPE"
