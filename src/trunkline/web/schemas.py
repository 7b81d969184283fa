"""REST shapes: what the API takes and gives. OpenAPI is made from these.

Ids and instants are strings, written as `notation.py` says; how rows become shapes is in
`showing.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import EventKind, InboxState

Mode = Literal["auto", "draft", "off"]


class Shape(BaseModel):
    """A REST value: no key is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SeatOut(Shape):
    """One ready link."""

    key: str
    account: str
    peer: str
    since: str | None
    last: str | None


class PaceOut(Shape):
    """How fast a line sends at most, and how far it has used that up.

    `daily` 0 = any number. `next`: when the next delivery may leave, null = now.
    """

    every_s: float
    daily: int
    sent_today: int
    next: str | None


class OddityOut(Shape):
    """Something odd at a line: sizes, hashes and reasons, never what was in it."""

    kind: str
    detail: str
    times: int
    last: str


class LineOut(Shape):
    """One line as it is now. `received` and `sent` count from the start of the process.

    `drafts`: deliveries that wait for a person; `for_person`: messages that do. `pace`:
    null when it sends as fast as it can. `oddities`: of the last day, newest first, the same
    ones counted; only where one line is shown.
    """

    name: str
    dialect: str
    role: str
    link: str
    state: str
    mode: str
    overlays: list[str]
    where: list[str]
    links: int
    seats: list[SeatOut]
    received: int
    sent: int
    last: str | None
    error: str
    retry_in_s: float
    carries: str = ""
    drafts: int = 0
    for_person: int = 0
    pace: PaceOut | None = None
    oddities: list[OddityOut] = []


class LinesOut(Shape):
    """All lines, in file order."""

    lines: list[LineOut]


class ModeIn(Shape):
    """A line's mode until the next start."""

    mode: Mode


class CredentialIn(Shape):
    """What a line logs in with from now on (闲鱼: the cookie string). It is never given back."""

    credential: Annotated[SecretStr, Field(min_length=1, max_length=65_536)]


class ApproveIn(Shape):
    """Other words for a draft; without any it keeps its own. Its pictures stay."""

    text: Annotated[str, Field(min_length=1, max_length=20_000, pattern=r"\S")] | None = None


class MessageIn(Shape):
    """A message to be sent: to `line/kind:id[@account]`, a string or a list of segments."""

    to: Annotated[str, Field(max_length=2048)]
    message: str | list[dict[str, Any]]


class SentOut(Shape):
    """It is stored and will be sent. `is_repeat`: by an earlier call with the same key."""

    delivery_id: str
    is_repeat: bool = False


class DeliveryOut(Shape):
    """One delivery and how far it got.

    `is_held`: it waits for a person. `question`: the message it answers. `late_s`: it left so many
    seconds after it had been decided on, by a person where one did; 0 = in time. `paced_until`: it
    is queued and its line's pace lets nothing leave before then; `paced_behind` so many others of
    the line leave before it.
    """

    id: str
    state: str
    is_held: bool
    is_final: bool
    at: str
    line: str
    to: str
    text: str
    source: str
    attempt: int
    reason: str
    peer_id: str
    due: str | None
    expires: str | None
    settled: str | None
    question: str | None
    late_s: float
    paced_until: str | None = None
    paced_behind: int = 0


class DeliveriesOut(Shape):
    """A page, newest first; `cursor` is "" on the last one."""

    deliveries: list[DeliveryOut]
    cursor: str


class MessageOut(Shape):
    """One event that came in. `name` is a notice's or request's own word.

    `for_person`: it was handed over, and nobody has answered, taken over or put it away since.
    """

    id: str
    kind: str
    state: str
    at: str
    line: str
    address: str
    sender: str
    name: str
    text: str
    item: str
    attempts: int
    reason: str
    for_person: bool = False


class MessagesOut(Shape):
    """A page: newest first, or oldest first with `after`; `cursor` is "" on the last one."""

    messages: list[MessageOut]
    cursor: str


class MessageDetailOut(Shape):
    """One event with what was answered."""

    message: MessageOut
    answers: list[DeliveryOut]


class StepOut(Shape):
    """What one stage of the pipeline said."""

    stage: str
    verdict: str
    detail: list[str]


class WhyOut(Shape):
    """Why a message was answered as it was. `steps` is for programs, `lines` for people."""

    id: str
    message: MessageOut
    answers: list[DeliveryOut]
    steps: list[StepOut]
    lines: list[str]


class MovedOut(Shape):
    """What a person's decision changed."""

    id: str
    state: str


class DecidedOut(MovedOut):
    """What a person's decision on a delivery changed.

    `is_repeat`: it was so already. `newer`: messages that came in after the one that a draft
    answers, at most 20 are counted.
    """

    is_repeat: bool = False
    newer: int = 0


class GroupOut(Shape):
    """How many deliveries a decision on a whole group changed."""

    reason: str
    moved: int


# The words by which lists are asked for one state or kind.
STATES: Final = {state.name.lower(): state for state in DeliveryState}
INBOX_STATES: Final = {state.name.lower(): state for state in InboxState}
KINDS: Final = {kind.name.lower(): kind for kind in EventKind}
