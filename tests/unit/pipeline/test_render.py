import pytest

from trunkline.model.event import Person
from trunkline.model.segment import Image, Text
from trunkline.pipeline.render import FIELDS, compile_template
from turns import NOW_MS, turn

ASKED = turn("你好 {send_user_id}", item="7", sender=Person("u1", "小明"))
CHINA_MS = 28_800_000


def render(text: str, asked=ASKED) -> str:
    return compile_template(text).text(asked, CHINA_MS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{send_user_name}/{send_user_id}/{item_id}", "小明/u1/7"),
        ("{send_message}", "你好 {send_user_id}"),
        ("{time}", "08:00"),
        ("{coupon} {send_user_name}", "{coupon} 小明"),
        ('{"a": 1} {send_user_name}', '{"a": 1} 小明'),
        ("50% } {send_user_name} {", "50% } 小明 {"),
        ("{{send_user_name}}", "{send_user_name}"),
        ("{{{send_user_name}}}", "{{send_user_name}}"),
        ("{{coupon}}", "{{coupon}}"),
        ("{} {0} {send_user_name!r} {send_user_name:>9}",) * 2,
        ("{send_user_name.__class__} {send_user_name[0]}",) * 2,
        ("{Send_User_Name} { send_user_name }",) * 2,
        ("%s %(send_message)s {{ }} $name {%",) * 2,
        ("", ""),
    ],
)
def test_one_pass(text, expected):
    assert render(text) == expected


def test_an_unknown_name_at_the_beginning_leaves_no_blank():
    nobody = turn("  x", sender=None)
    assert render("{send_user_name} 您好", nobody) == "您好"
    assert render("{send_message}", nobody) == "  x"


def test_values_that_are_missing_are_empty():
    nobody = turn("x", sender=None)
    assert render("[{send_user_name}{send_user_id}{item_id}]", nobody) == "[]"


def test_a_person_is_addressed_by_card_or_name_but_not_by_a_bare_id():
    assert render("{send_user_name}", turn(sender=Person("u1", "小明", "群主"))) == "群主"
    assert render("{send_user_name}", turn(sender=Person("u1"))) == ""


def test_time_is_of_the_offset_given():
    asked = turn(now_ms=NOW_MS + 23 * 3_600_000 + 59 * 60_000)
    assert compile_template("{time}").text(asked, 0) == "23:59"
    assert compile_template("{time}").text(asked, CHINA_MS) == "07:59"


def test_what_needs_no_filling_is_ready():
    image = Image(data=b"x")
    assert compile_template("好").fixed == (Text("好"),)
    assert compile_template("好", image).fixed == (Text("好"), image)
    assert compile_template(" ", image).fixed == (image,)
    assert compile_template(" ").is_silent
    assert not compile_template("{time}").is_silent


def test_segments_of_what_is_filled():
    image = Image(url="https://x/y.png")
    assert compile_template("a {item_id}", image).segments(ASKED, 0) == (Text("a 7"), image)
    empty = turn(item="")
    assert compile_template("{item_id}", image).segments(empty, 0) == (image,)
    assert compile_template("{item_id}").segments(empty, 0) == ()


def test_the_names_are_those_of_the_guides():
    assert set(FIELDS) == {"send_user_name", "send_user_id", "send_message", "item_id", "time"}
