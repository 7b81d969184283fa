import pytest

from trunkline.model.address import MAX_ID_CHARS, Address, format_address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("qq/private:10001", Address("qq", "private", "10001")),
        ("qq/group:20001@12345", Address("qq", "group", "20001", "12345")),
        ("shop/user:7?item=9", Address("shop", "user", "7", "", "9")),
        ("shop/user:7@me?item=9", Address("shop", "user", "7", "me", "9")),
        ("tg/private:@name", Address("tg", "private", "@name")),
        ("tg/private:@name@me", Address("tg", "private", "@name", "me")),
        ("tg/private:%40name%3F", Address("tg", "private", "@name?")),
        ("blog/visitor:a/b:c d", Address("blog", "visitor", "a/b:c d")),
        ("主号/chat:小明", Address("主号", "chat", "小明")),
    ],
)
def test_parse(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "qq", "qq/", "qq/private", "qq/private:", "/private:1", "qq/Private:1", "q q/private:1",
        "qq/private:1?item=", "qq/private:1?other=1", "qq/private:?item=1", "qq/1x:1",
        "qq/private:" + "x" * (MAX_ID_CHARS + 1),
    ],
)  # fmt: skip
def test_what_is_no_address_gets_a_sentence(text):
    with pytest.raises(ValueError, match=r"address|item|characters"):
        parse_address(text)


def test_special_signs_are_encoded():
    assert (
        format_address(Address("a", "b", "x@y?z%", "m@", "1&2")) == "a/b:x%40y%3Fz%25@m%40?item=1&2"
    )
    assert format_address(Address("a", "b", "line\nbreak")) == "a/b:line%0Abreak"
