from __future__ import annotations

from signaling.metrics import Direction, MediaDrop, RelayCounters


def test_every_label_value_is_there_before_it_is_counted() -> None:
    counters = RelayCounters()
    assert dict(counters.media_dropped) == dict.fromkeys(MediaDrop, 0)
    counters.media_dropped.add(MediaDrop.REPLAYED)
    counters.media_dropped.add(MediaDrop.TABLE_FULL, 2)
    assert counters.media_dropped[MediaDrop.TABLE_FULL] == 2
    assert counters.media_dropped.total() == 3


def test_two_relays_count_apart() -> None:
    first, second = RelayCounters(), RelayCounters()
    first.media_packets.add(Direction.TO_CLIENT)
    assert second.media_packets.total() == 0
