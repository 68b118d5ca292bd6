"""The signaling port of one route: admits connections by their first head and gives each to what carries it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Coroutine, Mapping
from contextlib import suppress

from signaling.core.admission import Admitted
from signaling.core.handshake import CloseCode, Head, as_only, selected_protocol, to_backend
from signaling.core.media_path import MediaPort, ViewerPath
from signaling.doorkeeper import Doorkeeper
from signaling.errors import TooManyViewers
from signaling.handover_sockets import Inherited, Packing
from signaling.handover_state import BridgeSnapshot, ReaderSnapshot, SignalingSnapshot, SpliceSnapshot
from signaling.heads import REASONS, HeadReader, refusal_response
from signaling.http import HttpSignaling
from signaling.http_viewers import HttpViewers
from signaling.metrics import RelayCounters, SignalingRefusal
from signaling.opening import BackendRefused, Opening
from signaling.routes import Admission, Route, SignalingKind
from signaling.settings import RelaySettings
from signaling.sockets import listening_socket
from signaling.tcp import Splice
from signaling.upgrade import BadHandshake, refusing
from signaling.viewer import BackendUnreachable, Viewer
from signaling.websocket import Bridge

logger = logging.getLogger(__name__)

_SWEEP_S = 20.0
_BACKLOG = 128
_TOLD_BY_CLOSE = {
    SignalingRefusal.NO_TOKEN,
    SignalingRefusal.BAD_TOKEN,
    SignalingRefusal.EXPIRED_TOKEN,
    SignalingRefusal.VIEWER_ROLE,
}


Connection = Bridge | Splice
"""An admitted signaling connection."""


class SignalingPort:
    """Listens from `open` to `close`."""

    def __init__(
        self,
        route: Route,
        media: MediaPort,
        settings: RelaySettings,
        counters: RelayCounters,
        *,
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        self._doorkeeper = doorkeeper or Doorkeeper()
        self._route = route
        self._media = media
        self._settings = settings
        self._counters = counters
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None
        self._restored: list[tuple[Connection, socket.socket, socket.socket]] = []
        self._undecided: list[tuple[socket.socket, bytes]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._readers: dict[HeadReader, None] = {}  # in the order in which they came
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._viewers = HttpViewers(route, media)
        self._http = HttpSignaling(route, settings, counters, self._viewers, self._refused, self._doorkeeper)

    @property
    def signaling_open(self) -> int:
        """Viewers whose signaling is open."""
        return len(self._connections) + self._viewers.present

    async def open(self) -> None:
        """Bind the route's signaling port; raises OSError."""
        loop = asyncio.get_running_loop()
        port = self._settings.bound_port(self._route.signaling_port)
        listener = listening_socket(self._settings.host, port)
        try:
            self._server = await loop.create_server(self._accept, sock=listener, backlog=_BACKLOG)
        except BaseException:
            listener.close()
            raise
        self._timer = loop.call_later(_SWEEP_S, self._sweep_again)

    # To a successor.

    def hold(self, *, held: bool) -> None:
        """While held, nothing is read that would wait behind what is to be sent already."""
        for connection in list(self._connections):
            connection.hold(held=held)

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent to any client or backend."""
        return all(connection.is_flushed for connection in self._connections)

    def snapshot(self, packing: Packing) -> SignalingSnapshot:
        """The whole port. Who is not admitted yet, or whose backend does not answer yet, begins anew with its bytes."""
        assert self._server is not None
        told = [connection.snapshot(packing) for connection in self._connections]
        return SignalingSnapshot(
            packing.add(self._server.sockets[0]),
            tuple(one for one in told if isinstance(one, BridgeSnapshot)),
            tuple(one for one in told if isinstance(one, SpliceSnapshot)),
            tuple(
                ReaderSnapshot(packing.add(reader.transport.get_extra_info("socket")), bytes(reader.data))
                for reader in self._readers
                if reader.is_undecided
            ),
            self._viewers.snapshot(),
        )

    def restore(self, told: SignalingSnapshot, paths: Mapping[str, ViewerPath], inherited: Inherited) -> None:
        """Take a predecessor's port, in the place of `open`; `resume` begins. Raises ValueError."""
        self._viewers.restore(told.http_viewers, paths)
        for bridge in told.bridges:
            hops = inherited.take(bridge.client.sock), inherited.take(bridge.backend.sock)
            self._restored.append((Bridge.restored(self._viewer(bridge, paths), bridge, self._left), *hops))
        for splice in told.splices:
            halves = inherited.take(splice.client), inherited.take(splice.backend)
            self._restored.append((Splice(self._viewer(splice, paths), self._left), *halves))
        self._listener = inherited.take(told.listener)
        self._undecided = [(inherited.take(reader.sock), reader.data) for reader in told.readers]
        kept = {connection.viewer.id for connection, _, _ in self._restored} | {one.id for one in told.http_viewers}
        for path in [path for viewer_id, path in paths.items() if viewer_id not in kept]:
            path.close()

    def _viewer(self, told: BridgeSnapshot | SpliceSnapshot, paths: Mapping[str, ViewerPath]) -> Viewer:
        if told.viewer not in paths:
            raise ValueError(f"a viewer has no media path: {told.viewer}")
        return Viewer(told.viewer, self._route, paths[told.viewer], self._settings, self._counters, told.role)

    async def resume(self) -> None:
        """Go on where the predecessor was; a connection that cannot is cut."""
        loop = asyncio.get_running_loop()
        restored, self._restored = self._restored, []
        for connection, client, backend in restored:
            self._connections.add(connection)
            self._empty.clear()
            try:
                await connection.resume(client, backend)
            except OSError:
                connection.abort()
                connection.viewer.path.close()
                self._left(connection)
        assert self._listener is not None
        self._server = await loop.create_server(self._accept, sock=self._listener, backlog=_BACKLOG)
        for sock, data in self._undecided:
            await self._begin_anew(sock, data)
        self._timer = loop.call_later(_SWEEP_S, self._sweep_again)

    async def _begin_anew(self, sock: socket.socket, data: bytes) -> None:
        reader = self._accept()
        reader.data += data
        with suppress(OSError):  # gone meanwhile
            await asyncio.get_running_loop().connect_accepted_socket(lambda: reader, sock)
            reader.data_received(b"")

    def abandon(self) -> None:
        """A successor has everything: say nothing to anybody."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.abort()
        for reader in list(self._readers):
            reader.transport.abort()

    async def close(self, code: int) -> None:
        """Stop listening, tell the viewers why, and cut who has not left in time. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._timer is not None:
            self._timer.cancel()
        for reader in list(self._readers):
            reader.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.close(code)
        try:
            async with asyncio.timeout(self._settings.close_timeout_s + 1):
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._http.close()
                await self._empty.wait()
        except TimeoutError:
            logger.info("viewers were cut", extra={"route": self._route.session_id})
        finally:
            for connection in list(self._connections):
                connection.abort()
            self._viewers.close()

    def _accept(self) -> HeadReader:
        return HeadReader(
            max_bytes=self._settings.head_max_bytes,
            timeout_s=self._settings.handshake_timeout_s,
            raw=self._route.signaling is SignalingKind.OPAQUE and self._route.admission is Admission.ADDRESS,
            on_made=self._made,
            on_head=self._decide,
            on_refused=self._refused,
            on_done=lambda reader: self._readers.pop(reader, None),
        )

    def _made(self, reader: HeadReader) -> None:
        """Count a handshake; of too many, the one that takes the longest is cut: strangers then keep no viewer out.

        It is cut without a word, as answering it would cost more than it is worth.
        """
        if len(self._readers) + self._http.connections >= self._settings.max_handshakes:
            self._refused(SignalingRefusal.TOO_MANY_HANDSHAKES)
            slowest = next((waiting for waiting in self._readers if waiting.task is None), reader)
            self._readers.pop(slowest, None)
            slowest.transport.abort()
            if slowest is reader:
                return
        self._readers[reader] = None

    def _refused(self, refusal: SignalingRefusal) -> None:
        self._counters.signaling_refused.add(refusal)

    def _decide(self, reader: HeadReader, head: Head | None) -> None:
        if head is None:
            self._start(reader, head, Admitted())
            return
        admitted = self._doorkeeper.admit(head, self._route)
        if not isinstance(admitted, Admitted):
            self._refuse(reader, head, admitted)
        elif self._route.signaling is SignalingKind.READABLE and not head.is_websocket:
            protocol = self._http.take(reader.transport)
            reader.hand_over(protocol)
            reader.transport.resume_reading()
            protocol.data_received(bytes(reader.data))
        else:
            self._start(reader, head, admitted)

    def _refuse(self, reader: HeadReader, head: Head, refusal: SignalingRefusal) -> None:
        """Refuse a head; a page is told what is wrong with its token by a close, for of a 403 it learns nothing."""
        if refusal not in _TOLD_BY_CLOSE or not head.is_websocket or head.get("origin") is None:
            reader.refuse(refusal)
            return
        self._refused(refusal)
        protocol = selected_protocol(head.protocols, self._route, None)
        reason = f"{refusal}: {REASONS[refusal][1]}"
        try:
            told = refusing(bytes(reader.data[: reader.head_length]), protocol, CloseCode.REFUSED, reason)
        except BadHandshake as bad:
            told = bad.response
        reader.send_and_close(told)

    def _start(self, reader: HeadReader, head: Head | None, admitted: Admitted) -> None:
        serving = self._serve(reader, head, admitted)
        task = asyncio.create_task(serving, name=f"signaling handshake {self._route.session_id}")
        reader.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: HeadReader, head: Head | None, admitted: Admitted) -> None:
        try:
            viewer = self._open_viewer(reader, admitted)
        except TooManyViewers:
            reader.refuse(SignalingRefusal.TOO_MANY_VIEWERS)
            return
        connected = False
        try:
            async with asyncio.timeout(self._settings.backend_timeout_s):
                connected = await self._connect(reader, viewer, head)
        except (BackendUnreachable, TimeoutError):
            reader.refuse(SignalingRefusal.BACKEND_UNREACHABLE)
        except BadHandshake as bad:
            self._refused(SignalingRefusal.BAD_HEAD)
            reader.send_and_close(bad.response or refusal_response(SignalingRefusal.BAD_HEAD))
        except BackendRefused as refused:
            self._refused(SignalingRefusal.BACKEND_REFUSED)
            reader.send_and_close(refused.response)
        except Exception:
            logger.exception("signaling handshake failed", extra={"route": self._route.session_id})
            reader.transport.abort()
        finally:
            if not connected:
                viewer.path.close()

    def _open_viewer(self, reader: HeadReader, admitted: Admitted) -> Viewer:
        viewer_id = secrets.token_hex(8)
        path = self._media.open_viewer(viewer_id, reader.client_host)
        return Viewer(viewer_id, self._route, path, self._settings, self._counters, admitted.role)

    async def _connect(self, reader: HeadReader, viewer: Viewer, head: Head | None) -> bool:
        data, length = reader.data, reader.head_length
        if self._route.signaling is SignalingKind.OPAQUE:
            splice = Splice(viewer, self._left)
            first = b"" if head is None else as_only(to_backend(head, self._route, viewer.id, viewer.role)).serialize()
            await self._open(splice, splice.connect(first + data[length:]))
            reader.hand_over(splice.client)
            splice.start(reader.transport)
        else:
            assert head is not None
            opening = Opening(viewer, head, bytes(data[:length]), self._left)
            await self._open(opening.bridge, opening.connect())
            reader.hand_over(opening.bridge.client)
            opening.start(reader.transport, bytes(data[length:]))
        return True

    async def _open(self, connection: Connection, opening: Coroutine[None, None, None]) -> None:
        try:
            await opening
        except BaseException:
            connection.abort()
            raise
        self._connections.add(connection)
        self._empty.clear()

    def _left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def sweep(self) -> None:
        """Look after what is silent; called every 20 s while open."""
        for connection in list(self._connections):
            connection.sweep()
        self._viewers.sweep()

    def _sweep_again(self) -> None:
        self.sweep()
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_again)
