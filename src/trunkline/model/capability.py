"""What a dialect can do, declared once and read by everyone else."""

from __future__ import annotations

import msgspec


class Traits(msgspec.Struct, frozen=True):
    """Facts about a dialect (`reliability 1`). Unknown = false.

    Args:
        is_binary: messages are sent with the BINARY opcode (MQTT), else TEXT.
        inbound_ack: the peer is told when a message is stored.
        redelivers_unacked: the peer sends again what was not acknowledged.
        send_ack: the peer says when it has a delivery.
        peer_dedupes: the peer drops a second copy by its id, so an unclear send may be repeated.
        own_echo: the peer sends our own messages back.
        history_query: the peer can be asked what was said.
        has_reply_expiry: automatic replies become useless after 120 s.
        loop_guard: more than 5 automatic replies in 60 s to one peer pause it (`guides 4`).
        age_from_peer: a message's age counts from the platform's time, else from our receipt.
        is_site: with no rule and no default reply, the offline notice is said (contact).
    """

    is_binary: bool = False
    inbound_ack: bool = False
    redelivers_unacked: bool = False
    send_ack: bool = False
    peer_dedupes: bool = False
    own_echo: bool = False
    history_query: bool = False
    has_reply_expiry: bool = True
    loop_guard: bool = False
    age_from_peer: bool = False
    is_site: bool = False
