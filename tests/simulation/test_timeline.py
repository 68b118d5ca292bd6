from functools import partial

from simulation.timeline import Timeline


async def test_things_happen_in_the_order_of_their_times() -> None:
    timeline, seen = Timeline(100), list[tuple[float, str]]()

    async def happen(name: str) -> None:
        seen.append((timeline.now, name))

    timeline.after(5, partial(happen, "second"))
    timeline.at(101, partial(happen, "first"))
    timeline.after(5, partial(happen, "third"))
    timeline.at(3, partial(happen, "late"))
    timeline.after(20, partial(happen, "never"))
    await timeline.run(110)
    assert seen == [(100, "late"), (101, "first"), (105, "second"), (105, "third")]
    assert timeline.now == 110
