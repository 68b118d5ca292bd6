from __future__ import annotations

from dataclasses import replace

import pytest
from aioice import stun

from signaling.core.flow import AMPLIFICATION, FlowLimits, FlowTable
from signaling.core.media_path import IceCredentials, Side
from signaling.core.snapshots import FlowTableSnapshot
from signaling.core.verdict import Drop, Kept, ToBackend, ToClient
from signaling.metrics import MediaDrop
from tests.signaling.stun_messages import BACKEND, CLIENT, DTLS, SRTP, indication, request, response
from tests.signaling.told import told

HOME = ("192.0.2.1", 5000)
AWAY = ("192.0.2.1", 5001)
THIEF = ("203.0.113.9", 5000)
OTHER = IceCredentials("othr", "other-client-password-o")
MALFORMED = request()[:-1]


def table(*, limits: FlowLimits | None = None, opaque: bool = False, lite: bool = False) -> FlowTable:
    """A table with one viewer, whose credentials are known unless nobody can read them."""
    flows = FlowTable(limits or FlowLimits(), opaque=opaque)
    flows.open_viewer("v1", HOME[0])
    if not opaque:
        flows.learn("v1", Side.CLIENT, CLIENT)
        flows.learn("v1", Side.BACKEND, IceCredentials(BACKEND.ufrag, BACKEND.pwd, lite))
    return flows


def test_a_viewer_is_known_by_the_host_of_its_signaling() -> None:
    flows = table()
    flows.open_viewer("v2", "::ffff:192.0.2.9")
    assert flows.client_host("v2") == "192.0.2.9"


def admitted(verdict: ToBackend | Drop) -> ToBackend:
    assert isinstance(verdict, ToBackend), verdict
    return verdict


def confirm(flows: FlowTable, source: tuple[str, int] = HOME, *, now: float = 0) -> int:
    """Take an address through ICE; returns its flow."""
    flow = admitted(flows.from_client(source, request(), now)).flow
    check = request(to=CLIENT, by=BACKEND)
    assert flows.from_backend(flow, check, now) == ToClient(source)
    assert admitted(flows.from_client(source, response(check, CLIENT.pwd), now)).confirmed
    return flow


def test_authenticated_request_opens_a_tentative_flow() -> None:
    flows = table()
    verdict = flows.from_client(HOME, request(), 0)
    assert verdict == ToBackend(0, "v1", confirmed=False, ufrag="back", opened=True)
    assert flows.from_client(HOME, request(), 0) == ToBackend(0, "v1", confirmed=False, ufrag="back")


@pytest.mark.parametrize(
    ("datagram", "cause"),
    [
        (b"", MediaDrop.NOT_ADMITTED),
        (SRTP, MediaDrop.NOT_ADMITTED),
        (DTLS, MediaDrop.NOT_ADMITTED),
        (indication(), MediaDrop.NOT_ADMITTED),
        (response(request(), CLIENT.pwd), MediaDrop.NOT_ADMITTED),
        (MALFORMED, MediaDrop.MALFORMED),
        (request(to=CLIENT), MediaDrop.UNKNOWN_USER),
        (bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)), MediaDrop.UNKNOWN_USER),
        (request(pwd="wrong"), MediaDrop.BAD_INTEGRITY),
    ],
)
def test_stranger_is_dropped_with_the_cause(datagram: bytes, cause: MediaDrop) -> None:
    flows = table()
    assert flows.from_client(HOME, datagram, 0) == Drop(cause)
    assert len(flows) == 0


def test_request_may_come_before_the_clients_credentials() -> None:
    flows = FlowTable(FlowLimits())
    flows.open_viewer("v1", HOME[0])
    flows.learn("v1", Side.BACKEND, BACKEND)
    assert admitted(flows.from_client(HOME, request(), 0)).opened
    check = request(to=CLIENT, by=BACKEND)
    flows.from_backend(0, check, 0)
    assert flows.from_client(HOME, response(check, CLIENT.pwd), 0) == Drop(MediaDrop.BAD_INTEGRITY)
    flows.learn("v1", Side.CLIENT, CLIENT)
    assert admitted(flows.from_client(HOME, response(check, CLIENT.pwd), 0)).confirmed


def test_tentative_flow_carries_stun_alone() -> None:
    flows = table()
    flows.from_client(HOME, request(), 0)
    for datagram in (SRTP, DTLS, b"", indication()):
        assert flows.from_client(HOME, datagram, 0) == Drop(MediaDrop.NOT_CONFIRMED)
    for datagram in (SRTP, DTLS):
        assert flows.from_backend(0, datagram, 0) == Drop(MediaDrop.NOT_CONFIRMED)
    assert flows.from_client(HOME, MALFORMED, 0) == Drop(MediaDrop.MALFORMED)
    assert flows.from_backend(0, MALFORMED, 0) == Drop(MediaDrop.MALFORMED)


def test_confirmed_flow_carries_everything_but_forged_requests() -> None:
    flows = table()
    flow = confirm(flows)
    for datagram in (SRTP, DTLS, b"", MALFORMED, indication(), response(request(), "unknown")):
        assert flows.from_client(HOME, datagram, 0) == ToBackend(flow, "v1", confirmed=True)
        assert flows.from_backend(flow, datagram, 0) == ToClient(HOME)
    assert flows.from_client(HOME, request(pwd="wrong"), 0) == Drop(MediaDrop.BAD_INTEGRITY)
    assert admitted(flows.from_client(HOME, request(), 0)).confirmed


def test_answer_confirms_only_if_it_is_the_clients_to_a_check_that_was_passed() -> None:
    flows = table()
    flows.from_client(HOME, request(), 0)
    check = request(to=CLIENT, by=BACKEND)
    assert flows.from_client(HOME, response(check, CLIENT.pwd), 0) == Drop(MediaDrop.UNKNOWN_TRANSACTION)
    flows.from_backend(0, check, 0)
    assert flows.from_client(HOME, response(check, "guessed"), 0) == Drop(MediaDrop.BAD_INTEGRITY)
    assert flows.from_client(HOME, response(request(), CLIENT.pwd), 0) == Drop(MediaDrop.UNKNOWN_TRANSACTION)
    assert flows.from_client(AWAY, response(check, CLIENT.pwd), 0) == Drop(MediaDrop.NOT_ADMITTED)
    error = response(check, CLIENT.pwd, kind=stun.Class.ERROR)
    assert flows.from_client(HOME, error, 0) == ToBackend(0, "v1", confirmed=False)
    assert flows.from_client(HOME, response(check, CLIENT.pwd), 0) == ToBackend(0, "v1", confirmed=True)


def test_before_a_full_backend_further_requests_prove_nothing() -> None:
    flows = table()
    asked = request()
    flows.from_client(HOME, asked, 0)
    flows.from_backend(0, response(asked, BACKEND.pwd), 0)
    assert not admitted(flows.from_client(HOME, request(), 0)).confirmed


def test_before_a_lite_backend_a_new_request_after_a_response_confirms() -> None:
    flows = table(lite=True)
    asked = request()
    flows.from_client(HOME, asked, 0)
    assert not admitted(flows.from_client(HOME, request(), 0)).confirmed, "no response yet"
    assert flows.from_backend(0, response(asked, BACKEND.pwd), 0) == ToClient(HOME)
    assert not admitted(flows.from_client(HOME, asked, 0)).confirmed, "a retransmission"
    assert admitted(flows.from_client(HOME, request(), 0)).confirmed


def test_backend_answers_only_what_this_client_asked() -> None:
    flows = table()
    flows.from_client(HOME, request(), 0)
    assert flows.from_backend(0, response(request(), BACKEND.pwd), 0) == Drop(MediaDrop.UNKNOWN_TRANSACTION)
    assert flows.from_backend(7, SRTP, 0) == Drop(MediaDrop.NO_CLIENT)


def test_transaction_of_one_address_is_refused_from_another() -> None:
    flows = table()
    asked = request()
    flows.from_client(HOME, asked, 0)
    assert flows.from_client(THIEF, asked, 0) == Drop(MediaDrop.REPLAYED)
    flows.sweep(1000)
    assert flows.from_client(THIEF, asked, 1000) == Drop(MediaDrop.REPLAYED), "also after the flow ended"
    assert admitted(flows.from_client(HOME, asked, 1000)).opened


def test_tentative_address_gets_three_times_its_bytes() -> None:
    flows = table()
    asked = request()
    flows.from_client(HOME, asked, 0)
    check = request(to=CLIENT, by=BACKEND)
    verdicts = [flows.from_backend(0, check, 0) for _ in range(5)]
    allowed = AMPLIFICATION * len(asked) // len(check)
    assert verdicts == [ToClient(HOME)] * allowed + [Drop(MediaDrop.AMPLIFICATION)] * (5 - allowed)


def test_newcomer_never_displaces_a_living_confirmed_flow() -> None:
    flows = table(limits=FlowLimits(flows=2))
    confirm(flows, HOME, now=0)
    confirm(flows, AWAY, now=1)
    assert flows.from_client(THIEF, request(), 15) == Drop(MediaDrop.TABLE_FULL)
    verdict = admitted(flows.from_client(THIEF, request(), 15.5))
    assert (verdict.opened, verdict.replaced) == (True, 0), "silent for more than 15 s"
    assert len(flows) == 2


def test_newcomer_displaces_the_tentative_flow_that_was_silent_longest() -> None:
    flows = table(limits=FlowLimits(flows=2))
    flows.from_client(HOME, request(), 0)
    flows.from_client(AWAY, request(), 1)
    flows.from_client(HOME, request(), 2)
    assert admitted(flows.from_client(THIEF, request(), 3)).replaced == 1


def test_address_of_a_living_viewer_is_not_given_to_another() -> None:
    flows = table()
    flow = confirm(flows)
    flows.open_viewer("v2", HOME[0])
    flows.learn("v2", Side.CLIENT, OTHER)
    flows.learn("v2", Side.BACKEND, IceCredentials("bck2", "second-backend-password"))
    asked = request(to=IceCredentials("bck2", "second-backend-password"), by=OTHER)
    assert flows.from_client(HOME, asked, 10) == Drop(MediaDrop.OTHER_VIEWER)
    verdict = admitted(flows.from_client(HOME, asked, 16))
    assert (verdict.viewer, verdict.replaced) == ("v2", flow)


def test_viewers_behind_one_backend_ufrag_are_told_apart_by_their_own() -> None:
    flows = table()
    flows.open_viewer("v2", HOME[0])
    flows.learn("v2", Side.CLIENT, OTHER)
    flows.learn("v2", Side.BACKEND, BACKEND)
    assert admitted(flows.from_client(HOME, request(by=CLIENT), 0)).viewer == "v1"
    assert admitted(flows.from_client(AWAY, request(by=OTHER), 0)).viewer == "v2"


def test_colliding_ufrags_are_told_apart_by_their_passwords() -> None:
    flows = table()
    flows.open_viewer("v2", HOME[0])
    flows.learn("v2", Side.BACKEND, IceCredentials(BACKEND.ufrag, "another-password-entirely"))
    assert admitted(flows.from_client(HOME, request(), 0)).viewer == "v1"
    assert admitted(flows.from_client(AWAY, request(pwd="another-password-entirely"), 0)).viewer == "v2"


def test_new_credentials_stand_beside_the_old_ones_up_to_a_bound() -> None:
    flows = table(limits=FlowLimits(credentials=2))
    new = IceCredentials("new1", "new-backend-password-1")
    flows.learn("v1", Side.BACKEND, new)
    assert admitted(flows.from_client(HOME, request(), 0)).ufrag == "back"
    assert admitted(flows.from_client(HOME, request(to=new), 0)).ufrag == "new1"
    flows.learn("v1", Side.BACKEND, IceCredentials("new2", "new-backend-password-2"))
    assert flows.from_client(HOME, request(), 0) == Drop(MediaDrop.UNKNOWN_USER)


def test_another_password_told_under_a_known_ufrag_takes_nothing_away() -> None:
    flows = table()
    for side, known in ((Side.CLIENT, CLIENT), (Side.BACKEND, BACKEND)):
        flows.learn("v1", side, IceCredentials(known.ufrag, "not-the-password-that-is-in-use"))
    confirm(flows)
    assert flows.proves_backend("v1", request(to=CLIENT, by=BACKEND))


def test_a_viewer_is_heard_of_once_its_flow_is_confirmed() -> None:
    flows = table()
    flows.from_client(HOME, request(), 1)
    assert flows.heard_at("v1") is None
    flow = confirm(flows, now=2)
    assert flows.heard_at("v1") == 2
    flows.from_backend(flow, SRTP, 3)
    flows.from_client(HOME, SRTP, 4)
    assert flows.heard_at("v1") == 4
    flows.touch(flow, 5)
    assert flows.heard_at("v1") == 5


def test_silent_flow_ends_and_media_keeps_it() -> None:
    flows = table()
    flow = confirm(flows)
    flows.touch(flow, 25)
    assert flows.sweep(50) == ()
    assert flows.from_client(HOME, SRTP, 55.5) == Drop(MediaDrop.NOT_ADMITTED)
    assert flows.from_backend(flow, SRTP, 55.5) == Drop(MediaDrop.NO_CLIENT)
    verdict = admitted(flows.from_client(HOME, request(), 56))
    assert (verdict.opened, verdict.replaced, verdict.confirmed) == (True, flow, False)
    assert flows.sweep(100) == (verdict.flow,)
    assert len(flows) == 0


def test_media_of_the_backend_keeps_nothing_alive() -> None:
    flows = table()
    flow = confirm(flows)
    for now in range(0, 30, 5):
        assert flows.from_backend(flow, SRTP, now) == ToClient(HOME)
    assert flows.sweep(31) == (flow,)


def test_tentative_flow_is_not_kept_by_touching() -> None:
    flows = table()
    flows.from_client(HOME, request(), 0)
    flows.touch(0, 20)
    flows.touch(99, 20)
    assert flows.sweep(31) == (0,)


def test_closing_a_viewer_ends_its_flows_and_no_others() -> None:
    flows = table()
    flows.open_viewer("v2", HOME[0])
    flow = confirm(flows)
    assert flows.close_viewer("v2") == ()
    assert flows.close_viewer("v1") == (flow,)
    assert flows.close_viewer("v1") == ()
    assert flows.from_client(HOME, request(), 0) == Drop(MediaDrop.UNKNOWN_USER)


def test_flow_that_could_not_be_served_is_ended() -> None:
    flows = table()
    flows.from_client(HOME, request(), 0)
    flows.end(0)
    flows.end(0)
    assert len(flows) == 0


def test_flood_of_failures_is_not_looked_at_and_passes() -> None:
    flows = table(limits=FlowLimits(failures_per_s=10))
    confirm(flows)
    forged = request(pwd="wrong")
    verdicts = [flows.from_client(THIEF, forged, 1) for _ in range(12)]
    assert verdicts == [Drop(MediaDrop.BAD_INTEGRITY)] * 10 + [Drop(MediaDrop.RATE_LIMITED)] * 2
    assert flows.from_client(AWAY, request(), 1) == Drop(MediaDrop.RATE_LIMITED)
    assert admitted(flows.from_client(HOME, request(), 1)).confirmed, "known addresses are always looked at"
    assert admitted(flows.from_client(AWAY, request(), 1.2)).opened


def test_check_kept_for_a_viewer_goes_to_its_first_client() -> None:
    flows = table()
    check = request(to=CLIENT, by=BACKEND)
    assert flows.keep("v1", check, 0) == Kept()
    verdict = admitted(flows.from_client(HOME, request(), 1))
    assert verdict.kept == check
    assert admitted(flows.from_client(HOME, response(check, CLIENT.pwd), 1)).confirmed


@pytest.mark.parametrize("datagram", [SRTP, MALFORMED, indication(), response(request(), BACKEND.pwd)])
def test_nothing_but_a_check_is_kept(datagram: bytes) -> None:
    assert table().keep("v1", datagram, 0) == Drop(MediaDrop.NO_CLIENT)
    assert table().keep("gone", request(), 0) == Drop(MediaDrop.NO_CLIENT)


def test_kept_check_that_is_stale_large_or_of_another_transport_is_forgotten() -> None:
    check = request(to=CLIENT, by=BACKEND)
    stale = table()
    stale.keep("v1", check, 0)
    assert admitted(stale.from_client(HOME, request(), 3.5)).kept is None
    foreign = table()
    foreign.keep("v1", request(to=CLIENT, by=OTHER), 0)
    assert admitted(foreign.from_client(HOME, request(), 0)).kept is None
    padded = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"SOFTWARE": "x" * 700})
    large = table()
    large.keep("v1", bytes(padded), 0)
    assert admitted(large.from_client(HOME, request(), 0)).kept is None


def test_backend_proves_itself_by_either_password() -> None:
    flows = table()
    asked = request()
    assert flows.proves_backend("v1", request(to=CLIENT, by=BACKEND))
    assert flows.proves_backend("v1", response(asked, BACKEND.pwd))
    assert flows.proves_backend("v1", response(asked, BACKEND.pwd, kind=stun.Class.ERROR))
    for datagram in (
        SRTP,
        MALFORMED,
        indication(),
        request(to=OTHER, by=BACKEND),
        request(to=CLIENT, pwd="wrong"),
        response(asked, "wrong"),
    ):
        assert not flows.proves_backend("v1", datagram)
    assert not flows.proves_backend("gone", response(asked, BACKEND.pwd))


def test_opaque_stun_is_admitted_from_the_signaling_host() -> None:
    flows = table(opaque=True)
    unreadable = IceCredentials("any", "never-seen")
    asked = request(to=unreadable)
    assert flows.from_client(THIEF, asked, 0) == Drop(MediaDrop.NOT_ADMITTED)
    verdict = admitted(flows.from_client(AWAY, asked, 0))
    assert (verdict.opened, verdict.ufrag, verdict.confirmed) == (True, None, False)
    assert flows.from_client(AWAY, SRTP, 0) == Drop(MediaDrop.NOT_CONFIRMED)
    assert flows.from_backend(0, response(asked, "any"), 0) == ToClient(AWAY)
    assert admitted(flows.from_client(AWAY, request(to=unreadable), 0)).confirmed


def test_opaque_answer_to_a_check_confirms_by_its_transaction() -> None:
    flows = table(opaque=True)
    flows.from_client(HOME, request(), 0)
    check = request(to=CLIENT, by=BACKEND)
    flows.from_backend(0, check, 0)
    assert flows.from_client(HOME, response(request(), "x"), 0) == Drop(MediaDrop.UNKNOWN_TRANSACTION)
    assert admitted(flows.from_client(HOME, response(check, "unreadable"), 0)).confirmed


def test_opaque_dtls_is_admitted_and_confirmed_once_it_goes_on_after_an_answer() -> None:
    flows = table(opaque=True)
    assert flows.from_client(THIEF, DTLS, 0) == Drop(MediaDrop.NOT_ADMITTED)
    assert flows.from_client(HOME, SRTP, 0) == Drop(MediaDrop.NOT_ADMITTED)
    assert flows.from_client(HOME, DTLS, 0) == ToBackend(0, "v1", confirmed=False, opened=True)
    assert flows.from_client(HOME, DTLS, 0) == ToBackend(0, "v1", confirmed=False)
    assert flows.from_backend(0, SRTP, 0) == Drop(MediaDrop.NOT_CONFIRMED)
    assert flows.from_backend(0, DTLS, 0) == ToClient(HOME)
    assert admitted(flows.from_client(HOME, DTLS, 0)).confirmed
    assert flows.from_backend(0, SRTP, 0) == ToClient(HOME)


def test_opaque_table_is_bounded_for_dtls_too() -> None:
    flows = table(opaque=True, limits=FlowLimits(flows=1))
    flows.from_client(HOME, DTLS, 0)
    flows.from_backend(0, DTLS, 0)
    flows.from_client(HOME, DTLS, 0)
    assert flows.from_client(AWAY, DTLS, 0) == Drop(MediaDrop.TABLE_FULL)


def test_opaque_host_is_compared_whatever_its_spelling() -> None:
    flows = FlowTable(FlowLimits(), opaque=True)
    flows.open_viewer("v1", "::ffff:192.0.2.1")
    assert admitted(flows.from_client(("192.0.2.1", 7), DTLS, 0)).opened


def test_memory_of_transactions_and_checks_is_bounded() -> None:
    flows = table(limits=FlowLimits(transactions=2, checks=2))
    first = request()
    for asked in (first, request(), request()):
        flows.from_client(HOME, asked, 0)
    assert isinstance(flows.from_client(AWAY, first, 0), ToBackend), "forgotten"
    checks = [request(to=CLIENT, by=BACKEND) for _ in range(3)]
    for check in checks:
        assert flows.from_backend(0, check, 0) == ToClient(HOME)
    assert flows.from_client(HOME, response(checks[0], CLIENT.pwd), 0) == Drop(MediaDrop.UNKNOWN_TRANSACTION)
    assert admitted(flows.from_client(HOME, response(checks[2], CLIENT.pwd), 0)).confirmed


def handed_over(flows: FlowTable, now: float, then: float, *, opaque: bool = False) -> FlowTable:
    successor = FlowTable(FlowLimits(), opaque=opaque)
    successor.restore(told(FlowTableSnapshot, flows.snapshot(now)), then)
    return successor


def test_a_flow_goes_on_in_another_process_whatever_its_clock_says() -> None:
    flows = table()
    flow = confirm(flows, now=100)
    flows = handed_over(flows, 110, 5)
    assert admitted(flows.from_client(HOME, SRTP, 6)) == ToBackend(flow, "v1", confirmed=True)
    assert flows.heard_at("v1") == 6
    assert flows.sweep(6 + FlowLimits().idle_s) == ()
    assert flows.sweep(7 + FlowLimits().idle_s) == (flow,)


def test_silence_counts_on_in_another_process() -> None:
    flows = table()
    flow = confirm(flows, now=100)
    flows = handed_over(flows, 100 + FlowLimits().idle_s - 1, 5)
    assert flows.sweep(6) == ()
    assert flows.sweep(6.5) == (flow,)


def test_a_check_that_passed_may_be_answered_in_another_process() -> None:
    flows = table()
    flows.from_client(HOME, request(), 0)
    check = request(to=CLIENT, by=BACKEND)
    flows.from_backend(0, check, 0)
    flows = handed_over(flows, 0, 0)
    assert flows.from_client(HOME, response(check, "guessed"), 0) == Drop(MediaDrop.BAD_INTEGRITY)
    assert admitted(flows.from_client(HOME, response(check, CLIENT.pwd), 0)).confirmed


def test_a_request_that_was_used_is_refused_from_elsewhere_in_another_process() -> None:
    flows, asked = table(), [request() for _ in range(3)]
    for one in asked:
        flows.from_client(HOME, one, 0)
    flows.from_client(AWAY, last := request(), 0)
    flows = handed_over(flows, 0, 0)
    for one in [*asked, last]:
        assert flows.from_client(THIEF, one, 0) == Drop(MediaDrop.REPLAYED)


def test_a_kept_check_reaches_the_client_that_comes_in_another_process() -> None:
    flows, check = table(), request(to=CLIENT, by=BACKEND)
    assert flows.keep("v1", check, 50) == Kept()
    assert admitted(handed_over(flows, 52, 7).from_client(HOME, request(), 7.5)).kept == check
    assert admitted(handed_over(flows, 52, 7).from_client(HOME, request(), 9)).kept is None, "too old by then"


def test_flows_that_begin_in_another_process_are_not_taken_for_old_ones() -> None:
    flows = table()
    old = confirm(flows)
    flows = handed_over(flows, 0, 0)
    assert admitted(flows.from_client(AWAY, request(), 0)).flow > old


def test_credentials_that_no_message_can_name_are_not_told_on() -> None:
    flows = table()
    flows.learn("v1", Side.CLIENT, IceCredentials("half\ud800", "password"))
    assert told(FlowTableSnapshot, flows.snapshot(0)).viewers[0].client == (CLIENT,)
    assert admitted(flows.from_client(HOME, request(), 0))


@pytest.mark.parametrize("wrong", [{"viewers": ()}, {"next_id": 0}])
def test_a_table_that_contradicts_itself_is_not_taken(wrong: dict[str, object]) -> None:
    flows = table()
    confirm(flows)
    with pytest.raises(ValueError, match="flow 0"):
        FlowTable(FlowLimits()).restore(replace(flows.snapshot(0), **wrong), 0)  # type: ignore[arg-type]
