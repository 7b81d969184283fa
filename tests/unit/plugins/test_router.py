from typing import Any

import pytest

import trunkline
from trunkline import Image, Message, Reply, Router, Stop, Text
from trunkline.model.event import Person
from trunkline.model.segment import Quote
from trunkline.plugins.binding import wants_of
from trunkline.plugins.router import ChatView, Line, duration_s, to_replies

MESSAGE = Message(
    text="hi", segments=(Text("hi"),), sender=Person("1", "小明"),
    chat=ChatView("qq/group:1", "group", "1", "", ""), line=Line("qq", "maim"), rest="hi",
    word="", id="m1", item="", at_ms=0,
)  # fmt: skip


def registered(decorate: Any) -> Any:
    router = Router()

    @decorate(router)
    async def handler(msg: Message) -> None: ...

    assert handler.__name__ == "handler"  # the function itself comes back
    (one,) = router.handlers
    return one


def test_decorators_take_notes():
    assert registered(lambda r: r.message).kind == "message"
    assert registered(lambda r: r.message()).words == ()
    assert registered(lambda r: r.keyword("a", "b")).words == ("a", "b")
    assert registered(lambda r: r.command("a")).kind == "command"
    assert registered(lambda r: r.pattern("a+")).words == ("a+",)
    assert registered(lambda r: r.notice("order", "ban")).words == ("order", "ban")
    assert registered(lambda r: r.notice("order")).kind == "notice"


def test_only_a_handler_of_notices_has_a_notice():
    def paid(notice: trunkline.Notice) -> None: ...
    def bare(one): ...

    assert list(wants_of(paid, "notice")) == ["notice"]
    assert wants_of(bare, "notice")["one"] is wants_of(paid, "notice")["notice"]
    assert wants_of(bare)["one"] is not wants_of(paid, "notice")["notice"]
    with pytest.raises(TypeError, match=r"only @router\.notice has it"):
        wants_of(paid)


def test_options_are_read_as_people_write_them():
    one = registered(
        lambda r: r.message(
            lines=["qq", "shop-*"], dialect="maim", where="private|group", priority=3,
            within="500ms", chat={"qq/group:1": "x"},
        )
    )  # fmt: skip
    assert one.lines == ("qq", "shop-*")
    assert one.dialects == ("maim",)
    assert one.wheres == ("private", "group")
    assert (one.priority, one.within_s) == (3, 0.5)
    assert one.chats == ("qq/group:1",)
    assert registered(lambda r: r.message()).within_s == 5.0


@pytest.mark.parametrize(
    "decorate",
    [
        lambda r: r.keyword(),
        lambda r: r.keyword(" "),
        lambda r: r.message(within="soon"),
        lambda r: r.message(within="31s"),
        lambda r: r.message(within=0),
        lambda r: r.message(lines=[""]),
        lambda r: r.message(lines=[3]),
    ],
)
def test_a_wrong_option_is_said_where_it_stands(decorate):
    with pytest.raises(ValueError, match=r"."):
        registered(decorate)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="line"):
        Router().message(line="qq")


def test_a_decorator_stands_before_a_function():
    with pytest.raises(TypeError, match="function"):
        Router().message()(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("500ms", 0.5), ("2m", 120), ("1d", 86_400), (3, 3)]
)
def test_durations(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("好", (Text("好"),)),
        ("", None),
        ("  ", None),
        (None, None),
        ([], None),
        (Text("a"), (Text("a"),)),
        ([Image(data=b"x"), "b"], (Image(data=b"x"), Text("b"))),
        ((Text("a"),), (Text("a"),)),
        (Reply("a", image=b"x"), (Text("a"), Image(data=b"x"))),
        (Reply("a", image="https://h/x.png"), (Text("a"), Image(url="https://h/x.png"))),
        (Reply("a", quote=True), (Quote("m1"), Text("a"))),
        (Reply(segments=(Text("c"),)), (Text("c"),)),
        ("\ud800", (Text("\ufffd"),)),
        ([Text("\ud800")], (Text("\ufffd"),)),
    ],
)
def test_what_a_handler_may_return(value, said):
    assert to_replies(value, MESSAGE) == said


def test_stop_stays_what_it_is():
    assert to_replies(Stop(), MESSAGE) == Stop()


@pytest.mark.parametrize("value", [3, {"a": 1}, [3], object()])
def test_what_cannot_be_said_is_named(value):
    with pytest.raises(TypeError, match="returned"):
        to_replies(value, MESSAGE)


def test_a_copy_may_have_a_prefix():
    assert MESSAGE.copy() == MESSAGE.segments
    assert MESSAGE.copy(prefix="a: ") == (Text("a: "), Text("hi"))


def test_every_public_name_can_be_imported():
    for name in trunkline.__all__:
        assert getattr(trunkline, name) is not None
    with pytest.raises(AttributeError, match="Nothing"):
        trunkline.Nothing  # noqa: B018 - the attribute is what is tested
