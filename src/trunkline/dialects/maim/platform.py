"""The adapter: we connect one platform to a core, and the core's words go to its people.

Usually we dial; a core that dials us is served the same way.

Strict cores drop silently what is incomplete, so everything that leaves here names a user with id
and nickname and, in a group, the group with id and name: all strings, in one flat list of the
kinds they read. Source: maim 1, 4.2, 4.5, 7
"""

from __future__ import annotations

from typing import ClassVar

from trunkline.dialects.contract import (
    Effects,
    LinkInfo,
    Opening,
)
from trunkline.dialects.maim.blocks import FormatInfo, GroupInfo, MessageInfo, UserInfo
from trunkline.dialects.maim.frames import SegOut
from trunkline.dialects.maim.identity import (
    Context,
    complete_user,
    format_message_id,
    group_of,
    target,
    user_of,
)
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.session import MaimSession
from trunkline.dialects.maim.translate import ACCEPTED, CORE_ACCEPT
from trunkline.model.delivery import Delivery


class AdapterSession(MaimSession):
    """Our connection to a core.

    Args:
        options: of the line.
        opening: clock and ids.
    """

    # A core reads a fixed set, whatever it says it accepts. Source: maim 4.5
    _heeds_accept: ClassVar[bool] = False

    def __init__(self, options: MaimOptions, opening: Opening) -> None:
        super().__init__(options, opening, CORE_ACCEPT)

    def linked(self, info: LinkInfo) -> Effects:
        """Be ready at once: a core says nothing first. Source: maim 2.3"""
        return self._sit(self._options.platform)

    def _hear(self, info: MessageInfo) -> tuple[UserInfo | None, GroupInfo | None, UserInfo | None]:
        user, group = target(info)
        # The classic style does not say who speaks: it is the bot. Source: maim 4.4
        return user, group, info.sender_info.user_info if info.sender_info is not None else None

    def _address(self, delivery: Delivery, context: Context, parts: list[SegOut]) -> MessageInfo:
        """Say it as the chat's person; in a group as the context's, else as ourselves.

        Source: maim 4.4 (adapter → core), design 5
        """
        chat, options, platform = delivery.chat, self._options, self._platform
        group = None
        if chat.kind == "group":
            group = group_of(chat, context.group)
            us = UserInfo(platform, options.bot_id, options.bot_name)
            user = complete_user(context.user, platform) or us
        else:
            user = user_of(chat, context.user)
        kinds = sorted({part.type for part in parts})
        return MessageInfo(
            platform,
            format_message_id(delivery.id),
            self._clock.now_ms() / 1000,
            user,
            group,
            FormatInfo(kinds, list(ACCEPTED)),
        )


def delay_s(cause: str, nth: int) -> float:
    """Return how long to wait before the `nth` attempt in a row. Source: maim 7, guides 5"""
    doubled = 2.0 ** min(max(nth, 1) - 1, 6)
    if cause == "auth":
        return min(60.0, 5.0 * doubled)
    if cause == "replaced":
        return 30.0
    return min(30.0, doubled)
