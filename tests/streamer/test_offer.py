"""What an offer may hold before it is worth parsing."""

import pytest

from streamer.offer import BadOffer, check_offer

VIDEO, DATA = "m=video 9 UDP/TLS/RTP/SAVPF 96", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"


def test_candidates_are_left_out_and_nothing_else() -> None:
    lines = ["v=0", VIDEO, "a=candidate:1 1 udp 1 evil.local 9 typ host", "a=mid:0", "a=end-of-candidates", DATA, "a=x"]
    assert check_offer("\r\n".join(lines)) == "".join(f"{line}\r\n" for line in ["v=0", VIDEO, "a=mid:0", DATA, "a=x"])


@pytest.mark.parametrize(
    "lines", [[], ["m=audio 9"], [VIDEO, VIDEO], [VIDEO, DATA, DATA], [VIDEO, "m=image 9"], [VIDEO, "m="]]
)
def test_offer_with_too_much_or_too_little_is_refused(lines: list[str]) -> None:
    with pytest.raises(BadOffer):
        check_offer("\n".join(lines))
