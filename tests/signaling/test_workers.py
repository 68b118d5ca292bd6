from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.settings import RelaySettings
from signaling.workers import worker_settings

SETTINGS = RelaySettings(id="edge", ports="31000-31999", capacity=100, zone="a")


def test_each_worker_has_a_name_ports_and_capacity_of_its_own() -> None:
    parts = [worker_settings(SETTINGS, number, 3) for number in (1, 2, 3)]
    assert [part.id for part in parts] == ["edge-1", "edge-2", "edge-3"]
    assert [part.ports for part in parts] == ["31000-31331", "31332-31665", "31666-31999"]
    assert [part.capacity for part in parts] == [33, 33, 34]
    assert {part.zone for part in parts} == {"a"}


def test_the_only_worker_has_everything() -> None:
    assert worker_settings(SETTINGS, 1, 1) is SETTINGS


def test_ports_for_clients_are_split_alike() -> None:
    behind_nat = SETTINGS.model_copy(update={"advertised_ports": "41000-41999"})
    part = worker_settings(behind_nat, 2, 2)
    assert (part.ports, part.advertised_ports) == ("31500-31999", "41500-41999")


@given(
    lo=st.integers(1024, 60000), ports=st.integers(2, 5000), capacity=st.integers(1, 5000), workers=st.integers(2, 64)
)
def test_parts_are_disjoint_whole_and_about_equal(lo: int, ports: int, capacity: int, workers: int) -> None:
    settings = RelaySettings(ports=f"{lo}-{lo + ports - 1}", capacity=capacity)
    if ports // 2 < workers or capacity < workers:
        with pytest.raises(ValueError, match="too"):
            worker_settings(settings, 1, workers)
        return
    parts = [worker_settings(settings, number, workers) for number in range(1, workers + 1)]
    ranges = [part.port_range for part in parts]
    assert ranges[0].lo == lo and all(before.hi + 1 == after.lo for before, after in pairwise(ranges))
    sizes = [(part.hi - part.lo + 1) for part in ranges]
    assert sum(sizes) == ports - ports % 2 and max(sizes) - min(sizes) <= 2 and all(size % 2 == 0 for size in sizes)
    capacities = [part.capacity for part in parts]
    assert sum(capacities) == capacity and max(capacities) - min(capacities) <= 1
