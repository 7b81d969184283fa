"""The core: adapters connect to us, one platform each; what their people say is answered.

An adapter that listens is dialled and served the same way, under the platform that we name.

Source: maim 1, 2, 4.4
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from trunkline.dialects.contract import (
    Changed,
    Effects,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Tag,
)
from trunkline.dialects.maim.blocks import GroupInfo, MessageInfo, Party, UserInfo
from trunkline.dialects.maim.frames import SegOut
from trunkline.dialects.maim.identity import (
    Context,
    format_message_id,
    group_of,
    platform_of,
    speaker,
    user_of,
)
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.session import MaimSession
from trunkline.dialects.maim.translate import DEFAULT_ACCEPT
from trunkline.errors import LocalProtocolError, TrunklineError
from trunkline.model.delivery import Delivery

DENIED_CODE: Final = 1008  # Source: maim 2.3
DENIED_REASON: Final = "Invalid or missing token"


class CoreSession(MaimSession):
    """One adapter's connection.

    Args:
        options: of the line.
        opening: clock and ids.
    """

    _heeds_accept: ClassVar[bool] = True

    def __init__(self, options: MaimOptions, opening: Opening) -> None:
        super().__init__(options, opening, DEFAULT_ACCEPT)
        self._bot = Party()  # complete once the platform is known

    def linked(self, info: LinkInfo) -> Effects:
        """Take the seat of the platform that the adapter names, or that we dialled it under."""
        options = self._options
        effects = self._sit(options.platform if info.is_dialled else platform_of(info.head))
        self._bot = Party(None, UserInfo(self._platform, options.bot_id, options.bot_name))
        return effects

    def _hear(self, info: MessageInfo) -> tuple[UserInfo | None, GroupInfo | None, UserInfo | None]:
        user, group = speaker(info)
        return user, group, user

    def _address(self, delivery: Delivery, context: Context, parts: list[SegOut]) -> MessageInfo:
        """Address a reply to the author of the question, in the group it was asked in.

        Source: maim 4.4 (server role)
        """
        chat = delivery.chat
        if chat.kind == "group":
            user, group = context.user, group_of(chat, context.group)
        else:
            user, group = user_of(chat, context.user), None
        return MessageInfo(
            self._platform,
            format_message_id(delivery.id),
            self._clock.now_ms() / 1000,
            user,
            group,
            None,
            self._bot,
            Party(group, user),
        )


class DeniedSession:
    """A connection whose token is wrong: told so, closed, and nothing of it is read.

    Source: maim 2.3
    """

    wake_at: float | None = None

    def begin(self, kept: bytes | None) -> Effects:
        """Do nothing."""
        return ()

    def linked(self, info: LinkInfo) -> Effects:
        """Close 1008, after the upgrade, as the peers expect it."""
        return (Noticed("auth-failed"), Hangup(DENIED_CODE, DENIED_REASON))

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Discard what was pushed before the close."""
        return ()

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Refuse: this session asks nothing."""
        raise LocalProtocolError("a maim session asks nothing")

    def stored(self, receipt: Any) -> Effects:
        """Do nothing."""
        return ()

    def send(self, delivery: Delivery) -> Effects:
        """Refuse: it never was ready."""
        raise LocalProtocolError("a denied connection gets nothing")

    def tick(self) -> Effects:
        """Do nothing."""
        return ()

    def finish(self) -> Effects:
        """Do nothing: it is closing."""
        return ()

    def lost(self, error: TrunklineError) -> Effects:
        """Close."""
        return (Changed(LinkState.CLOSED),)
