from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.clock import FakeClock
from trunkline.ids import SystemIds, format_id, id_at, parse_id
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import MAX_LIFE_MS, EventKind, InboxRow, InboxState, OutboxRow
from trunkline.web.schemas import to_delivery, to_message

CONVERSATION = ConversationState(1, "blog", "", "visitor", "v-1")  # type: ignore[arg-type]


@given(st.integers(0, 2**63 - 1), st.sampled_from("dm"))
def test_ids_come_back_in_any_case(ident: int, kind: str) -> None:
    text = format_id(kind, ident)
    assert parse_id(kind, text) == parse_id(kind, text.upper()) == ident
    assert len(text) <= 15
    with pytest.raises(ValueError, match="is not an id"):
        parse_id("m" if kind == "d" else "d", text)


@given(st.text(max_size=20))
def test_anything_else_is_no_id(text: str) -> None:
    try:
        ident = parse_id("d", text)
    except ValueError:
        return
    assert 0 <= ident < 2**63


def test_look_alikes_are_read_as_meant() -> None:
    assert parse_id("m", "m-iLo1") == parse_id("m", "m-1101")
    for wrong in ("m-", "m", "", "m-u", "m-1 2", "m-z" + "z" * 12, "m-" + "0" * 14):
        with pytest.raises(ValueError, match="is not an id"):
            parse_id("m", wrong)


def test_ids_of_an_instant_are_not_below_its_bound() -> None:
    clock = FakeClock()
    bound = id_at(clock.now_ms())
    assert SystemIds(clock).next() >= bound
    clock.advance(0.001)
    assert id_at(clock.now_ms()) > bound
    assert id_at(0) == 0


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
