"""What an account looks up: pages from the newest on, and chats that it may open."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.frames import Frame
from trunkline.dialects.xianyu.listing import create_chat, list_chats, list_history
from trunkline.dialects.xianyu.market import Market, Seller
from trunkline.ids import CountingIds
from xianyu_house import BUYER, ITEM, ME


def ask(*items: Any) -> Frame:
    return frames.decode(frames.build_request("/r/x", list(items), "1 0"))


@pytest.fixture
def market() -> Market:
    clock = FakeClock()
    market = Market(clock, CountingIds())
    seller = market.seller(ME)
    for nth in range(3):
        talk = market.open_talk(seller, f"22000000001{nth}", ITEM)
        for words in ("a", "b", "c"):
            clock.advance(1)
            market.say(seller, talk, frames.text_payload(words), words, is_own=False)
    return market


def pages(answer: Any, *before: Any) -> list[list[Any]]:
    """Read pages of two until there are no more."""
    found: list[list[Any]] = []
    cursor = frames.FIRST_CURSOR
    while True:
        told = answer(ask(*before, cursor, 2))
        found.append(told.get("userConvs") or told.get("userMessageModels"))
        if not told["hasMore"]:
            return found
        assert len(found) < 9
        cursor = told["nextCursor"]


def test_chats_are_paged_from_the_newest_on(market: Market) -> None:
    seller = market.seller(ME)
    found = pages(lambda frame: list_chats(seller, frame))
    assert [len(page) for page in found] == [2, 1]
    times = [one["singleChatUserConversation"]["modifyTime"] for page in found for one in page]
    assert times == sorted(times, reverse=True)
    last = found[0][0]["singleChatUserConversation"]["singleChatConversation"]
    assert last["pairFirst"] == frames.suffixed("220000000012")


def test_a_history_is_paged_from_the_newest_on(market: Market) -> None:
    seller = market.seller(ME)
    talk = next(iter(seller.talks.values()))
    found = pages(lambda frame: list_history(seller, frame), frames.suffixed(talk.ident), False)
    times = [one["message"]["createAt"] for page in found for one in page]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)


def test_a_chat_that_is_not_there_has_no_history(market: Market) -> None:
    told = list_history(market.seller(ME), ask("77@goofish", False, frames.FIRST_CURSOR, 2))
    assert (told["hasMore"], told["userMessageModels"]) == (0, [])


def wish(seller: Seller, first: str, second: str, item: str) -> Frame:
    pair = {"pairFirst": frames.suffixed(first), "pairSecond": frames.suffixed(second)}
    return ask({**pair, "bizType": "1", "extension": {"itemId": item}})


def test_a_chat_is_opened_about_an_item_and_found_again(market: Market) -> None:
    seller = market.seller(ME)
    created = create_chat(market, seller, wish(seller, BUYER, ME, ITEM))
    assert created is not None
    talk = created["singleChatConversation"]
    assert talk["extension"] == {"itemId": ITEM}
    again = create_chat(market, seller, wish(seller, BUYER, ME, ITEM))
    assert again == created


@pytest.mark.parametrize(
    ("first", "second", "item"), [(BUYER, ME, ""), (BUYER, "5", ITEM), (ME, ME, ITEM)]
)
def test_a_chat_that_the_account_may_not_open(
    market: Market, first: str, second: str, item: str
) -> None:
    seller = market.seller(ME)
    before = dict(seller.talks)
    assert create_chat(market, seller, wish(seller, first, second, item)) is None
    assert seller.talks == before
