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
        ({"idle_s": 0}, "idle_s"),
        ({"prots": "1-2"}, "prots"),
    ],
)
def test_wrong_value_names_itself_and_the_mend(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RelaySettings.model_validate(values)
