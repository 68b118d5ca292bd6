from hypothesis import given
from hypothesis import strategies as st

from broker.core.relay_health import PROBE_REFUSED_S, PROBE_S, REFUSALS, Answer, RelayHealth, Sight

SILENCE_S = 15.0


def health(*held: str, announced: tuple[str, ...] = (), now: float = 100.0) -> RelayHealth:
    whole = RelayHealth(silence_s=SILENCE_S)
    whole.see(held, announced, now)
    return whole


def test_an_announced_relay_is_there_and_is_not_probed() -> None:
    whole = health("a", announced=("a",))
    assert (whole.sight("a"), whole.due(1e9)) == (Sight.ANNOUNCED, [])


def test_a_relay_without_announcement_is_suspect_and_probed_at_once() -> None:
    whole = health("a", "b", announced=("b",))
    assert (whole.sight("a"), whole.due(100.0)) == (Sight.SUSPECT, ["a"])


def test_a_relay_that_nobody_holds_ports_of_is_nobodys_concern() -> None:
    whole = health("a")
    whole.see((), (), 101.0)
    assert (whole.sight("a"), whole.due(1e9)) == (Sight.ANNOUNCED, [])


def test_refusals_in_a_row_are_proof_and_end_the_probes() -> None:
    whole, now = health("a"), 100.0
    for _ in range(REFUSALS):
        assert whole.sight("a") is Sight.SUSPECT
        assert whole.due(now) == ["a"]
        whole.probed("a", Answer.REFUSED, now)
        assert whole.due(now + PROBE_REFUSED_S / 2) == []
        now += PROBE_REFUSED_S
    assert (whole.sight("a"), whole.due(1e9)) == (Sight.LOST, [])
    assert whole.those_in(Sight.LOST) == {"a"}
    whole.probed("a", Answer.ACCEPTED, now)
    assert whole.sight("a") is Sight.LOST, "an answer that comes late proves nothing any more"


def test_an_answer_between_refusals_shows_that_it_lives() -> None:
    whole = health("a")
    for answer in (Answer.REFUSED, Answer.REFUSED, Answer.ACCEPTED, Answer.REFUSED, Answer.REFUSED):
        whole.probed("a", answer, 101.0)
    assert whole.sight("a") is Sight.SUSPECT
    whole.probed("a", Answer.ACCEPTED, 102.0)
    assert (whole.sight("a"), whole.due(102.0), whole.due(102.0 + PROBE_S)) == (Sight.ANSWERING, [], ["a"])


def test_silence_is_proof_only_when_it_is_long() -> None:
    whole = health("a")
    whole.probed("a", Answer.ACCEPTED, 105.0)
    whole.probed("a", Answer.SILENT, 105.0 + SILENCE_S - 1)
    assert whole.sight("a") is Sight.SUSPECT
    whole.probed("a", Answer.SILENT, 105.0 + SILENCE_S)
    assert whole.sight("a") is Sight.LOST


def test_an_announcement_takes_everything_back() -> None:
    whole = health("a")
    for _ in range(REFUSALS):
        whole.probed("a", Answer.REFUSED, 101.0)
    whole.see(("a",), ("a",), 102.0)
    assert (whole.sight("a"), whole.those_in(Sight.LOST)) == (Sight.ANNOUNCED, frozenset())
    whole.probed("a", Answer.REFUSED, 103.0)
    assert whole.sight("a") is Sight.ANNOUNCED


@given(answers=st.lists(st.sampled_from(Answer), max_size=30))
def test_a_relay_that_answers_now_and_then_is_never_lost_within_the_time_of_silence(answers: list[Answer]) -> None:
    whole, now, in_a_row = health("a"), 100.0, 0
    for answer in answers:
        now += 0.25
        whole.probed("a", answer, now)
        in_a_row = in_a_row + 1 if answer is Answer.REFUSED else 0
        if whole.sight("a") is Sight.LOST:
            assert in_a_row == REFUSALS
            return
