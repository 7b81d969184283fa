import msgspec
import pytest

from trunkline.model.event import Person
from trunkline.pipeline.default_reply import DAY_MS, MAX_COUNTERS, count
from trunkline.pipeline.rulebook import DefaultSpec
from trunkline.pipeline.turn import Source, VerdictKind
from turns import NOW_MS, STATE, book, detail, judge, rule, said, turn


def limited(limit: int, per: str = "conversation"):
    return book(defaults=(DefaultSpec("稍等", limit=limit, per=per),))


def run(rulebook, asked_turns, state=STATE) -> list[str]:
    answers = []
    for asked in asked_turns:
        verdict = judge(rulebook, asked, state)
        state = verdict.state
        assert len(state.counters) <= MAX_COUNTERS
        answers.append(said(verdict))
    return answers


def test_unlimited():
    assert run(limited(0), [turn()] * 5) == ["稍等"] * 5
    assert judge(limited(0), turn()).state is STATE


def test_per_conversation():
    later = turn(now_ms=NOW_MS + 400 * DAY_MS)
    assert run(limited(2), [turn(), turn(), turn(), later]) == ["稍等", "稍等", "", ""]


def test_used_up_says_so():
    rulebook = limited(1)
    used = judge(rulebook, turn()).state
    verdict = judge(rulebook, turn(), used)
    assert verdict.kind is VerdictKind.STOP
    assert detail(verdict.trace[-1]) == {"reason": "used-up"}
    assert verdict.state is used


def test_per_user():
    other = turn(sender=Person("u2"))
    nobody = turn(sender=None)
    rulebook = limited(1, "user")
    answers = run(rulebook, [turn(), other, turn(), other, nobody, nobody])
    assert answers == ["稍等", "稍等", "", "", "稍等", ""]


def test_per_day_as_the_day_is_in_china():
    midnight = NOW_MS + 16 * 3_600_000  # 2026-01-02T00:00 at UTC+8
    times = [NOW_MS, midnight - 1, midnight, midnight + 1]
    answers = run(limited(1, "day"), [turn(now_ms=at) for at in times])
    assert answers == ["稍等", "", "稍等", ""]


def test_past_days_are_dropped():
    state = STATE
    for day in range(100):
        verdict = judge(limited(1, "day"), turn(now_ms=NOW_MS + day * DAY_MS), state)
        state = verdict.state
        assert said(verdict) == "稍等"
        assert len(state.counters) == 1


def test_a_thousand_users_keep_64_names_and_the_conversation_s_own():
    state = msgspec.structs.replace(STATE, counters={"default": 3, "rule@x": 1})
    rulebook = limited(1, "user")
    for nth in range(1000):
        verdict = judge(rulebook, turn(sender=Person(f"u{nth}")), state)
        state = verdict.state
        assert said(verdict) == "稍等"
        assert len(state.counters) <= MAX_COUNTERS
    assert state.counters["default"] == 3
    assert state.counters["rule@x"] == 1
    assert state.counters["default@user:u999"] == 1
    assert said(judge(rulebook, turn(sender=Person("u999")), state)) == ""


def test_the_one_answered_longest_ago_is_forgotten():
    counters = {f"default@user:u{nth}": 1 for nth in range(MAX_COUNTERS)}
    counters = count(counters, "default@user:u0", 1)  # again: now the latest
    counters = count(counters, "default@user:new", 1)
    assert counters["default@user:u0"] == 2
    assert "default@user:u1" not in counters
    assert len(counters) == MAX_COUNTERS


def test_a_long_user_id_makes_no_long_name():
    state = judge(limited(1, "user"), turn(sender=Person("x" * 5000))).state
    assert all(len(name) < 200 for name in state.counters)


def test_the_state_given_is_not_changed():
    counters = {"default": 1}
    state = msgspec.structs.replace(STATE, counters=counters)
    judge(limited(5), turn(), state)
    assert counters == {"default": 1}


def test_editing_the_text_does_not_say_it_again():
    used = judge(limited(1), turn()).state
    edited = book(defaults=(DefaultSpec("别的"), DefaultSpec("新", lines=("shop",), limit=1)))
    assert said(judge(edited, turn(), used)) == ""


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ((DefaultSpec("A"), DefaultSpec("B", order=1)), "A"),
        ((DefaultSpec("A", is_enabled=False), DefaultSpec("B", order=1)), "B"),
        ((DefaultSpec("A"), DefaultSpec("B", lines=("shop",), order=1)), "B"),
        ((DefaultSpec("A", lines=("x",)), DefaultSpec("B", order=1)), "B"),
        ((DefaultSpec("A", lines=("sh*",)), DefaultSpec("B", lines=("shop",), order=1)), "A"),
        ((DefaultSpec("A", lines=("x",)),), ""),
    ],
)
def test_the_first_that_holds_for_the_line(defaults, expected):
    assert said(judge(book(defaults=defaults), turn())) == expected


@pytest.mark.parametrize("text", ["", " \n", "{item_id}"])
def test_an_empty_default_reply_is_silence(text):
    verdict = judge(book(defaults=(DefaultSpec(text),)), turn())
    assert verdict.kind is VerdictKind.STOP
    assert detail(verdict.trace[-1]) == {"reason": "silent"}


@pytest.mark.parametrize("defaults", [(), (DefaultSpec(""),), (DefaultSpec("x", lines=("y",)),)])
def test_a_site_says_the_offline_notice(defaults):
    verdict = judge(book(defaults=defaults, offline_notice="稍后回复"), turn(is_site=True))
    assert verdict.kind is VerdictKind.REPLY
    assert said(verdict) == "稍后回复"
    assert verdict.replies[0].source is Source.OFFLINE


def test_a_site_whose_default_is_used_up_says_the_offline_notice():
    rulebook = book(defaults=(DefaultSpec("稍等", limit=1),), offline_notice="稍后")
    answers = run(rulebook, [turn(is_site=True)] * 3)
    assert answers == ["稍等", "稍后", "稍后"]


def test_without_a_notice_a_site_is_silent():
    verdict = judge(book(offline_notice=" "), turn(is_site=True))
    assert verdict.kind is VerdictKind.PASS
    assert verdict.replies == ()


def test_nothing_applies():
    verdict = judge(book(rule("没有")), turn())
    assert verdict.kind is VerdictKind.PASS
    assert verdict.trace[-1].stage == "default_reply"
    assert verdict.state is STATE


@pytest.mark.parametrize("is_site", [False, True])
def test_on_a_draft_line_it_is_a_draft(is_site):
    defaults = () if is_site else (DefaultSpec("稍等"),)
    verdict = judge(book(defaults=defaults), turn(mode="draft", is_site=is_site))
    assert verdict.kind is VerdictKind.DRAFT
    assert verdict.replies[0].is_draft
