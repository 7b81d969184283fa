"""The job seeker's account and the gateway in memory: life of a line, every fault."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest

from boss_house import LOGIN, PEER, Office, packets
from trunkline.dialects.boss import http
from trunkline.dialects.boss.emulator import ASK_RESUME, ask_for, job_card
from trunkline.dialects.boss.gateway import HTTP_FAULTS, own_party, peer_party
from trunkline.dialects.boss.receipts import PUBACKS
from trunkline.dialects.contract import (
    Again,
    DoAnswer,
    Hangup,
    Keep,
    LinkState,
    Noticed,
    Park,
    Received,
    Transmit,
)
from trunkline.errors import LinkLost, LinkRefused, StoreUnavailable
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, NoticeReceived, RequestReceived
from trunkline.model.message import plain_text
from trunkline.model.segment import Image, Raw, Text
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_packets import Connect, PubAck, Publish, Subscribe

PNG = (
    b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + b"IHDR"
    + (1700).to_bytes(4, "big") + (2200).to_bytes(4, "big") + b"\x08\x02\x00\x00\x00" + b"x" * 50
)  # fmt: skip


def echo(words: str) -> str:
    return f"收到：{words}"


def settled(office: Office) -> list[Outcome]:
    return [one.outcome for one in office.bot.settled.values()]


def acks(office: Office) -> list[int]:
    return [one.packet_id for one in packets(office.bot.sent) if isinstance(one, PubAck)]


# -- connecting --------------------------------------------------------------------------------


def test_a_start_asks_who_we_are_and_for_a_password_and_then_dials_as_the_browser() -> None:
    office = Office().start()
    assert office.bot.state is LinkState.READY
    assert office.bot.seat is not None
    assert office.bot.seat.account == str(office.account.uid)
    assert [fetch.url.partition("zhipin")[0] for fetch in office.fetches] == [
        f"http://127.0.0.1{http.USER_INFO}", f"http://127.0.0.1{http.GET_WT}",
    ]  # fmt: skip
    dial = office.bot.dial
    assert dial is not None
    (password,) = office.account.passwords
    assert dial.subprotocol == password
    assert (dial.headers["Cookie"], dial.headers["Origin"]) == (LOGIN, "https://www.zhipin.com")
    assert dial.headers["User-Agent"] == office.fetches[0].headers["user-agent"]
    first, presence = packets(office.bot.sent)[:2]
    assert isinstance(first, Connect)
    assert (first.protocol, first.level, first.keepalive_s) == ("MQIsdp", 3, 25)
    assert (first.username, first.password) == (f"{office.account.token}|0", password.encode())
    assert first.is_clean
    assert isinstance(presence, Publish)
    assert (presence.packet_id, presence.qos, presence.is_retained) == (1, 1, True)
    assert office.gateway.violations == {}


@pytest.mark.parametrize(
    ("options", "offered"),
    [({"subprotocol": "mqtt"}, "mqtt"), ({"subprotocol": "my-own~text"}, "my-own~text")],
)
def test_the_subprotocol_is_free(options: dict[str, Any], offered: str) -> None:
    office = Office(**options)
    office.gateway.rules.is_wt2_offered = False
    office.start()
    assert office.bot.state is LinkState.READY
    assert office.bot.dial is not None
    assert office.bot.dial.subprotocol == offered


def test_level_four_subscribing_and_the_sites_gateway_are_settings() -> None:
    office = Office(mqtt_level=4, subscribe=1, resolve_host=True, heartbeat_interval_s=15)
    office.gateway.host = "ws9.example.invalid"
    office.gateway.rules.suback = "no_codes"
    office.start()
    assert office.bot.state is LinkState.READY
    assert office.bot.dial is not None
    assert office.bot.dial.url == "ws://ws9.example.invalid/chatws"
    first, presence, subscribe = packets(office.bot.sent)[:3]
    assert isinstance(first, Connect)
    assert (first.protocol, first.level, first.keepalive_s) == ("MQTT", 4, 15)
    assert isinstance(presence, Publish)
    assert isinstance(subscribe, Subscribe)
    assert subscribe.filters == (("chat", 1),)
    assert office.gateway.violations == {}


def test_every_connection_has_a_new_password_a_new_client_id_and_the_newest_cookies() -> None:
    office = Office().start()
    office.pump.cut()
    office.clock.advance(60)
    cookies = type(office.options.cookies)(f"{LOGIN}; more=1")
    office.options = office.options.model_copy(update={"cookies": cookies})
    office.again()
    assert office.bot.state is LinkState.READY
    first, second = [one for one in packets(office.bot.sent) if isinstance(one, Connect)]
    assert first.client_id != second.client_id
    assert first.password != second.password
    assert office.fetches[-1].headers["cookie"].endswith("more=1")
    assert office.kept["cookies"].endswith("more=1")


def test_cookies_that_the_site_renews_are_kept_until_the_owner_gives_others() -> None:
    office = Office()
    answer = office.gateway.http
    renewed = (("set-cookie", "wt=renewed-by-the-site; Path=/"),)

    def http_with_cookie(request: Any) -> Any:
        told = answer(request)
        return type(told)(told.status, renewed, told.body)

    office.gateway.http = http_with_cookie  # type: ignore[method-assign]  # a site that renews
    office.begin()
    assert office.bot.dial is not None
    assert office.bot.dial.headers["Cookie"].startswith("wt=renewed-by-the-site")
    assert office.kept["cookies"].startswith("wt=renewed-by-the-site")


def test_without_an_answer_to_the_presence_two_stable_seconds_do() -> None:
    office = Office()
    office.begin()
    office.pump.link()
    office.pump.carry(office.bot)  # CONNECT
    office.pump.carry(office.platform)  # CONNACK
    office.platform.wire.clear()
    office.bot.wire.clear()
    office.pump.advance(1.9)
    assert office.bot.state is LinkState.OPENING
    office.pump.advance(0.2)
    assert office.bot.state is LinkState.READY


# -- logins that do not work -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fault", "why"),
    [
        (http.USER_INFO, "7", "needs_new_cookies"),
        (http.GET_WT, "7", "needs_new_cookies"),
        (http.USER_INFO, "36", "needs_person"),
        (http.GET_WT, "37", "needs_person"),
        (http.GET_WT, "302", "needs_person"),
        (http.USER_INFO, "403", "needs_person"),
    ],
)
def test_a_login_that_is_over_parks_at_once(path: str, fault: str, why: str) -> None:
    office = Office()
    office.gateway.faults[path] = _deque(fault)
    office.begin()
    assert office.bot.dial is None
    assert office.bot.hangup is not None
    assert isinstance(office.bot.hangup.next, Park)
    assert office.bot.hangup.next.why.startswith(why)


@pytest.mark.parametrize("fault", ["500", "malformed", "1", "121"])
def test_a_call_without_a_good_answer_waits_as_a_network_fault(fault: str) -> None:
    office = Office()
    office.gateway.faults[http.GET_WT] = _deque(fault)
    office.begin()
    assert office.bot.hangup is not None
    assert office.bot.hangup.next == Again("network")


@pytest.mark.parametrize("how", ["connack4", "connack5"])
def test_a_stale_password_is_fetched_anew_and_the_third_refusal_parks(how: Any) -> None:
    office = Office()
    office.gateway.rules.bad_wt2 = how
    office.begin()
    for nth in (1, 2, 3):
        office.account.passwords.clear()
        if nth == 1:
            office.pump.link()
            office.pump.run()
        else:
            office.pump.replace(office.platform, office.new_platform())
            office.pump.replace(office.bot, office.new_bot())
            office.account.passwords.clear()
            office.pump.link()
            office.pump.run()
        assert office.bot.state is not LinkState.READY
        assert office.bot.hangup is not None
        assert isinstance(office.bot.hangup.next, Park if nth == 3 else Again)
    assert len(office.calls(http.GET_WT)) == 3
    office.again()  # a person reconnects
    assert office.bot.state is LinkState.READY
    assert "refusals" not in office.kept


def test_a_gateway_that_says_nothing_is_left_after_ten_seconds() -> None:
    office = Office()
    office.gateway.rules.bad_wt2 = "silent"
    office.begin()
    office.account.passwords.clear()
    office.pump.link()
    office.pump.run()
    office.live(11)
    assert office.bot.hangup is not None
    assert (office.bot.hangup.code, office.bot.hangup.next) == (1006, Again("network"))


def test_the_third_403_at_the_upgrade_parks_and_a_person_is_tried_again() -> None:
    office = Office()
    for nth in (1, 2, 3):
        session = office.new_bot()
        session.begin(office.bot.kept)
        for fetch in (http.USER_INFO, http.GET_WT):
            request = session._account.next_call()
            assert request is not None
            assert fetch in request.url
            session.answered(("login", None), office.gateway.http(request))
        effects = session.lost(LinkRefused(403))
        (kept,) = [one for one in effects if isinstance(one, Keep)]
        office.bot.kept = kept.state
        assert json.loads(kept.state)["refusals"] == nth
    kept, hangup = office.new_bot().begin(office.bot.kept)
    assert isinstance(hangup, Hangup)
    assert isinstance(hangup.next, Park)
    assert isinstance(kept, Keep)
    office.bot.kept = kept.state
    office.start()
    assert office.bot.state is LinkState.READY


def test_no_cookies_is_a_matter_for_the_owner() -> None:
    office = Office(cookies="")
    office.begin()
    assert office.bot.hangup is not None
    assert isinstance(office.bot.hangup.next, Park)
    assert office.fetches == []


def test_another_login_that_takes_our_place_again_and_again_slows_down() -> None:
    office = Office().start()
    for nth in (1, 2, 3):
        office.pump.cut(LinkLost(1000, "Bye"))
        is_slow = office.bot.hangup is not None
        assert is_slow == (nth == 3)
        if nth < 3:
            office.clock.advance(3)
            office.again()
    assert office.bot.hangup is not None
    assert office.bot.hangup.next == Again("replaced")
    assert "login-replaced" in office.bot.kinds()
    assert office.bot.hangup.reason == "another login may have taken the place (login-replaced)"
    # What fails before it is there again has another reason.
    office.again(is_run=False)
    mark = len(office.bot.effects)
    office.pump.cut(LinkLost(1006, ""))
    assert office.bot.hangup is None
    kinds = [one.kind for one in office.bot.effects[mark:] if isinstance(one, Noticed)]
    assert "login-replaced" not in kinds


def test_a_link_that_lasts_is_no_login_elsewhere() -> None:
    office = Office().start()
    for _ in range(4):
        office.live(10)
        office.pump.cut(LinkLost(1000, "Bye"))
        assert office.bot.hangup is None
        office.again()


def test_a_stable_link_begins_the_count_of_lost_places_anew() -> None:
    office = Office().start()
    for lived_s in (1, 1, 31, 1):
        office.live(lived_s)
        office.pump.cut(LinkLost(1000, "Bye"))
        assert office.bot.hangup is None
        office.again()


# -- the stream --------------------------------------------------------------------------------


def test_a_ping_leaves_when_nothing_else_did_and_a_dead_link_is_cut() -> None:
    office = Office().start()
    office.live(21)
    assert office.bot.sent[-1] == b"\xc0\x00"
    assert office.bot.hangup is None
    office.desk.is_silent = True
    office.live(32)
    assert office.bot.hangup is not None
    assert (office.bot.hangup.code, office.bot.hangup.next) == (1006, Again("network"))


def test_a_cut_is_one_reconnect_and_an_empty_message_is_nothing() -> None:
    office = Office().start()
    office.pump.inject(b"", is_text=False)  # type: ignore[arg-type]
    assert office.bot.hangup is None
    mark = len(office.bot.effects)
    office.pump.cut()
    ends = [one for one in office.bot.effects[mark:] if isinstance(one, Hangup)]
    assert ends == []  # the supervisor's own table: one attempt, with its wait
    assert office.bot.session.wake_at is None


def test_a_text_message_is_ignored() -> None:
    office = Office().start()
    office.pump.inject("hello", is_text=True)
    assert office.bot.hangup is None
    assert office.bot.kinds() == ["rejected:unsupported_frame"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_packets_cut_into_pieces_are_the_same_packets(size: int) -> None:
    office = Office(answer=echo)
    office.desk.piece_bytes = size
    office.start()
    office.says("你好")
    assert office.words == ["你好"]
    assert office.heard == ["收到：你好"]
    assert settled(office) == [Outcome.CONFIRMED]


def test_a_packet_that_cannot_be_read_ends_the_link_with_a_reason() -> None:
    office = Office().start()
    office.pump.inject(b"\x40\x01\x00", is_text=False)  # type: ignore[arg-type]
    assert office.bot.hangup is not None
    assert (office.bot.hangup.code, office.bot.hangup.next) == (1002, Again())
    assert office.bot.kinds() == ["broken-stream"]


def test_good_bye_is_a_disconnect() -> None:
    office = Office().start()
    office.pump.finish()
    assert office.bot.sent[-1] == b"\xe0\x00"
    assert office.bot.hangup is not None
    assert office.bot.hangup.code == 1001


# -- receiving ---------------------------------------------------------------------------------


def test_a_push_is_acknowledged_after_its_commit_and_in_order() -> None:
    office = Office(commit="by_hand").start()
    office.pump.commit()
    before = len(acks(office))
    for nth in range(3):
        office.gateway.say_text(office.account, office.peer, f"{nth}")
        office.does(lambda desk: desk.push_new())
    assert acks(office)[before:] == []
    receipts = [one.receipt for one in office.bot.waiting]
    # The middle one first: nothing may leave before the one that came earlier.
    office.pump._do(office.bot, office.bot.session.stored(receipts[1]))
    assert acks(office)[before:] == []
    office.pump._do(office.bot, office.bot.session.stored(receipts[0]))
    office.pump.run()
    assert len(acks(office)) == before + 2
    office.pump._do(office.bot, office.bot.session.stored(receipts[2]))
    office.pump.run()
    assert acks(office) == sorted(acks(office))
    assert office.gateway.violations == {}


def test_every_element_of_a_batch_is_an_event_and_the_push_waits_for_the_last() -> None:
    office = Office(commit="by_hand")
    for nth in range(45):
        office.gateway.say_text(office.account, office.peer, f"{nth}")
    office.start()
    assert len(office.bot.waiting) == 45
    assert sum(one.receipt is not None for one in office.bot.waiting) == 3
    before = len(acks(office))
    office.pump.commit(count=19)
    assert len(acks(office)) == before
    office.pump.commit(count=1)
    assert len(acks(office)) == before + 1
    office.pump.commit()
    assert office.words == [f"{nth}" for nth in range(45)]
    assert len(acks(office)) == before + 3


def test_where_delivery_goes_on_moves_with_the_events() -> None:
    office = Office(commit="by_hand").start()
    mark = len(office.bot.effects)
    mid = office.says("1")
    kinds = [type(one) for one in office.bot.effects[mark:]]
    assert kinds.index(Received) < kinds.index(Keep)
    assert office.kept["mid"] == mid


def test_one_id_from_nowhere_does_not_become_the_highest_for_ever() -> None:
    office = Office().start()
    mid = office.says("1")
    office.gateway._last_mid = (1 << 63) - 2
    office.says("from nowhere")
    office.gateway._last_mid = mid
    assert office.words == ["1", "from nowhere"]
    assert office.kept["mid"] == mid
    first, second = office.send("a"), office.send("b")
    assert [office.outcome(one) for one in (first, second)] == [Outcome.CONFIRMED] * 2
    one, two = list(office.account.cmids)[-2:]
    assert mid < one < two < 1 << 62


def test_an_action_with_an_id_that_is_none_is_refused() -> None:
    office = Office().start()
    for mid in ("--5", "5-", "\u00b2", True):
        assert office.outcome(office.act("read", mid=mid)) is Outcome.REFUSED
        assert office.outcome(office.act("accept", asked="phone", mid=mid)) is Outcome.REFUSED
    assert office.bot.state is LinkState.READY


def test_what_was_missed_comes_after_the_reconnect_and_once() -> None:
    office = Office(answer=echo).start()
    office.says("1")
    office.pump.cut()
    office.clock.advance(3)
    for nth in (2, 3):
        office.gateway.say_text(office.account, office.peer, f"{nth}")
    office.again()
    assert office.words == ["1", "2", "3"]
    assert office.bot.duplicates == 0
    presences = [
        one.payload
        for one in packets(office.bot.sent)
        if isinstance(one, Publish) and one.is_retained
    ]
    assert presences[0] != presences[1]


def test_a_push_that_was_not_acknowledged_comes_again_and_is_one_event() -> None:
    office = Office(commit="by_hand").start()
    office.says("1")
    office.pump.cut()
    office.pump.commit()  # stored, and nobody could be told
    office.again()
    office.pump.commit()
    assert office.words == ["1"]
    assert office.bot.duplicates == 1
    office.pump.run()
    assert all(one.is_acked for one in office.account.stored.values())


def test_a_push_is_repeated_on_the_same_link_until_it_is_acknowledged() -> None:
    office = Office(commit="by_hand").start()
    office.says("1")
    office.pump.advance(9)
    office.pump.run()
    assert len(office.bot.waiting) == 2
    office.pump.commit()
    assert (office.words, office.bot.duplicates) == (["1"], 1)
    assert office.gateway.violations == {}


def test_a_payload_that_is_none_is_acknowledged_and_told() -> None:
    office = Office().start()
    before = len(acks(office))
    office.does(lambda desk: desk.push_payload(bytes.fromhex("08011a7f1804")))
    (event,) = office.bot.inbox
    assert isinstance(event, NoticeReceived)
    assert event.name == "decode-error"
    assert json.loads(event.data)["raw"] == "CAEaf xgE".replace(" ", "")
    assert len(acks(office)) == before + 1
    assert office.bot.hangup is None


@pytest.mark.parametrize("payload", [b"", bytes.fromhex("0863"), bytes.fromhex("08011a021803")])
def test_what_says_nothing_is_acknowledged_and_counted(payload: bytes) -> None:
    office = Office().start()
    before = len(acks(office))
    office.does(lambda desk: desk.push_payload(payload))
    assert office.bot.inbox == []
    assert office.bot.noticed
    assert len(acks(office)) == before + 1
    assert office.bot.hangup is None


def test_pushes_of_qos_0_need_no_answer() -> None:
    office = Office()
    office.gateway.rules.push_qos = 0
    office.start()
    office.says("1")
    assert office.words == ["1"]
    assert acks(office) == []


def test_read_marks_and_changed_data_are_passed_on() -> None:
    office = Office().start()
    mark = {"userId": PEER, "messageId": 7, "readTime": 5, "userSource": 0}
    office.does(lambda desk: desk.push_fields(type=6, messageRead=[mark], domain=1))
    change = {"type": 1, "userSync": {"uid": PEER, "identity": 1}}
    office.does(lambda desk: desk.push_fields(type=7, dataSync=change))
    read, data = office.bot.fleeting
    assert (read.name, read.chat.id) == ("read", str(PEER))
    assert json.loads(read.data)["mid"] == "7"
    assert data.name == "data-sync"


def test_a_call_of_the_servers_is_no_answer_to_anything() -> None:
    office = Office().start()
    answer = {"qid": 1, "query": "/message/other", "results": []}
    office.does(lambda desk: desk.push_fields(type=4, iqResponse=answer))
    assert office.bot.kinds() == ["server-call"]


# -- sending -----------------------------------------------------------------------------------


def test_a_message_is_accepted_by_the_long_acknowledgement() -> None:
    office = Office().start()
    office.gateway.rules.sync = "off"
    ident = office.send("hello", office.chat)
    assert office.outcome(ident) is Outcome.REFUSED  # nobody of that number talks with us
    assert office.peer.uid == PEER  # now somebody does
    ident = office.send("hello")
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert office.heard == ["hello"]
    assert office.calls(http.CONTACTS)
    (message,) = [one for one in packets(office.bot.sent) if isinstance(one, Publish)][-1:]
    assert (message.qos, message.is_retained, message.is_dup) == (1, False, False)


OUTCOMES = {
    "ext": Outcome.CONFIRMED,
    "ext_nonminimal": Outcome.CONFIRMED,
    "duplicate": Outcome.CONFIRMED,
    "standard": Outcome.SENT,
    "one_extra": Outcome.SENT,
    "two_extra": Outcome.SENT,
    "ext_protobuf": Outcome.SENT,
    "ext_zero_mid": Outcome.REFUSED,
    "wrong_id": Outcome.UNCERTAIN,
    "none": Outcome.UNCERTAIN,
    "late": Outcome.CONFIRMED,
    "too_short": Outcome.UNCERTAIN,
}


@pytest.mark.parametrize("form", PUBACKS)
def test_every_odd_acknowledgement_alone(form: str) -> None:
    office = Office().start()
    office.gateway.rules.sync = "off"
    office.gateway.rules.puback = form
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.live(12)
    assert office.outcome(ident) is OUTCOMES[form]
    assert office.heard == ["hello"]
    if form == "too_short":
        assert office.bot.hangup is not None
    else:
        assert office.bot.hangup is None


@pytest.mark.parametrize("form", sorted(set(PUBACKS) - {"ext_zero_mid", "too_short"}))
@pytest.mark.parametrize("order", ["puback_first", "sync_first"])
def test_the_pair_of_ids_proves_it_whatever_the_acknowledgement(form: str, order: Any) -> None:
    office = Office().start()
    office.gateway.rules.sync = order
    office.gateway.rules.puback = form
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.live(12)
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert office.bot.settled[ident].peer_id == str(office.peer.messages[-1]["mid"])
    assert [one.outcome for one in office.bot.history if one.delivery_id == ident] == [
        Outcome.CONFIRMED
    ]
    assert office.bot.hangup is None


def test_our_own_echo_proves_it_and_is_no_event() -> None:
    office = Office().start()
    rules = office.gateway.rules
    rules.sync, rules.puback, rules.is_echoed_here = "off", "none", True
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert office.words == []


def test_the_echo_of_an_accepted_message_is_no_event_either() -> None:
    office = Office().start()
    office.gateway.rules.is_echoed_here = True
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert office.words == []
    assert [one.outcome for one in office.bot.history] == [Outcome.CONFIRMED]


def test_an_acknowledgement_that_names_another_message_proves_nothing() -> None:
    office = Office().start()
    office.gateway.rules.puback, office.gateway.rules.sync = "none", "off"
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    sent = [one for one in packets(office.bot.sent) if isinstance(one, Publish)][-1]
    foreign = (5).to_bytes(8, "big") + (99).to_bytes(8, "big")
    data = encode(PubAck(sent.packet_id, foreign))
    office.pump.inject(data, is_text=False)  # type: ignore[arg-type]
    assert office.outcome(ident) is None
    assert office.bot.kinds() == ["foreign-receipt"]
    office.live(11)
    assert office.outcome(ident) is Outcome.SENT


def test_an_acknowledgement_that_comes_too_late_is_a_proof_all_the_same() -> None:
    office = Office().start()
    rules = office.gateway.rules
    rules.puback, rules.late_ms, rules.sync = "late", 12_000, "off"
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.live(11)
    assert office.outcome(ident) is Outcome.UNCERTAIN
    office.live(2)
    (event,) = office.bot.inbox
    assert isinstance(event, MessageReceived)
    assert event.is_own


def test_what_the_owner_writes_elsewhere_is_an_own_message() -> None:
    office = Office().start()
    body = {"type": 1, "templateId": 1, "text": "我在手机上回复了"}
    sides = (own_party(office.account), peer_party(office.peer))
    office.gateway.store(office.account, office.peer, *sides, body, cmid=4611687736755826001)
    office.does(lambda desk: desk.push_new())
    (event,) = office.bot.inbox
    assert isinstance(event, MessageReceived)
    assert event.is_own
    assert event.chat == office.chat


def test_an_acknowledged_message_that_is_proven_late_is_confirmed_then() -> None:
    office = Office().start()
    rules = office.gateway.rules
    rules.sync, rules.puback = "off", "standard"
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.live(11)
    assert office.outcome(ident) is Outcome.SENT
    pair = [{"clientMid": office.kept_cmid(), "serverMid": 99}]
    office.does(lambda desk: desk.push_fields(type=5, messageSync=pair))
    assert office.outcome(ident) is Outcome.CONFIRMED
    office.does(lambda desk: desk.push_fields(type=5, messageSync=pair))
    other = [{"clientMid": office.kept_cmid(), "serverMid": 100}]
    office.does(lambda desk: desk.push_fields(type=5, messageSync=other))
    assert office.bot.settled[ident].peer_id == "99"
    assert office.bot.kinds() == ["second-server-id"]


def test_an_unclear_message_that_is_proven_late_comes_as_its_own_echo() -> None:
    office = Office(history=False).start()
    rules = office.gateway.rules
    rules.sync, rules.puback = "off", "none"
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.live(11)
    assert office.outcome(ident) is Outcome.UNCERTAIN
    told_ms = office.clock.now_ms()
    office.live(300)
    pair = [{"clientMid": office.kept_cmid(), "serverMid": 99}]
    office.does(lambda desk: desk.push_fields(type=5, messageSync=pair))
    (event,) = office.bot.inbox
    assert isinstance(event, MessageReceived)
    assert (event.is_own, event.peer_id, plain_text(event.segments)) == (True, "99", "hello")
    assert event.chat == office.chat
    assert event.at_ms is not None
    assert told_ms - 2000 <= event.at_ms <= told_ms  # of the row, not of the late proof


def test_a_cut_before_the_answer_is_uncertain_and_never_written_twice() -> None:
    office = Office().start()
    assert office.peer.uid == PEER  # somebody to talk with
    office.pump.say(office.bot, office.chat, "hello")
    while office.calls(http.CONTACTS) and not office.heard:
        office.pump.carry(office.bot)
    (ident,) = office.bot.pending
    office.pump.cut()
    assert office.outcome(ident) is Outcome.UNCERTAIN
    assert not office.bot.settled[ident].is_repeatable
    office.again()
    assert office.heard == ["hello"]


def test_by_choice_it_is_written_once_more_with_the_same_id_and_marked() -> None:
    office = Office(resend="dup").start()
    office.gateway.rules.puback = "none"
    office.gateway.rules.sync = "off"
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.pump.cut()
    assert office.bot.settled[ident].is_repeatable
    (cmid,) = office.account.cmids
    office.gateway.rules.puback = "ext"
    office.gateway.rules.dedupes_cmid = True
    office.again()
    del office.bot.settled[ident]
    office.pump.deliver(office.bot, Delivery(ident, office.chat, Say((Text("hello"),)), attempt=2))
    office.pump.run()
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert list(office.account.cmids) == [cmid]
    last = [one for one in packets(office.bot.sent) if isinstance(one, Publish)][-1]
    assert last.is_dup
    assert office.heard == ["hello"]


def test_what_was_not_written_waits_for_the_next_link() -> None:
    office = Office().start()
    office.gateway.rules.puback, office.gateway.rules.sync = "none", "off"
    assert office.peer.uid == PEER  # somebody to talk with
    first, second = office.send("1"), office.send("2")
    assert office.heard == ["1"]  # one after the other in a chat
    office.pump.cut()
    assert (office.outcome(first), office.outcome(second)) == (Outcome.UNCERTAIN, Outcome.LATER)


def test_ids_ascend_above_everything_seen() -> None:
    office = Office().start()
    office.says("1")
    seen = office.peer.messages[-1]["mid"]
    for nth in range(5):
        office.send(f"{nth}")
    ids = list(office.account.cmids)
    assert ids == sorted(set(ids))
    assert ids[0] > seen + 1_700_000_000_000
    office.gateway.rules.needs_mid_above = True
    assert office.outcome(office.send("x")) is Outcome.CONFIRMED


def test_plain_ids_are_milliseconds() -> None:
    office = Office(mid="plain").start()
    office.says("1")
    office.send("a")
    assert next(iter(office.account.cmids)) == office.clock.now_ms()


def test_a_chat_that_is_known_by_its_key_alone_is_addressed_in_the_short_form() -> None:
    office = Office().start()
    key = office.peer.key
    ident = office.send("hello", Chat(str(office.account.uid), "key", key))
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert office.gateway.violations == {}


def test_a_picture_is_uploaded_first_and_sent_with_its_sizes() -> None:
    office = Office().start()
    office.says("hi")
    ident = office.send((Text("see"), Image(data=PNG, name="cv.png")))
    office.live(2)
    assert office.outcome(ident) is Outcome.CONFIRMED
    paths = [fetch.url.partition("127.0.0.1")[2].partition("?")[0] for fetch in office.fetches[2:]]
    assert paths == [http.CONTACTS, http.PEER, http.QUICK_UPLOAD, http.UPLOAD]
    body = office.peer.messages[-1]["body"]["image"]
    assert body["originImage"]["width"] == 1700
    assert body["tinyImage"] == {
        "url": "https://img.example.invalid/o1_s.png.webp?auth_key=1-0-x", "width": 200,
        "height": 258,
    }  # fmt: skip
    again = office.send((Image(data=PNG, name="cv.png"),))
    assert office.outcome(again) is Outcome.CONFIRMED
    assert len(office.calls(http.UPLOAD)) == 1  # the platform knew it
    assert office.gateway.violations == {}


@pytest.mark.parametrize("fault", ["121", "500", "malformed"])
def test_a_picture_that_the_site_does_not_take_is_refused_and_nothing_is_sent(fault: str) -> None:
    office = Office().start()
    assert office.peer.uid == PEER  # somebody to talk with
    office.gateway.faults[http.UPLOAD] = _deque(fault)
    ident = office.send((Image(data=PNG),))
    assert office.outcome(ident) is Outcome.REFUSED
    assert office.heard == []
    assert office.outcome(office.send("text still works")) is Outcome.CONFIRMED


@pytest.mark.parametrize(("fault", "wait_s"), [("500", 5), ("121", 60)])
def test_who_cannot_be_looked_up_now_is_written_to_later(fault: str, wait_s: int) -> None:
    office = Office().start()
    assert office.peer.uid == PEER  # somebody to talk with
    office.gateway.faults[http.CONTACTS] = _deque(fault)
    ident = office.send("hello")
    assert office.outcome(ident) is Outcome.LATER
    assert office.bot.settled[ident].wait_s == wait_s
    assert office.heard == []
    assert office.outcome(office.send("hello")) is Outcome.CONFIRMED


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        (Chat("1", "group", "5"), "x"),
        (Chat("1", "user", "somebody"), "x"),
        (Chat("1", "user", str(PEER)), (Text("  "),)),
    ],
)
def test_what_cannot_be_sent_is_refused_here(chat: Chat, words: Any) -> None:
    office = Office().start()
    before = len(office.bot.sent)
    assert office.outcome(office.send(words, chat)) is Outcome.REFUSED
    assert len(office.bot.sent) == before


# -- requests ----------------------------------------------------------------------------------


def ask(office: Office, text: str = ASK_RESUME) -> RequestReceived:
    office.gateway.say(office.account, office.peer, ask_for(text))
    office.does(lambda desk: desk.push_new())
    event = office.bot.inbox[-1]
    assert isinstance(event, RequestReceived)
    return event


@pytest.mark.parametrize(
    ("text", "asked", "number"),
    [(ASK_RESUME, "resume", "4"), ("我想和您交换微信", "wechat", "2"), ("要电话", "phone", "1")],
)
def test_a_request_is_accepted_by_a_call(text: str, asked: str, number: str) -> None:
    office = Office().start()
    event = ask(office, text)
    assert event.name == asked
    mid = json.loads(event.data)["mid"]
    ident = office.act("accept", asked=asked, mid=mid)
    assert office.outcome(ident) is Outcome.CONFIRMED
    (told,) = office.account.exchanged
    assert (told["type"], told["mid"], told["is_accept"]) == (number, mid, True)
    assert told.get("encryptResumeId") == ("cv-1" if asked == "resume" else None)
    assert office.calls(http.ACCEPT)[0].headers["zp_token"] == "call-token-0123456789"
    assert office.gateway.violations == {}


def test_who_has_messages_only_accepts_by_a_raw_piece() -> None:
    office = Office().start()
    mid = json.loads(ask(office, "交换电话").data)["mid"]
    data = json.dumps({"asked": "phone", "mid": mid}).encode()
    assert office.outcome(office.send((Raw("boss", "accept", data),))) is Outcome.CONFIRMED
    assert office.account.exchanged[0]["mid"] == mid
    assert office.outcome(office.send((Raw("maim", "accept", data),))) is Outcome.REFUSED
    assert office.outcome(office.send((Raw("boss", "8", b"{}"),))) is Outcome.REFUSED
    assert office.heard == []


def test_declining_sends_nothing() -> None:
    office = Office().start()
    event = ask(office)
    calls, frames = len(office.fetches), len(office.bot.sent)
    ident = office.act("decline", asked="resume", mid=json.loads(event.data)["mid"])
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert (len(office.fetches), len(office.bot.sent)) == (calls, frames)


def test_asking_for_something_and_marking_as_read() -> None:
    office = Office().start()
    mid = office.says("hi")
    assert office.outcome(office.act("request", asked="wechat")) is Outcome.CONFIRMED
    assert office.account.exchanged[0]["is_accept"] is False
    assert office.outcome(office.act("read", mid=str(mid))) is Outcome.SENT
    assert list(office.account.reads) == [(PEER, mid)]


def test_a_query_has_its_answer_as_data() -> None:
    office = Office().start()
    ident = office.act("iq", query="/message/suggest", params={"action": "query"})
    assert office.outcome(ident) is Outcome.CONFIRMED
    assert json.loads(office.bot.settled[ident].data) == {"action": "query"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("accept", {"asked": "resume"}),
        ("accept", {"asked": "soul", "mid": "5"}),
        ("read", {}),
        ("iq", {"query": "no-path"}),
        ("dance", {}),
        ("accept", {"mid": [1]}),
    ],
)
def test_an_action_that_means_nothing_is_refused(name: str, data: dict[str, Any]) -> None:
    office = Office().start()
    assert office.peer.uid == PEER  # somebody to talk with
    assert office.outcome(office.act(name, **data)) is Outcome.REFUSED


def test_an_accept_without_an_answer_is_uncertain_and_a_refused_one_refused() -> None:
    office = Office().start()
    event = ask(office, "要电话")
    mid = json.loads(event.data)["mid"]
    office.gateway.faults[http.ACCEPT] = _deque("500", "1", "null")
    assert office.outcome(office.act("accept", asked="phone", mid=mid)) is Outcome.UNCERTAIN
    assert office.outcome(office.act("accept", asked="phone", mid=mid)) is Outcome.REFUSED
    assert office.outcome(office.act("accept", asked="phone", mid=mid)) is Outcome.UNCERTAIN


@pytest.mark.parametrize(
    ("fault", "why"),
    [("7", "needs_new_cookies"), ("36", "needs_person"), ("37", "needs_person"),
     ("302", "needs_person"), ("403", "needs_person")],
)  # fmt: skip
@pytest.mark.parametrize("call", ["accept", "picture", "who"])
def test_a_side_call_that_asks_for_the_owner_stops_the_line(
    call: str, fault: str, why: str
) -> None:
    office = Office().start()
    mid = json.loads(ask(office, "要电话").data)["mid"]
    path = {"accept": http.ACCEPT, "picture": http.UPLOAD, "who": http.CONTACTS}[call]
    office.gateway.faults[path] = _deque(*[fault] * 9)
    if call == "accept":
        ident = office.act("accept", asked="phone", mid=mid)
    elif call == "picture":
        ident = office.send((Image(data=PNG),))
    else:
        ident = office.send("hello", Chat(str(office.account.uid), "user", "700300401"))
    assert office.outcome(ident) is Outcome.LATER  # nothing was written: it waits for the owner
    assert office.bot.hangup is not None
    assert isinstance(office.bot.hangup.next, Park)
    assert office.bot.hangup.next.why.startswith(why)
    assert office.heard == []
    assert len(office.calls(path)) == 1  # and no further call is made


@pytest.mark.parametrize("fault", ["36", "7"])
def test_the_site_that_asks_for_the_owner_during_a_look_back_is_not_asked_on(fault: str) -> None:
    office = Office().start()
    assert office.peer.uid == PEER  # somebody to talk with
    office.pump.cut(LinkLost(1006, ""))
    office.clock.advance(60)
    office.gateway.faults[http.CONTACT_IDS] = _deque(*[fault] * 9)
    office.again()
    office.live(30)
    assert office.bot.hangup is not None
    assert isinstance(office.bot.hangup.next, Park)
    assert len(office.calls(http.CONTACT_IDS)) == 1


def test_the_resume_picture_is_asked_for_before_the_push_is_acknowledged() -> None:
    office = Office(send_resume_image=True, resume_image="cv.png", picture=PNG).start()
    office.pump.asks_wait = True
    before = len(acks(office))
    ask(office)
    ((tag, request),) = office.bot.asks.items()
    assert isinstance(request, DoAnswer)
    assert request.chat == Chat(office.chat.account, "user", str(PEER), "测试HR")
    assert request.segments == (Image(data=PNG, name="cv.png"),)
    assert len(acks(office)) == before
    office.pump.answer_ask(office.bot, tag, 5)
    assert len(acks(office)) == before + 1


def test_the_resume_picture_is_asked_for_again_with_the_same_key() -> None:
    office = Office(send_resume_image=True, resume_image="cv.png", picture=PNG).start()
    ask(office)
    stored = next(reversed(office.account.stored.values()))
    office.does(lambda desk: desk.push_stored(stored))
    assert office.bot.duplicates == 1
    first, second = office.asked
    assert first.key == second.key


def test_a_picture_that_cannot_be_queued_is_told_and_holds_nothing_up() -> None:
    office = Office(send_resume_image=True, resume_image="cv.png", picture=PNG).start()
    office.pump.asks_wait = True
    before = len(acks(office))
    ask(office)
    (tag,) = office.bot.asks
    office.pump.answer_ask(office.bot, tag, StoreUnavailable("full"))
    assert office.bot.kinds() == ["not-answered"]
    assert len(acks(office)) == before + 1


def test_without_leave_no_picture_is_sent() -> None:
    office = Office(resume_image="cv.png", picture=PNG).start()
    ask(office)
    office = Office(send_resume_image=True, resume_image="cv.png", picture=PNG).start()
    ask(office, "要电话")
    assert office.asked == []


def test_an_answered_dialog_and_a_card_are_notices() -> None:
    office = Office().start()
    office.gateway.say(office.account, office.peer, ask_for(ASK_RESUME, is_operated=True))
    office.gateway.say(office.account, office.peer, job_card(), type=3, uncount=1)
    office.does(lambda desk: desk.push_new())
    assert [one.name for one in office.bot.inbox if isinstance(one, NoticeReceived)] == [
        "dialog", "card:job",
    ]  # fmt: skip


# -- history -----------------------------------------------------------------------------------


def test_after_a_gap_the_site_is_asked_for_what_the_gateway_did_not_deliver() -> None:
    office = Office().start()
    office.says("1")
    office.pump.cut()
    office.clock.advance(60)
    for nth in range(50):
        office.gateway.say_text(office.account, office.peer, f"离线{nth}")
    office.account.stored.clear()  # the gateway has lost them
    office.again()
    assert office.words == ["1"]
    office.live(10)
    assert office.words == ["1", *(f"离线{nth}" for nth in range(50))]
    assert len(office.calls(http.HISTORY)) == 3
    assert office.gateway.violations == {}
    # A push may still come that is older than what history brought: it must not be skipped.
    office.pump.cut()
    assert office.kept["mid"] == office.peer.messages[0]["mid"]


def test_what_was_said_long_before_is_not_fetched() -> None:
    office = Office().start()  # a new line: nothing is stored yet
    for nth in range(3):
        office.gateway.say_text(office.account, office.peer, f"old {nth}")
    office.account.stored.clear()
    office.clock.advance(86_400)
    office.pump.cut()
    office.clock.advance(60)
    office.gateway.say_text(office.account, office.peer, "new")
    office.account.stored.clear()
    office.again()
    office.live(10)
    assert office.words == ["new"]


def test_history_and_push_of_the_same_message_are_one_event() -> None:
    office = Office().start()
    office.says("1")
    office.pump.cut()
    office.clock.advance(60)
    office.gateway.say_text(office.account, office.peer, "2")
    office.again()
    office.live(10)
    assert office.words == ["1", "2"]


def test_a_site_that_cannot_be_asked_leaves_a_mark() -> None:
    office = Office().start()
    office.pump.cut()
    office.clock.advance(60)
    office.gateway.faults[http.CONTACT_IDS] = _deque("500")
    office.again()
    office.live(10)
    (gap,) = [one for one in office.bot.inbox if isinstance(one, NoticeReceived)]
    assert gap.name == "gap"
    assert json.loads(gap.data)["to_ms"] - json.loads(gap.data)["from_ms"] >= 60_000


def test_no_gap_no_history() -> None:
    office = Office().start()
    office.pump.cut()
    office.clock.advance(2)
    office.again()
    office.live(10)
    assert office.calls(http.CONTACT_IDS) == []
    office = Office(history=False).start()
    office.pump.cut()
    office.clock.advance(60)
    office.again()
    office.live(10)
    assert office.calls(http.CONTACT_IDS) == []


def test_an_unclear_message_is_found_in_the_history_as_our_own() -> None:
    office = Office().start()
    office.gateway.rules.puback, office.gateway.rules.sync = "none", "off"
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.pump.cut()
    assert office.outcome(ident) is Outcome.UNCERTAIN
    office.clock.advance(30)
    office.again()
    office.live(10)
    (event,) = office.bot.inbox
    assert isinstance(event, MessageReceived)
    assert (event.is_own, plain_text(event.segments)) == (True, "hello")
    assert office.heard == ["hello"]


def own_words(office: Office) -> list[str]:
    return [
        plain_text(one.segments)
        for one in office.bot.inbox
        if isinstance(one, MessageReceived) and one.is_own
    ]


def test_a_message_without_an_answer_is_looked_for_in_the_history_at_once() -> None:
    office = Office().start()
    office.gateway.rules.puback, office.gateway.rules.sync = "none", "off"
    assert office.peer.uid == PEER  # somebody to talk with
    ident = office.send("hello")
    office.live(11)
    assert office.outcome(ident) is Outcome.UNCERTAIN
    office.live(6)
    assert own_words(office) == ["hello"]
    assert office.calls(http.CONTACT_IDS) == []  # nothing else may have been missed
    assert len(office.calls(http.HISTORY)) == 1
    office.live(60)
    assert len(office.calls(http.HISTORY)) == 1
    assert "doubts" not in office.kept


def test_a_doubt_survives_a_short_outage_and_is_looked_into_behind_newer_words() -> None:
    office = Office().start()
    office.gateway.rules.puback, office.gateway.rules.sync = "none", "off"
    assert office.peer.uid == PEER  # somebody to talk with
    office.send("hello")
    office.says("newer than ours")
    office.pump.cut()
    office.clock.advance(1)
    office.again()
    office.live(6)
    assert own_words(office) == ["hello"]
    assert office.words.count("newer than ours") == 1


def test_a_history_that_is_empty_is_asked_once() -> None:
    office = Office().start()
    office.gateway.rules.puback, office.gateway.rules.sync = "none", "off"
    assert office.peer.uid == PEER  # somebody to talk with
    office.send("hello")
    office.peer.messages.clear()
    office.live(60)
    assert own_words(office) == []
    assert len(office.calls(http.HISTORY)) == 1
    assert office.heard == ["hello"]


# -- the recruiter's side ----------------------------------------------------------------------


def test_a_recruiter_talks_and_accepts_by_other_numbers() -> None:
    office = Office(answer=echo, side="boss").start()
    office.says("您好，我想应聘")
    assert office.heard == ["收到：您好，我想应聘"]
    assert office.calls(http.CONTACTS) == []
    context = json.dumps({"key": "", "security_id": office.peer.security_id}).encode()
    act = Act("accept", json.dumps({"asked": "resume", "mid": "5"}).encode())
    office.pump.deliver(office.bot, Delivery(DeliveryId(999), office.chat, act, context))
    assert office.outcome(DeliveryId(999)) is Outcome.CONFIRMED
    assert office.account.exchanged[0]["type"] == "3"


# -- no leaks ----------------------------------------------------------------------------------


def test_nothing_that_is_told_holds_a_secret() -> None:
    office = Office(answer=echo).start()
    office.says("hi")
    office.gateway.faults[http.GET_WT] = _deque("malformed")
    office.pump.cut()
    office.pump.replace(office.platform, office.new_platform())
    office.pump.replace(office.bot, office.new_bot())
    texts = repr(office.bot.noticed) + repr(office.bot.hangup) + repr(office.bot.history)
    for secret in ("login-of-a-test-account", "call-token", office.account.token):
        assert secret not in texts


def _deque(*faults: str) -> Any:
    assert all(fault in HTTP_FAULTS for fault in faults)
    return deque(faults)


def test_the_transmits_of_one_link_are_all_binary_mqtt() -> None:
    office = Office(answer=echo).start()
    office.says("hi")
    written = [one for one in office.bot.effects if isinstance(one, Transmit)]
    assert written
    assert len(packets(office.bot.sent)) >= len(written)
