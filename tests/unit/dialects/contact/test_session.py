from __future__ import annotations

from datetime import datetime

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contact.session import MOVES, Stamps, move
from trunkline.dialects.contract import LinkState
from trunkline.errors import LocalProtocolError

USED = (LinkState.OPENING, LinkState.READY, LinkState.CLOSED)


@pytest.mark.parametrize("state", USED)
@pytest.mark.parametrize("to", USED)
def test_moves(state: LinkState, to: LinkState) -> None:
    if to in MOVES[state]:
        assert move(state, to) is to
    else:
        with pytest.raises(LocalProtocolError, match=f"from {state.value} to {to.value}"):
            move(state, to)


def test_nothing_leaves_closed() -> None:
    assert MOVES[LinkState.CLOSED] == {LinkState.CLOSED}


@pytest.mark.parametrize("now_ms", [0, 999, 1000, 1_735_732_800_007, 1_767_225_599_999])
def test_stamps_say_the_time_in_utc_with_milliseconds(now_ms: int) -> None:
    stamp = Stamps(FakeClock(now_ms)).now()
    assert stamp.endswith("+00:00")
    assert len(stamp) == 29
    assert round(datetime.fromisoformat(stamp).timestamp() * 1000) == now_ms


def test_stamps_grow_with_the_clock() -> None:
    clock = FakeClock(1_735_732_799_999)
    stamps = Stamps(clock)
    seen = []
    for _ in range(3):
        seen += [stamps.now(), stamps.now()]
        clock.advance(0.001)
    assert seen[::2] == seen[1::2]
    assert [one[17:23] for one in seen[::2]] == ["59.999", "00.000", "00.001"]
    assert seen == sorted(seen)
