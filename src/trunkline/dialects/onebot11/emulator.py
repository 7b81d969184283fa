"""A scripted world of accounts on top of `platform`: people say lines there, answers are counted.

Pure: one *person* here is one account of an implementation, with a few people in private chats and
a group. It dials a framework, each with a `self_id` of its own since the newest of one wins; or it
listens, then each framework that connects has people of its own. What a framework asks (who am I,
which chats are there) is answered from the script. Chance is derived from the seed, so a run can
be repeated. What goes wrong is `mishaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Unpack

from trunkline.dialects.contract import (
    Actor,
    Ask,
    Changed,
    Dial,
    Effect,
    Effects,
    FindChat,
    FindChats,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Park,
    Received,
    Transmit,
)
from trunkline.dialects.onebot11.calls import Call, decode_call, encode_failed
from trunkline.dialects.onebot11.cq import parse_cq
from trunkline.dialects.onebot11.events import Context, encode_context, to_number
from trunkline.dialects.onebot11.headers import API
from trunkline.dialects.onebot11.ledger import Book, Tally
from trunkline.dialects.onebot11.mishaps import (
    FAULTS,
    HEARTBEAT_S,
    KICKED_S,
    KICKED_WORDS,
    MALFORMED,
    ODD_CHATS,
    SILENT_S,
    Held,
    heartbeat,
    make_odd,
)
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.dialects.onebot11.platform import ImplementationSession
from trunkline.dialects.onebot11.translate import to_segments
from trunkline.dialects.scripted import Script, ScriptedWorld
from trunkline.errors import RemoteProtocolError, TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Say
from trunkline.model.event import Event, MessageReceived
from trunkline.model.history import ChatFacts
from trunkline.model.message import plain_text

# The template `qq` answers each of them: a first try must not look like a fault.
SCRIPT: Final = (
    "大家，你好",
    "在吗？今天天气怎么样？",
    "你好，多少钱？[CQ:face,id=178]",
    "hello, what can you do, A&amp;B?",
    "帮助",
    "在吗？晚安 🌙",
)
PEOPLE: Final = (("10001", "小明"), ("10002", "小红"), ("10003", "Alice"))
GROUP: Final = ("20001", "测试群")
_REFUSED: Final = 100  # a failure of any kind. Source: onebot11 8


class World(ScriptedWorld):
    """Accounts with a script.

    Args:
        options: of the implementation line: `url` or listening, `token`, `self_id`. The first
            account that dials has that `self_id`, further ones count on from it.
        how: the script of this run; its lines are text with CQ codes, or an event as a JSON object,
            which wants no answer. Its faults happen at each line: `double` sends the event twice,
            `malformed` a broken one before it, `odd` one of unusual ids and fields, `cut` hangs up
            instead, `silent` says and answers nothing any more, `kick` takes the account offline
            for a while; at each response: `late` holds it back, `reorder` lets the next overtake
            it.
    """

    def __init__(self, options: OneBotOptions, **how: Unpack[Script]) -> None:
        super().__init__(SCRIPT, FAULTS, how)
        self.options = options
        self.tally = Tally()
        self._books: dict[str, Book] = {}  # by account
        self._made = 0
        self._present: set[int] = set()

    def person(self, opening: Opening) -> Account:
        """Make the session of the next account; it takes the number of one that has left."""
        self._made += 1
        options = self.options
        seat = 1
        if options.link == "dial":
            seat = next(n for n in range(1, len(self._present) + 2) if n not in self._present)
            self._present.add(seat)
        own = options.model_copy(
            update={
                "self_id": str(int(options.self_id) + seat - 1),
                "heartbeat_interval_s": HEARTBEAT_S,
            }
        )
        book = self._books.setdefault(own.self_id, Book())
        return Account(self, self._made, seat, opening, own, book)

    def leave(self, seat: int) -> None:
        """Give the number of an account back."""
        self._present.discard(seat)


class Account:
    """One simulated account: an implementation session with a script.

    Args:
        world: whose script and tally.
        number: from 1; with the seed it decides all chance.
        seat: which of the world's accounts this is.
        opening: role `implementation`; clock and ids.
        options: with the `self_id` of this account.
        book: of this account; when its links are a pair, one speaks and the other hears.
    """

    def __init__(
        self, world: World, number: int, seat: int, opening: Opening, options: OneBotOptions,
        book: Book,
    ) -> None:  # fmt: skip
        self.wake_at: float | None = None
        self._world = world
        self._number = number
        self._seat = seat
        self._clock = opening.clock
        self._ids = opening.ids
        self._id = options.self_id
        self._session = ImplementationSession(options, opening)
        self._book = book
        self._speaks = (opening.kind or options.client_role) != API
        self._held = Held()
        self._chance = world.chance(number)
        self._said = 0
        self._line_at_s: float | None = None
        self._silent_until_s: float | None = None
        self._kicked_until_s: float | None = None

    # -- verbs -----------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial the framework, when we dial."""
        return self._watch(self._session.begin(kept))

    def linked(self, info: LinkInfo) -> Effects:
        """Send the connect event, and a heartbeat at once; the first line comes at its time.

        So a framework knows from the start when it has to miss us. Source: onebot11 11.1
        """
        effects = self._watch(self._session.linked(info))
        if self._speaks:
            effects.append(self._beat(is_online=True))
            self._plan()
        return self._rest(effects)

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Hear the framework; leave when the script is over and everything is answered."""
        if self._silent_until_s is not None:
            return ()
        if self._kicked_until_s is not None:
            return self._refuse(data)
        effects = self._respond(self._watch(self._session.receive(data, is_text=is_text)))
        return self._rest([*effects, *self._leave()] if self._is_over() else effects)

    def answered(self, tag: object, answer: object) -> Effects:
        """Do nothing: the script answers at once."""
        return ()

    def stored(self, receipt: object) -> Effects:
        """Do nothing: an emulated account keeps no store."""
        return ()

    def send(self, delivery: Delivery) -> Effects:
        """Say what somebody else puts into a person's mouth (a sandbox)."""
        return self._rest(self._say(delivery))

    def tick(self) -> Effects:
        """Do what is due: a held frame, a heartbeat, the end of a mishap, the next line."""
        now_s = self._clock.monotonic_s()
        if self.wake_at is None or now_s < self.wake_at:
            return ()
        if self._silent_until_s is not None:
            return self.finish()
        effects: list[Effect] = [*self._held.due(now_s)]
        beats = self._watch(self._session.tick())
        if self._kicked_until_s is None:
            effects += beats
        elif beats:
            effects.append(self._beat(is_online=False))
        if self._kicked_until_s is not None and now_s >= self._kicked_until_s:
            self._kicked_until_s = None
            effects.append(self._beat(is_online=True))
            self._plan()
        if self._line_at_s is not None and now_s >= self._line_at_s:
            effects += self._next_line()
        return self._rest(effects)

    def finish(self) -> Effects:
        """Leave the framework."""
        self._line_at_s = self._silent_until_s = None
        return self._rest(self._watch(self._session.finish()))

    def lost(self, error: TrunklineError) -> Effects:
        """The link died."""
        self._world.leave(self._seat)
        self._line_at_s = self._silent_until_s = self._kicked_until_s = None
        self._held.drop()
        return self._rest(self._watch(self._session.lost(error)))

    # -- saying ----------------------------------------------------------------------------

    def _next_line(self) -> list[Effect]:
        self._plan()
        if self._world.has_said_all(self._said):
            return list(self._leave()) if self._is_over() else []
        if self._chance.happens("cut"):
            return self._watch(self._session.finish())
        if self._chance.happens("silent"):
            self._silent_until_s = self._clock.monotonic_s() + SILENT_S
            self._held.drop()
            return []
        if self._chance.happens("kick"):
            self._kicked_until_s = self._clock.monotonic_s() + KICKED_S
            self._line_at_s = None
            return [self._beat(is_online=False)]
        broken = [Transmit(MALFORMED)] if self._chance.happens("malformed") else []
        is_odd = self._chance.happens("odd")
        form = int(self._chance.draw() * 4) if is_odd else None
        said = self._say(self._compose(is_odd=is_odd), form)
        return [*broken, *said, *(said if self._chance.happens("double") else ())]

    def _compose(self, *, is_odd: bool) -> Delivery:
        world = self._world
        line = world.script[(self._number + self._said) % len(world.script)]
        ident, name = PEOPLE[int(self._chance.draw() * len(PEOPLE))]
        chat = Chat(self._id, "private", ident, name)
        if self._chance.draw() < 0.5:
            chat = Chat(self._id, "group", *GROUP)
        if is_odd:
            kind, odd, title = ODD_CHATS[int(self._chance.draw() * len(ODD_CHATS))]
            chat = Chat(self._id, kind, odd, title)
        context = encode_context(Context(user_id=ident, name=name))
        what: Say | Act = Say(to_segments(parse_cq(line)))
        if line.startswith("{"):
            what = Act("event", line.encode())
        ident_of = DeliveryId(self._ids.next())
        return Delivery(ident_of, chat, what, context, self._clock.now_ms())

    def _say(self, delivery: Delivery, odd_form: int | None = None) -> list[Effect]:
        effects = self._watch(self._session.send(delivery))
        self._said += 1
        what = delivery.what
        if type(what) is not Say:
            return effects
        self._world.tally.sent += 1
        self._book.ask(delivery.chat, self._number, plain_text(what.segments))
        if odd_form is None:
            return effects
        return [
            Transmit(make_odd(one.data, odd_form)) if type(one) is Transmit else one
            for one in effects
        ]

    def _plan(self) -> None:
        """Plan the next line: half to one and a half times the pace from now."""
        wait_s = self._world.pause_s(self._chance.draw())
        self._line_at_s = self._clock.monotonic_s() + wait_s

    def _beat(self, *, is_online: bool) -> Transmit:
        return Transmit(heartbeat(to_number(self._id), self._clock.now_ms(), is_online=is_online))

    def _is_over(self) -> bool:
        return (
            self._speaks
            and self._world.has_said_all(self._said)
            and self._book.is_clear(self._number)
        )

    def _leave(self) -> Effects:
        self._session.finish()
        self._line_at_s = None
        over = Park("the script is over")
        return (*self._held.due(float("inf")), Changed(LinkState.CLOSED), Hangup(1000, "", over))

    # -- hearing ---------------------------------------------------------------------------

    def _watch(self, effects: Effects) -> list[Effect]:
        """Answer what is for a store, tally what was said, pass on what is for a link."""
        kept: list[Effect] = []
        for effect in effects:
            if type(effect) is Received:
                self._hear(effect.event)
                kept += self._watch(self._session.stored(effect.receipt))
            elif type(effect) is Ask:
                kept += self._watch(self._session.answered(effect.tag, self._find(effect.request)))
            elif type(effect) in _PASSED:
                kept.append(effect)
                self._world.tally.errors += type(effect) is Noticed
        return kept

    def _hear(self, event: Event) -> None:
        if type(event) is MessageReceived:
            self._book.answer(event.chat, plain_text(event.segments), self._world.tally)

    def _find(self, request: object) -> object:
        """Answer from the script: its people and its group."""
        chats = [Chat(self._id, "private", *who) for who in PEOPLE]
        chats.append(Chat(self._id, "group", *GROUP))
        if type(request) is FindChats:
            return tuple(ChatFacts(chat, exists=True) for chat in chats)
        if type(request) is FindChat:
            wanted = (request.chat.kind, request.chat.id)
            known = [chat for chat in chats if (chat.kind, chat.id) == wanted]
            return ChatFacts(known[0], exists=True) if known else ChatFacts(request.chat)
        return RemoteProtocolError("an emulated account has none")

    def _respond(self, effects: Sequence[Effect]) -> list[Effect]:
        """Let responses leave at once, late, or behind the next one."""
        out: list[Effect] = []
        now_s = self._clock.monotonic_s()
        for effect in effects:
            if type(effect) is not Transmit:
                out.append(effect)
            elif self._chance.happens("late"):
                self._held.delay(effect, now_s)
            elif self._chance.happens("reorder"):
                self._held.let_pass(effect, now_s)
            else:
                out += [effect, *self._held.behind()]
        return out

    def _refuse(self, data: bytes) -> Effects:
        """Fail a call: the account is not there."""
        call = decode_call(data)
        echo = call.echo
        self._world.tally.refused += type(call) is Call
        return (Transmit(encode_failed(_REFUSED, KICKED_WORDS, echo)),)

    def _rest(self, effects: Effects) -> Effects:
        """Sleep until the next thing is due."""
        if self._silent_until_s is not None:
            self.wake_at = self._silent_until_s
            return [one for one in effects if type(one) is not Transmit]
        due = (self._session.wake_at, self._line_at_s, self._held.wake_at, self._kicked_until_s)
        self.wake_at = min((at_s for at_s in due if at_s is not None), default=None)
        return effects


_CAST_PEOPLE: Final = 300
_CAST_GROUPS: Final = 100
_PASSED = frozenset({Changed, Hangup, Noticed, Transmit, Dial})


class Cast:
    """Accounts for the crash harness: implementations that dial a framework line.

    The standard has no acknowledgement of an event; a message is known again by its chat, id and
    time. Two machines that talk much are paused by the guard against loops, so each account has
    many people, and none of them says more than a few things a minute. Source: reliability 8
    """

    lines = """\
[lines.qq]
dialect = "onebot11"
role = "framework"
link = "listen"
path = "/ws/"
token = "torture"
"""
    path = "/ws/"
    manners = frozenset({"reorder", "leave", "stop-reading", "late"})

    def actor(self, number: int) -> Actor:
        """Return the account of a number, from 0, with its people and groups."""
        account = str(10_001 + number)
        fields = {"self_id": account, "token": "torture", "reconnect_interval_s": 0.5}
        people = [Chat(account, "private", str(20_000 + one)) for one in range(_CAST_PEOPLE)]
        groups = [Chat(account, "group", str(30_000 + one)) for one in range(_CAST_GROUPS)]
        return Actor("implementation", fields, [(chat, b"") for chat in (*people, *groups)])

    def echo(self, event: MessageReceived) -> None:
        """Send nothing back: an account's own message is an event of its own kind."""
        del event


CAST: Final = Cast()
