"""What an offer may hold before it is worth parsing."""

from __future__ import annotations

_MAX_OF_KIND = {"video": 1, "application": 1, "audio": 1}
_CANDIDATES = ("a=candidate:", "a=end-of-candidates")


class BadOffer(ValueError):
    """The client's offer cannot be answered; the text says why."""


def check_offer(sdp: str) -> str:
    """The offer without its candidates. Raises BadOffer unless it has one video m-line and little besides.

    Candidates are left out so that nobody can make this backend send checks to third parties or look up names by
    multicast: a client's address is learned from its own checks (peer-reflexive, RFC 8445 §7.3.1.3).
    """
    lines = sdp.splitlines()
    kinds = [line[2:].partition(" ")[0] for line in lines if line.startswith("m=")]
    if "video" not in kinds:
        raise BadOffer("the offer has no video m-line to receive the picture")
    for kind in kinds:
        if kinds.count(kind) > _MAX_OF_KIND.get(kind, 0):
            raise BadOffer("the offer may have one video, one audio and one application m-line")
    return "".join(f"{line}\r\n" for line in lines if not line.startswith(_CANDIDATES))


def offers_audio(sdp: str) -> bool:
    """Whether the offer has an audio m-line."""
    return any(line.startswith("m=audio ") for line in sdp.splitlines())
