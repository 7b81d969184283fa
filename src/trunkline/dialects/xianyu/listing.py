"""What an account looks up at the marketplace: its chats, their messages, and a new chat.

Bodies of answers, made of what the market knows; the link that carries them is `platform`.
Source: xianyu 8
"""

from __future__ import annotations

from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.frames import Fields, Frame, fields_of, items_of, strip, to_int
from trunkline.dialects.xianyu.market import Market, Seller, Talk


def create_chat(market: Market, seller: Seller, frame: Frame) -> Fields | None:
    """Open a chat about an item, as the account asks; None when it may not."""
    items = items_of(frame.body)
    asked = fields_of(items[0]) if items else {}
    pair = {strip(asked.get("pairFirst")), strip(asked.get("pairSecond"))}
    item = strip(fields_of(asked.get("extension")).get("itemId"))
    others = pair - {seller.ident}
    if not item or len(others) != 1 or seller.ident not in pair:
        return None
    talk = market.open_talk(seller, others.pop(), item)
    return {"singleChatConversation": _describe(seller, talk)}


def list_chats(seller: Seller, frame: Frame) -> Fields:
    """Return a page of chats, the newest first."""
    cursor, limit = _page(frame, 0)
    talks = sorted(seller.talks.values(), key=lambda talk: talk.last_ms, reverse=True)
    older = [talk for talk in talks if talk.last_ms < cursor]
    page = older[:limit]
    convs = [
        {
            "type": 1,
            "singleChatUserConversation": {
                "visible": 1,
                "modifyTime": talk.last_ms,
                "redPoint": 0,
                "lastMessage": {"message": talk.messages[-1] if talk.messages else {}},
                "singleChatConversation": _describe(seller, talk),
            },
        }
        for talk in page
    ]
    last = page[-1].last_ms if page else 0
    return {"hasMore": int(len(older) > limit), "nextCursor": last, "userConvs": convs}


def list_history(seller: Seller, frame: Frame) -> Fields:
    """Return a page of a chat's messages, the newest first."""
    items = items_of(frame.body)
    talk = seller.talks.get(strip(items[0]) if items else "")
    cursor, limit = _page(frame, 2)
    told = list(talk.messages) if talk is not None else []
    older = [message for message in reversed(told) if message["createAt"] < cursor]
    page = older[:limit]
    last = page[-1]["createAt"] if page else 0
    models = [{"readStatus": 1, "message": message} for message in page]
    return {"hasMore": int(len(older) > limit), "nextCursor": last, "userMessageModels": models}


def _describe(seller: Seller, talk: Talk) -> Fields:
    return {
        "cid": frames.suffixed(talk.ident),
        "pairFirst": frames.suffixed(talk.buyer),
        "pairSecond": frames.suffixed(seller.ident),
        "bizType": "1",
        "extension": {"itemId": talk.item},
    }


def _page(frame: Frame, at: int) -> tuple[int, int]:
    """Return cursor and limit, which stand at this place of a request."""
    items = items_of(frame.body)
    numbers = [to_int(items[nth]) if len(items) > nth else None for nth in (at, at + 1)]
    return numbers[0] or frames.FIRST_CURSOR, min(max(numbers[1] or 20, 1), 100)
