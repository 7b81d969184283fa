import msgspec
import pytest

from trunkline.errors import ConfigError
from trunkline.model.address import Chat
from trunkline.model.asking import Failed, HandlerSpec, PluginAnswer, PluginRequest
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Image, Text
from trunkline.pipeline.decide import RuleHealth, compile_handlers, decide, with_handlers
from trunkline.pipeline.trace import explain
from trunkline.pipeline.turn import Source, Step, VerdictKind
from turns import BUYER, NOW_MS, STATE, book, rule, said, turn

RULES = book(rule("天气", reply="规则"), offline_notice="离线")


def with_plugins(*specs: HandlerSpec):
    return with_handlers(RULES, compile_handlers(specs))


def spec(ident: str = "a", kind: str = "message", *words: str, **more) -> HandlerSpec:
    return HandlerSpec(id=ident, name=ident, kind=kind, words=words, **more)


def asked(rulebook, text: str = "天气", **fields) -> list[tuple[str, str, str]]:
    """The hits that are asked for, or none."""
    events = (MessageReceived(fields.pop("chat", Chat("", "group", "g1")), BUYER, (Text(text),)),)
    verdict = decide(STATE, turn(text, events=events, **fields), rulebook, {}, RuleHealth())
    if verdict.kind is not VerdictKind.ASK:
        return []
    stage, request = verdict.ask
    assert stage == "plugins"
    assert isinstance(request, PluginRequest)
    assert request.text == text
    return [(hit.handler, hit.word, hit.rest) for hit in request.hits]


def heard(answer, **fields):
    return decide(STATE, turn("天气", **fields), with_plugins(spec()), {"plugins": answer},
                  RuleHealth())  # fmt: skip


def test_without_a_match_nobody_waits():
    assert asked(with_plugins(spec("a", "keyword", "发货"))) == []
    assert asked(RULES) == []


@pytest.mark.parametrize(
    ("one", "text", "hit"),
    [
        (spec("a", "message"), "在吗", ("a", "", "在吗")),
        (
            spec("a", "keyword", "x", "TianQi"),
            "今天ｔｉａｎｑｉ？",
            ("a", "TianQi", "今天ｔｉａｎｑｉ？"),
        ),
        (spec("a", "keyword", "发货"), "在吗", None),
        (spec("a", "command", "help", "帮助"), "/help me  out", ("a", "help", "me  out")),
        (spec("a", "command", "help", "帮助"), " 帮助 ", ("a", "帮助", "")),
        (spec("a", "command", "help"), "HELP", ("a", "help", "")),
        (spec("a", "command", "help"), "helpless", None),
        (spec("a", "command", "help"), "please help", None),
        (spec("a", "command", "help"), "", None),
        (spec("a", "command", "help"), "/", None),
        (spec("a", "pattern", r"订单\d+"), "查订单12", ("a", r"订单\d+", "查订单12")),
        (spec("a", "pattern", r"订单\d+"), "查订单", None),
    ],
)
def test_how_a_handler_matches(one, text, hit):
    assert asked(with_plugins(one), text) == ([hit] if hit else [])


@pytest.mark.parametrize(
    ("filters", "is_asked"),
    [
        ({"lines": ("shop",)}, True),
        ({"lines": ("sh*",)}, True),
        ({"lines": ("blog",)}, False),
        ({"dialects": ("maim",)}, True),
        ({"dialects": ("contact", "maim")}, True),
        ({"dialects": ("contact",)}, False),
        ({"wheres": ("group",)}, True),
        ({"wheres": ("private",)}, False),
        ({"chats": ("shop/group:g1",)}, True),
        ({"chats": ("shop/group:g2",)}, False),
    ],
)
def test_every_filter_lets_through_and_holds_back(filters, is_asked):
    assert bool(asked(with_plugins(spec(**filters)), dialect="maim")) is is_asked


def test_private_is_every_chat_that_is_no_group():
    rulebook = with_plugins(spec(wheres=("private",)))
    for kind in ("private", "visitor", "user", "chat"):
        assert asked(rulebook, chat=Chat("", kind, "1"))
    assert not asked(rulebook, chat=Chat("", "group", "1"))


def test_handlers_are_asked_by_priority_then_in_their_order():
    rulebook = with_plugins(spec("a"), spec("b", priority=5), spec("c"), spec("d", priority=5))
    assert [hit[0] for hit in asked(rulebook)] == ["b", "d", "a", "c"]


def test_a_plugin_comes_before_the_rules_and_after_a_takeover():
    assert said(decide(STATE, turn("天气"), RULES, {}, RuleHealth())) == "规则"
    assert asked(with_plugins(spec())) == [("a", "", "天气")]
    taken = msgspec.structs.replace(STATE, taken_until_ms=NOW_MS + 1)
    verdict = decide(taken, turn("天气"), with_plugins(spec()), {}, RuleHealth())
    assert (verdict.kind, verdict.trace[-1].stage) == (VerdictKind.STOP, "takeover")


def test_what_a_handler_answered_is_said_unchanged():
    picture = (Text("a"), Image(data=b"\x89PNG"))
    verdict = heard(PluginAnswer((picture, (Text("b"),)), "echo.py:echo"))
    assert verdict.kind is VerdictKind.REPLY
    assert [reply.segments for reply in verdict.replies] == [picture, (Text("b"),)]
    assert {(reply.source, reply.name) for reply in verdict.replies} == {
        (Source.PLUGIN, "echo.py:echo")
    }


def test_on_a_draft_line_a_handler_drafts():
    verdict = heard(PluginAnswer(((Text("a"),),), "x"), mode="draft")
    assert verdict.kind is VerdictKind.DRAFT
    assert verdict.replies[0].is_draft


def test_a_message_has_at_most_fifteen_answers():
    assert len(heard(PluginAnswer(((Text("a"),),) * 20, "x")).replies) == 15


def test_stop_is_silence_and_its_name_is_kept():
    verdict = heard(PluginAnswer(handler="x.py:f", is_stopped=True))
    assert verdict.kind is VerdictKind.STOP
    assert "x.py:f" in explain(verdict.trace, "en")[0]


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (PluginAnswer(faults=(("x.py:f", "line 3: KeyError: 'a'"),)), "x.py:f: line 3: KeyError"),
        (Failed("timeout"), "took too long"),
        (Failed("overload"), "overload"),
    ],
)
def test_a_fault_is_remembered_and_the_rules_answer(answer, note):
    verdict = heard(answer)
    assert said(verdict) == "规则"
    assert [step.stage for step in verdict.trace] == ["plugins", "rules"]
    assert note in "\n".join(explain(verdict.trace, "en"))


def test_handlers_that_answer_nothing_leave_no_trace():
    verdict = heard(PluginAnswer())
    assert (said(verdict), len(verdict.trace)) == ("规则", 1)


def test_something_that_is_no_answer_passes_on():
    assert heard(object()).trace[0] == Step("plugins", "pass", ("reason", "unknown-answer"))


def test_a_pattern_that_cannot_be_used_names_its_handler():
    with pytest.raises(ConfigError) as caught:
        compile_handlers([spec("x.py:f", "pattern", "(")])
    assert "x.py:f" in caught.value.problems[0]


def test_a_slow_pattern_is_no_match_and_is_counted():
    health = RuleHealth()
    rulebook = with_plugins(spec("a", "pattern", r"(a+)+$"))
    for _ in range(4):
        text = "a" * 1900 + "b"
        events = (MessageReceived(Chat("", "group", "g"), BUYER, (Text(text),)),)
        assert decide(STATE, turn(text, events=events), rulebook, {}, health).ask is None
    assert health.off == (r"(a+)+$",)
