from __future__ import annotations

import pytest
from pydantic import ValidationError

from signaling.routes import PortRange
from signaling.settings import RelaySettings


def test_defaults_serve_this_machine_alone() -> None:
    settings = RelaySettings()
    assert (settings.host, settings.client_host, settings.candidate_host) == ("127.0.0.1",) * 3
    assert settings.port_range == PortRange(31000, 31999)


def test_name_for_clients_comes_with_an_address_for_candidates() -> None:
    settings = RelaySettings(host="::", advertised_host="relay.example", media_host="2001:DB8:0::7")
    assert (settings.client_host, settings.candidate_host) == ("relay.example", "2001:db8::7")


def test_ports_are_mapped_one_by_one() -> None:
    settings = RelaySettings(ports="31000-31009", advertised_ports="41000-41009")
    assert (settings.port_range, settings.client_port_range) == (PortRange(31000, 31009), PortRange(41000, 41009))
    assert [settings.bound_port(port) for port in (41000, 41009, 5000)] == [31000, 31009, 5000]
    assert RelaySettings().bound_port(31007) == 31007


@pytest.mark.parametrize(
    ("client", "candidate"),
    [
        ("192.0.2.1", "198.51.100.7"),
        ("::ffff:192.0.2.1", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::7"),
        ("fe80::1%eth0", "2001:db8::7"),
    ],
)
def test_a_viewer_gets_the_address_of_the_family_that_it_came_by(client: str, candidate: str) -> None:
    settings = RelaySettings(host="::", advertised_host="198.51.100.7", media_host_2="2001:db8::7")
    assert settings.candidate_host_for(client) == candidate
    assert settings.candidate_hosts == ("198.51.100.7", "2001:db8::7")
    assert RelaySettings().candidate_host_for(client) == "127.0.0.1", "there is no other"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"host": "localhost"}, "must be an IP address such as 127.0.0.1"),
        ({"host": "0.0.0.0"}, "set advertised_host to the one that clients use"),
        ({"advertised_host": "relay.example"}, "set media_host to its IP address"),
        ({"ports": "31000"}, "must be two ports such as 31000-31999"),
        ({"ports": "31999-31000"}, "needs lo < hi"),
        ({"ports": "1-99999"}, "must be a port"),
        ({"id": "no spaces"}, "id"),
        ({"advertised_ports": "41000-41001"}, "must be as many as ports 31000-31999"),
        ({"advertised_ports": "41000"}, "must be two ports such as 31000-31999"),
        ({"media_host_2": "::1"}, "set it to :: so that media_host_2 can be reached too"),
        ({"media_host_2": "127.0.0.2"}, "is of the same family as 127.0.0.1: one is enough"),
        ({"announce_ttl_s": 1}, r"announce_ttl_s must be longer than announce_s \(1\)"),
        ({"drain_s": -1}, "drain_s"),
        ({"idle_s": 0}, "idle_s"),
        ({"prots": "1-2"}, "prots"),
    ],
)
def test_wrong_value_names_itself_and_the_mend(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RelaySettings.model_validate(values)
