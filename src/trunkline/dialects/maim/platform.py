"""The adapter: we connect one platform to a core, and the core's words go to its people.

Usually we dial; a core that dials us is served the same way.

Strict cores drop silently what is incomplete, so everything that leaves here names a user with id
and nickname and, in a group, the group with id and name: all strings, in one flat list of the
kinds they read. Source: maim 1, 4.2, 4.5, 7
"""

from __future__ import annotations

from typing import ClassVar, Final

from trunkline.dialects.contract import (
    Again,
    Dial,
    Effects,
    Hangup,
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
from trunkline.dialects.maim.session import MaimSession, configured_headers
from trunkline.dialects.maim.translate import ACCEPTED, CORE_ACCEPT
from trunkline.errors import LinkLost, TrunklineError
from trunkline.model.delivery import Delivery

# Reasons of a close 1000 that mean: another connection has our platform now. The second is how the
# published package begins its own. Source: maim 2.5
# How the package's API-Server closes 1000 on a wrong key. Source: maim 9.1
API_REFUSED: Final = "Authentication failed"
_REPLACED: Final = ("replaced", "新的连接", "新连接")


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

    def begin(self, kept: bytes | None) -> Effects:
        """Dial the core, unless it dials us. Header values are text; who writes them encodes."""
        options = self._options
        if options.link == "listen":
            return ()
        headers = configured_headers(options)
        headers["platform"] = options.platform
        if options.tokens:
            headers["authorization"] = options.tokens[0]  # bare. Source: maim 2.2
        return (Dial(options.url, headers, None, options.max_message_bytes),)

    def linked(self, info: LinkInfo) -> Effects:
        """Be ready at once: a core says nothing first. Source: maim 2.3"""
        return self._sit(self._options.platform)

    def lost(self, error: TrunklineError) -> Effects:
        """Close; when we dialled, say why we come back: the wait depends on it. Source: maim 7"""
        effects = super().lost(error)
        if not effects or self._options.link == "listen":
            return effects
        code, reason = (error.code, error.reason) if isinstance(error, LinkLost) else (1006, "")
        return (*effects, Hangup(code, "", Again(cause_of(code, reason))))

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


def cause_of(code: int, reason: str) -> str:
    """Return the row of the retry table for a close. Source: maim 7, 9.1"""
    if code == 1008 or (code == 1000 and reason.startswith(API_REFUSED)):
        return "auth"
    if code == 1000 and any(word in reason for word in _REPLACED):
        return "replaced"
    return "lost"


def delay_s(cause: str, nth: int) -> float:
    """Return how long to wait before the `nth` attempt in a row. Source: maim 7, guides 5"""
    doubled = 2.0 ** min(max(nth, 1) - 1, 6)
    if cause == "auth":
        return min(60.0, 5.0 * doubled)
    if cause == "replaced":
        return 30.0
    return min(30.0, doubled)
