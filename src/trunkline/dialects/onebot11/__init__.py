"""OneBot 11 over WebSocket: the language of QQ bots, as framework and as implementation.

The framework hears the events of an account (NapCat, Lagrange, LLOneBot …) and asks for actions;
the implementation plays the account for frameworks (NoneBot, AstrBot, Koishi …), with chats of its
own or those of a line that it carries. Each listens or dials. Source: onebot11 1
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.contract import Dialect, Opening, Session
from trunkline.dialects.onebot11.bot import FrameworkSession
from trunkline.dialects.onebot11.describing import describe
from trunkline.dialects.onebot11.events import KINDS
from trunkline.dialects.onebot11.headers import admit, claims, paths, recognises
from trunkline.dialects.onebot11.http import HTTP, POSTED
from trunkline.dialects.onebot11.options import FRAMEWORK, IMPLEMENTATION, POST, OneBotOptions
from trunkline.dialects.onebot11.platform import ImplementationSession
from trunkline.dialects.onebot11.posted import PostedSession
from trunkline.dialects.onebot11.posting import PostingSession
from trunkline.model.address import Chat
from trunkline.model.capability import Traits

RECONNECT_S: Final = 5.0  # Source: onebot11 3.4, guides 5


def open_session(options: OneBotOptions, opening: Opening) -> Session:
    """Make the session of a link."""
    if opening.role == IMPLEMENTATION and options.client_role == POST:
        return PostingSession(options, opening)
    if opening.role == IMPLEMENTATION:
        return ImplementationSession(options, opening)
    if opening.kind == POSTED:
        return PostedSession(options, opening)
    return FrameworkSession(options, opening)


def seat_of(chat: Chat) -> str:
    """Return the seat of a chat: its account."""
    return chat.account


def account_of(options: OneBotOptions) -> str:
    """Return the account that an implementation's chats have."""
    return options.self_id


def delay_s(cause: str, nth: int) -> float:
    """Return how long to wait before an attempt: whatever happened, 5 s. Source: onebot11 3.4"""
    del cause, nth
    return RECONNECT_S


ONEBOT11: Final = Dialect(
    name="onebot11",
    options=OneBotOptions,
    roles=(FRAMEWORK, IMPLEMENTATION),
    traits={
        # A response tells that it is there; nothing is redelivered. Source: reliability 1
        FRAMEWORK: Traits(send_ack=True, loop_guard=True),
        IMPLEMENTATION: Traits(loop_guard=True),
    },
    admit=admit,
    open=open_session,
    seat_of=seat_of,
    delay_s=delay_s,
    describe=describe,
    paths=paths,
    listens=(FRAMEWORK, IMPLEMENTATION),
    dials=(FRAMEWORK, IMPLEMENTATION),
    kinds=KINDS,
    carriers=(IMPLEMENTATION,),
    account_of=account_of,
    claims=claims,
    recognises=recognises,
    http=HTTP,
)
