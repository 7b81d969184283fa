"""What people and programs may ask of the exchange: send, wait, look on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from trunkline.clock import Clock
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.exchange.bodies import encode_say
from trunkline.exchange.contract import Duplicates, LineFacts, Router, Seen, Sent
from trunkline.exchange.conversations import Key
from trunkline.exchange.extras import Post
from trunkline.exchange.intake import Core
from trunkline.ids import ConversationId, DeliveryId
from trunkline.model.address import Address
from trunkline.model.delivery import DeliveryState
from trunkline.model.message import Segments
from trunkline.store.contract import Store

API_LIFE_MS = 86_400_000  # reliability 3: API sends are tried for 24 h
POSTS = 256
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
        self._under_way = 0

    async def send(
        self, address: Address, segments: Segments, *, dedupe: str = "", source: str = "api"
    ) -> Sent:
        """Queue a message durably; see `contract.Desk.send`."""
        facts = self._facts.get(address.line)
        if facts is None:
            known = ", ".join(self._facts) or "none"
            raise LookupError(f"there is no line {address.line!r}; lines: {known}")
        if facts.kinds and address.kind not in facts.kinds:
            known = ", ".join(facts.kinds)
            raise ValueError(f"line {address.line} has chats of the kinds {known} only")
        key = (address.line, self._account(facts, address), address.kind, address.id)
        if dedupe:
            earlier = await self._store.delivery_by_dedupe(dedupe)
            if earlier is not None:
                return await self._repeat(earlier, key, segments)
        if self._core.is_disk_low:
            raise StoreFull
        if self._under_way >= POSTS:
            raise StoreUnavailable("too many sends wait for the store")
        post = Post(
            key, segments, source, dedupe, self._clock.now_ms() + API_LIFE_MS,
            asyncio.get_running_loop().create_future(),
        )  # fmt: skip
        self._under_way += 1
        try:
            self._core.post(post)
            ident = await post.done
        except Exception:
            # A second request with the same key may have won the unique index meanwhile.
            earlier = await self._store.delivery_by_dedupe(dedupe) if dedupe else None
            if earlier is None:
                raise
            return await self._repeat(earlier, key, segments)
        finally:
            self._under_way -= 1
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

    def _account(self, facts: LineFacts, address: Address) -> str:
        if facts.has_brief_seats:
            if not self._router.find(facts.name, address.id):
                raise LookupError(
                    f"visitor {address.id} is not connected; a visitor without a session cannot "
                    "be reached after the page is closed"
                )
            return ""
        if address.account:
            return address.account
        accounts = self._accounts(facts.name)
        if len(accounts) == 1:
            return accounts[0]
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

    def wake(self) -> None:
        """Rows were changed from outside: look at the queues of the lines again."""
        self._core.dispatch.review()

    def duplicates(self, conversation: ConversationId) -> Duplicates | None:
        """Return the repeats dropped in a conversation since the start."""
        return self._core.watchers.duplicates(conversation)

    def watch(self, sink: Callable[[Seen], None]) -> Callable[[], None]:
        """Call `sink` after each commit for what it holds; return how to stop."""
        return self._core.watchers.add(sink)
