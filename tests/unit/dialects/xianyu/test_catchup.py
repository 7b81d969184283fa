"""Looking back: pages, order, throttling, and saying what is missing."""

from __future__ import annotations

import json
from typing import Any

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Transmit
from trunkline.dialects.xianyu.catchup import MAX_PAGES, CatchUp, Found
from trunkline.dialects.xianyu.entries import ChatEntry
from trunkline.dialects.xianyu.frames import decode
from trunkline.dialects.xianyu.session import Requests
from trunkline.ids import CountingIds

ME = "1"


class Asking:
    def __init__(self, since_ms: int = 100) -> None:
        self.clock = FakeClock()
        self.requests = Requests(self.clock, CountingIds())
        self.catch_up = CatchUp(
            self.requests, self.clock, ME, since_ms=since_ms, start_s=self.clock.monotonic_s()
        )

    def ask(self) -> dict[str, Any]:
        """Return the request that leaves now."""
        (written,) = self.catch_up.tick(20)
        assert isinstance(written, Transmit)
        return json.loads(written.data)

    def answer(self, body: Any, code: int = 200) -> Found:
        self.requests.open.clear()
        frame = {"code": code, "headers": {"mid": "1 0"}, "body": body}
        return self.catch_up.take(decode(json.dumps(frame).encode()))


def chats(*told: tuple[str, int], cursor: int = 0) -> dict[str, Any]:
    convs = [
        {"singleChatUserConversation": {
            "modifyTime": at_ms,
            "singleChatConversation": {
                "cid": f"{chat}@goofish", "pairFirst": "2", "pairSecond": ME,
            },
        }}
        for chat, at_ms in told
    ]  # fmt: skip
    return {"hasMore": int(cursor > 0), "nextCursor": cursor, "userConvs": convs}


def past(*at_ms: int, cursor: int = 0) -> dict[str, Any]:
    models = [
        {"message": {"messageId": f"{at}.PNM", "cid": "c@goofish", "createAt": at,
                     "sender": {"uid": "2"}, "extension": {"reminderContent": f"{at}"}}}
        for at in at_ms
    ]  # fmt: skip
    return {"hasMore": int(cursor > 0), "nextCursor": cursor, "userMessageModels": models}


def words(found: Found) -> list[str]:
    return [one.content.text for one in found.entries if isinstance(one, ChatEntry)]


def test_chats_that_did_not_move_are_left_alone() -> None:
    asking = Asking()
    assert asking.ask()["lwp"].endswith("listNewestPagination")
    found = asking.answer(chats(("a", 200), ("b", 100), cursor=90))
    assert found.partners == {"a": "2", "b": "2"}
    assert not found.is_over
    assert asking.ask()["body"][0] == "a@goofish"
    found = asking.answer(past(200, 150, 100, 50, cursor=40))
    assert words(found) == ["150", "200"]
    assert (found.is_over, found.why) == (True, "")


def test_pages_of_a_chat_come_together_oldest_first() -> None:
    asking = Asking()
    asking.ask()
    asking.answer(chats(("a", 500)))
    asking.ask()
    assert words(asking.answer(past(500, 400, cursor=400))) == []
    assert asking.ask()["body"][2] == 400
    assert words(asking.answer(past(300, 200))) == ["200", "300", "400", "500"]


def test_a_cursor_that_repeats_is_the_end() -> None:
    asking = Asking()
    first = asking.ask()["body"][0]
    assert asking.answer(chats(cursor=first)).is_over


def test_more_than_can_be_fetched_is_said() -> None:
    asking = Asking()
    asking.ask()
    asking.answer(chats(("a", 10_000)))
    found = Found()
    for page in range(MAX_PAGES):
        asking.ask()
        found = asking.answer(past(9_000 - page, cursor=9_000 - page))
    assert found.is_over
    assert len(words(found)) == MAX_PAGES
    assert "more than" in found.why


def test_throttling_waits_two_four_and_six_seconds_and_then_gives_up() -> None:
    asking = Asking()
    for wait_s in (2, 4, 6):
        asking.ask()
        assert not asking.answer({"code": "400600001", "reason": "too many"}).is_over
        assert asking.catch_up.tick(20) == ()
        asking.clock.advance(wait_s)
    asking.ask()
    found = asking.answer({"code": "400600001", "reason": "too many"})
    assert (found.is_over, found.why) == (True, "chats: too many")


def test_no_answer_is_said_and_what_is_there_is_given_out() -> None:
    asking = Asking()
    asking.ask()
    asking.answer(chats(("a", 500)))
    asking.ask()
    asking.answer(past(500, cursor=500))
    asking.ask()
    found = asking.catch_up.take(None)
    assert words(found) == ["500"]
    assert (found.is_over, found.why) == (True, "history: no answer")
