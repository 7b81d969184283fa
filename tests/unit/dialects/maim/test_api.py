"""The API-Server line: every golden case, who is acknowledged when, what an answer looks like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maim_lines import api_adapter, api_core, delivery, envelope, options
from maim_vectors import load, meaning_of
from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Changed,
    Dial,
    Hangup,
    Head,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Received,
    Seat,
    Settled,
    Sharing,
    Transmit,
)
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.api import ACK_WAIT_S, UNACKNOWLEDGED, ApiSession
from trunkline.errors import LinkLost, LocalProtocolError
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome
from trunkline.model.event import MessageReceived, NoticeReceived

CASES = load("api_server_vectors")
GROUP = Chat("qq", "group", "42", "群")


def hear(session: ApiSession, frame: object) -> list[Any]:
    data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return list(session.receive(data, is_text=True))


def sent(effects: Any) -> list[dict[str, Any]]:
    return [json.loads(effect.data) for effect in effects if isinstance(effect, Transmit)]


def events(effects: Any) -> list[Received]:
    return [effect for effect in effects if isinstance(effect, Received)]


def noticed(effects: Any) -> list[str]:
    return [effect.kind for effect in effects if isinstance(effect, Noticed)]


def settled(effects: Any) -> list[Settled]:
    return [effect for effect in effects if isinstance(effect, Settled)]


def acked(effects: Any) -> list[str]:
    frames = sent(effects)
    assert all(frame["type"] == "sys_ack" for frame in frames), frames
    return [frame["meta"]["acked_msg_id"] for frame in frames]


# -- the golden cases --------------------------------------------------------------------------


def test_all_cases_are_here() -> None:
    assert [case["id"] for case in CASES] == [f"A00{nth}" for nth in range(1, 10)]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    expect = case["expect"]
    is_for_client = "client_replies_first" in expect
    session = api_adapter() if is_for_client else api_core()
    replies = expect.get("replies_first") or expect.get("client_replies_first")
    effects = hear(session, case["frame_json"])
    received = events(effects)
    assert not any(isinstance(effect, Hangup) for effect in effects)
    if expect["meaning"] is None and "precondition" not in case:
        assert received == []
        acks = sent(effects)
    else:
        assert sent(effects) == []  # not before the commit
        acks = [
            frame for one in received if one.receipt for frame in sent(session.stored(one.receipt))
        ]
    assert len(acks) == (1 if replies else 0)
    for ack in acks:
        assert ack["type"] == "sys_ack"
        assert ack["meta"]["acked_msg_id"] == replies["meta.acked_msg_id"]
        assert ack["payload"]["status"] == "received"
        assert ("client_timestamp" in ack["payload"]) is is_for_client
    if received and "precondition" not in case:
        _check_meaning(received[0].event, expect["meaning"])


def _check_meaning(event: Any, wanted: dict[str, Any]) -> None:
    meaning = meaning_of(event, [])
    for name, value in wanted.items():
        if name == "receiver_group":
            assert meaning["chat"]["type"] == "group"
            assert meaning["chat"]["id"] == value
        elif isinstance(value, dict):
            assert meaning[name].items() >= value.items()
        else:
            assert meaning[name] == value


def test_a_repeat_has_the_key_of_the_first() -> None:
    """A002: the unique index is the de-duplication, and `stored` follows for the repeat too."""
    first, again = CASES[0]["frame_json"], CASES[1]["frame_json"]
    session = api_core()
    one, two = events(hear(session, first))[0], events(hear(session, again))[0]
    assert one.event.key is not None
    assert one.event.key == two.event.key
    assert acked(session.stored(two.receipt)) == ["m1"]
    first["payload"]["message_info"]["time"] += 1  # written again, by a peer that notes when
    assert events(hear(session, first))[0].event.key == one.event.key
    other = events(hear(session, first | {"msg_id": "m2"}))[0]
    assert other.event.key != one.event.key


def test_without_dedupe_nothing_has_a_key() -> None:
    session = api_core(dedupe=False)
    assert events(hear(session, envelope()))[0].event.key is None


# -- receiving ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "kinds"),
    [
        (envelope(type="weird"), ["rejected:unknown_type"]),
        (envelope(type="sys_other"), []),
        (envelope(type=None), ["rejected:unknown_type"]),
        (envelope(type=7), ["rejected:unknown_type"]),
        (envelope(type="custom_"), ["rejected:custom_without_name"]),
        (envelope(payload=None), ["rejected:incomplete_message"]),
        (envelope(payload=[1]), ["rejected:incomplete_message"]),
        (envelope(payload={"message_info": {}}), ["rejected:incomplete_message"]),
        (envelope(ident="m1", payload="x"), ["rejected:incomplete_message"]),
    ],
)
def test_what_is_dropped_is_acknowledged_at_once_and_once(frame: Any, kinds: list[str]) -> None:
    effects = hear(api_core(), frame)
    assert events(effects) == []
    assert noticed(effects) == kinds
    assert acked(effects) == ["m1"]


@pytest.mark.parametrize("kind", ["weird", "sys_other", "sys_std"])
def test_what_has_no_id_is_dropped_without_an_acknowledgement(kind: str) -> None:
    effects = hear(api_core(), envelope(ident=None, type=kind, payload={"hello": 1}))
    assert events(effects) == []
    assert sent(effects) == []


@pytest.mark.parametrize("part", ["message_dim", "message_info", "message_segment"])
def test_a_message_without_a_required_part_is_dropped(part: str) -> None:
    frame = envelope()
    del frame["payload"][part]
    effects = hear(api_core(), frame)
    assert events(effects) == []
    assert len(noticed(effects)) == 1
    assert acked(effects) == ["m1"]


@pytest.mark.parametrize(
    ("party", "field"),
    [("user_info", "user_id"), ("user_info", "platform"), ("group_info", "group_id")],
)
def test_a_party_without_its_id_is_dropped(party: str, field: str) -> None:
    frame = envelope()
    del frame["payload"]["message_info"]["sender_info"][party][field]
    effects = hear(api_core(), frame)
    assert events(effects) == []
    assert noticed(effects) == ["rejected:incomplete_message"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"{nope", "not_json"),
        (b"[1]", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"", "not_json"),
    ],
)
def test_what_is_no_envelope_is_dropped_without_a_word(data: bytes, kind: str) -> None:
    effects = hear(api_core(), data)
    assert effects == [Noticed(f"rejected:{kind}", effects[0].detail)]


def test_binary_is_dropped_and_the_connection_stays() -> None:
    session = api_core()
    [notice] = session.receive(b"\0\1", is_text=False)
    assert isinstance(notice, Noticed)
    assert notice.kind == "rejected:binary_frame"
    assert len(events(hear(session, envelope()))) == 1


def test_an_integer_id_and_a_not_a_number_are_read() -> None:
    session = api_core()
    data = json.dumps(envelope(ident=None) | {"msg_id": 7}).replace('"ver": 1', '"ver": NaN')
    [received] = events(hear(session, data.encode()))
    assert acked(session.stored(received.receipt)) == ["7"]


def test_an_id_of_any_length_is_acknowledged_but_only_a_short_one_is_stored() -> None:
    session = api_core()
    assert len(events(hear(session, envelope(ident="m" * 512)))) == 1
    effects = hear(session, envelope(ident="m" * 513))
    assert noticed(effects) == ["rejected:id_too_long"]
    assert acked(effects) == ["m" * 513]


def test_two_notices_of_a_frame_have_keys_of_their_own_and_one_receipt() -> None:
    frame = envelope()
    frame["payload"]["message_segment"]["data"] = [
        {"type": "notify", "data": {"sub_type": "ban"}},
        {"type": "notify", "data": {"sub_type": "essence"}},
    ]
    one, two = events(hear(api_core(), frame))
    assert isinstance(one.event, NoticeReceived)
    assert one.event.key != two.event.key
    assert one.receipt == two.receipt == "m1"


def test_an_adapter_hears_whom_a_message_is_for() -> None:
    [received] = events(hear(api_adapter(), envelope(side="receiver")))
    event = received.event
    assert isinstance(event, MessageReceived)
    assert event.chat == Chat("qq", "group", "42", "")


def test_nothing_is_read_or_acknowledged_after_the_end() -> None:
    session = api_core()
    [received] = events(hear(session, envelope()))
    effects = session.finish()
    assert [type(effect) for effect in effects] == [Changed, Hangup]
    assert hear(session, envelope(ident="m2")) == []
    assert session.stored(received.receipt) == ()


# -- the seat and the dial ---------------------------------------------------------------------


def seat(query: dict[str, str], headers: dict[str, str]) -> Seat:
    session = MAIM.open(options(), Opening("core", "api", FakeClock(), CountingIds()))
    session.begin(None)
    [changed] = session.linked(LinkInfo(Head("/ws", query, headers)))
    assert isinstance(changed, Changed)
    assert changed.state is LinkState.READY
    assert changed.seat is not None
    return changed.seat


def test_a_platform_s_connections_share_its_seat_unless_they_have_one_id() -> None:
    taken = seat({"api_key": "k", "platform": "平台"}, {"x-uuid": "u1", "x-platform": "other"})
    assert (taken.key, taken.account, taken.link_id) == ("平台", "平台", "u1")
    assert taken.sharing is Sharing.JOIN
    bare = seat({}, {"x-apikey": "k"})
    assert bare.key == "unknown"
    assert bare.link_id  # our own: never that of another connection
    raw = "平台".encode().decode("latin-1")
    assert seat({}, {"x-apikey": "k", "x-platform": raw}).key == "平台"


def test_an_adapter_dials_with_the_headers_of_this_line() -> None:
    line = options(
        role="adapter", link="dial", url="ws://h/ws", platform="平台", api=True, token="T0",
        headers={"x-gate": "g"},
    )  # fmt: skip
    session = MAIM.open(line, Opening("adapter", "", FakeClock(), CountingIds()))
    [dial] = session.begin(None)
    assert isinstance(dial, Dial)
    uuid = dial.headers["x-uuid"]
    assert dial.headers == {
        "x-gate": "g", "x-uuid": uuid, "x-apikey": "T0", "x-platform": "平台",
    }  # fmt: skip
    assert uuid
    # Peers of this line read the header wrongly, so the name is in the query too.
    assert dial.url == "ws://h/ws?platform=%E5%B9%B3%E5%8F%B0"
    [changed] = session.linked(LinkInfo(Head("/ws"), is_dialled=True))
    assert isinstance(changed, Changed)
    assert changed.seat is not None
    assert (changed.seat.key, changed.seat.sharing) == ("平台", Sharing.REPLACE)


def test_a_key_of_its_own_is_before_the_token() -> None:
    line = options(role="adapter", link="dial", url="ws://h", api=True, token="T0", api_key="K")
    [dial] = MAIM.open(line, Opening("adapter", "", FakeClock(), CountingIds())).begin(None)
    assert isinstance(dial, Dial)
    assert dial.headers["x-apikey"] == "K"
    assert dial.url == "ws://h"


# -- sending -----------------------------------------------------------------------------------


def test_a_core_answers_the_connection_s_account() -> None:
    session = api_core()
    [received] = events(hear(session, envelope()))
    event = received.event
    assert isinstance(event, MessageReceived)
    effects = session.send(delivery("好", event.chat, event.context))
    assert settled(effects) == []  # its fate is the peer's acknowledgement
    [frame] = sent(effects)
    assert (frame["ver"], frame["type"]) == (1, "sys_std")
    meta = frame["meta"]
    assert (meta["sender_user"], meta["target_user"], meta["platform"]) == ("server", "K1", "qq")
    payload = frame["payload"]
    assert payload["message_dim"] == {"api_key": "K1", "platform": "qq"}
    info = payload["message_info"]
    assert "user_info" not in info
    assert "group_info" not in info
    assert info["receiver_info"]["group_info"]["group_id"] == "42"
    assert info["receiver_info"]["user_info"]["user_id"] == "10001"
    assert info["platform"] == "qq"
    assert info["message_id"]
    assert info["time"]
    assert payload["message_segment"]["data"] == [{"type": "text", "data": "好"}]


def test_an_adapter_says_who_speaks() -> None:
    [frame] = sent(api_adapter().send(delivery("好", GROUP)))
    assert frame["meta"] == {
        "sender_user": "K1", "platform": "qq", "timestamp": frame["meta"]["timestamp"],
    }  # fmt: skip
    info = frame["payload"]["message_info"]
    assert "user_info" not in info
    assert "group_info" not in info
    assert "receiver_info" not in info
    assert info["sender_info"]["group_info"] == {
        "platform": "qq", "group_id": "42", "group_name": "群",
    }  # fmt: skip
    assert info["sender_info"]["user_info"]["user_id"] == "trunkline"


def ack(ident: str) -> dict[str, Any]:
    return {"ver": 1, "msg_id": "a", "type": "sys_ack", "meta": {"acked_msg_id": ident}}


def test_an_acknowledgement_confirms_once_and_is_not_acknowledged() -> None:
    session = api_core()
    [frame] = sent(session.send(delivery("好")))
    assert hear(session, ack("somebody else's")) == []
    assert hear(session, ack(frame["msg_id"])) == [Settled(DeliveryId(17), Outcome.CONFIRMED)]
    assert hear(session, ack(frame["msg_id"])) == []
    assert settled(session.lost(LinkLost())) == []


def test_the_id_is_the_same_at_every_attempt_and_differs_between_accounts() -> None:
    def ident(session: ApiSession, number: int = 17) -> str:
        return sent(session.send(delivery("好", ident=number)))[0]["msg_id"]

    assert ident(api_core()) == ident(api_core())
    heads = [
        Head("/ws", {"api_key": key, "platform": platform})
        for key, platform in (("K1", "qq"), ("K2", "qq"), ("K1", "wx"))
    ]
    assert len({ident(api_core(head=head)) for head in heads}) == 3
    assert ident(api_core(), 17) != ident(api_core(), 18)
    # Both ends of one line may run in one process of ours, with the same delivery ids.
    assert ident(api_core()) != ident(api_adapter())


def test_what_is_not_acknowledged_when_the_link_dies_is_sent_again() -> None:
    session = api_core()
    for nth in (17, 18):
        session.send(delivery("好", ident=nth))
    effects = session.lost(LinkLost())
    assert [(one.delivery_id, one.outcome, one.is_repeatable) for one in settled(effects)] == [
        (17, Outcome.UNCERTAIN, True), (18, Outcome.UNCERTAIN, True),
    ]  # fmt: skip
    assert effects[-1] == Changed(LinkState.CLOSED)
    assert session.wake_at is None


def test_a_living_peer_that_does_not_acknowledge_is_asked_once_more() -> None:
    clock = FakeClock()
    session = api_core(clock)
    session.send(delivery("一", ident=17))
    clock.advance(1)
    session.send(delivery("二", ident=18))
    due = session.wake_at
    assert due == clock.monotonic_s() - 1 + ACK_WAIT_S
    clock.advance(ACK_WAIT_S - 1)
    assert [(s.delivery_id, s.is_repeatable) for s in settled(session.tick())] == [(17, True)]
    assert session.wake_at == due + 1
    again = delivery("一", ident=17)
    session.send(Delivery(again.id, again.chat, again.what, attempt=2))
    clock.advance(ACK_WAIT_S)
    late = settled(session.tick())
    assert [(one.delivery_id, one.is_repeatable) for one in late] == [(18, True), (17, False)]
    assert {one.outcome for one in late} == {Outcome.UNCERTAIN}
    assert session.wake_at is None
    assert session.tick() == []


def test_a_peer_that_acknowledges_nothing_gets_no_more_than_it_can_remember() -> None:
    session = api_core()
    for nth in range(UNACKNOWLEDGED):
        assert sent(session.send(delivery("x", ident=nth + 1)))
    [later] = session.send(delivery("x", ident=5000))
    assert isinstance(later, Settled)
    assert (later.outcome, later.wait_s) == (Outcome.LATER, 1.0)


def test_what_cannot_be_said_is_refused_and_not_awaited() -> None:
    session = api_core()
    [refused] = session.send(delivery("x", Chat("qq", "channel", "1")))
    assert isinstance(refused, Settled)
    assert refused.outcome is Outcome.REFUSED
    assert settled(session.lost(LinkLost())) == []


def test_custom_messages_both_ways() -> None:
    session = api_core()
    act = Delivery(DeliveryId(33), GROUP, Act("custom:poke", b'{"who":"1"}'))
    [frame] = sent(session.send(act))
    assert (frame["type"], frame["payload"]) == ("custom_poke", {"who": "1"})
    assert hear(session, ack(frame["msg_id"])) == [Settled(DeliveryId(33), Outcome.CONFIRMED)]
    [received] = events(hear(session, envelope(type="custom_wave", payload={"a": [1]})))
    assert isinstance(received.event, NoticeReceived)
    assert (received.event.name, json.loads(received.event.data)) == ("custom:wave", {"a": [1]})
    assert received.event.key == b"=m1"
    assert acked(session.stored(received.receipt)) == ["m1"]


def test_an_echo_before_the_acknowledgement_is_the_proof_and_after_it_an_event() -> None:
    session = api_core()
    frames = [sent(session.send(delivery("x", ident=nth)))[0] for nth in (17, 18)]
    ours = [frame["payload"]["message_info"]["message_id"] for frame in frames]

    def echo(message_id: str, ident: str) -> dict[str, Any]:
        content = {"type": "echo", "echo": message_id, "actual_id": "9"}
        return envelope(ident=ident, type="custom_message_id_echo", payload=content)

    early = hear(session, echo(ours[0], "e1"))
    assert settled(early) == [Settled(DeliveryId(17), Outcome.CONFIRMED, peer_id="9")]
    assert acked([effect for effect in early if isinstance(effect, Transmit)]) == ["e1"]
    assert hear(session, ack(frames[0]["msg_id"])) == []
    hear(session, ack(frames[1]["msg_id"]))
    [late] = events(hear(session, echo(ours[1], "e2")))
    assert isinstance(late.event, NoticeReceived)
    assert late.event.name == "custom:message_id_echo"
    assert json.loads(late.event.data)["actual_id"] == "9"
    assert late.receipt == "e2"


def test_our_own_misuse_raises() -> None:
    session = MAIM.open(options(), Opening("core", "api", FakeClock(), CountingIds()))
    session.begin(None)
    with pytest.raises(LocalProtocolError):
        session.send(delivery("x"))
    with pytest.raises(LocalProtocolError):
        session.answered("tag", None)
