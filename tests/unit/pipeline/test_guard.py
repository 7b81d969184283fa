import msgspec
import pytest

from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.event import RequestReceived
from trunkline.pipeline.guard import (
    MAX_REPLIES,
    PAUSE_MS,
    WINDOW_MS,
    note_reply,
)
from trunkline.pipeline.turn import Turn, Verdict, VerdictKind
from turns import NOW_MS, STATE, book, detail, judge, message, notice, rule, said, turn

ANY = book(rule(match="any"))


def stopped(asked: Turn, state=STATE) -> str:
    verdict = judge(ANY, asked, state)
    assert verdict.kind is VerdictKind.STOP
    assert verdict.replies == ()
    assert verdict.state is state
    assert verdict.trace[-1].stage == "guard"
    return detail(verdict.trace[-1])["reason"]


def test_an_own_message_is_not_answered():
    assert stopped(turn(events=(message("x", is_own=True),))) == "own"


def test_a_turn_with_an_own_message_among_others_is_not_answered():
    assert stopped(turn(events=(message("x"), message("y", is_own=True), message("z")))) == "own"


@pytest.mark.parametrize(
    "event", [notice(), RequestReceived(Chat("", "visitor", "v1"), "contact", "call me")]
)
def test_notices_and_requests_pass(event):
    verdict = judge(ANY, turn("", events=(event,), is_site=True))
    assert verdict.kind is VerdictKind.PASS
    assert verdict.replies == ()
    assert detail(verdict.trace[-1]) == {"reason": "notice"}


def test_a_message_among_notices_is_answered():
    assert judge(ANY, turn(events=(notice(), message("x")))).kind is VerdictKind.REPLY
    assert judge(ANY, turn(events=(notice(), notice()))).kind is VerdictKind.PASS


def test_mode_off_stops_also_on_a_site():
    assert stopped(turn(mode="off", is_site=True)) == "off"


@pytest.mark.parametrize(
    ("age_ms", "stale_after_ms", "is_stale"),
    [(5, 0, False), (300_000, 300_000, False), (300_001, 300_000, True), (0, 0, False)],
)
def test_stale(age_ms, stale_after_ms, is_stale):
    asked = turn(age_ms=age_ms, stale_after_ms=stale_after_ms)
    if is_stale:
        assert stopped(asked) == "stale"
    else:
        assert said(judge(ANY, asked)) == "好"


def talk(times_ms: list[int], **fields) -> list[VerdictKind]:
    state, kinds = STATE, []
    for at in times_ms:
        verdict = judge(ANY, turn(now_ms=NOW_MS + at, **fields), state)
        state = verdict.state
        assert len(state.recent) <= MAX_REPLIES + 1
        kinds.append(verdict.kind)
    return kinds


def test_the_sixth_reply_in_a_minute_pauses_ten_minutes():
    burst = [at * 1000 for at in range(6)]
    pause_ends = burst[-1] + PAUSE_MS
    kinds = talk([*burst, 6000, pause_ends - 1, pause_ends], loop_guard=True)
    assert kinds[:6] == [VerdictKind.REPLY] * 6
    assert kinds[6:] == [VerdictKind.STOP, VerdictKind.STOP, VerdictKind.REPLY]


def test_replies_outside_the_window_do_not_count():
    spread = [at * (WINDOW_MS // 5) for at in range(30)]
    assert talk(spread, loop_guard=True) == [VerdictKind.REPLY] * 30


def test_the_loop_guard_is_a_trait():
    assert talk(list(range(30))) == [VerdictKind.REPLY] * 30
    assert judge(ANY, turn()).state is STATE


def test_silence_and_drafts_do_not_count():
    for rulebook, mode in ((book(rule(match="any", reply="")), "auto"), (ANY, "draft")):
        state = STATE
        for _ in range(10):
            verdict = judge(rulebook, turn(loop_guard=True, mode=mode), state)
            state = verdict.state
        assert state is STATE


def test_a_wall_clock_that_went_back_does_not_prolong_the_pause():
    state = msgspec.structs.replace(STATE, paused_until_ms=NOW_MS + PAUSE_MS)
    assert stopped(turn(loop_guard=True), state) == "loop"
    earlier = turn(loop_guard=True, now_ms=NOW_MS - 1)
    assert judge(ANY, earlier, state).kind is VerdictKind.REPLY


def test_a_pause_holds_only_where_the_guard_is_on():
    state = msgspec.structs.replace(STATE, paused_until_ms=NOW_MS + 1000)
    assert judge(ANY, turn(), state).kind is VerdictKind.REPLY


def noted(state: ConversationState, now_ms: int, said: ConversationState | None = None) -> Verdict:
    """Answer once; `said` is what the stages made of the state."""
    return note_reply(Verdict(VerdictKind.REPLY, (), (), said or state), state, now_ms)


def test_an_answer_below_the_limit_changes_nothing_that_needs_a_row():
    state = STATE
    for nth in range(1, MAX_REPLIES + 2):
        verdict = noted(state, NOW_MS + nth)
        assert verdict.is_counted is (nth < MAX_REPLIES)
        state = verdict.state


def test_whatever_else_changed_with_an_answer_needs_its_row():
    assert noted(STATE, NOW_MS).is_counted
    used = msgspec.structs.replace(STATE, counters={"x": 1})
    assert not noted(STATE, NOW_MS, used).is_counted
    paused = msgspec.structs.replace(STATE, paused_until_ms=1)  # and over: that is forgotten now
    assert not noted(paused, NOW_MS).is_counted


def test_the_window_is_counted_from_each_answer_also_when_the_clock_went_back():
    state = STATE
    for at_ms in (*[NOW_MS] * (MAX_REPLIES - 2), NOW_MS - 50_000):
        state = noted(state, at_ms).state
    kept = (*[NOW_MS] * (MAX_REPLIES - 2), NOW_MS + 20_000)
    assert noted(state, NOW_MS + 20_000).state.recent == kept


def test_answers_of_before_the_clock_was_set_back_are_long_over():
    state = STATE
    for nth in range(MAX_REPLIES):
        state = noted(state, NOW_MS + nth).state
    verdict = noted(state, NOW_MS - 3_600_000)
    assert verdict.state.paused_until_ms == 0
    assert verdict.state.recent == (NOW_MS - 3_600_000,)
