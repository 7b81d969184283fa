"""What people and programs may ask of the exchange: send, wait, look on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from trunkline.clock import Clock
from trunkline.errors import StoreFull
from trunkline.exchange.bodies import encode_say
from trunkline.exchange.contract import (
    Broadcast,
    Duplicates,
    LineFacts,
    PaceNow,
    Router,
    Seen,
    Sent,
)  # fmt: skip
from trunkline.exchange.conversations import Key, chat_of
from trunkline.exchange.extras import Enquiry
from trunkline.exchange.intake import Core
from trunkline.exchange.items import API, BROADCAST
from trunkline.ids import ConversationId, DeliveryId
from trunkline.model.address import MAX_ID_CHARS, Address
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.model.message import Segments
from trunkline.pipeline.turn import Verdict
from trunkline.store.contract import Store

TAKEOVER_S = 600.0  # of a line where an own message takes nothing
MAX_NAME_CHARS = 64
NAMED = 10  # accounts that an error names
FINAL = frozenset(DeliveryState) - {
    DeliveryState.DRAFT, DeliveryState.QUEUED, DeliveryState.SENDING
}  # fmt: skip


class Desk:
    """`contract.Desk` over the beat.

    Args:
        accounts: the accounts that a line has or had, so that an address may leave it out.
    """

    def __init__(
        self,
        *,
        core: Core,
        store: Store,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        router: Router,
        accounts: Callable[[str], list[str]],
    ) -> None:
        self._core = core
        self._store = store
        self._clock = clock
        self._facts = facts
        self._router = router
        self._accounts = accounts

    async def send(
        self, address: Address, segments: Segments, *, dedupe: str = "", source: str = API
    ) -> Sent:
        """Queue a message durably; see `contract.Desk.send`."""
        facts = self._line(address)
        if facts.kinds and address.kind not in facts.kinds:
            known = ", ".join(facts.kinds)
            raise ValueError(f"line {address.line} has chats of the kinds {known} only")
        key = await self._key(facts, address, is_reached=True)
        if dedupe:
            earlier = await self._store.delivery_by_dedupe(dedupe)
            if earlier is not None:
                return await self._repeat(earlier, key, segments)
        try:
            ident = await self._core.doing.post(key, segments, source, dedupe=dedupe)
        except Exception:
            # A second request with the same key may have won the unique index meanwhile.
            earlier = await self._store.delivery_by_dedupe(dedupe) if dedupe else None
            if earlier is None:
                raise
            return await self._repeat(earlier, key, segments)
        return Sent(ident)

    async def _repeat(self, earlier: DeliveryId, key: Key, segments: Segments) -> Sent:
        """Return the delivery of a repeated request; the key must not stand for another message."""
        found = await self._store.delivery(earlier)
        if found is not None and found.row.body:
            at = found.conversation
            is_same = (at.line, at.account, at.kind, at.peer) == key
            if not is_same or found.row.body != encode_say(segments):
                raise ValueError(
                    "this Idempotency-Key was used for another message; take a new one"
                )
        return Sent(earlier, is_repeat=True)

    async def broadcast(self, line: str, segments: Segments, *, source: str = API) -> Broadcast:
        """Say something in every open chat of a contact line; see `contract.Desk.broadcast`."""
        who = BROADCAST if source == API else f"{BROADCAST}:{source}"
        return await self._core.doing.broadcast(line, segments, who)

    async def take_over(
        self, address: Address, *, name: str = "", for_s: float | None = None
    ) -> int:
        """Give a conversation to a person, durably; return until when (wall ms)."""
        facts = self._line(address)
        key = await self._key(facts, address, is_reached=False)
        if for_s is None:
            for_s = facts.takeover_for_ms / 1000 or TAKEOVER_S
        return await self._core.doing.take_over(key, name, for_s)

    async def release(self, address: Address, *, reason: str = "") -> None:
        """Give a conversation back to the automatic answers."""
        key = await self._key(self._line(address), address, is_reached=False)
        await self._core.doing.release(key, reason)

    async def enquire(
        self, line: str, kind: str, ident: str, decide: Callable[[ConversationState], Verdict]
    ) -> Verdict:
        """Decide for somebody who asks by HTTP about a chat; see `contract.Desk.enquire`."""
        # The same conversation as that of the messages received, so both count together.
        accounts = self._accounts(line) if line in self._facts else []
        key = (line[:MAX_NAME_CHARS], accounts[0] if accounts else "", kind, ident[:MAX_ID_CHARS])
        state = await self._core.doing.find(key)
        if state is None:
            state = ConversationState(ConversationId(0), *key)
        verdict = decide(state)
        if verdict.state is state:
            return verdict
        if self._core.is_disk_low:
            raise StoreFull
        done: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._core.enquire(Enquiry(key, decide, done))
        return await done

    async def erase(self, address: Address) -> int:
        """Forget everything that was said in a conversation; return how many rows that were."""
        key = await self._key(self._line(address), address, is_reached=False)
        state = await self._core.doing.find(key)
        if state is None:
            raise LookupError(f"there is no conversation {address.kind}:{address.id}")
        count = 0
        for copied in await self._core.carrying.copies(key):  # where other lines show it
            copy = await self._core.doing.find(copied)
            count += await self._store.erase(copy.id) if copy is not None else 0
        return count + await self._store.erase(state.id)

    def _line(self, address: Address) -> LineFacts:
        facts = self._facts.get(address.line)
        if facts is None:
            known = ", ".join(self._facts) or "none"
            raise LookupError(f"there is no line {address.line!r}; lines: {known}")
        return facts

    async def _key(self, facts: LineFacts, address: Address, *, is_reached: bool) -> Key:
        """Return what a conversation is kept under.

        Args:
            is_reached: something is to be said there: a visitor must be there, or come back.
        """
        if not facts.has_brief_seats:
            # About another item is another conversation (`shop/user:1?item=9`).
            ident = f"{address.id}?item={address.item}" if address.item else address.id
            return (facts.name, self._account(facts, address), address.kind, ident)
        key = (facts.name, "", address.kind, address.id)
        if is_reached and not self._router.find(facts.name, facts.seat_of(chat_of(key))):
            state = await self._core.doing.find(key)
            if state is None or state.is_brief:
                raise LookupError(
                    f"visitor {address.id} is not connected; a visitor without a session cannot "
                    "be reached after the page is closed"
                )
        return key

    def _account(self, facts: LineFacts, address: Address) -> str:
        if address.account:
            return address.account
        accounts = self._accounts(facts.name)
        if len(accounts) == 1:
            return accounts[0]
        if facts.account and (not accounts or facts.account in accounts):
            return facts.account  # the one that we play ourselves, before anybody has connected
        if not accounts:
            raise LookupError(
                f"line {facts.name} has had no account yet; name it: {facts.name}/"
                f"{address.kind}:{address.id}@ACCOUNT"
            )
        names = sorted(accounts)
        more = ", …" if len(names) > NAMED else ""
        raise LookupError(
            f"line {facts.name} has several accounts ({', '.join(names[:NAMED])}{more}); "
            f"name one: {facts.name}/{address.kind}:{address.id}@{names[0]}"
        )

    async def wait_settled(self, ident: DeliveryId, timeout_s: float) -> None:
        """Return when the delivery's state is final, or after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not await self._is_settled(ident):
                    pass

    async def _is_settled(self, ident: DeliveryId) -> bool:
        """Return whether the state is final, after a change of it if it was not."""
        changed = self._core.watchers.wait(ident)  # before the look: nothing happens in between
        try:
            found = await self._store.delivery(ident)
            if found is None or found.row.state in FINAL:
                return True
            await changed
        finally:
            changed.cancel()
        return False

    def pace(self, line: str) -> PaceNow | None:
        """Return how a line's pace stands, None when it has none."""
        return self._core.pacing.now_of(line)

    def wake(self) -> None:
        """Rows were changed from outside: look at the queues of the lines again."""
        self._core.dispatch.review()

    def duplicates(self, conversation: ConversationId) -> Duplicates | None:
        """Return the repeats dropped in a conversation since the start."""
        return self._core.watchers.duplicates(conversation)

    def watch(self, sink: Callable[[Seen], None]) -> Callable[[], None]:
        """Call `sink` after each commit for what it holds; return how to stop."""
        return self._core.watchers.add(sink)
