"""What an earlier run of the process wrote and nobody answered is looked for in the history."""

from __future__ import annotations

from typing import Any

from boss_house import PEER, Office
from trunkline.dialects.boss import http
from trunkline.dialects.boss.gateway import HTTP_FAULTS, own_party, peer_party
from trunkline.dialects.contract import Again, Fetch, FindUnclear, UnclearChat
from trunkline.errors import StoreUnavailable
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text


def write(office: Office, words: str) -> None:
    """An earlier run wrote this: the platform has it, the account does not know."""
    body = {"type": 1, "templateId": 1, "text": words}
    sides = (own_party(office.account), peer_party(office.peer))
    office.gateway.store(office.account, office.peer, *sides, body, is_delivered=False, cmid=5)


def unclear(office: Office) -> tuple[UnclearChat, ...]:
    return (UnclearChat(office.chat, office.clock.now_ms()),)


def own_words(office: Office) -> list[str]:
    return [
        plain_text(one.segments)
        for one in office.bot.inbox
        if isinstance(one, MessageReceived) and one.is_own
    ]


def listen(office: Office) -> list[int]:
    """Return since when is asked what is unclear."""
    asked: list[int] = []
    find = office.pump.find

    def answer(request: Any) -> Any:
        if isinstance(request, FindUnclear):
            asked.append(request.since_ms)
        return find(request)

    office.pump.find = answer
    return asked


def test_what_the_history_has_comes_as_our_own_and_is_asked_once() -> None:
    office = Office()
    asked = listen(office)
    write(office, "long before")
    office.clock.advance(300)
    office.unclear = unclear(office)
    write(office, "just before the end")
    office.start()
    began_ms = office.clock.now_ms()
    office.live(8)
    assert own_words(office) == ["just before the end"]
    assert len(office.calls(http.HISTORY)) == 1
    assert office.calls(http.CONTACT_IDS) == []  # nothing else may have been missed
    assert office.kept["looked_ms"] == began_ms
    office.unclear = ()
    office.pump.cut()
    office.again()
    office.live(8)
    assert asked == [0, began_ms]
    assert len(office.calls(http.HISTORY)) == 1


def test_a_look_that_fails_is_made_again_over_the_next_link() -> None:
    office = Office()
    asked = listen(office)
    office.unclear = unclear(office)
    write(office, "hello")
    real = office.gateway.http
    office.gateway.http = lambda one: (  # type: ignore[method-assign]  # the site is down
        HTTP_FAULTS["500"] if http.HISTORY in one.url else real(one)
    )
    office.start()
    office.live(8)
    assert own_words(office) == []
    office.gateway.http = real  # type: ignore[method-assign]
    office.pump.cut()
    office.again()
    office.live(8)
    assert own_words(office) == ["hello"]
    assert asked == [0, 0]


def test_together_with_an_outage_each_past_is_asked_for() -> None:
    office = Office().start()
    office.says("before")
    office.pump.cut()
    office.clock.advance(60)
    write(office, "hello")
    office.unclear = unclear(office)
    office.again()
    office.live(12)
    assert own_words(office) == ["hello"]
    assert office.words.count("before") == 1
    assert len(office.calls(http.CONTACT_IDS)) == 1


def test_nobody_knows_what_is_unclear() -> None:
    office = Office()
    find = office.pump.find
    office.pump.find = lambda request: (
        find(request) if isinstance(request, Fetch) else StoreUnavailable("busy")
    )
    office.start()
    office.live(8)
    assert office.calls(http.HISTORY) == []
    assert "looked_ms" not in office.kept


def test_a_recruiter_has_no_history_to_look_into() -> None:
    office = Office(side="boss")
    asked = listen(office)
    office.start()
    office.live(8)
    assert asked == []


def test_a_chat_by_key_alone_is_left_to_a_person() -> None:
    office = Office()
    chat = office.chat
    office.unclear = (UnclearChat(type(chat)(chat.account, "key", office.peer.key), 1),)
    office.start()
    office.live(8)
    assert office.calls(http.HISTORY) == []


def test_our_own_leaving_is_not_taken_for_another_login() -> None:
    office = Office().start()
    for _ in range(4):
        office.pump.finish(office.bot)
        assert office.bot.hangup is not None
        assert office.bot.hangup.next == Again()
        office.clock.advance(3)
        office.again()
    assert office.kept.get("flaps", []) == []
    assert office.peer.uid == PEER
