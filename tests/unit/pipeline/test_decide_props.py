from __future__ import annotations

from unicodedata import normalize

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.ids import MAX_ANSWERS
from trunkline.model.event import Person
from trunkline.model.segment import Image
from trunkline.pipeline.decide import RuleHealth, decide, lint_rulebook
from trunkline.pipeline.nearest import nearest
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.pipeline.stage import NAMES
from trunkline.pipeline.trace import decode_trace, encode_trace, explain
from trunkline.pipeline.turn import VerdictKind
from turns import NOW_MS, STATE, book, message, notice, turn

SIGNS = "aAbＡ价格？?! 0\n{}"
WORDS = st.text(st.sampled_from(SIGNS), min_size=1, max_size=3).filter(lambda word: word.strip())
TEXTS = st.text(st.sampled_from(SIGNS + "\ud800"), max_size=20) | st.text(st.characters())
LINES = st.lists(st.sampled_from(["shop", "sh*", "*", "x"]), max_size=2).map(tuple)
ITEMS = st.lists(st.sampled_from(["7", "8"]), max_size=1).map(tuple)
REPLIES = st.sampled_from(["", " ", "好", "{send_message}", "{item_id}", "{send_user_name} {x}"])
PATTERNS = st.sampled_from(["a|价", "^a", r"\d+", "[aＡ]{2}", "(a+)b", "？$", "格|"])


@st.composite
def rule_specs(draw, matches=("contains", "exact", "regex", "any")) -> RuleSpec:
    match = draw(st.sampled_from(matches))
    keywords = st.lists(PATTERNS if match == "regex" else WORDS, min_size=1, max_size=3)
    return RuleSpec(
        name=draw(st.sampled_from(["", "r", "s"])),
        keywords=() if match == "any" else tuple(draw(keywords)),
        match=match,
        reply=draw(REPLIES),
        lines=draw(LINES),
        items=draw(ITEMS),
        excepts=tuple(draw(st.lists(WORDS, max_size=1))),
        image=draw(st.sampled_from([None, Image(data=b"x")])),
        priority=draw(st.integers(-1, 1)),
        is_enabled=draw(st.sampled_from([True, True, True, False])),
        then=draw(st.sampled_from(["reply", "send", "draft", "person"])),
    )


DEFAULTS = st.builds(
    DefaultSpec, reply=REPLIES, lines=LINES, limit=st.integers(0, 2),
    per=st.sampled_from(["conversation", "user", "day"]), is_enabled=st.booleans(),
) | st.builds(DefaultSpec, reply=REPLIES, lines=LINES, items=ITEMS)  # fmt: skip


@st.composite
def turns(draw):
    text = draw(TEXTS)
    events = draw(
        st.lists(
            st.sampled_from([message("x"), message("y", is_own=True), notice()]),
            min_size=1,
            max_size=3,
        )
        | st.just([message(text)])
    )
    return turn(
        text,
        events=tuple(events),
        item=draw(st.sampled_from(["", "7"])),
        sender=draw(st.sampled_from([None, Person("u1"), Person("u2", "{item_id}")])),
        now_ms=NOW_MS + draw(st.integers(-(10**6), 10**6)),
        line=draw(st.sampled_from(["shop", "x", ""])),
        mode=draw(st.sampled_from(["auto", "draft", "off"])),
        age_ms=draw(st.integers(0, 10)),
        stale_after_ms=draw(st.integers(0, 10)),
        is_site=draw(st.booleans()),
        loop_guard=draw(st.booleans()),
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(rule_specs(), max_size=6), st.lists(DEFAULTS, max_size=3).map(tuple),
    st.lists(turns(), min_size=1, max_size=8),
)  # fmt: skip
def test_any_rulebook_decides_any_conversation(specs, defaults, asked):
    rulebook = book(*specs, defaults=defaults)
    health, state = RuleHealth(), STATE
    for one in asked:
        verdict = decide(state, one, rulebook, {}, health)
        assert len(verdict.replies) <= MAX_ANSWERS
        answers = verdict.kind in (VerdictKind.REPLY, VerdictKind.DRAFT)
        assert bool(verdict.replies) is answers
        for reply in verdict.replies:
            assert reply.segments
            assert reply.is_draft is (verdict.kind is VerdictKind.DRAFT)
        assert verdict.trace
        assert {step.stage for step in verdict.trace} <= set(NAMES)
        assert verdict.trace[-1].verdict == verdict.kind.value
        assert decode_trace(encode_trace(verdict.trace)) == verdict.trace
        assert len(explain(verdict.trace, "zh")) >= 2
        assert len(nearest(rulebook, one)) <= 3
        if verdict.state != state:
            assert answers
        assert msgspec.msgpack.encode(verdict.state)
        state = verdict.state


def oracle(specs: list[RuleSpec], text: str, line: str, item: str) -> RuleSpec | None:
    """The best rule, found the naive way: all rules, sorted, one after the other."""

    def folded(value: str) -> str:
        return normalize("NFKC", value).casefold()

    def holds_line(pattern: str) -> bool:
        return pattern == "*" or pattern == line or (pattern == "sh*" and line.startswith("sh"))

    def matches(spec: RuleSpec) -> bool:
        words = [part.strip() for word in spec.keywords for part in word.splitlines()]
        keys = [folded(word).strip() for word in words if word]
        match spec.match:
            case "any":
                return True
            case "exact":
                return folded(text).strip() in keys
            case _:
                return any(key in folded(text) for key in keys)

    def vetoed(spec: RuleSpec) -> bool:
        words = [part.strip() for word in spec.excepts for part in word.splitlines()]
        return any(folded(word).strip() in folded(text) for word in words if word)

    ranked = sorted(
        enumerate(specs),
        key=lambda entry: (
            0 if entry[1].items else 1 if entry[1].lines else 2, -entry[1].priority, entry[0],
        ),
    )  # fmt: skip
    for _, spec in ranked:
        if (
            spec.is_enabled and matches(spec) and not vetoed(spec)
            and (not spec.items or item in spec.items)
            and (not spec.lines or any(map(holds_line, spec.lines)))
        ):  # fmt: skip
            return spec
    return None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(rule_specs(matches=("contains", "contains", "exact", "any")), max_size=8),
    st.text(st.sampled_from(SIGNS), max_size=12),
    st.sampled_from(["shop", "x"]),
    st.sampled_from(["", "7"]),
)
def test_the_search_equals_a_naive_oracle(specs, text, line, item):
    specs = [
        msgspec.structs.replace(spec, name=f"n{at}", reply="好", then="reply")
        for at, spec in enumerate(specs)
    ]
    best = oracle(specs, text, line, item)
    verdict = decide(STATE, turn(text, line=line, item=item), book(*specs), {}, RuleHealth())
    assert [reply.name for reply in verdict.replies] == ([best.name] if best else [])


WILD = st.text(max_size=6)


@given(
    st.lists(
        st.builds(
            RuleSpec, name=WILD, keywords=st.lists(WILD, max_size=2).map(tuple),
            match=st.sampled_from(["contains", "exact", "regex", "any"]), reply=WILD,
            excepts=st.lists(WILD, max_size=1).map(tuple),
            lines=st.lists(WILD, max_size=1).map(tuple),
            items=st.lists(WILD, max_size=1).map(tuple),
        ),
        max_size=3,
    ),
    st.text(st.characters(), max_size=30),
)  # fmt: skip
@settings(deadline=None)
def test_any_rulebook_is_refused_with_sentences_or_decides(specs, text):
    spec = RulebookSpec(tuple(specs))
    problems = lint_rulebook(spec)
    if problems:
        assert all(problem.startswith("[[rules]]") for problem in problems)
        return
    verdict = decide(STATE, turn(text), book(*specs), {}, RuleHealth())
    assert encode_trace(verdict.trace)
