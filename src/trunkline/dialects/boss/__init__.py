"""Boss直聘: MQTT and protobuf inside a WebSocket; the account that dials, and a gateway to test it.

The only login is the cookie string that the account's owner gives. A demand for verification parks
the line and asks the owner; nothing here solves, avoids or automates one. What is to be answered by
itself waits for the owner unless she says otherwise. Source: boss
"""

from __future__ import annotations

from trunkline.dialects.boss.bot import AccountSession
from trunkline.dialects.boss.describing import describe
from trunkline.dialects.boss.importing import SCHEMA
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.platform import GatewaySession
from trunkline.dialects.boss.session import STABLE_S, delay_s, secrets_of
from trunkline.dialects.boss.sidecalls import CALLS
from trunkline.dialects.boss.translate import NOTICES
from trunkline.dialects.contract import Admit, Dialect, Head, Opening, Refuse, Session
from trunkline.model.address import Chat
from trunkline.model.capability import Traits


def admit(options: BossOptions, head: Head) -> Admit | Refuse:
    """Let an account in when it has cookies. Source: boss 10.3"""
    if not head.headers.get("cookie"):
        return Refuse(403, "no login")
    offered = head.headers.get("sec-websocket-protocol", "").partition(",")[0].strip()
    return Admit("gateway", options.max_message_bytes, offered or None)


def open_session(options: BossOptions, opening: Opening) -> Session:
    """Make the session of a link."""
    if opening.role == "gateway":
        return GatewaySession(options, opening)
    return AccountSession(options, opening)


def seat_of(chat: Chat) -> str:
    """Return the seat of a chat: its account."""
    return chat.account


def paths(options: BossOptions) -> tuple[str, ...]:
    """Return the paths that a listening line serves."""
    return (options.path, *options.aliases)


BOSS = Dialect(
    name="boss",
    options=BossOptions,
    roles=("account", "gateway"),
    traits={
        "account": Traits(
            is_binary=True,
            inbound_ack=True,
            redelivers_unacked=True,
            send_ack=True,
            own_echo=True,
            history_query=True,
            loop_guard=True,
            age_from_peer=True,
        ),
        "gateway": Traits(is_binary=True, send_ack=True),
    },  # reliability 1
    admit=admit,
    open=open_session,
    seat_of=seat_of,
    delay_s=delay_s,
    describe=describe,
    paths=paths,
    listens=("gateway",),
    dials=("account",),
    kinds=("user", "key"),
    secrets_of=secrets_of,
    stable_s=STABLE_S,
    schema=SCHEMA,
    calls=CALLS,
    notices=NOTICES,
)
