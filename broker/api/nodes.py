"""Nodes over HTTP: they register and say that they live, say goodbye, and admins see them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from aiohttp import web

from broker.api.answers import json_answer
from broker.api.auth import Audience, Authenticator, audiences_of
from broker.api.body import parsed, path_of, read_json, require_json
from broker.api.node_models import NodePath, NodeSaid, NodesReply, RegisteredReply
from broker.api.operation import Operation, Reply, described
from broker.core.ledger import Ledger
from broker.core.node import Fleet, Node, presence_in, takes_sessions
from broker.core.session import State
from broker.core.slot import node_slot_claim
from broker.errors import BrokerError, Conflict, Forbidden, NotFound
from broker.identity.identity import bearer_of
from broker.identity.networks import Networks
from broker.identity.node_tokens import NodeAddresses, NodeTokens
from broker.stores.base import Store
from broker.stores.nodes import NodeStore
from signaling.routes import Json

logger = logging.getLogger(__name__)

_ONE = "/nodes/{name}"
_UNKNOWN_S = 60.0
"""A session that the store does not know may be one that it lost and that a relay is about to bring back."""


class NodesApi:
    """`/nodes`. `listed` are the names of nodes in the node file, which nobody may register.

    `authenticate` finds out which admin it is that takes a node out, where it is not the node itself.
    """

    def __init__(
        self,
        nodes: NodeStore,
        store: Store,
        *,
        tokens: NodeTokens,
        addresses: NodeAddresses,
        authenticate: Authenticator,
        trusted_proxies: Networks,
        listed: Collection[str] = (),
    ) -> None:
        self._nodes = nodes
        self._store = store
        self._tokens = tokens
        self._addresses = addresses
        self._authenticate = authenticate
        self._proxies = trusted_proxies
        self._listed = frozenset(listed)
        self._unknown: dict[str, dict[tuple[int, str], float]] = {}

    def routes(self) -> Sequence[web.RouteDef]:
        """As aiohttp wants them."""
        return web.get("/nodes", self.list), web.put(_ONE, self.register), web.delete(_ONE, self.leave)

    def audiences(self) -> Mapping[tuple[str, str], Audience]:
        """Admins see nodes; who registers is found out here, by a token that is good for nothing else."""
        listing, *own = self.routes()
        return {**audiences_of([listing], Audience.ADMINS), **audiences_of(own, Audience.EVERYONE)}

    @described(
        Operation(
            "listNodes",
            "List the nodes",
            {200: Reply("All nodes, those that were heard lately and not.", NodesReply)},
            tag="Nodes",
        )
    )
    async def list(self, request: web.Request) -> web.Response:
        """For admins: where streaming backends run by themselves, whether they are heard, and who has which slot."""
        fleet, ledger = self._nodes.fleet(), await self._store.ledger()
        items = [_node_json(fleet.nodes[name], fleet, ledger, self._nodes.now()) for name in sorted(fleet.nodes)]
        return json_answer({"items": items})

    @described(
        Operation(
            "registerNode",
            "Register a node, or say that it lives",
            {200: Reply("It is known, with all that it said.", RegisteredReply)},
            tag="Nodes",
            errors=(401, 409, 422),
            path=NodePath,
            body=(NodeSaid,),
        )
    )
    async def register(self, request: web.Request) -> web.Response:
        """For nodes, with a token of theirs as bearer token and from the networks that are allowed.

        To be repeated every `heartbeat_s` and at once when something changes. 409 where another machine has the name.
        """
        name = path_of(request, NodePath).name
        peer = self._admitted(request, name)
        require_json(request)
        said = parsed(NodeSaid, await read_json(request), "body")
        if name in self._listed:
            raise Conflict(f"Node {name!r} stands in the node file, so nobody may register it: take another name.")
        host = peer if said.host is None else self._addresses.checked(said.host)
        node = await self._nodes.put(said.node(name, host))
        if node.steady_since == node.heard_at:
            logger.info("node %s registers from %s with %d slots", name, host, len(node.slots))
        release = await self._left_behind(node)
        heartbeat_s = self._nodes.fleet().clocks.heartbeat_s
        return json_answer({"name": name, "heartbeat_s": heartbeat_s, "release": release})

    @described(
        Operation(
            "removeNode",
            "Take a node out",
            {204: Reply("It is out; sessions that it had end as `node_lost`.")},
            tag="Nodes",
            errors=(401, 404, 422),
            path=NodePath,
        )
    )
    async def leave(self, request: web.Request) -> web.Response:
        """For the node itself, which ends what runs on it, and for admins. One that lives registers anew."""
        name = path_of(request, NodePath).name
        try:
            self._admitted(request, name)
        except BrokerError:
            if not (await self._authenticate(request)).is_admin:
                raise Forbidden from None
        if not await self._nodes.leave(name):
            raise NotFound("node", name)
        logger.info("node %s leaves", name)
        return web.Response(status=204)

    def _admitted(self, request: web.Request, name: str) -> str:
        """The address that a node comes from. Raises Unauthenticated, Forbidden."""
        self._tokens.check(bearer_of(request.headers), name)
        peer = str(request.get_extra_info("peername", ("",))[0]).partition("%")[0]
        client = self._proxies.client_of(peer, request.headers.getall("X-Forwarded-For", []))
        return self._addresses.checked(client)

    async def _left_behind(self, node: Node) -> Sequence[Json]:
        """What backends of the node still have, though it is over or elsewhere."""
        ledger = await self._store.ledger()
        before = self._unknown.pop(node.name, {})
        left: list[Json] = []
        for slot in node.slots:
            claim = node_slot_claim(node.name, slot.number)
            if slot.session_id is None or ledger.owner(claim) == slot.session_id:
                continue
            session, seen = await self._store.read(slot.session_id), (slot.number, slot.session_id)
            if session is None:
                since = self._unknown.setdefault(node.name, {})[seen] = before.get(seen, node.heard_at)
                is_over = node.heard_at - since >= _UNKNOWN_S
            else:
                is_over = session.state is State.ENDED or session.slot is None or session.slot.claim != claim
            if is_over:
                left.append({"number": slot.number, "session_id": slot.session_id})
        return left


def _node_json(node: Node, fleet: Fleet, ledger: Ledger, now: float) -> Json:
    slots: list[Json] = [
        {
            "number": slot.number,
            "state": slot.state.value,
            "session_id": ledger.owner(node_slot_claim(node.name, slot.number)),
            "message": slot.message,
        }
        for slot in node.slots
    ]
    return {
        "name": node.name,
        "host": node.host,
        "zone": node.zone,
        "labels": dict(node.labels),
        "presence": presence_in(fleet, node, now).value,
        "takes_sessions": takes_sessions(node, now, fleet.clocks),
        "draining": node.draining,
        "version": node.version,
        "last_heard_s": round(max(now - node.heard_at, 0), 3),
        "slots": slots,
    }
