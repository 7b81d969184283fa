"""Paths, roles and tokens of an upgrade, and whose peer it is."""

from __future__ import annotations

from typing import Any

import pytest

from onebot11_lines import CONNECT, options
from trunkline.dialects.contract import Admit, Head, Refuse
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.headers import (
    admit,
    claims,
    dial_headers,
    kind_of,
    paths,
    recognises,
    self_id_of,
)


def head(path: str = "/ws/", query: Any = None, **headers: str) -> Head:
    return Head(path, query or {}, {name.replace("_", "-"): one for name, one in headers.items()})


def test_paths_of_every_tutorial() -> None:
    served = paths(options())
    assert served[0] == "/onebot/v11/ws"
    assert {"/onebot/v11/ws/", "/onebot/v11/", "/onebot/v11", "/ws/", "/onebot", "/onebot/"} <= set(
        served
    )
    assert {"/ws/api", "/ws/event", "/ws/api/", "/onebot/v11/ws/event"} <= set(served)
    assert "/ws" in served  # maim's too, where both share a port: the peer tells
    assert len(served) == len(set(served))


def test_a_path_of_the_users_is_exact() -> None:
    assert paths(options(path="/qq", aliases=("/qq2",))) == (
        "/qq",
        "/qq/api",
        "/qq/api/",
        "/qq/event",
        "/qq/event/",
        "/qq2",
        "/qq2/api",
        "/qq2/api/",
        "/qq2/event",
        "/qq2/event/",
    )
    assert paths(options(path="/my/event")) == ("/my/event",)


def test_an_implementation_serves_the_root_of_its_own_port() -> None:
    keys: dict[str, Any] = {"role": "implementation", "self_id": "1"}
    own = paths(options(bind="127.0.0.1:6700", **keys))
    assert own == ("/", "/api", "/api/", "/event", "/event/")
    shared = paths(options(**keys))
    assert shared[:3] == ("/onebot/v11", "/onebot/v11/", "/onebot/v11/api")


@pytest.mark.parametrize(
    ("path", "role", "kind"),
    [
        ("/ws/", None, "universal"),
        ("/ws/", "API", "api"),
        ("/ws/", "Api", "api"),
        ("/ws/", "event", "event"),
        ("/ws/", "UNIVERSAL", "universal"),
        ("/ws/", "x", "universal"),
        ("/ws/api", None, "api"),
        ("/ws/event/", "Universal", "event"),
    ],
)
def test_what_a_connection_carries(path: str, role: str | None, kind: str) -> None:
    asked = head(path, **({"x_client_role": role} if role is not None else {}))
    assert kind_of(options(), asked) == kind
    admitted = admit(options(), asked)
    assert admitted == Admit(kind, 16 << 20)


def test_a_framework_says_nothing_of_its_role() -> None:
    line = options(role="implementation", self_id="1")
    assert kind_of(line, head("/onebot/v11", x_client_role="API")) == "universal"
    assert admit(line, head("/onebot/v11/api")) == Admit("api", 64 << 20)


def test_the_bound_of_one_message_may_be_set() -> None:
    assert admit(options(max_message_bytes=4096), head()) == Admit("universal", 4096)


@pytest.mark.parametrize(
    ("given", "account"),
    [("12345", "12345"), ("*", ""), ("", ""), ("a b", ""), (" 7 ", "7"), ("ou_1", "ou_1")],
)
def test_the_account_of_a_head(given: str, account: str) -> None:
    assert self_id_of(head(x_self_id=given)) == account


def test_two_tokens_may_be_valid_at_once_and_are_utf8() -> None:
    line = options(token=("密钥", "new"))
    wire = "密钥".encode().decode("latin-1")  # as a server reads a header
    for asked in (
        head(authorization=f"Bearer {wire}"),
        head(authorization="token new"),
        head(query={"access_token": "密钥"}),
        head(query={"access_token": "new"}, authorization="Bearer "),
    ):
        assert isinstance(admit(line, asked), Admit)
    assert admit(line, head()) == Refuse(401, "the access token is missing")
    for wrong in (
        head(authorization="new"),
        head(authorization="Bearer newer"),
        head(query={"access_token": "x"}),
    ):
        assert admit(line, wrong) == Refuse(403, "the access token is wrong")


def test_what_a_framework_dials_with() -> None:
    line = options(link="dial", url="ws://h", token="t", headers={"X-A": "b"})
    assert dial_headers(line) == {"X-A": "b", "Authorization": "Bearer t"}
    assert dial_headers(options(link="dial", url="ws://h", user_agent="me")) == {"User-Agent": "me"}


@pytest.mark.parametrize(
    ("headers", "whose"),
    [
        ({"x_self_id": "1"}, True),
        ({"x_client_role": "API"}, True),
        ({"x_self_id": "1", "platform": "qq"}, True),
        ({"platform": "qq"}, False),
        ({"authorization": "bare"}, False),
        ({"authorization": "Bearer x"}, None),
        ({"authorization": "Bearer"}, None),
        ({}, None),
    ],
)
def test_whose_peer_a_head_is(headers: Any, whose: bool | None) -> None:
    assert claims(head(**headers)) is whose


@pytest.mark.parametrize(
    ("frame", "is_ours"),
    [
        (CONNECT, True),
        (b'{"retcode":1403,"status":"failed"}', True),
        (b'{"message_info":{},"message_segment":{}}', False),
        (b"x", False),
        (b"[]", False),
    ],
)
def test_whose_first_frame_it_is(frame: bytes, is_ours: bool) -> None:
    assert recognises(frame) is is_ours


def test_the_description() -> None:
    assert ONEBOT11.listens == ONEBOT11.dials == ONEBOT11.roles == ("framework", "implementation")
    assert [ONEBOT11.delay_s(cause, nth) for cause, nth in (("lost", 1), ("refused", 99))] == [5, 5]
    from trunkline.model.address import Chat

    assert ONEBOT11.seat_of(Chat("12345", "group", "1")) == "12345"
    assert ONEBOT11.account_of(options(role="implementation", self_id="9")) == "9"
