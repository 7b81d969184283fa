"""The values that rules are written in, as the configuration hands them over."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from trunkline.model.asking import ModelSpec
from trunkline.model.segment import Image

Match: TypeAlias = Literal["contains", "exact", "regex", "any"]
Then: TypeAlias = Literal["reply", "send", "draft", "person"]
Per: TypeAlias = Literal["conversation", "user", "day"]


class RuleSpec(msgspec.Struct, frozen=True):
    """One `[[rules]]` entry.

    Args:
        lines: patterns (`shop-*`) of the lines it holds for; empty = every line.
        items: item ids; empty = any item.
        keywords: any of them matches; for `regex` they are patterns; unused by `any`.
        excepts: none of them may match (`except` in the file), always by `contains`.
        reply: template; "" with no image = deliberate silence, which ends the flow.
        image: the picture to send after the text.
        then: `reply`; `send` leaves at once also on a draft line; `draft` asks first; `person`
            hands over.
        order: position in the file, from 0.
        notices: names of what happened (`order:paid`); then it answers those notices and no
            message, and has no keywords. See `notices.is_named`.
    """

    name: str
    keywords: tuple[str, ...] = ()
    match: Match = "contains"
    reply: str = ""
    lines: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    excepts: tuple[str, ...] = ()
    image: Image | None = None
    priority: int = 0
    is_enabled: bool = True
    then: Then = "reply"
    order: int = 0
    notices: tuple[str, ...] = ()


class DefaultSpec(msgspec.Struct, frozen=True):
    """One `[[default_replies]]` entry. With `items` it is an item reply: before the default and
    not counted.

    Args:
        limit: at most so many …
        per: … per conversation, per sender, or per conversation and day; 0 = no limit.
    """

    reply: str
    lines: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    limit: int = 0
    per: Per = "conversation"
    is_enabled: bool = True
    order: int = 0


class RulebookSpec(msgspec.Struct, frozen=True):
    """Everything `decide` needs besides the turn.

    Args:
        offline_notice: said on contact lines when nothing else answers.
        day_offset_ms: added to UTC before a day is cut (China: 8 h), for `per = "day"`.
        model: when the assistant is asked; None = there is none.
    """

    rules: tuple[RuleSpec, ...] = ()
    defaults: tuple[DefaultSpec, ...] = ()
    offline_notice: str = "您好，消息已收到，主人看到后会尽快回复您。"
    day_offset_ms: int = 28_800_000
    model: ModelSpec | None = None
