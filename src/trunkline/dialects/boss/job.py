"""A delivery on its way to the gateway: its pieces, whom they are for, and how far the first got.

What is done with it, and when, is `outgoing`. Source: boss 6.2
"""

from __future__ import annotations

from typing import Literal

from trunkline.dialects.boss.frames import Sender
from trunkline.dialects.boss.http import Contact, Uploaded
from trunkline.model.delivery import Delivery
from trunkline.model.segment import Image

Stage = Literal["queued", "asking", "written"]


class Job:
    """A delivery on its way.

    Args:
        delivery: what.
        pieces: what is left to send; the first is the one at work.
    """

    __slots__ = (
        "cmid", "contact", "delivery", "done", "due_s", "is_acked", "is_looked_up", "is_proven",
        "lane", "packet_id", "peer_id", "pieces", "quote", "sender", "stage", "upload_id",
        "uploaded",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, pieces: list[str | Image], quote: int) -> None:
        self.delivery = delivery
        self.pieces = pieces
        self.quote = quote
        self.lane = f"{delivery.chat.kind}:{delivery.chat.id}"
        self.stage: Stage = "queued"
        self.contact: Contact | None = None
        self.is_looked_up = False
        self.sender: Sender | None = None
        self.upload_id: str | None = None  # security id for uploads, "" = the site has none
        self.uploaded: Uploaded | None = None
        self.cmid = 0
        self.packet_id = 0
        self.is_acked = False
        self.is_proven = True  # every piece so far was accepted
        self.done = 0
        self.peer_id = ""
        self.due_s = 0.0
