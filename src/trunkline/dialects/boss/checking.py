"""What a played gateway checks: a login's packet, and each message, by the rules of its world.

Pure of any link: what a check finds is counted and answered in `platform`. Source: boss 2.1, 10.4
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.boss.frames import ChatMessage
from trunkline.dialects.boss.gateway import Account, Gateway, Peer
from trunkline.wire.mqtt_packets import Connect

CLIENT_ID_CHARS: Final = 19  # `ws-` and 16. Source: boss 2.1
_MINUTE_MS: Final = 60_000


def is_client_id(client_id: str) -> bool:
    """Whether a client id is one that a browser makes. Source: boss 2.1"""
    return len(client_id) == CLIENT_ID_CHARS and client_id.startswith("ws-")


def password_of(packet: Connect) -> str:
    """Return the password of a login, as text."""
    return (packet.password or b"").decode("utf-8", "replace")


def is_login(gateway: Gateway, account: Account, packet: Connect) -> bool:
    """Whether name and password are those of the account. Source: boss 10.4 (7)"""
    is_named = packet.username == f"{account.token}|0"
    return is_named and not gateway.refuse_password(account, password_of(packet))


def broken_rule(
    gateway: Gateway, account: Account, message: ChatMessage, now_ms: int, *, has_source: bool
) -> tuple[str, Peer | None]:
    """Return the rule that a message breaks, "" for none, and whom it is for; it counts as sent.

    Args:
        has_source: both its sides say from where they come. Source: boss 3
    """
    rules, to = gateway.rules, message.receiver
    is_minimal = not message.sender.uid and not to.uid
    peer = account.find_key(to.name) if is_minimal else account.peers.get((to.uid, to.source))
    recent = sum(at > now_ms - _MINUTE_MS for at in account.sent_at_ms)
    account.sent_at_ms.append(now_ms)
    highest = max((one["mid"] for one in peer.messages), default=0) if peer is not None else 0
    broken = (
        ("ids", message.mid != message.cmid or message.cmid <= 0),
        ("source", rules.needs_source and not is_minimal and not has_source),
        ("minimal", is_minimal and not rules.allows_minimal),
        ("sender", not is_minimal and message.sender.uid != account.uid),
        ("self", rules.rejects_self and to.uid == account.uid),
        ("peer", peer is None),
        ("key", not is_minimal and peer is not None and to.name not in ("", peer.key)),
        ("mid", rules.needs_mid_above and message.mid <= highest),
        ("empty", rules.rejects_empty and message.body.type == 1 and not message.body.text),
        ("rate", 0 < rules.max_per_minute <= recent),
    )
    return next((name for name, is_broken in broken if is_broken), ""), peer
