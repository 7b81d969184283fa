"""What people do besides talking: accept or decline a request, ask for something, mark as read.

Requests arrive as questions with buttons and are answered by calls to the site, never by messages.
Declining sends nothing: no call for it is known, so the request is only marked as ignored.
Source: boss 5.5, 6.6, 6.7, 6.10, guides 6
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.boss import frames, http
from trunkline.dialects.boss.account import Account
from trunkline.dialects.boss.contacts import Contacts
from trunkline.dialects.boss.frames import IqAnswer
from trunkline.dialects.boss.http import Contact, Fate
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.outgoing import refused
from trunkline.dialects.boss.schema import Schema
from trunkline.dialects.boss.translate import (
    EXCHANGE_TYPES,
    USER,
    decode_context,
    parse_chat_id,
)
from trunkline.dialects.contract import Ask, Effect, Fetch, Fetched, Settled
from trunkline.errors import TrunklineError
from trunkline.model.delivery import Act, Delivery, Outcome

MAX_OPEN: Final = 50
# The resume, by who accepts and who asks. Source: boss 5.5
RESUME_ACCEPTED: Final = {"geek": 4, "boss": 3}
RESUME_REQUESTED: Final = {"geek": 3, "boss": 4}


class ActData(msgspec.Struct, frozen=True):
    """What comes with an action.

    Args:
        mid: of the message that is meant.
        asked: `resume`, `phone` or `wechat`.
        resume_id: of the attachment that is sent; "" = as configured, else the first.
        query, params: of an `iq`.
    """

    mid: str | int = ""
    asked: str = ""
    resume_id: str = ""
    query: str = ""
    params: Mapping[str, str] = {}


_decoder = msgspec.json.Decoder(ActData)
_encode = msgspec.json.Encoder().encode


class Task:
    """An action on its way."""

    __slots__ = ("contact", "data", "delivery", "is_looked_up", "name", "resume_id")

    def __init__(self, delivery: Delivery, name: str, data: ActData, contact: Contact) -> None:
        self.delivery = delivery
        self.name = name
        self.data = data
        self.contact = contact
        self.resume_id = data.resume_id
        self.is_looked_up = False


class Asking:
    """The actions of one link.

    Args:
        publish: `(payload) → effects`, for what goes over the link.
    """

    def __init__(
        self,
        options: BossOptions,
        schema: Schema,
        account: Account,
        contacts: Contacts,
        clock: Clock,
        publish: Callable[[bytes], list[Effect]],
    ) -> None:
        self._options = options
        self._schema = schema
        self._account = account
        self._contacts = contacts
        self._clock = clock
        self._publish = publish
        self._acts: dict[str, Callable[[Delivery, int, int, ActData], list[Effect]]] = {
            "read": self._read,
            "decline": self._decline,
            "accept": partial(self._exchange, "accept"),
            "request": partial(self._exchange, "request"),
        }
        self._open: dict[Task, None] = {}
        self._queries: dict[str, tuple[Delivery, float]] = {}

    @property
    def wake_at(self) -> float | None:
        """When a query is given up."""
        return min((due_s for _, due_s in self._queries.values()), default=None)

    def act(self, delivery: Delivery, act: Act) -> list[Effect]:
        """Do an action; it is settled now or later."""
        try:
            data = _decoder.decode(act.data)
        except msgspec.DecodeError:
            return [refused(delivery, f"the data of {act.name!r} cannot be read")]
        if len(self._open) + len(self._queries) >= MAX_OPEN:
            return [Settled(delivery.id, Outcome.LATER, wait_s=5.0)]
        if act.name == "iq":
            return self._query(delivery, data)
        uid, source = parse_chat_id(delivery.chat.id) if delivery.chat.kind == USER else (0, 0)
        do = self._acts.get(act.name)
        if not uid or do is None:
            why = "needs a chat user:NUMBER" if do is not None else "is not known here"
            return [refused(delivery, f"the action {act.name!r} {why}")]
        return do(delivery, uid, source, data)

    def _decline(self, delivery: Delivery, _uid: int, _source: int, _data: ActData) -> list[Effect]:
        """Mark a request as ignored. Source: guides 6, boss 12"""
        return [Settled(delivery.id, Outcome.CONFIRMED, detail="ignored; nothing was sent")]

    def _exchange(
        self, name: str, delivery: Delivery, uid: int, source: int, data: ActData
    ) -> list[Effect]:
        """Accept a request, or make one. Source: boss 6.6"""
        contact = self._contacts.get(uid, source) or Contact(uid, source=source)
        context = decode_context(delivery.context)
        if not contact.security_id:
            contact = Contact(uid, context.key, context.security_id, source)
        task = Task(delivery, name, data, contact)
        self._open[task] = None
        return self._step(task)

    # -- over the link -----------------------------------------------------------------------

    def _read(self, delivery: Delivery, uid: int, source: int, data: ActData) -> list[Effect]:
        """Mark as read; no answer proves that. Source: boss 6.7"""
        mid = http.to_int(data.mid)
        if mid <= 0:
            return [refused(delivery, "read needs the mid up to which was read")]
        payload = frames.encode_read(self._schema, uid, mid, self._clock.now_ms(), source)
        return [*self._publish(payload), Settled(delivery.id, Outcome.SENT)]

    def _query(self, delivery: Delivery, data: ActData) -> list[Effect]:
        """Ask the gateway; the answer has the same path. Source: boss 6.10"""
        if not data.query.startswith("/") or data.query in self._queries:
            return [refused(delivery, "a query needs a path that is not being asked already")]
        due_s = self._clock.monotonic_s() + self._options.accept_timeout_s
        self._queries[data.query] = (delivery, due_s)
        return self._publish(frames.encode_iq(self._schema, data.query, data.params))

    def answered(self, iq: IqAnswer) -> list[Effect] | None:
        """Take an answer to a query; None = it is a call of the server's."""
        found = self._queries.pop(iq.query, None)
        if found is None:
            return None
        delivery, _ = found
        return [Settled(delivery.id, Outcome.CONFIRMED, data=_encode(dict(iq.results)))]

    def work(self) -> list[Effect]:
        """Give up queries that nobody answers."""
        now_s = self._clock.monotonic_s()
        late = [query for query, (_, due_s) in self._queries.items() if due_s <= now_s]
        return [_unclear(self._queries.pop(query)[0], "no answer") for query in late]

    # -- over HTTP ---------------------------------------------------------------------------

    def _step(self, task: Task) -> list[Effect]:
        """Make the next call of a task. Source: boss 6.6"""
        is_accepting = task.name == "accept"
        kinds = RESUME_ACCEPTED if is_accepting else RESUME_REQUESTED
        kind = EXCHANGE_TYPES.get(task.data.asked)
        if task.data.asked == "resume":
            kind = kinds[self._options.side]
        mid = http.to_int(task.data.mid)
        if kind is None or (is_accepting and mid <= 0):
            why = f"{task.name} needs asked = resume, phone or wechat, and the mid of the question"
            return self._end(task, refused(task.delivery, why))
        caller = self._account.caller
        if not task.contact.security_id and not task.is_looked_up and self._options.side == "geek":
            task.is_looked_up = True
            return self._ask(task, "who", caller.get(http.CONTACTS, friendIds=task.contact.uid))
        if not task.contact.security_id:
            why = "the site did not say how to address this conversation"
            return self._end(task, refused(task.delivery, why))
        # The job seeker says which resume; the recruiter has none. Source: boss 5.5
        needs_resume = task.data.asked == "resume" and self._options.side == "geek"
        if needs_resume and not (task.resume_id or self._options.resume_id):
            return self._ask(task, "resume", caller.get(http.RESUMES))
        form: dict[str, str | int] = {"securityId": task.contact.security_id, "type": kind}
        if is_accepting:
            form |= {"mid": mid, "scene": ""}
        if needs_resume:
            form["encryptResumeId"] = task.resume_id or self._options.resume_id
        path = http.ACCEPT if is_accepting else http.REQUEST
        return self._ask(task, "done", caller.post(path, form))

    def _ask(self, task: Task, what: str, call: Fetch) -> list[Effect]:
        return [Ask((what, task), call)]

    def fetched(self, what: str, task: Task, answer: Fetched | TrunklineError) -> list[Effect]:
        """Take the answer to a call of a task."""
        if task not in self._open:
            return []
        told = http.parse_answer(answer)
        delivery = task.delivery
        if told.fate is Fate.NETWORK:
            later = Settled(delivery.id, Outcome.LATER, wait_s=5.0)
            return self._end(task, _unclear(delivery, told.detail) if what == "done" else later)
        if told.fate in (Fate.LOGIN_OVER, Fate.RISK):
            # Nothing was done; the line parks, and goes on with it after that.
            return self._end(task, Settled(delivery.id, Outcome.LATER, wait_s=5.0))
        if told.fate is not Fate.OK:
            return self._end(task, refused(delivery, told.detail or "the site refused"))
        if what == "done":
            data = _encode(told.data)
            return self._end(task, Settled(delivery.id, Outcome.CONFIRMED, data=data))
        return self._step_with(what, task, told)

    def _step_with(self, what: str, task: Task, told: http.Answer) -> list[Effect]:
        if what == "who":
            self._contacts.know(http.parse_contacts(told))
            task.contact = self._contacts.get(task.contact.uid, task.contact.source) or task.contact
            return self._step(task)
        task.resume_id = http.parse_resume_id(told)
        if not task.resume_id:
            return self._end(task, refused(task.delivery, "the account has no attachment resume"))
        return self._step(task)

    def _end(self, task: Task, settled: Settled) -> list[Effect]:
        self._open.pop(task, None)
        return [settled]

    def lost(self) -> list[Effect]:
        """Settle everything: nobody knows what became of it."""
        deliveries = [task.delivery for task in self._open]
        deliveries += [delivery for delivery, _ in self._queries.values()]
        self._open.clear()
        self._queries.clear()
        return [_unclear(one, "the link ended before the answer") for one in deliveries]


def _unclear(delivery: Delivery, why: str) -> Settled:
    return Settled(delivery.id, Outcome.UNCERTAIN, detail=why)
