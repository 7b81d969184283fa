"""The played gateway: every rule is checked, every refusal has the form that was chosen."""

from __future__ import annotations

from typing import Any

import pytest

from boss_house import PEER, Office, packets
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.frames import Sender
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.contract import LinkState
from trunkline.model.delivery import Outcome
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_packets import ConnAck, Connect, PubAck, Publish

RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # rule → what a message says, how strict the gateway is
    "ids": ({"mid": 5}, {}),
    "sender": ({"from": {"uid": 7, "source": 0}}, {}),
    "self": ({"to_me": True}, {}),
    "peer": ({"to": {"uid": 123_456_789, "source": 0}}, {}),
    "key": ({"to": {"uid": PEER, "name": "wrong", "source": 0}}, {}),
    "source": ({"to": {"uid": PEER}}, {}),
    "empty": ({"text": ""}, {}),
    "mid": ({"cmid": 9, "mid": 9}, {"needs_mid_above": True}),
    "minimal": ({"from": {"uid": 0}, "to": {"uid": 0, "name": "x"}}, {"allows_minimal": False}),
}


def talk(office: Office, more: dict[str, Any], packet_id: int = 77) -> None:
    """Send a message that our own session would never send."""
    more = dict(more)
    text = more.pop("text", "hello")
    cmid = more.pop("cmid", 700_000_000_000_000)
    if more.pop("to_me", False):
        more["to"] = {"uid": office.account.uid, "source": 0}
    fields: dict[str, Any] = {
        "from": {"uid": office.account.uid, "source": 0}, "to": {"uid": PEER, "source": 0},
        "type": 1, "mid": cmid, "cmid": cmid, "time": 1,
        "body": {"type": 1, "templateId": 1, "text": text}, **more,
    }  # fmt: skip
    schema = built_in()
    payload = schema.encode(schema.chat(type=1, messages=[fields]))
    data = encode(Publish(frames.TOPIC, payload, 1, packet_id))
    office.pump.inject(data, is_text=False, into=office.platform)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_counted_and_the_message_is_not_taken(rule: str) -> None:
    more, strict = RULES[rule]
    office = Office().start()
    office.says("hi")
    for name, value in strict.items():
        setattr(office.gateway.rules, name, value)
    talk(office, more)
    assert office.gateway.violations == {f"message-{rule}": 1}
    assert office.heard == []
    receipt = packets(office.pump.take(office.platform))[-1]
    assert isinstance(receipt, PubAck)
    assert receipt.extra[8:] == bytes(8)


def test_too_many_messages_in_a_minute() -> None:
    office = Office().start()
    office.gateway.rules.max_per_minute = 2
    office.says("hi")
    for nth in range(3):
        talk(
            office, {"cmid": 700_000_000_000_000 + nth, "mid": 700_000_000_000_000 + nth}, 70 + nth
        )
    assert office.heard == ["hello", "hello"]
    assert office.gateway.violations == {"message-rate": 1}
    office.clock.advance(61)
    talk(office, {"cmid": 700_000_000_000_009, "mid": 700_000_000_000_009}, 80)
    assert len(office.heard) == 3


@pytest.mark.parametrize("how", ["none", "bye"])
def test_a_violation_may_be_silence_or_the_end(how: Any) -> None:
    office = Office().start()
    office.says("hi")
    office.gateway.rules.on_violation = how
    before = len(office.platform.sent)
    talk(office, {"text": ""})
    assert len(office.platform.sent) == before
    office.pump.advance(0.2)
    assert (office.platform.hangup is not None) == (how == "bye")
    if how == "bye":
        assert office.platform.hangup is not None
        assert (office.platform.hangup.code, office.platform.hangup.reason) == (1000, "Bye")


@pytest.mark.parametrize("is_off", [True, False])
def test_a_second_copy_is_stored_or_not(is_off: bool) -> None:
    office = Office().start()
    office.says("hi")
    office.gateway.rules.dedupes_cmid = is_off
    talk(office, {})
    schema, cmid = built_in(), 700_000_000_000_000
    payload = frames.encode_text(schema, Sender(office.account.uid, PEER), "hello", cmid, 1)
    data = encode(Publish(frames.TOPIC, payload, 1, 78, is_dup=True))
    office.pump.inject(data, is_text=False, into=office.platform)  # type: ignore[arg-type]
    assert office.account.copies[cmid] == (1 if is_off else 2)


def greet(office: Office, **more: Any) -> Connect:
    account = office.account
    password = office.gateway.new_password(account)
    fields: dict[str, Any] = {
        "client_id": "ws-0123456789ABCDEF", "keepalive_s": 25, "username": f"{account.token}|0",
        "password": password.encode(), "protocol": "MQIsdp", "level": 3, **more,
    }  # fmt: skip
    return Connect(**fields)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, 0),
        ({"protocol": "MQTT", "level": 4}, 0),
        ({"client_id": "x"}, 2),
        ({"username": "somebody|0"}, 5),
        ({"password": b"old"}, 5),
    ],
)
def test_logins(more: dict[str, Any], code: int) -> None:
    office = Office()
    office.begin()
    office.gateway.rules.is_wt2_offered = False
    office.pump.link()
    office.pump.take()
    data = encode(greet(office, **more))
    office.pump.inject(data, is_text=False, into=office.platform)  # type: ignore[arg-type]
    (answer,) = packets(office.platform.sent)
    assert answer == ConnAck(code)
    assert (office.platform.state is LinkState.CLOSED) == (code != 0)


def test_a_password_is_good_for_a_time_or_for_once() -> None:
    office = Office()
    rules, account = office.gateway.rules, office.account
    rules.wt2_ttl_ms = 1000
    password = office.gateway.new_password(account)
    assert not office.gateway.refuse_password(account, password)
    office.clock.advance(2)
    assert office.gateway.refuse_password(account, password)
    rules.wt2_ttl_ms, rules.is_single_use = 0, True
    password = office.gateway.new_password(account)
    assert len(password) == 89
    assert not office.gateway.refuse_password(account, password)
    assert office.gateway.refuse_password(account, password)


def test_nothing_is_pushed_before_the_presence() -> None:
    office = Office()
    office.gateway.say_text(office.account, office.peer, "1")
    office.begin()
    office.pump.link()
    office.pump.carry(office.bot)
    assert [type(one) for one in packets(office.platform.sent)] == [ConnAck]
    office.pump.run()
    assert office.words == ["1"]


def test_an_idle_client_is_cut_without_a_word() -> None:
    office = Office().start()
    office.bot.session.wake_at = None
    office.bot.session.tick = lambda: ()  # type: ignore[method-assign]  # a client that hangs
    office.clock.advance(38)
    office.pump._do(office.platform, office.platform.session.tick())
    assert office.platform.hangup is not None
    assert office.platform.hangup.code == 1006


def test_people_say_texts_and_pictures() -> None:
    office = Office().start()
    ident = office.pump.say(office.platform, office.chat, "hi")
    office.pump.run()
    assert office.words == ["hi"]
    assert office.platform.settled[ident].outcome is Outcome.CONFIRMED


def test_ids_of_the_server_follow_the_clock() -> None:
    office = Office()
    now_ms = office.clock.now_ms()
    first, second = office.gateway.new_mid(), office.gateway.new_mid()
    assert (first - 256) // 4096 + 1_695_139_200_000 == now_ms
    assert second == first + 1
