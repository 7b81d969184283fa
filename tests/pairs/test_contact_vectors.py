"""Every contact vector and X006 against the site's session, in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contact_parts import STRANGER, ask, chat, echo, options, replies, served, site
from contact_vectors import (
    CASES,
    PING,
    WIRE_ONLY,
    Out,
    Seen,
    check,
    check_order,
    check_rate_limit,
    outgoing,
)
from pump import Pump
from trunkline.clock import FakeClock
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contract import Admit

IN_MEMORY = [case for case in CASES if case["id"] not in WIRE_ONLY]


@pytest.mark.parametrize("commit", ["at_once", "by_hand"])
@pytest.mark.parametrize("case", IN_MEMORY, ids=lambda case: case["id"])
def test_vector(case: dict[str, Any], commit: Any) -> None:
    clock = FakeClock()
    pump = Pump(site(clock), clock=clock, answer=echo, head=STRANGER, commit=commit)

    def exchange(out: list[Out], expected: int) -> Seen:
        pump.start()
        (greeting,) = pump.take()
        for message in out:
            pump.inject(message.data, is_text=message.is_text)
        pump.commit()
        frames = [frame.decode() for frame in pump.take()]
        assert len(frames) == expected, frames
        pump.inject(PING)
        (after,) = pump.take()
        return Seen(greeting.decode(), frames, after.decode(), None)

    check(case, exchange)


def test_every_in_memory_vector_is_there() -> None:
    assert {case["id"] for case in CASES} == {
        *(f"K{nth:03}" for nth in range(1, 15)),
        *(f"E{nth:03}" for nth in range(1, 25)),
        *(f"B{nth:03}" for nth in range(1, 6)),
    }


def test_rate_limit_x006() -> None:
    pump = served()
    for nth in range(30):
        pump.inject(json.dumps(chat(f"m{nth}")))
    frames = replies(pump)
    check_rate_limit([frame for frame in frames if frame["type"] != "chat_message"])
    check_order([frame for frame in frames if frame["type"] != "error"])
    assert [frame["type"] for frame in ask(pump, PING)] == ["pong"]


def test_oversize_b003_is_above_what_admit_allows() -> None:
    admitted = CONTACT.admit(options(), STRANGER)
    assert admitted == Admit("visitor", 1 << 20)
    (case,) = (case for case in CASES if case["id"] == "B003")
    (out,) = outgoing(case)
    assert len(out.data) > admitted.max_message_bytes
