"""Values that many broker tests start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal
from uuid import UUID

from broker.core.catalog import (
    Application,
    ApplicationPattern,
    ApplicationVersion,
    Catalog,
    Clocks,
    Profile,
    Resolved,
)
from broker.core.ledger import Claim, Ledger
from broker.core.principal import Principal, Role
from broker.core.session import RelayPorts, Session
from broker.core.slot import Backend, BackendState, SlotRef
from broker.core.step import Facts
from signaling.routes import (
    Admission,
    Endpoint,
    PortRange,
    RelayInfo,
    Route,
    RouteError,
    RouteReport,
    RouteState,
    SignalingKind,
)

ME = Principal("me", Role.USER, "me")
YOU = Principal("you", Role.USER, "you")
ADMIN = Principal("root", Role.ADMIN, "root")
SESSION_ID = "8d5f4c2e-1f0a-4a5b-9c3d-000000000007"
RELAY = RelayInfo("relay-a", "127.0.0.1", PortRange(31000, 31009), capacity=10, version="0.1.0")
ENDPOINT = Endpoint("127.0.0.2", 47000, 47001)
SLOT = SlotRef("process", "default", 0, "default-0-8d5f4c2e")
CLOCKS = Clocks(placement_s=5, start_s=60, first_connection_s=120, reconnect_grace_s=30, idle_s=None, max_length_s=None)


def session_id(number: int) -> str:
    return str(UUID(int=UUID(SESSION_ID).int & ~0xFFFF | number))


def make_profile(
    *,
    command: tuple[str, ...] = ("true",),
    environment: Mapping[str, str] | None = None,
    protocol: Literal["pixelferry", "plain"] = "pixelferry",
    clocks: Clocks = CLOCKS,
    slots: int = 2,
    ready_url: str | None = None,
) -> Profile:
    return Profile(
        id="default",
        name="Default",
        description="",
        applications=(ApplicationPattern("*", ("*",)),),
        provider="process",
        command=command,
        environment=environment or {},
        arguments={"stage": ".*"},
        protocol=protocol,
        signaling=SignalingKind.READABLE,
        admission=Admission.SESSION_ID,
        clocks=clocks,
        slots=slots,
        ready_url=ready_url,
    )


def make_catalog(profile: Profile) -> Catalog:
    version = ApplicationVersion("1.0.0", container="", container_version="", helm_chart="", helm_chart_version="")
    application = Application("app", "App", "", (), None, {"1.0.0": version})
    return Catalog({"app": application}, {profile.id: profile})


def make_resolved(profile: Profile) -> Resolved:
    return make_catalog(profile).resolve("app", "1.0.0", profile.id)


def make_session(*, clocks: Clocks = CLOCKS, at: float = 1000.0) -> Session:
    """As `Sessions.create` drafts it, before it has ports."""
    return Session(
        id=SESSION_ID,
        application="app",
        version="1.0.0",
        profile="default",
        arguments={},
        owner="someone",
        created_at=at,
        updated_at=at,
        pending_since=at,
        clocks=clocks,
        slot=SLOT,
        backend_secret="hush",
    )


def make_facts(
    *,
    backend: Backend | None = None,
    backends_known: bool = True,
    slot_released: bool = False,
    published: Route | None = None,
    report: RouteReport | None = None,
    relays: tuple[RelayInfo, ...] = (RELAY,),
    claims: Mapping[str, Claim] | None = None,
    offer: SlotRef | None = None,
    answering: tuple[str, ...] = (),
    lost: tuple[str, ...] = (),
) -> Facts:
    return Facts(
        backend=backend,
        backends_known=backends_known,
        slot_released=slot_released,
        published=published,
        report=report,
        relays={relay.id: relay for relay in relays},
        ledger=Ledger(claims or {}, {}),
        offer=offer,
        answering_relays=frozenset(answering),
        lost_relays=frozenset(lost),
    )


def make_report(
    ports: RelayPorts,
    *,
    backend: Endpoint = ENDPOINT,
    error: RouteError | None = None,
    signaling_open: int = 0,
    last_client_packet_at: float | None = None,
    last_client_input_at: float | None = None,
) -> RouteReport:
    return RouteReport(
        SESSION_ID,
        ports.relay_id,
        ports.signaling_port,
        ports.media_port,
        backend,
        RouteState.ACTIVE if error is None else RouteState.FAILED,
        error,
        signaling_open,
        last_client_packet_at=last_client_packet_at,
        last_client_input_at=last_client_input_at,
    )


def claimed_backend() -> Backend:
    return Backend(BackendState.CLAIMED, ENDPOINT, SESSION_ID)


def with_ports(session: Session) -> Session:
    return replace(session, ports=RelayPorts("relay-a", "127.0.0.1", 31000, 31001), backend=ENDPOINT)
