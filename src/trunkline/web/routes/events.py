"""The event stream: what became durable or changed, resumable by `Last-Event-ID`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Header, Query, Response
from pydantic import BaseModel, ConfigDict

from trunkline.web.problem import Problem, Said
from trunkline.web.services import Using
from trunkline.web.tail import INBOX, LINES, OUTBOX, RULES, Follower, Wanted

from .lines import find_line
from .table import GET, Route

TOPICS: Final = (INBOX, OUTBOX, LINES, RULES)
LastEventId = Annotated[str, Header(alias="Last-Event-ID", max_length=40)]


class EventsQuery(BaseModel):
    """What to show: topics by comma, of one line; `after` where no header can be sent.

    Attributes:
        topics: of `inbox`, `outbox`, `lines`, `rules`; "" = all.
        after: a position, as `Last-Event-ID`; the header goes before it.
        start: `oldest` begins at the oldest change that is kept when there is no position.
    """

    model_config = ConfigDict(extra="forbid")

    topics: str = ""
    line: str = ""
    after: str = ""
    start: Literal["now", "oldest"] = "now"


async def stream_events(
    services: Using, wanted: Annotated[EventsQuery, Query()], last_event_id: LastEventId = ""
) -> Response:
    """Stream changes as server-sent events, in order, each once; `id` is where to go on.

    `message`, `notice`, `request` (topic `inbox`) and `delivery` (`outbox`) carry what the lists
    show, and a position. `line` (`lines`), `rules` and `plugins` (`rules`) are passing and carry
    none. `reset` means: what came after your position is not kept any more, read the lists anew.
    `end`: connect again.
    """
    topics = _read_topics(wanted.topics)
    if wanted.line:
        find_line(services, wanted.line)
    position = _read_position(last_event_id or wanted.after)
    if position is None and wanted.start == "oldest":
        position = 0
    follower = Follower(services.tail, Wanted(topics, wanted.line), position)
    return services.live.show(follower, lambda: services.tail.join(follower))


def _read_topics(text: str) -> tuple[str, ...]:
    topics = tuple(topic.strip() for topic in text.split(",") if topic.strip())
    unknown = [topic for topic in topics if topic not in TOPICS]
    if unknown:
        known = ", ".join(TOPICS)
        said = Said(
            f"topics：{unknown[0][:40]}；可用：{known}", f"topics: {unknown[0][:40]}; {known}"
        )
        raise Problem("invalid", said)
    return topics


def _read_position(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        said = Said("Last-Event-ID 不是本流给出的", "Last-Event-ID: this stream never gave it")
        raise Problem("invalid", said)
    return min(int(text), (1 << 63) - 1)


ROUTES: Final = (Route(GET, "/api/v1/events", stream_events),)
