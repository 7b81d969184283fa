"""Every golden case of classic frames, and the connection cases at the level of `admit`."""

from __future__ import annotations

from typing import Any

import pytest

from maim_lines import QQ, core, kinds, opening, options
from maim_vectors import frame_of, load, meaning_of
from trunkline.dialects.contract import (
    Admit,
    Changed,
    Hangup,
    Head,
    LinkInfo,
    LinkState,
    Noticed,
    Received,
    Sharing,
)
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.frames import REJECTIONS
from trunkline.dialects.maim.translate import WARNINGS

CASES = load()
CONNECTIONS = load("connection_vectors")


def ids(cases: list[dict[str, Any]]) -> list[str]:
    return [case["id"] for case in cases]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_case(case: dict[str, Any]) -> None:
    platform = case["connection"]["platform_header"]
    session = core(Head("/ws", {}, {"platform": platform} if platform else {}))
    data, is_text = frame_of(case)
    effects = session.receive(data, is_text=is_text)
    noticed = kinds(effects)
    expect = case["expect"]
    assert not any(isinstance(effect, Hangup) for effect in effects)
    if not expect["accept"]:
        assert noticed == [f"rejected:{expect['reason']}"]
        assert expect["reason"] in REJECTIONS
        assert len(effects) == 1
        return
    warnings = [kind.removeprefix("warned:") for kind in noticed]
    assert set(warnings) <= WARNINGS
    [received] = [effect for effect in effects if isinstance(effect, Received)]
    assert meaning_of(received.event, warnings) == expect["meaning"]
    assert received.receipt is None


def test_all_cases_are_here() -> None:
    assert len(CASES) == 61
    assert len(CONNECTIONS) == 11


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_a_message_follows_every_case(case: dict[str, Any]) -> None:
    session = core()
    data, is_text = frame_of(case)
    session.receive(data, is_text=is_text)
    good, _ = frame_of(CASES[0])
    [received] = session.receive(good, is_text=True)
    assert isinstance(received, Received)


@pytest.mark.parametrize("case", CONNECTIONS, ids=ids(CONNECTIONS))
def test_connection(case: dict[str, Any]) -> None:
    server, expect = case["server"], case["expect"]
    keys: dict[str, Any] = {"token": tuple(server["tokens"])}
    if "max_bytes" in server:
        keys["max_message_bytes"] = server["max_bytes"]
    line = options(**keys)
    # A header arrives as bytes that the server reads as latin-1, its name in lower case.
    headers = {
        name.lower(): value.encode().decode("latin-1") for name, value in case["headers"].items()
    }
    if "http_in" in expect:  # the gate's table of exact paths decides
        assert case["path"] not in MAIM.paths(line)
        return
    head = Head("/ws", {}, headers, "127.0.0.1", True)
    admitted = MAIM.admit(line, head)
    assert isinstance(admitted, Admit)
    assert admitted.max_message_bytes == server.get("max_bytes", 64 << 20)
    session = MAIM.open(line, opening("core", kind=admitted.kind))
    assert session.begin(None) == ()
    effects = list(session.linked(LinkInfo(head)))
    if expect.get("close") == 1008:
        noticed, hangup = effects
        assert noticed == Noticed("auth-failed")
        assert isinstance(hangup, Hangup)
        assert (hangup.code, hangup.reason) == (expect["close"], expect["reason"])
        assert session.receive(frame_of(CASES[0])[0], is_text=True) == ()
    elif "registered_platform" in expect:
        [changed] = effects
        assert isinstance(changed, Changed)
        assert changed.state is LinkState.READY
        assert changed.seat is not None
        assert changed.seat.key == changed.seat.account == expect["registered_platform"]
        # H008: the roster closes the older link of a seat that is replaced, with 1000.
        assert changed.seat.sharing is Sharing.REPLACE
    else:
        assert expect["close"] == 1009  # H010: the link counts against `max_message_bytes`


def test_the_refused_upgrade_says_what_to_do() -> None:
    from trunkline.dialects.contract import Refuse

    line = options()
    socketio = MAIM.admit(line, Head("/ws", {"EIO": "4", "transport": "websocket"}, QQ.headers))
    assert isinstance(socketio, Refuse)
    assert socketio.status == 400
    assert "0.7 (Socket.IO)" in socketio.text
    assert "0.6.8" in socketio.text
