from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.core.address import canonical_host


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_each_host_has_one_spelling(host: str, canonical: str) -> None:
    assert canonical_host(host) == canonical


@given(st.ip_addresses().map(str))
def test_spelling_is_stable(host: str) -> None:
    assert canonical_host(canonical_host(host)) == canonical_host(host)


@pytest.mark.parametrize("host", ["", "localhost", "127.1", "1.2.3.4.5", "%eth0"])
def test_what_is_no_address_is_a_value_error(host: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        canonical_host(host)
