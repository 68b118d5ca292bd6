"""What the operator's page shows: sessions, slots, queue, relays, and the last hour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from aiohttp import web

from broker.api.answers import json_answer
from broker.api.auth import principal_of
from broker.api.representation import rfc3339
from broker.core.catalog import Catalog
from broker.core.clocks import next_alarm
from broker.core.history import STEP_S, History, Step
from broker.core.node_placement import capacity
from broker.core.session import EndReason, Session
from broker.sessions import Sessions
from broker.stores.nodes import NodeStore
from signaling.routes import Json, RelayInfo
from signaling.table import RouteTable

PATH = "/operator/data"

_MOST_SESSIONS = 500
"""So many are listed, the oldest first; how many there are is told besides."""


class OperatorApi:
    """`GET /operator/data`. `traffic` tells what relays of this process carried, in bytes by direction."""

    def __init__(
        self,
        sessions: Sessions,
        routes: RouteTable,
        catalog: Callable[[], Catalog],
        history: History,
        nodes: NodeStore,
        *,
        version: str,
        traffic: Callable[[], Mapping[str, int]],
    ) -> None:
        self._sessions = sessions
        self._routes = routes
        self._catalog = catalog
        self._history = history
        self._nodes = nodes
        self._version = version
        self._traffic = traffic

    def routes(self) -> Sequence[web.RouteDef]:
        """As aiohttp wants them."""
        return (web.get(PATH, self.get),)

    async def get(self, request: web.Request) -> web.Response:
        """All of it at once."""
        now = await self._sessions.now()
        known = await self._sessions.list(by=principal_of(request), ended_too=True)
        live = [session for session in known if session.ended_at is None]
        holding = [session for session in known if session.slot is not None or session.ports is not None]
        traffic: dict[str, Json] = {**self._traffic()}
        return json_answer(
            {
                "now": rfc3339(now),
                "version": self._version,
                "count": len(live),
                "sessions": [self._session(session, now) for session in live[:_MOST_SESSIONS]],
                "slots": self._slots(live, holding),
                "relays": _relays(await self._routes.relays(), holding),
                "traffic": traffic,
                "history": _history(self._history.steps(now)),
            }
        )

    def _session(self, session: Session, now: float) -> Json:
        place, alarm = self._sessions.place_of(session, now), next_alarm(session, None, self._sessions.pauses)
        return {
            "id": session.id,
            "owner": session.owner,
            "application": session.application,
            "version": session.version,
            "profile": session.profile,
            "state": session.state.value,
            "phase": session.phase.value if session.phase is not None else None,
            "message": session.message,
            "viewer_present": session.viewer_present,
            "created_at": rfc3339(session.created_at),
            "ready_at": None if session.ready_at is None else rfc3339(session.ready_at),
            "alarm": None if alarm is None else {"at": rfc3339(alarm.at), "reason": alarm.reason.value},
            "queue": None if place is None else {"position": place.position, "eta_s": place.eta_s},
        }

    def _slots(self, live: Iterable[Session], holding: Iterable[Session]) -> Json:
        fleet, now = self._nodes.fleet(), self._nodes.now()
        used = [session.slot.profile for session in holding if session.slot is not None]
        waiting = [session.profile for session in live if session.phase is not None and session.phase.value == "queued"]
        return [
            {
                "profile": profile.id,
                "name": profile.name,
                "used": used.count(profile.id),
                "total": capacity(profile, fleet, now),
                "queued": waiting.count(profile.id),
            }
            for profile in self._catalog().profiles.values()
        ]


def _relays(relays: Mapping[str, RelayInfo], holding: Iterable[Session]) -> Json:
    carried = [session.ports.relay_id for session in holding if session.ports is not None]
    return [
        {
            "id": relay.id,
            "host": relay.host,
            "capacity": relay.capacity,
            "sessions": carried.count(relay.id),
            "draining": relay.draining,
            "version": relay.version,
        }
        for relay in relays.values()
    ]


def _history(steps: Sequence[Step]) -> Json:
    return {
        "step_s": STEP_S,
        "begins": rfc3339(steps[0].begins) if steps else None,
        "created": [step.created for step in steps],
        "live": [step.most_live for step in steps],
        "queued": [step.most_queued for step in steps],
        "ended": {
            reason.value: [step.ended[reason] for step in steps]
            for reason in EndReason
            if any(step.ended[reason] for step in steps)
        },
    }
