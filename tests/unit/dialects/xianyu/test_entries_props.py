"""The short way to read an address gives what the standard library gives."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.dialects.xianyu.entries import _query

_PIECES = st.sampled_from([
    "fleamarket://message_chat", "https://h/p", "?", "&", "=", "itemId", "9", "sid", "a b", "%20",
    "+", "#", "[", "]", ";", "//", ":", " ", "\t", "买", "\u00a0",
])  # fmt: skip


@given(st.lists(_PIECES, max_size=14).map("".join) | st.text(max_size=60))
@example("fleamarket://message_chat?itemId=9&peerUserId=2&sid=5&messageId=f")
@example("?a=1" + "&a=1" * 120)
@example("?a=1&b=&c&=3&a=2&&")
@example("?a=1?b=2=3")
def test_a_query_is_what_the_library_reads(url: str) -> None:
    try:
        expected = dict(parse_qsl(urlsplit(url).query, max_num_fields=100))
    except ValueError:
        expected = {}
    assert _query(url) == expected
