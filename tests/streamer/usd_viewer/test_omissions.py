"""What is told about a stage's parts that are not drawn."""

from pxr import Usd

from streamer.usd_viewer.omissions import MAX_TOLD, Omissions


def test_kinds_are_counted_with_an_example_the_most_frequent_first() -> None:
    stage = Usd.Stage.CreateInMemory()
    first, second = stage.DefinePrim("/A"), stage.DefinePrim("/B")
    omissions = Omissions()
    omissions.add("volumes", second)
    omissions.add("lights", first)
    omissions.add("lights", second)
    omissions.add("texture x.png: it is missing")
    omissions.add("triangles", count=7)
    assert omissions.told() == ("triangles: 7", "lights: 2, such as /A", "volumes: /B", "texture x.png: it is missing")


def test_endless_kinds_are_cut_short() -> None:
    omissions = Omissions()
    for number in range(MAX_TOLD + 5):
        omissions.add(f"kind {number}")
    assert len(omissions.told()) == MAX_TOLD + 1
    assert omissions.told()[-1] == "and 5 more kinds"


def test_long_paths_are_shortened() -> None:
    stage = Usd.Stage.CreateInMemory()
    omissions = Omissions()
    omissions.add("volumes", stage.DefinePrim("/" + "a" * 5000))
    assert len(omissions.told()[0]) < 300
