"""The marketplace's side of a link: an account registers, buyers' words are pushed to it.

What the account sends is checked as strictly as the specification allows (`checking`), stored, and
pushed back as its own echo. Every push is watched until it is acknowledged, and pushed again when
it is not. What the account looks up is `listing`. Source: xianyu 4, 5, 8, 20
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, Final

import msgspec

from trunkline.dialects.contract import (
    Changed,
    Effect,
    Effects,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Received,
    Seat,
    Settled,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.dialects.xianyu import frames, listing
from trunkline.dialects.xianyu.checking import broken_rule
from trunkline.dialects.xianyu.entries import to_content
from trunkline.dialects.xianyu.frames import Fields, Frame, fields_of, items_of, strip, to_int
from trunkline.dialects.xianyu.market import PACKAGE, STORED, Market, Seller, Talk, pack
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.pushes import decode_base64, parse_inner
from trunkline.dialects.xianyu.translate import to_pieces, to_segments
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.wire.cookies import parse_cookies

PUSH_AGAIN_S: Final = 5.0  # Source: xianyu 20 (faults)
PUSHES: Final = 3
WATCHED: Final = 4096
_READY: Final = LinkState.READY
_ROUTES: Final = ("/s/sync", "/s/para", "/s/vulcan")


class Push(msgspec.Struct):
    """A push, and what became of it.

    Args:
        places: of its entries, when they are the ones stored there.
        times: how often it was written.
    """

    data: bytes
    due_s: float
    places: tuple[int, ...] = ()
    times: int = 1
    is_acked: bool = False


class MarketSession:
    """One account's connection, as the platform has it.

    Args:
        options: of the line.
        opening: clock and ids.
        market: shared by all links of a world; without one the link has a market of its own.
    """

    def __init__(
        self, options: XianyuOptions, opening: Opening, market: Market | None = None
    ) -> None:
        self.wake_at: float | None = None
        self.is_silent = False  # a fault: nothing leaves any more, the link stays open
        self._options = options
        self._clock = opening.clock
        self._ids = opening.ids
        self.market = market or Market(opening.clock, opening.ids)
        self.seller = Seller("")
        self.state = LinkState.OPENING
        self._is_linked = False
        self._is_registered = False
        self._is_synced = False
        self._sid = ""
        self._pushed = 0
        self._watched: OrderedDict[str, Push] = OrderedDict()
        self._open_pushes: dict[str, Push] = {}  # of them: not acknowledged, and pushed again
        # What buyers said and the account has not acknowledged, by its place in the line.
        self.unproven: dict[int, DeliveryId] = {}
        self.position = 0  # up to where this link was pushed; nothing may claim more
        self._routes: dict[str, Callable[[Frame], list[Effect]]] = {
            frames.HEARTBEAT: lambda frame: [self._answer(frame)],
            frames.GET_STATE: self._get_state,
            frames.ACK_DIFF: self._ack_diff,
            frames.SEND: self._take_send,
            frames.CREATE_CHAT: self._create,
            frames.LIST_CHATS: lambda frame: [
                self._answer(frame, listing.list_chats(self.seller, frame))
            ],
            frames.LIST_HISTORY: lambda frame: [
                self._answer(frame, listing.list_history(self.seller, frame))
            ],
            frames.MARK_READ: lambda frame: [self._answer(frame)],
            frames.RECALL: lambda frame: [self._answer(frame)],
        }

    # -- the nine verbs ----------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Do nothing: accounts dial."""
        return ()

    def linked(self, info: LinkInfo) -> Effects:
        """Let the account in that the cookies name; its buyers are there from the sync on."""
        me = parse_cookies(info.head.headers.get("cookie", "")).get("unb", "")
        self.seller = self.market.seller(me)
        self._is_linked = True
        return ()

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Serve a request, or note an acknowledgement."""
        if not self._is_linked or self.state is LinkState.CLOSED:
            return ()
        try:
            frame = frames.decode(data)
        except WireMalformed as error:
            return (Noticed(f"rejected:{error.reason}", f"{len(data)} bytes"),)
        if not frame.lwp:
            return self._acknowledged(frame)
        if frame.lwp == frames.REG:
            return self._send_all(self._register(frame))
        if not self._is_registered:
            return self._send_all([self._answer(frame, code=401, error="not auth")])
        route = self._routes.get(frame.lwp)
        effects = route(frame) if route is not None else [self._answer(frame, code=404)]
        return self._send_all([*effects, *self.push_new(), *self._open()])

    def _open(self) -> list[Effect]:
        """Open the seat once the account has said where it stands: nothing is missed from here."""
        if not self._is_synced or self.state is not LinkState.OPENING:
            return []
        self.state = _READY
        me = self.seller.ident
        return [Changed(_READY, Seat(me or "nobody", me, sharing=Sharing.EACH))]

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Refuse: the marketplace asks nothing."""
        raise LocalProtocolError("a market session asks nothing")

    def stored(self, receipt: Any) -> Effects:
        """Do nothing: sends are answered at once."""
        return ()

    def send(self, delivery: Delivery) -> Effects:
        """Let a buyer say something: `chat:ID` names the chat, `user:BUYER?item=ITEM` opens it."""
        what, chat = delivery.what, delivery.chat
        if type(what) is not Say:
            return (Settled(delivery.id, Outcome.REFUSED, detail="buyers only talk"),)
        talk = self.seller.talks.get(chat.id)
        if talk is None:
            buyer, _, item = chat.id.partition("?item=")
            talk = self.market.open_talk(self.seller, buyer, item or "900000000001", chat.name)
        for piece in to_pieces(what.segments):
            if isinstance(piece, str):
                payload, summary = frames.text_payload(piece), piece
            else:
                payload, summary = frames.image_payload(piece.url, 800, 600), "[图片]"
            self.market.say(self.seller, talk, payload, summary, is_own=False)
        self.unproven[self.seller.pts] = (
            delivery.id
        )  # of its last piece: pushes are stored in order
        effects = self.push_new()
        if len(self.unproven) > WATCHED:
            effects.append(Settled(self.unproven.pop(next(iter(self.unproven))), Outcome.SENT))
        return self._send_all(effects)

    def tick(self) -> Effects:
        """Push again what nobody acknowledged. Source: xianyu 20"""
        now_s = self._clock.monotonic_s()
        effects: list[Effect] = []
        for key, push in list(self._open_pushes.items()):
            if push.times > PUSHES:
                del self._open_pushes[key]
            elif push.due_s <= now_s:
                push.times += 1
                push.due_s = now_s + PUSH_AGAIN_S
                effects.append(Transmit(push.data))
        self._plan()
        return self._send_all(effects)

    def finish(self) -> Effects:
        """Close."""
        if self.state is LinkState.CLOSED:
            return ()
        return self.close(1001, "going away")

    def lost(self, error: TrunklineError) -> Effects:
        """Close."""
        self.wake_at = None
        # The market has it, and pushes it again over the next link.
        effects: list[Effect] = [
            Settled(one, Outcome.SENT, detail="not acknowledged") for one in self.unproven.values()
        ]
        self.unproven.clear()
        if self.state is LinkState.CLOSED:
            return effects
        self.state = LinkState.CLOSED
        return [*effects, Changed(LinkState.CLOSED)]

    # -- for a world -------------------------------------------------------------------------

    @property
    def watched(self) -> Iterable[Push]:
        """The pushes that wait for their acknowledgement, and some that have it."""
        return self._watched.values()

    def close(self, code: int, reason: str) -> Effects:
        """Hang up on the account."""
        self.state = LinkState.CLOSED
        self.wake_at = None
        return (Changed(LinkState.CLOSED), Hangup(code, reason))

    def push_new(self) -> list[Effect]:
        """Push what is stored and was not pushed over this link."""
        if not self._is_synced or self.is_silent:
            return []
        newest = takewhile(lambda one: one[0] > self.position, reversed(self.seller.stored))
        fresh = list(newest)[::-1]
        if self.state is LinkState.OPENING:
            # Pushed before, and never acknowledged. Source: xianyu 20
            left = self.seller.unacked.items()
            fresh = [*((place, one) for place, one in left if place <= self.position), *fresh]
        effects: list[Effect] = []
        for at in range(0, len(fresh), PACKAGE):
            part = fresh[at : at + PACKAGE]
            self.position = max(self.position, part[-1][0])
            places = tuple(place for place, _ in part)
            unacked = self.seller.unacked
            unacked.update(part)
            while len(unacked) > STORED:
                del unacked[next(iter(unacked))]
            effects.append(self.push([entry for _, entry in part], self.position, places))
        return effects

    def push(self, entries: Sequence[Fields], pts: int, places: tuple[int, ...] = ()) -> Transmit:
        """Push entries in one package; watched until it is acknowledged.

        Args:
            pts: where the account stands once it has them.
            places: of the entries, when they are the ones stored there.
        """
        packed = [pack(entry, nth=self._pushed + nth) for nth, entry in enumerate(entries)]
        return self.push_body(
            {
                "syncPushPackage": {
                    "startSeq": 1,
                    "endSeq": len(packed),
                    "hasMore": 0,
                    "maxHighPts": 0,
                    "maxPts": pts,
                    "timestamp": self._clock.now_ms(),
                    "data": packed,
                }
            },
            places=places,
        )

    def push_body(self, body: Fields, lwp: str = "", places: tuple[int, ...] = ()) -> Transmit:
        """Push any body."""
        self._pushed += 1
        mid = frames.make_mid(self._clock, self._ids, self._watched)
        route = lwp or _ROUTES[self._pushed % len(_ROUTES)]
        data = frames.encode_frame(route, {"mid": mid, "sid": self._sid}, body)
        due_s = self._clock.monotonic_s() + PUSH_AGAIN_S
        key = mid.partition(" ")[0]
        self._watched[key] = self._open_pushes[key] = Push(data, due_s, places)
        if len(self._watched) > WATCHED:
            oldest, _ = self._watched.popitem(last=False)
            self._open_pushes.pop(oldest, None)
        self._plan()
        return Transmit(data)

    # -- requests ----------------------------------------------------------------------------

    def _register(self, frame: Frame) -> list[Effect]:
        headers = frame.headers or {}
        wanted = ("cache-header", "app-key", "token", "ua", "dt", "wv", "sync", "did", "mid")
        if any(not headers.get(name) for name in wanted):
            self.market.violations["reg-headers"] += 1
            return [self._answer(frame, code=400, error="bad request")]
        why = self.market.refuse_token(str(headers["token"]), str(headers["did"]))
        if why:
            return [self._answer(frame, code=401 if "token" in why else 400, error=why)]
        self._is_registered = True
        self._sid = self._ids.token()[:10]
        more = {"reg-sid": self._sid, "reg-uid": frames.suffixed(self.seller.ident), "dt": "j"}
        return [self._answer(frame, headers=more), self.push_body({}, "/s/vulcan")]

    def _get_state(self, frame: Frame) -> list[Effect]:
        now_ms = self._clock.now_ms()
        self.seller.pts = self.seller.pts or now_ms * 1000
        return [self._answer(frame, frames.sync_position(self.seller.pts, now_ms, seq=17))]

    def _ack_diff(self, frame: Frame) -> list[Effect]:
        """Replay all that is behind the position; the answer's own position replays nothing."""
        items = items_of(frame.body)
        asked = fields_of(items[0]) if items else {}
        pts = to_int(asked.get("pts"))
        if pts is None:
            return [self._answer(frame, code=400, error="no pts")]
        self.position = pts
        self._is_synced = True
        return [self._answer(frame)]

    def _take_send(self, frame: Frame) -> list[Effect]:
        items = items_of(frame.body)
        message = fields_of(items[0]) if items else {}
        receivers = fields_of(items[1]).get("actualReceivers") if len(items) > 1 else None
        talk = self.seller.talks.get(strip(message.get("cid")))
        wrong = broken_rule(self.seller, message, receivers, talk)
        if wrong or talk is None:
            self.market.violations[f"send-{wrong or 'chat'}"] += 1
            body = {"reason": f"bad {wrong or 'chat'}", "code": "400"}
            return [self._answer(frame, body, code=400)]
        self.market.use_uuid(self.seller, message["uuid"])
        custom = fields_of(fields_of(message.get("content")).get("custom"))
        payload = parse_inner(decode_base64(custom["data"]).decode("utf-8", "replace"))
        content = to_content(payload, to_int(payload.get("contentType")), "[图片]")
        if (refused := self.refuse(talk, content.text)) is not None:
            return [self._answer(frame, refused)]
        self.seller.heard.append((talk.ident, payload))
        pnm = self.market.say(self.seller, talk, payload, content.text, is_own=True)
        event = MessageReceived(
            Chat(self.seller.ident, "chat", talk.ident),
            Person(self.seller.ident),
            to_segments(content),
            pnm.encode(),
            pnm,
            self._clock.now_ms(),
            talk.item,
        )
        body = {"messageId": pnm, "createAt": self._clock.now_ms(), "cid": message["cid"]}
        return [Received(event), *self.accept(frame, body)]

    def refuse(self, talk: Talk, text: str) -> Fields | None:
        """Return the refusal of a message, None to take it; a world says which."""
        if "######" not in text:
            return None
        return {"reason": "content not allowed", "moreInfo": "CSI_FORBID||security", "code": "400"}

    def accept(self, frame: Frame, body: Fields) -> list[Effect]:
        """Answer an accepted send, then push its echo; a world may do otherwise."""
        return [self._answer(frame, body)]

    def _create(self, frame: Frame) -> list[Effect]:
        created = listing.create_chat(self.market, self.seller, frame)
        if created is None:
            return [self._answer(frame, {"reason": "refused", "code": "400000"}, code=400)]
        return [self._answer(frame, created)]

    # -- frames ------------------------------------------------------------------------------

    def _acknowledged(self, frame: Frame) -> list[Effect]:
        push = self._watched.get(frame.key)
        violations = self.market.violations
        if push is None:
            violations["ack-unknown"] += 1
            return []
        if push.is_acked and push.times == 1:
            violations["ack-twice"] += 1
        if "sid" not in (frame.headers or {}):
            violations["ack-without-sid"] += 1
        push.is_acked = True
        self._open_pushes.pop(frame.key, None)
        self._plan()
        for place in push.places:
            self.seller.unacked.pop(place, None)
        proven = (self.unproven.pop(place, None) for place in push.places)
        return [Settled(one, Outcome.CONFIRMED) for one in proven if one is not None]

    def _answer(
        self,
        frame: Frame,
        body: Any = msgspec.UNSET,
        *,
        code: int = 200,
        error: str = "",
        headers: Fields | None = None,
    ) -> Transmit:
        answer: Fields = {"mid": frame.mid, "sid": self._sid, **(headers or {})}
        if error:
            answer["error"] = error
        return Transmit(frames.encode_frame("", answer, body, code))

    def _send_all(self, effects: list[Effect]) -> list[Effect]:
        if not self.is_silent:
            return effects
        return [one for one in effects if type(one) is not Transmit]

    def _plan(self) -> None:
        waiting = (push.due_s for push in self._open_pushes.values())
        self.wake_at = min(waiting, default=None)
