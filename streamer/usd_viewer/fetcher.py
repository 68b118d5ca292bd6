"""Fetches one stage by http(s) into a file: the only place from which the USD viewer reaches the network.

A name is resolved once per connection, every address that it has is judged, and the connection goes to an address that
was judged, with the name in `Host` and in TLS. So a name server cannot answer once with a public address and then with
a private one. Redirects are judged like the first URL.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from streamer.usd_viewer.stage_policy import StageRefused
from streamer.usd_viewer.web_policy import WebPolicy, is_public, shown_url, stage_suffix

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 5
_CONNECT_S = 10.0
_QUIET_S = 20.0
_GOODBYE_S = 0.05
"""So long a connection that failed has for its end, which aiohttp does not wait for."""

_CHUNK_BYTES = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BROKEN_OFF = "its loading was broken off"


@dataclass(frozen=True, slots=True)
class Network:
    """How names are resolved and addresses judged: the internet's way, unless a test has one of its own."""

    resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver
    admits: Callable[[str], bool] = is_public
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context


@dataclass(slots=True)
class StageFetch:
    """One fetching, in the calling thread; `cancel` may be called from any other.

    Args:
        progress: called with the bytes that came and all that will, None where the server does not say.
    """

    policy: WebPolicy
    network: Network
    max_bytes: int
    wall_s: float
    progress: Callable[[int, int | None], None]
    _cancelled: bool = False
    _loop: asyncio.AbstractEventLoop | None = None
    _task: "asyncio.Task[None] | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, text: str, folder: Path) -> Path:
        """Fetch the stage of this URL into a file in `folder`. StageRefused with the reason, whatever goes wrong."""
        url = self.policy.admit(text)
        path = folder / f"stage{stage_suffix(url)}"
        with asyncio.Runner() as runner, path.open("xb") as file:
            loop = runner.get_loop()
            # Its thread may hang in the system's resolver; nobody waits for it.
            loop.set_default_executor(_Resolving(max_workers=1, thread_name_prefix="usd-resolve"))
            runner.run(self._fetch_bounded(url, file))
        return path

    def cancel(self) -> None:
        """Break it off; `run` then raises. Idempotent."""
        with self._lock:
            self._cancelled = True
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)

    async def _fetch_bounded(self, url: URL, file: IO[bytes]) -> None:
        with self._lock:
            if self._cancelled:
                raise StageRefused(_BROKEN_OFF)
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.create_task(self._fetch(url, file), name="usd-fetch")
        try:
            async with asyncio.timeout(self.wall_s):
                await self._task
        except asyncio.CancelledError as error:
            if not self._cancelled:
                raise
            raise StageRefused(_BROKEN_OFF) from error
        except aiohttp.ClientError as error:  # its time-outs are TimeoutErrors too
            await asyncio.sleep(_GOODBYE_S)
            logger.warning("a stage was not fetched: %s", type(error).__name__)
            raise StageRefused(f"'{shown_url(str(url))}' cannot be fetched: {_in_words(error)}") from error
        except TimeoutError as error:
            raise StageRefused(f"'{shown_url(str(url))}' was not fetched within {self.wall_s:g} seconds") from error
        finally:
            with self._lock:
                self._loop = self._task = None

    async def _fetch(self, url: URL, file: IO[bytes]) -> None:
        resolver = _JudgingResolver(self.network)
        connector = aiohttp.TCPConnector(
            resolver=resolver, ssl=self.network.tls(), use_dns_cache=False, force_close=True, limit=1
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_QUIET_S),
            headers={"User-Agent": "pixelferry", "Accept-Encoding": "identity"},
            # What comes is taken as it is: a small body cannot unfold into a large one.
            auto_decompress=False,
            trust_env=False,
        ) as client:
            for _ in range(MAX_REDIRECTS + 1):
                self._judge_literal(url)
                async with client.get(url, allow_redirects=False) as answer:
                    if answer.status not in _REDIRECTS:
                        await self._save(answer, file)
                        return
                    url = self._redirected(url, answer.headers.get("Location"))
        raise StageRefused(f"'{shown_url(str(url))}' redirects more than {MAX_REDIRECTS} times")

    def _judge_literal(self, url: URL) -> None:
        """An address that stands in the URL itself is never resolved, so it is judged here."""
        host = url.host or ""
        if _is_literal(host) and not self.network.admits(host):
            raise _not_public(host)

    def _redirected(self, url: URL, location: str | None) -> URL:
        if not location:
            raise StageRefused(f"'{shown_url(str(url))}' redirects nowhere")
        try:
            target = url.join(URL(location, encoded=True))
        except ValueError as error:
            raise StageRefused(f"'{shown_url(str(url))}' redirects to what is no URL") from error
        if url.scheme == "https" and target.scheme != "https":
            raise StageRefused(f"'{shown_url(str(url))}' redirects from https to '{shown_url(str(target))}'")
        return self.policy.admit(str(target))

    async def _save(self, answer: aiohttp.ClientResponse, file: IO[bytes]) -> None:
        shown = shown_url(str(answer.url))
        if answer.status != 200:
            raise StageRefused(f"'{shown}' was answered with status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise StageRefused(f"'{shown}' came compressed, which was not asked for")
        expected, came = answer.content_length, 0
        self._check_size(shown, expected or 0)
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            came += len(chunk)
            self._check_size(shown, came)
            file.write(chunk)
            self.progress(came, expected)

    def _check_size(self, shown: str, size: int) -> None:
        if size > self.max_bytes:
            mebibytes = self.max_bytes / 2**20
            raise StageRefused(f"'{shown}' is larger than the {mebibytes:g} MiB that may be fetched")


class _JudgingResolver(AbstractResolver):
    """Resolves through another resolver and lets nothing through unless all of its addresses are admitted."""

    def __init__(self, network: Network) -> None:
        self._inner = network.resolver()
        self._admits = network.admits

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(self._admits(result["host"]) for result in found):
            raise _not_public(host)
        return found

    async def close(self) -> None:
        await self._inner.close()


class _Resolving(ThreadPoolExecutor):
    """Ends without waiting for its thread."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


def _not_public(host: str) -> StageRefused:
    return StageRefused(f"'{host}' is not a host of the public internet; stages are not fetched from other networks")


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _in_words(error: aiohttp.ClientError) -> str:
    """What a viewer may know: not the resolved address, which aiohttp's own words hold."""
    match error:
        case aiohttp.ServerTimeoutError():
            return "its host does not answer in time"
        case aiohttp.ClientConnectorDNSError():
            return "its host is not known"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "its certificate is not trusted"
        case aiohttp.ClientConnectorError():
            return "its host does not answer"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "the connection broke off"
        case _:
            return "its answer is not understood"
