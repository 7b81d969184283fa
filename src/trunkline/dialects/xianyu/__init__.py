"""闲鱼 over lwp: the seller's account that dials the platform, and a marketplace that plays it.

The only login is the cookie string that the account's owner gives. A demand for verification parks
the line and asks the owner; nothing here solves, avoids or automates one. Source: xianyu
"""

from __future__ import annotations

from trunkline.dialects.contract import Admit, Dialect, Head, Opening, Refuse, Session
from trunkline.dialects.xianyu.bot import AccountSession
from trunkline.dialects.xianyu.frames import describe
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.dialects.xianyu.session import delay_s, secrets_of
from trunkline.dialects.xianyu.translate import NOTICES, aliases
from trunkline.model.address import Chat
from trunkline.model.capability import Traits


def admit(options: XianyuOptions, head: Head) -> Admit | Refuse:
    """Let an account in when it says which one it is. Source: xianyu 1"""
    if "unb=" not in head.headers.get("cookie", ""):
        return Refuse(403, "no account: the cookies hold no unb")
    return Admit("market", options.max_message_bytes)


def open_session(options: XianyuOptions, opening: Opening) -> Session:
    """Make the session of a link."""
    if opening.role == "market":
        return MarketSession(options, opening)
    return AccountSession(options, opening)


def seat_of(chat: Chat) -> str:
    """Return the seat of a chat: its account."""
    return chat.account


def paths(options: XianyuOptions) -> tuple[str, ...]:
    """Return the paths that a listening line serves."""
    return (options.path, *options.aliases)


XIANYU = Dialect(
    name="xianyu",
    options=XianyuOptions,
    roles=("account", "market"),
    traits={
        "account": Traits(
            inbound_ack=True,
            redelivers_unacked=True,
            send_ack=True,
            own_echo=True,
            history_query=True,
            loop_guard=True,
            age_from_peer=True,
        ),
        "market": Traits(send_ack=True),
    },  # reliability 1
    admit=admit,
    open=open_session,
    seat_of=seat_of,
    delay_s=delay_s,
    describe=describe,
    paths=paths,
    listens=("market",),
    dials=("account",),
    kinds=("chat", "user"),
    secrets_of=secrets_of,
    resets_at_ready=True,
    aliases=aliases,
    notices=NOTICES,
)
