"""The reply service: what would be said to a buyer, for programs with a connection of their own.

The answer is decided by the stages that also answer messages; nothing is sent and nothing stored,
but a default reply that has a limit is counted before it is given out. Whoever calls this knows no
problem documents: what goes wrong is `{"detail": …}`. Source: xianyu 13, guides 6
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import storable
from trunkline.model.segment import Image, Text
from trunkline.pipeline.asked import Reason, reason_of
from trunkline.pipeline.turn import Turn, Verdict
from trunkline.web.problem import Problem, Said
from trunkline.web.services import Services, Using

from .table import POST, Route

PICTURE: Final = "__IMAGE_SEND__"  # Source: xianyu 13
CHAT_KIND: Final = "chat"
_DETAILS: Final = {
    Reason.NOTHING: Said("没有规则或默认回复适用", "No rule and no default reply applies."),
    Reason.USED_UP: Said(
        "本会话的默认回复次数已用完", "The default reply is used up in this chat."
    ),
    Reason.SILENT: Said("规则要求不回复", "The rule that matches is silent on purpose."),
    Reason.DISABLED: Said("账号已停用", "The account is switched off."),
    Reason.PERSON: Said("规则要求由人处理", "The rule that matches leaves the answer to a person."),
}
_LOCAL_PICTURE: Final = Said(
    "规则的图片是本机文件，HTTP 回复只能给出图片网址",
    "The rule's picture is a file of this machine; only one with an address can be given out.",
)
_NO_JSON: Final = Said(
    "需要请求头 Content-Type: application/json", "Send Content-Type: application/json."
)


class ReplyIn(BaseModel):
    """A buyer's message. All eight are texts and required, and may be empty.

    Attributes:
        cookie_id: the line's name; one that is not configured counts as switched on.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    cookie_id: str
    msg_time: str
    user_url: str
    send_user_id: str
    send_user_name: str
    item_id: str
    send_message: str
    chat_id: str


class ReplyTextOut(BaseModel):
    """What is said: a text, or `__IMAGE_SEND__` and the address of a picture."""

    send_msg: str


class ReplyOut(BaseModel):
    """An answer."""

    code: Literal[200] = 200
    data: ReplyTextOut = Field(...)


async def require_json(request: Request) -> None:
    """Refuse a body that is not called JSON: a page could send such a one without asking.

    Raises:
        Problem: `invalid`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("invalid", _NO_JSON)


async def reply(
    services: Using, wanted: ReplyIn, _checked: Annotated[None, Depends(require_json)]
) -> ReplyOut:
    """Tell what would be said to a buyer, by rules, item replies and default replies."""
    # Texts are made storable at the door (reliability 1).
    wanted = ReplyIn(**{name: storable(text) for name, text in wanted})
    turn = _to_turn(services, wanted)

    def decide(state: ConversationState) -> Verdict:
        return services.rules.answer(state, turn)

    verdict = await services.desk.enquire(wanted.cookie_id, CHAT_KIND, wanted.chat_id, decide)
    reason = reason_of(verdict)
    if reason is not Reason.ANSWERED:
        raise Problem("not-found", _DETAILS[reason])
    return ReplyOut(data=ReplyTextOut(send_msg=_to_text(verdict)))


def _to_turn(services: Services, wanted: ReplyIn) -> Turn:
    facts = services.facts.get(wanted.cookie_id)
    sender = Person(wanted.send_user_id, wanted.send_user_name)
    chat = Chat("", CHAT_KIND, wanted.chat_id, wanted.send_user_name)
    said = (Text(wanted.send_message),)
    return Turn(
        events=(MessageReceived(chat, sender, said, item=wanted.item_id),),
        text=wanted.send_message,
        item=wanted.item_id,
        sender=sender,
        now_ms=services.clock.now_ms(),
        line=wanted.cookie_id,
        is_enabled=facts is None or facts.is_enabled,
        dialect=facts.dialect if facts is not None else "xianyu",
    )


def _to_text(verdict: Verdict) -> str:
    """Return the one text that can be given out: the words, else the picture's address."""
    parts = [part for one in verdict.replies for part in one.segments]
    words = "".join(part.text for part in parts if type(part) is Text)
    if words:
        return words
    picture = next((part.url for part in parts if type(part) is Image and part.url), "")
    if not picture:
        raise Problem("not-found", _LOCAL_PICTURE)
    return PICTURE + picture


ROUTES: Final = (Route(POST, "/xianyu/reply", reply),)
