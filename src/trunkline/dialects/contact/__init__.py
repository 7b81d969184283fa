"""The contact dialect: visitors of a blog chat with the site over one WebSocket per tab.

`bot` is the site that we are; `platform` the visitor, for tests, emulation and embedding. No login:
a visitor is known by the id that the greeting gave it, for as long as the link lives. The source of
every fact is the specification `contact`, cited by section.
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.contact.bot import SiteSession
from trunkline.dialects.contact.frames import describe
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contact.platform import VisitorSession
from trunkline.dialects.contract import Admit, Dialect, Head, Opening, Refuse, Session
from trunkline.model.address import Chat
from trunkline.model.capability import Traits

RETRY_S: Final = 5.0  # Source: contact 7, guides 5: pages and clients reconnect after 5 s


def admit(options: ContactOptions, head: Head) -> Admit | Refuse:
    """Let every visitor in; paths, origins and counts per address are the gate's business."""
    del head
    return Admit("visitor", options.max_message_bytes)


def open_session(options: ContactOptions, opening: Opening) -> Session:
    """Make the session of the role."""
    if opening.role == "visitor":
        return VisitorSession(options, opening)
    return SiteSession(options, opening)


def seat_of(chat: Chat) -> str:
    """Return the seat of a chat: each visitor has its own."""
    return chat.id


def delay_s(cause: str, nth: int) -> float:
    """Return the constant reconnect delay of a visitor."""
    del cause, nth
    return RETRY_S


def paths(options: ContactOptions) -> tuple[str, ...]:
    """Return the exact paths that a site serves, the main one first, each once."""
    return tuple(dict.fromkeys((options.path, *options.aliases)))


CONTACT: Final = Dialect(
    name="contact",
    options=ContactOptions,
    roles=("site", "visitor"),
    traits={
        "site": Traits(inbound_ack=True, has_reply_expiry=False, is_site=True),
        # A site drops a repeat by its `client_message_id`, but within one connection only: the
        # next one has another client id, so a send that a cut left unclear must not be repeated.
        "visitor": Traits(send_ack=True, has_reply_expiry=False),
    },
    admit=admit,
    open=open_session,
    seat_of=seat_of,
    delay_s=delay_s,
    describe=describe,
    paths=paths,
    listens=("site",),
    dials=("visitor",),
    kinds=("visitor",),
)
