"""What comes in: pushes, every entry in order, one acknowledgement for each push.

The acknowledgement travels with the last event that is stored, and the position to resume from is
kept in the same commit. What cannot be read is reported, and the push is acknowledged all the same.
Source: xianyu 4, 5, 6, 7
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from trunkline.clock import Clock
from trunkline.dialects.contract import Effect, Keep, Noticed, Received, Transmit
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.entries import ChatEntry, Entry, OtherEntry, read
from trunkline.dialects.xianyu.frames import Frame
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.outgoing import Outgoing
from trunkline.dialects.xianyu.pushes import decode_entry, fingerprint, parse_package
from trunkline.dialects.xianyu.session import encode_kept
from trunkline.dialects.xianyu.tokens import Account
from trunkline.dialects.xianyu.translate import to_event
from trunkline.errors import WireMalformed
from trunkline.ids import Ids
from trunkline.model.event import Fleeting

SEEN_IDS: Final = 1024  # messages of this link, to tell a new one from one that came twice


class Receiving:
    """The pushes of one link.

    Args:
        outgoing: told whose words an own message is, and who is in a chat.
        ask_state: asks where the platform stands, when a push wants that.
        plan: called when `outgoing` may want to be woken at another time.
    """

    def __init__(
        self,
        *,
        options: XianyuOptions,
        account: Account,
        outgoing: Outgoing,
        clock: Clock,
        ids: Ids,
        ask_state: Callable[[], list[Effect]],
        plan: Callable[[], None],
    ) -> None:
        self._options = options
        self._account = account
        self._outgoing = outgoing
        self._clock = clock
        self._ids = ids
        self._ask_state = ask_state
        self._plan = plan
        self._seen: deque[str] = deque(maxlen=SEEN_IDS)

    def push(self, frame: Frame) -> list[Effect]:
        """Take a push: every entry in order, one acknowledgement. Source: xianyu 5, 6"""
        ack = frames.encode_ack(frame, self._clock, self._ids)
        effects = self.package(frame)
        if ack is not None:
            _acknowledge_with(effects, ack)
        if frame.lwp not in frames.PUSH_ROUTES:
            effects.append(Noticed("unknown-route", frame.lwp[:75]))
        return effects

    def package(self, frame: Frame) -> list[Effect]:
        """Take the entries of a frame, which may be an answer, and move the position."""
        package = parse_package(frame)
        effects: list[Effect] = []
        for nth, raw in enumerate(package.entries):
            try:
                value = decode_entry(raw)
            except WireMalformed as error:
                effects.append(Noticed(f"rejected:{error.reason}", f"an entry, {fingerprint(raw)}"))
                continue
            entry = read(value, self._account.me)
            effects += self.entry(entry, f"{package.max_pts}.{nth}", raw)
        if package.max_pts > self._account.kept.pts:
            # In the same commit as the events: never ahead of what is stored. Source: xianyu 4 (1)
            self._account.note(pts=package.max_pts)
            if any(type(one) is Received for one in effects):
                effects.append(Keep(encode_kept(self._account.kept)))
        if package.asks_for_state:
            effects += self._ask_state()
        return effects

    def has_seen(self, pnm: str) -> bool:
        """Whether a message came over this link already."""
        return pnm in self._seen

    def entry(self, entry: Entry, place: str, raw: object = None) -> list[Effect]:
        """Take one entry.

        Args:
            place: where it was found; its key when it has no id of its own.
            raw: the entry as it came, for a report.
        """
        account, now_ms = self._account, self._clock.now_ms()
        if entry.created_ms is not None and account.kept.last_ms < entry.created_ms <= now_ms:
            account.note(last_ms=entry.created_ms)
        if isinstance(entry, ChatEntry):
            if entry.pnm:
                self._seen.append(entry.pnm)
            if not entry.is_own:
                self._outgoing.know(entry.chat, entry.sender)
            elif (settled := self._outgoing.echo(entry)) is not None:
                self._plan()
                return settled
        elif isinstance(entry, OtherEntry) and entry.kind == "unknown":
            # What is kept of it holds no personal data. Source: xianyu 7.1, 7.2, 12
            return [Noticed("unknown-entry", f"{entry.reason}, {fingerprint(raw)}")]
        event = to_event(entry, account.me, place, now_ms, has_key=self._options.dedupe)
        return [Received(event)] if event is not None else []


def _acknowledge_with(effects: list[Effect], ack: bytes) -> None:
    """Have the last event that is stored carry the acknowledgement; none is: it leaves now.

    Events are committed in order, so with the last one all are.
    """
    for nth in range(len(effects) - 1, -1, -1):
        effect = effects[nth]
        if type(effect) is Received and type(effect.event) is not Fleeting:
            effects[nth] = Received(effect.event, ack)
            return
    effects.append(Transmit(ack))
