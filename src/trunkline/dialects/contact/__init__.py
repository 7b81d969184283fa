"""The contact dialect: visitors of a blog chat with the site over one WebSocket per tab.

`bot` is the site that we are, `visits` the same for visitors who opt in to sessions, `operators`
the door for people of ours; `platform` is the visitor, for tests, emulation and embedding. No
login: a plain visitor is known by the id that the greeting gave it, for as long as the link lives,
an opted-in one by its session token. The source of every fact is the specification `contact`, cited
by section.
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.contact.frames import describe, is_client_frame
from trunkline.dialects.contact.operators import OperatorSession, is_operator
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contact.platform import VisitorSession
from trunkline.dialects.contact.visits import VisitSession
from trunkline.dialects.contract import Admit, Dialect, Head, Opening, Refuse, Session
from trunkline.model.address import Chat
from trunkline.model.capability import Traits

RETRY_S: Final = 5.0  # Source: contact 7, guides 5: pages and clients reconnect after 5 s


def admit(options: ContactOptions, head: Head) -> Admit | Refuse:
    """Let every visitor in; paths, origins and counts per address are the gate's business.

    An operator shows its token here, or in its first frame (`contact 9.3`). A browser's page may
    be one only where its origin is our own or listed: the gate lets any origin visit.
    """
    if not options.operator_path or head.path != options.operator_path:
        return Admit("visitor", options.max_message_bytes)
    origin = head.headers.get("origin")
    is_own = origin is None or origin.partition("://")[2] == head.headers.get("host", "")
    if not is_own and origin not in options.origins:
        return Refuse(403, "operators of this origin are not let in; see origins of the line")
    header = head.headers.get("authorization")
    if header is None:
        return Admit("operator-unknown", options.max_message_bytes)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not is_operator(options, token.strip()):
        return Refuse(401, "this operator token is not valid")
    return Admit("operator", options.max_message_bytes)


def claims(head: Head) -> bool | None:
    """Say whether an upgrade on a path that is shared is a visitor's.

    Visitors carry no credential; who opts in by the query says so (contact 9). A visitor that says
    nothing looks like any other client. Source: guides 6, contact 2
    """
    if "authorization" in head.headers:
        return False
    return True if {"v", "features", "session"} & head.query.keys() else None


def recognises(first: bytes) -> bool:
    """Say whether a peer's first message is a visitor's; one that waits for our greeting may be."""
    return not first or is_client_frame(first)


def open_session(options: ContactOptions, opening: Opening) -> Session:
    """Make the session of the role."""
    if opening.role == "visitor":
        return VisitorSession(options, opening)
    if opening.kind.startswith("operator"):
        return OperatorSession(options, opening)
    return VisitSession(options, opening)


def seat_of(chat: Chat) -> str:
    """Return the seat of a chat: each visitor has its own."""
    return chat.id


def delay_s(cause: str, nth: int) -> float:
    """Return the constant reconnect delay of a visitor."""
    del cause, nth
    return RETRY_S


def paths(options: ContactOptions) -> tuple[str, ...]:
    """Return the exact paths that a site serves, the main one first, each once."""
    found = (options.path, *options.aliases, options.operator_path)
    return tuple(dict.fromkeys(path for path in found if path))


CONTACT: Final = Dialect(
    name="contact",
    options=ContactOptions,
    roles=("site", "visitor"),
    traits={
        # Not `peer_dedupes`: a plain visitor never comes back for a second copy, and who opted in
        # finds in the history what a crash left unclear (contact 9.1).
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
    claims=claims,
    recognises=recognises,
    notices=(),
)
