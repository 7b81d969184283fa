"""What people see of a row that is gone, damaged or late."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import MAX_LIFE_MS, EventKind, InboxRow, InboxState, OutboxRow
from trunkline.web.showing import to_delivery, to_message

CONVERSATION = ConversationState(1, "blog", "", "visitor", "v-1")  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa4type\xa3say"])
def test_a_body_that_is_gone_or_damaged_is_shown_without_words(body: bytes) -> None:
    row = InboxRow(16, 1, None, EventKind.MESSAGE, InboxState.DEAD, 0, body)  # type: ignore[arg-type]
    shown = to_message(row, CONVERSATION)
    assert (shown.text, shown.sender) == ("", "v-1")
    out = OutboxRow(17, 1, DeliveryState.DEAD, 0, body)  # type: ignore[arg-type]
    assert to_delivery(out, CONVERSATION, None).text == ""


@pytest.mark.parametrize(
    ("state", "wait_ms", "late_s"),
    [
        (DeliveryState.SENT, 5_000, 5.0),
        (DeliveryState.CONFIRMED, 20_040, 20.0),
        (DeliveryState.CONFIRMED, 4_999, 0.0),
        (DeliveryState.EXPIRED, 125_000, 0.0),
        (DeliveryState.REFUSED, 125_000, 0.0),
        (DeliveryState.SENDING, -10_000, 0.0),
    ],
)
def test_what_left_late_says_how_late(state: DeliveryState, wait_ms: int, late_s: float) -> None:
    settled_ms = 10_000 + wait_ms if wait_ms > 0 else 0
    row = OutboxRow(17, 1, state, 10_000, b"", settled_ms=settled_ms)  # type: ignore[arg-type]
    assert to_delivery(row, CONVERSATION, None).late_s == late_s


def test_what_a_person_approved_was_late_from_then_on() -> None:
    approved_ms = 10_000 + 3_600_000
    row = OutboxRow(
        17, 1, DeliveryState.SENT, 10_000, b"",  # type: ignore[arg-type]
        expires_ms=approved_ms + MAX_LIFE_MS, settled_ms=approved_ms + 200,
    )  # fmt: skip
    assert to_delivery(row, CONVERSATION, None).late_s == 0.0
    later = msgspec.structs.replace(row, settled_ms=approved_ms + 20_000)
    assert to_delivery(later, CONVERSATION, None).late_s == 20.0
    own = msgspec.structs.replace(later, expires_ms=10_000 + 120_000, settled_ms=30_000)
    assert to_delivery(own, CONVERSATION, None).late_s == 20.0
