"""How a peer gets a link: it dials the product, or it is the platform that the product dials.

The seam to a dialect's emulator is `CAST`. Where peers dial it is a `Cast`. Where the product
dials, `CAST` has `place` besides: it makes the platform of the run, which stands behind one port
with its WebSocket side and its HTTP side (`front.py`), and whose accounts the peers are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from trunkline.dialects.contract import (
    Actor,
    Dial,
    Dialect,
    Fetch,
    Fetched,
    Head,
    LinkInfo,
    Opening,
    Refuse,
    Session,
)
from trunkline.model.delivery import What
from trunkline.model.event import MessageReceived

from .bare import BareLink
from .stage import Plan, StampedClock


class Cast(Protocol):
    """What a dialect's emulator says about peers that dial, as `CAST`. This alone makes it join.

    Attributes:
        lines: TOML of the line under test, answered by the rule that says `re:` and the question.
        path: where it listens.
        manners: which of `MANNERS` its peers may have.
    """

    lines: str
    path: str
    manners: frozenset[str]

    def actor(self, number: int) -> Actor:
        """Return the peer of a number, from 0; the same number is the same peer."""
        ...

    def echo(self, event: MessageReceived) -> What | None:
        """Return what a peer with the manner `echo-own` sends back for a message, or None."""
        ...


class Place(Protocol):
    """The platform of one run: everything that outlives its links. Pure, as emulators are.

    Attributes:
        violations: rules of the platform that the product broke, by name.
    """

    violations: Mapping[str, int]

    def lines(self, base: str) -> str:
        """Return the TOML of the lines that dial it.

        Args:
            base: its address, `http://127.0.0.1:PORT`.
        """
        ...

    def actor(self, number: int) -> Actor:
        """Return the account of a number, from 0."""
        ...

    def http(self, request: Fetch) -> Fetched:
        """Answer a side call."""
        ...

    def admit(self, head: Head) -> tuple[int, str] | Refuse:
        """Return whose link an upgrade is, and the subprotocol to select ("" = none)."""
        ...

    def session(self, number: int, opening: Opening, manners: frozenset[str]) -> Session:
        """Make the session of an account's link."""
        ...


@runtime_checkable
class DialledCast(Protocol):
    """What a dialect's emulator says about the platform that the product dials, as `CAST`.

    Attributes:
        manners: which of `MANNERS` its accounts may have; the session does `redeliver-14` itself.
        proves: own messages come back, so an answer that was seen is not UNCERTAIN at the end.
    """

    manners: frozenset[str]
    proves: bool

    def place(self, opening: Opening, peers: int) -> Place:
        """Make the platform of a run, with so many accounts."""
        ...


class Way(Protocol):
    """How one peer comes to its links.

    Attributes:
        dials: whether it is the peer that dials.
    """

    dials: bool

    async def meet(self, kept: bytes | None) -> tuple[BareLink, Session, LinkInfo]:
        """Return the next link with a fresh session.

        Raises:
            Cut: the product could not be reached.
        """
        ...


class Dialling:
    """The peer dials the product, wherever it is now."""

    dials = True

    def __init__(
        self, dialect: Dialect, cast: Cast, actor: Actor, plan: Plan, clock: StampedClock
    ) -> None:
        self._dialect = dialect
        self._cast = cast
        self._actor = actor
        self._plan = plan
        self._clock = clock

    async def meet(self, kept: bytes | None) -> tuple[BareLink, Session, LinkInfo]:
        """See `Way.meet`."""
        actor, dialect = self._actor, self._dialect
        fields = {"dialect": dialect.name, "role": actor.role, "link": "dial", **actor.fields}
        options = dialect.options(**fields, url=self._plan.stage.url + self._cast.path)
        session = dialect.open(options, Opening(actor.role, "", self._clock, self._plan.ids))
        dial = next(one for one in session.begin(kept) if type(one) is Dial)
        link = await BareLink.open(dial.url, dial.headers, dial.subprotocol or "")
        return link, session, LinkInfo(Head(self._cast.path), is_dialled=True)


class Awaiting:
    """The product dials the account, which is wherever the platform is.

    Args:
        number: of the account.
    """

    dials = False

    def __init__(
        self, place: Place, number: int, plan: Plan, clock: StampedClock, manners: frozenset[str]
    ) -> None:
        self._place = place
        self._number = number
        self._plan = plan
        self._clock = clock
        self._manners = manners
        self._came: asyncio.Queue[tuple[BareLink, Head]] = asyncio.Queue()

    def arrive(self, link: BareLink, head: Head) -> None:
        """Take a link that came in; the peer comes to it when it has read the one before out."""
        self._came.put_nowait((link, head))

    async def meet(self, kept: bytes | None) -> tuple[BareLink, Session, LinkInfo]:
        """See `Way.meet`."""
        link, head = await self._came.get()
        while not self._came.empty():
            link.close()
            link, head = self._came.get_nowait()
        role = self._place.actor(self._number).role
        opening = Opening(role, role, self._clock, self._plan.ids)
        session = self._place.session(self._number, opening, self._manners)
        session.begin(kept)
        return link, session, LinkInfo(head)
