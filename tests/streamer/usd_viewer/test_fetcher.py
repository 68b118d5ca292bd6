"""Stages from the web: a real server on loopback, under names that only the test's resolver knows."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streamer.usd_viewer.fetcher import MAX_REDIRECTS, Network, StageFetch
from streamer.usd_viewer.stage_policy import StageRefused
from streamer.usd_viewer.web_policy import Origin, WebPolicy, is_public
from tests.streamer.usd_viewer.web_server import Names, Server, admit_loopback

STAGE = b"#usda 1.0\n"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.answers["/stage.usda"] = lambda request: web.Response(body=STAGE)
    yield made
    made.close()


@contextmanager
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


def fetching(
    port: int,
    *origins: str,
    names: Names | None = None,
    admits: Callable[[str], bool] = admit_loopback,
    max_bytes: int = 10**6,
    wall_s: float = 10.0,
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    progress: Callable[[int, int | None], None] = lambda came, expected: None,
) -> StageFetch:
    listed = origins or (f"http://assets.example:{port}",)
    names = names or Names({"assets.example": ["127.0.0.1"]})
    network = Network(resolver=lambda: names, admits=admits, tls=tls)
    return StageFetch(WebPolicy(tuple(map(Origin.parse, listed))), network, max_bytes, wall_s, progress)


def run(fetch: StageFetch, url: str, folder: Path) -> Path:
    """In a thread of its own, as the viewer does."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(fetch.run, url, folder).result(20)


def refused(fetch: StageFetch, url: str, folder: Path) -> str:
    with pytest.raises(StageRefused) as caught:
        run(fetch, url, folder)
    return caught.value.reason


def test_a_stage_is_fetched_by_its_name(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    names = Names({"assets.example": ["127.0.0.1"]})
    fetch = fetching(server.port, names=names, progress=lambda came, expected: told.append((came, expected)))
    with no_thread_left():
        path = run(fetch, f"http://assets.example:{server.port}/stage.usda?signature=s%2Fx#part", tmp_path)
    assert (path.name, path.read_bytes()) == ("stage.usda", STAGE)
    assert told == [(len(STAGE), len(STAGE))]
    (request,) = server.requests
    assert request["Host"] == f"assets.example:{server.port}"
    assert request["target"] == "/stage.usda?signature=s%2Fx"
    assert "Cookie" not in request and "Authorization" not in request
    assert names.asked == ["assets.example"]


def test_nothing_is_asked_of_a_host_that_is_not_listed(server: Server, tmp_path: Path) -> None:
    names = Names({"other.example": ["127.0.0.1"]})
    reason = refused(fetching(server.port, names=names), f"http://other.example:{server.port}/stage.usda", tmp_path)
    assert "PIXELFERRY_USD_HTTP_HOSTS" in reason
    assert (names.asked, server.requests, list(tmp_path.iterdir())) == ([], [], [])


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["127.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"]],
    ids=str,
)
def test_a_name_with_an_address_that_is_not_public_is_never_connected_to(
    server: Server, tmp_path: Path, addresses: list[str]
) -> None:
    names = Names({"assets.example": addresses})
    fetch = fetching(server.port, names=names, admits=is_public)
    assert "public internet" in refused(fetch, f"http://assets.example:{server.port}/stage.usda", tmp_path)
    assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "2130706433", "127.1", "0x7f000001"])
def test_an_address_in_the_url_is_judged_as_well(server: Server, tmp_path: Path, host: str) -> None:
    names = Names({"0x7f000001": ["127.0.0.1"]})
    fetch = fetching(server.port, f"http://{host}:{server.port}", names=names, admits=is_public)
    refused(fetch, f"http://{host}:{server.port}/stage.usda", tmp_path)
    assert server.requests == []


def test_a_name_server_that_changes_its_mind_gains_nothing(server: Server, tmp_path: Path) -> None:
    class Rebinding(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            self.known = {host: ["93.184.215.14" if not self.asked else "127.0.0.1"]}
            return await super().resolve(host, port, family)

    names = Rebinding({})
    fetch = fetching(server.port, names=names, admits=is_public, wall_s=1.0)
    refused(fetch, f"http://assets.example:{server.port}/stage.usda", tmp_path)
    assert len(names.asked) == 1
    assert server.requests == []


def redirect(to: str, status: int = 302) -> Callable[[web.Request], web.Response]:
    return lambda request: web.Response(status=status, headers={"Location": to})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_among_listed_hosts_are_followed(server: Server, tmp_path: Path, status: int) -> None:
    server.answers["/old.usda"] = redirect("/stage.usda", status)
    url = f"http://assets.example:{server.port}/old.usda"
    assert run(fetching(server.port), url, tmp_path).read_bytes() == STAGE


@pytest.mark.parametrize(
    "target",
    [
        "http://other.example:{port}/stage.usda",
        "http://127.0.0.1:{port}/stage.usda",
        "//169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "http://user:secret@assets.example:{port}/stage.usda",
        "gopher://assets.example:{port}/",
        "http://[::1",
        "",
    ],
)
def test_redirects_elsewhere_are_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.answers["/old.usda"] = redirect(target.format(port=server.port))
    refused(fetching(server.port), f"http://assets.example:{server.port}/old.usda", tmp_path)
    assert len(server.requests) == 1


def test_a_redirect_to_a_name_of_a_private_address_is_refused(server: Server, tmp_path: Path) -> None:
    names = Names({"assets.example": ["127.0.0.1"], "inner.example": ["10.0.0.1"]})
    server.answers["/old.usda"] = redirect(f"http://inner.example:{server.port}/stage.usda")
    origins = (f"http://assets.example:{server.port}", f"http://inner.example:{server.port}")
    fetch = fetching(server.port, *origins, names=names)
    assert "public internet" in refused(fetch, f"http://assets.example:{server.port}/old.usda", tmp_path)


def test_redirects_have_an_end(server: Server, tmp_path: Path) -> None:
    server.answers["/loop.usda"] = redirect("/loop.usda")
    reason = refused(fetching(server.port), f"http://assets.example:{server.port}/loop.usda", tmp_path)
    assert "redirects more than" in reason
    assert len(server.requests) == MAX_REDIRECTS + 1


def test_what_is_announced_as_too_large_is_not_read(server: Server, tmp_path: Path) -> None:
    server.answers["/large.usda"] = lambda request: web.Response(body=bytes(5000))
    reason = refused(fetching(server.port, max_bytes=1000), f"http://assets.example:{server.port}/large.usda", tmp_path)
    assert "larger than" in reason


def test_what_grows_too_large_is_broken_off(server: Server, tmp_path: Path) -> None:
    async def endless(request: web.Request) -> AsyncIterator[bytes]:
        while True:
            yield bytes(10_000)

    server.answers["/endless.usda"] = lambda request: endless(request)
    fetch = fetching(server.port, max_bytes=100_000)
    assert "larger than" in refused(fetch, f"http://assets.example:{server.port}/endless.usda", tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100_000


def test_what_comes_too_slowly_is_given_up_in_time(server: Server, tmp_path: Path) -> None:
    async def slow(request: web.Request) -> AsyncIterator[bytes]:
        while True:
            yield b"#"
            await asyncio.sleep(0.05)

    server.answers["/slow.usda"] = lambda request: slow(request)
    begun = time.monotonic()
    reason = refused(fetching(server.port, wall_s=0.5), f"http://assets.example:{server.port}/slow.usda", tmp_path)
    assert "within 0.5 seconds" in reason
    assert time.monotonic() - begun < 3


def test_compressed_answers_are_not_unfolded(server: Server, tmp_path: Path) -> None:
    server.answers["/zip.usda"] = lambda request: web.Response(
        body=b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip"}
    )
    assert "compressed" in refused(fetching(server.port), f"http://assets.example:{server.port}/zip.usda", tmp_path)


def test_other_statuses_are_told(server: Server, tmp_path: Path) -> None:
    reason = refused(fetching(server.port), f"http://assets.example:{server.port}/gone.usda?signature=secret", tmp_path)
    assert "status 404" in reason and "secret" not in reason


def test_what_names_no_stage_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    assert "does not end" in refused(fetching(server.port), f"http://assets.example:{server.port}/a.html", tmp_path)
    assert server.requests == []


def test_a_name_that_is_not_known_and_a_host_that_does_not_answer_are_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    reason = refused(fetching(port), f"http://assets.example:{port}/a.usda", tmp_path)
    assert "does not answer" in reason and "127.0.0.1" not in reason
    (tmp_path / "stage.usda").unlink()
    fetch = fetching(port, names=Names({}))
    assert "not known" in refused(fetch, f"http://assets.example:{port}/a.usda", tmp_path)


def test_answers_that_are_no_http_are_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n\0\0\0")

        thread = threading.Thread(target=babble)
        thread.start()
        port = listener.getsockname()[1]
        assert "not understood" in refused(fetching(port), f"http://assets.example:{port}/a.usda", tmp_path)
        thread.join(5)


def test_it_can_be_broken_off_from_another_thread(server: Server, tmp_path: Path) -> None:
    began = threading.Event()

    async def hang(request: web.Request) -> AsyncIterator[bytes]:
        yield b"#"
        began.set()
        await asyncio.sleep(60)

    server.answers["/hang.usda"] = lambda request: hang(request)
    fetch = fetching(server.port)

    def cancel() -> None:
        assert began.wait(5)
        fetch.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    begun = time.monotonic()
    assert "broken off" in refused(fetch, f"http://assets.example:{server.port}/hang.usda", tmp_path)
    canceller.join()
    assert time.monotonic() - begun < 5
    (tmp_path / "stage.usda").unlink()
    assert "broken off" in refused(fetch, f"http://assets.example:{server.port}/stage.usda", tmp_path)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for assets.example, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "assets.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("assets.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[tuple[Server, list[str | None]]]:
    """With the names that clients asked for in their handshakes."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    names: list[str | None] = []
    context.sni_callback = lambda connection, name, _: names.append(name)
    made = Server(context)
    made.answers["/stage.usda"] = lambda request: web.Response(body=STAGE)
    yield made, names
    made.close()


def test_tls_is_made_with_the_name_and_checked_against_it(
    tls_server: tuple[Server, list[str | None]], certificate: Path, tmp_path: Path
) -> None:
    server, handshakes = tls_server
    names = Names({"assets.example": ["127.0.0.1"], "wrong.example": ["127.0.0.1"]})
    origins = (f"https://assets.example:{server.port}", f"https://wrong.example:{server.port}")
    fetch = fetching(
        server.port, *origins, names=names, tls=lambda: ssl.create_default_context(cafile=str(certificate))
    )
    url = f"https://assets.example:{server.port}/stage.usda"
    (tmp_path / "a").mkdir()
    assert run(fetch, url, tmp_path / "a").read_bytes() == STAGE
    assert handshakes == ["assets.example"]
    (tmp_path / "b").mkdir()
    assert "certificate" in refused(fetch, url.replace("assets", "wrong"), tmp_path / "b")
    (tmp_path / "c").mkdir()
    assert "certificate" in refused(fetching(server.port, *origins, names=names), url, tmp_path / "c")


def test_a_redirect_never_leaves_https(
    tls_server: tuple[Server, list[str | None]], certificate: Path, tmp_path: Path
) -> None:
    server, _ = tls_server
    server.answers["/down.usda"] = redirect(f"http://assets.example:{server.port}/stage.usda")
    origins = (f"https://assets.example:{server.port}", f"http://assets.example:{server.port}")
    fetch = fetching(server.port, *origins, tls=lambda: ssl.create_default_context(cafile=str(certificate)))
    assert "from https" in refused(fetch, f"https://assets.example:{server.port}/down.usda", tmp_path)


def test_proxies_of_the_environment_are_not_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    url = f"http://assets.example:{server.port}/stage.usda"
    assert run(fetching(server.port), url, tmp_path).read_bytes() == STAGE


def test_the_internets_way_is_the_usual_one() -> None:
    network = Network()
    assert network.admits is is_public
    assert network.tls().verify_mode is ssl.CERT_REQUIRED
    assert not network.admits(str(ipaddress.ip_address("127.0.0.1")))
