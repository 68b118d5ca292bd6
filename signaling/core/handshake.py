"""The head of a signaling request: whether it is admitted, and what of it the other side gets to see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from signaling.metrics import SignalingRefusal
from signaling.routes import Admission, Route
from signaling.tokens import ViewerRole

SESSION_PROTOCOL = "x-nv-sessionid."
"""Sub-protocol that carries the session id behind it."""

TOKEN_PROTOCOL = "authorization-bearer."  # noqa: S105
"""Sub-protocol that carries the admission token behind it; compared in lower case."""

Header = tuple[str, str]

_OWN_PREFIX = "pixelferry-"
_ORIGIN_OF_ANY_PORT = re.compile(r"(?P<base>[a-z][a-z0-9+.-]*://[^/:*]+|[a-z][a-z0-9+.-]*://\[[0-9a-f:.]+\]):\*")
_ICE_SERVER_LINK = re.compile(r"rel\s*=\s*\"?[^\";,]*\bice-server\b", re.IGNORECASE)
_LINK = re.compile(r"\s*(<[^>]*>(?:[^,\"]|\"[^\"]*\")*)\s*(?:,|$)")
_DOMAIN = re.compile(r";\s*domain=[^;]*", re.IGNORECASE)

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers of one hop (RFC 9110 §7.6.1)."""

_OF_ANOTHER_PROXY = frozenset({"forwarded", "x-real-ip"})
_NEVER_TO_CLIENT = HOP_BY_HOP | {"content-length", "content-encoding", "alt-svc", "date", "server"}


class CloseCode(IntEnum):
    """Why the relay closes a WebSocket (docs/protocol.md §1)."""

    DRAINING = 1012
    ENDED = 4001
    REFUSED = 4003


@dataclass(frozen=True, slots=True)
class Head:
    """Request line and headers; `target` is the path with its query, as sent."""

    method: str
    target: str
    version: str
    headers: tuple[Header, ...]

    def get_all(self, name: str) -> list[str]:
        """The values of a header, by its name in lower case."""
        return [value for key, value in self.headers if key.lower() == name]

    def get(self, name: str) -> str | None:
        """The first value of a header."""
        return next(iter(self.get_all(name)), None)

    def words(self, name: str) -> list[str]:
        """The comma-separated words of a header."""
        return [word for value in self.get_all(name) for part in value.split(",") if (word := part.strip())]

    @property
    def is_websocket(self) -> bool:
        """Whether it asks to become a WebSocket."""
        return "websocket" in (word.lower() for word in self.words("upgrade"))

    @property
    def protocols(self) -> list[str]:
        """The WebSocket sub-protocols offered."""
        return self.words("sec-websocket-protocol")

    def serialize(self) -> bytes:
        """As on the wire, blank line included."""
        lines = [f"{self.method} {self.target} {self.version}", *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def refusal_of(head: Head, route: Route) -> SignalingRefusal | None:
    """None when the head is of this route's session and of an allowed origin, else what is wrong with it."""
    if not head.target.startswith("/"):
        return SignalingRefusal.BAD_HEAD
    origins = head.get_all("origin")
    if len(origins) > 1 or not all(is_allowed_origin(origin, route.allowed_origins) for origin in origins):
        return SignalingRefusal.BAD_ORIGIN
    if route.admission is Admission.ADDRESS or names_session(head, route.session_id):
        return None
    if route.admission is not Admission.TOKEN and has_session_cookie(head, route):
        return None if is_of_own_page(head) else SignalingRefusal.BAD_ORIGIN
    return SignalingRefusal.WRONG_SESSION


def names_session(head: Head, session_id: str) -> bool:
    """Whether a sub-protocol or a whole segment of the path is this session's."""
    path = head.target.partition("?")[0]
    return SESSION_PROTOCOL + session_id in head.protocols or session_id in path.split("/")


def session_cookie(route: Route) -> Header:
    """The cookie that lets a backend's own page, once admitted by its path, fetch what its absolute paths name."""
    return _cookie_name(route), route.session_id


def has_session_cookie(head: Head, route: Route) -> bool:
    """Whether the session's cookie is among those of the head."""
    return "=".join(session_cookie(route)) in _cookies(head.get_all("cookie"))


def is_of_own_page(head: Head) -> bool:
    """Whether a browser says nothing else than that a page of this very port asks: a cookie comes along unasked."""
    host = (head.get("host") or "").lower()
    origin = head.get("origin")
    site = head.get("sec-fetch-site")
    return (origin is None or origin.lower().partition("://")[2] == host) and site in (None, "same-origin", "none")


def is_allowed_origin(origin: str, allowed: Iterable[str]) -> bool:
    """Compare as they stand; `*` allows any, `scheme://host:*` any port of that host."""
    for pattern in allowed:
        if pattern in ("*", origin):
            return True
        if found := _ORIGIN_OF_ANY_PORT.fullmatch(pattern):
            rest = origin.removeprefix(found["base"])
            if rest != origin and re.fullmatch(r"(?::[0-9]{1,5})?", rest):
                return True
    return False


@dataclass(frozen=True, slots=True)
class Translation:
    """How the backend's addresses are put to the client.

    `base` is how the client sees the relay, `backend` how the relay sees the backend, `prefix` what was taken off the
    path, `origin` the client's.
    """

    base: str
    backend: str
    prefix: str = ""
    origin: str | None = None

    def to_client(self, headers: Iterable[Header]) -> Iterator[Header]:
        """A response's headers without those of the hop, without ICE servers, absolute addresses rewritten."""
        for name, value in headers:
            key = name.lower()
            if key in _NEVER_TO_CLIENT or key.startswith((_OWN_PREFIX, "sec-websocket-")):
                continue
            if key == "link":
                value = ", ".join(link for link in _LINK.findall(value) if not _ICE_SERVER_LINK.search(link))
            if key == "set-cookie":
                value = _DOMAIN.sub("", value)
            if key == "access-control-allow-origin" and self.origin and value == self.backend:
                value = self.origin
            value = self._address(value, key)
            if value:
                yield name, value

    def _address(self, value: str, key: str) -> str:
        if key in ("location", "content-location") and value.startswith("/") and not value.startswith("//"):
            return self.prefix + value
        for scheme in ("http", "https", "ws", "wss"):
            there = f"{scheme}://{self.backend.partition('://')[2]}"
            value = re.sub(re.escape(there) + r"(?![0-9.:])", lambda _: self.base + self.prefix, value, flags=re.I)
        return value


def translation(head: Head, route: Route) -> Translation:
    """What a request's head says of how its client sees the relay."""
    host = head.get("host")
    secure = head.get("x-forwarded-proto") == "https"
    return Translation(
        base=f"{'https' if secure else 'http'}://{host}" if host else "",
        backend=f"http://{authority(route)}",
        prefix=_prefix(head.target, route.session_id),
        origin=head.get("origin"),
    )


def authority(route: Route) -> str:
    """Host and port of the backend's signaling."""
    host = route.backend.host
    return f"{f'[{host}]' if ':' in host else host}:{route.backend.signaling_port}"


def to_backend(head: Head, route: Route, viewer_id: str, role: ViewerRole = ViewerRole.CONTROLLER) -> Head:
    """The head as the backend gets it (docs/protocol.md §3)."""
    headers = [header for header in head.headers if _may_pass(header[0].lower(), route)]
    headers = [kept for header in headers if (kept := _rewritten(header, route)) is not None]
    headers += [
        ("Pixelferry-Session", route.session_id),
        ("Pixelferry-Viewer", viewer_id),
        ("Pixelferry-Role", role.value),
        ("Pixelferry-Backend-Secret", route.backend_secret),
    ]
    target = head.target.removeprefix(_prefix(head.target, route.session_id))
    return replace(head, target=target, headers=tuple(headers))


def as_only(head: Head) -> Head:
    """The head, saying that no other request follows it on its connection, unless it becomes a WebSocket."""
    if head.is_websocket:
        return head
    headers = [header for header in head.headers if header[0].lower() not in ("connection", "keep-alive")]
    return replace(head, headers=(*headers, ("Connection", "close")))


def _prefix(target: str, session_id: str) -> str:
    """`/session/<id>` where more path follows: that is ours, the rest is the backend's own."""
    prefix = f"/session/{session_id}"
    return prefix if target.startswith(prefix + "/") else ""


def _may_pass(key: str, route: Route) -> bool:
    if key.replace("_", "-").startswith((_OWN_PREFIX, "x-forwarded-")) or key in _OF_ANOTHER_PROXY:
        return False
    return key != "authorization" or route.admission is not Admission.TOKEN


def _rewritten(header: Header, route: Route) -> Header | None:
    name, value = header
    match name.lower():
        # Backends compare the two, so they change together.
        case "host":
            return name, authority(route)
        case "origin":
            return name, f"http://{authority(route)}"
        case "cookie":
            kept = [cookie for cookie in _cookies([value]) if not cookie.startswith(_cookie_name(route) + "=")]
            return (name, "; ".join(kept)) if kept else None
        case "sec-websocket-protocol":
            words = [word for part in value.split(",") if (word := part.strip())]
            words = [word for word in words if not word.lower().startswith(TOKEN_PROTOCOL)]
            return (name, ", ".join(words)) if words else None
        case _:
            return header


def _cookie_name(route: Route) -> str:
    # Cookies know no ports (RFC 6265 §8.5), sessions on one host must not overwrite each other's.
    return f"pixelferry-{route.signaling_port}"


def _cookies(values: Iterable[str]) -> list[str]:
    return [cookie for value in values for part in value.split(";") if (cookie := part.strip())]


def selected_protocol(offered: list[str], route: Route, by_backend: str | None) -> str | None:
    """The sub-protocol to answer with: the backend's; else the session's, for browsers insist on one they offered."""
    if by_backend is not None:
        return by_backend
    own = SESSION_PROTOCOL + route.session_id
    return own if own in offered else None
