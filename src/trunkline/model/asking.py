"""What the pipeline asks outside, and what comes back: plugins and models.

The pure stages, the exchange and the rooms that are asked do not know one another; these values
are all they share. A request carries everything that its asking needs, so whoever is asked reads
no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from trunkline.model.conversation import ConversationState
from trunkline.model.event import DurableEvent
from trunkline.model.message import Segments

HandlerKind: TypeAlias = Literal["message", "keyword", "command", "pattern", "notice"]
Role: TypeAlias = Literal["user", "assistant"]

# Source: xianyu 15 (intent): the list is the owner's to change.
PRICE_WORDS: Final = (
    "便宜", "优惠", "降价", "最低", "多少钱", "少点", "打折", "折扣", "砍价", "讲价", "还价",
    "议价", "刀", "让点", "抹零", "再低", "包邮",
)  # fmt: skip

TECH_WORDS: Final = (
    "怎么用", "参数", "坏了", "故障", "设置", "说明书", "功能", "用法", "教程", "驱动",
)  # fmt: skip
Intent: TypeAlias = Literal["", "price", "tech", "default"]


class HandlerSpec(msgspec.Struct, frozen=True):
    """The filters of one plugin handler, as data.

    Args:
        id: unique among all handlers, and the same after a reload that left it alone.
        name: what people know it by (`weather.py:forecast`).
        words: keywords, command names, the one pattern, or names of notices (`order:paid`, `order`
            for all of the kind, `*` works); unused by `message`.
        lines: patterns (`shop-*`); empty = every line.
        dialects, wheres, chats: empty = any. `wheres` are kinds of chats, or `private` for every
            chat that is no group; `chats` are `line/kind:id`.
        priority: higher first.
    """

    id: str
    name: str
    kind: HandlerKind = "message"
    words: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    wheres: tuple[str, ...] = ()
    chats: tuple[str, ...] = ()
    priority: int = 0


class Hit(msgspec.Struct, frozen=True):
    """A handler that matches.

    Args:
        word: the keyword, command, pattern or name that matched; "" for `message`.
        rest: the text behind a command, else the whole text.
    """

    handler: str
    word: str
    rest: str


class PluginRequest(msgspec.Struct, frozen=True):
    """Ask these handlers, in order, until one answers.

    Args:
        hits: never empty.
        events: of the turn, oldest first; one `NoticeReceived` when the handlers hear a notice.
    """

    hits: tuple[Hit, ...]
    events: tuple[DurableEvent, ...]
    text: str
    item: str
    dialect: str
    now_ms: int


class PluginAnswer(msgspec.Struct, frozen=True):
    """What the handlers made of it.

    Args:
        replies: one message each, at most 15; empty = nobody answered.
        handler: the name of the one that answered or stopped, else "".
        is_stopped: silence on purpose.
        faults: (handler name, what went wrong) of those that failed before.
    """

    replies: tuple[Segments, ...] = ()
    handler: str = ""
    is_stopped: bool = False
    faults: tuple[tuple[str, str], ...] = ()


class ModelSpec(msgspec.Struct, frozen=True):
    """When the model is asked, and what is said on a site when it cannot answer.

    Args:
        lines: patterns; empty = every line.
        fallback: "" = the offline notice.
        max_bargain_rounds: in a chat about goods, so many messages about the price are answered;
            then `refusal` is said; 0 = no limit.
        price_words: what makes a message one about the price, anywhere in it.
        tech_words: what makes it one about how the goods work, when no price word is in it.
        max_discount_percent, max_discount_amount: an answer that gives more is not said.
        prices: what goods cost, by item id; then no lower price than these limits allow is said.
    """

    lines: tuple[str, ...] = ()
    fallback: str = ""
    max_bargain_rounds: int = 0
    refusal: str = ""
    price_words: tuple[str, ...] = PRICE_WORDS
    tech_words: tuple[str, ...] = TECH_WORDS
    max_discount_percent: float = 10.0
    max_discount_amount: float = 100.0
    prices: Mapping[str, float] = {}


class ModelRequest(msgspec.Struct, frozen=True):
    """Ask the model this.

    Args:
        intent: what a chat about goods is about; "" elsewhere.
        about: what the model must know of the goods and of the bargaining; from us, not from the
            one who asks.
    """

    text: str
    intent: Intent = ""
    about: str = ""


class ModelAnswer(msgspec.Struct, frozen=True):
    """What the model said, already within the limits of `reliability 8`."""

    text: str


class Failed(msgspec.Struct, frozen=True):
    """No answer came: the stage passes on.

    Args:
        reason: one word of a closed set (`timeout`, `ai_overload`, `attempts` …).
        detail: for people.
    """

    reason: str
    detail: str = ""


class Said(msgspec.Struct, frozen=True):
    """Something said earlier in the chat."""

    role: Role
    text: str


class Question(msgspec.Struct, frozen=True):
    """What somebody outside is asked.

    Args:
        request: of the stage: `PluginRequest`, `ModelRequest`.
        past: what was said before, oldest first, when the asked one wants it.
    """

    conversation: ConversationState
    request: PluginRequest | ModelRequest
    past: tuple[Said, ...] = ()


Answer: TypeAlias = PluginAnswer | ModelAnswer | Failed
