import msgspec

from trunkline.pipeline.turn import VerdictKind
from turns import NOW_MS, STATE, book, judge, rule, turn

ANY = book(rule(match="any"))


def test_while_a_person_has_the_conversation_nothing_is_said():
    state = msgspec.structs.replace(STATE, taken_until_ms=NOW_MS + 1)
    verdict = judge(ANY, turn(is_site=True), state)
    assert verdict.kind is VerdictKind.STOP
    assert verdict.trace[-1].stage == "takeover"
    assert verdict.state is state


def test_a_takeover_ends():
    state = msgspec.structs.replace(STATE, taken_until_ms=NOW_MS)
    assert judge(ANY, turn(), state).kind is VerdictKind.REPLY
