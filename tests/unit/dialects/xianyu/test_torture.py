"""The marketplace of the crash harness: who is let in, what comes many times, what is proven."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Fetch, Head, LinkInfo, Opening, Refuse, Settled, Transmit
from trunkline.dialects.xianyu import XIANYU, frames
from trunkline.dialects.xianyu.torture import COPIES, FIRST, LINKS_OF_A_TOKEN, MarketCast, Stall
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.segment import Text

ME = str(FIRST + 1)
HEAD = Head("/", headers={"cookie": f"unb={ME}"})


class Run:
    """The platform of a run with two accounts."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.opening = Opening("market", "market", self.clock, CountingIds())
        self.place = MarketCast().place(self.opening, 2)
        self.place.market.tokens["t"] = (ME, "D", self.clock.now_ms() + 1000)

    def link(self, pts: int, *manners: str) -> tuple[Stall, list[dict[str, Any]]]:
        """Link the second account; return its session and what was pushed to it."""
        number, _ = self.place.admit(HEAD)  # type: ignore[misc]  # it is let in
        stall = self.place.session(number, self.opening, frozenset(manners))
        stall.linked(LinkInfo(HEAD))
        stall.receive(frames.build_reg("t", "UA", "D", "1 0"), is_text=True)
        position = frames.sync_position(pts, self.clock.now_ms())
        ack = frames.build_request(frames.ACK_DIFF, [position], "7 0")
        effects = stall.receive(ack, is_text=True)
        sent = [json.loads(one.data) for one in effects if isinstance(one, Transmit)]
        return stall, [frame for frame in sent if "lwp" in frame]

    def talk(self, stall: Stall, ident: int, words: str) -> None:
        chat, _ = self.place.actor(1).chats[0]
        stall.send(Delivery(DeliveryId(ident), chat, Say((Text(words),))))


def test_the_lines_are_good_and_dial_the_place() -> None:
    lines = tomllib.loads(Run().place.lines("http://127.0.0.1:5"))["lines"]
    assert len(lines) == 2
    for fields in lines.values():
        options = XIANYU.options(**fields)
        assert (options.url, options.http_url) == ("ws://127.0.0.1:5/", "http://127.0.0.1:5")
    assert len({fields["cookies"] for fields in lines.values()}) == 2


def test_a_stranger_is_not_let_in() -> None:
    assert isinstance(Run().place.admit(Head("/", headers={"cookie": "unb=5"})), Refuse)


def test_buyers_wait_for_proof_over_any_number_of_links() -> None:
    run = Run()
    stall, _ = run.link(1)
    run.talk(stall, 4, "a")
    again, (push,) = run.link(1)
    effects = again.receive(frames.encode_frame("", push["headers"], code=200), is_text=True)
    assert [one for one in effects if isinstance(one, Settled)] == [
        Settled(DeliveryId(4), Outcome.CONFIRMED)
    ]


def test_what_comes_again_comes_fourteen_times_and_each_may_be_acknowledged() -> None:
    run = Run()
    stall, _ = run.link(1)
    run.talk(stall, 4, "a")
    again, pushes = run.link(1, "redeliver-14")
    assert len(pushes) == COPIES
    for push in pushes:
        again.receive(frames.encode_frame("", push["headers"], code=200), is_text=True)
    assert run.place.violations == {}


def test_every_few_links_a_token_is_good_no_more() -> None:
    run = Run()
    for _ in range(LINKS_OF_A_TOKEN - 1):
        run.place.admit(HEAD)
    assert run.place.market.tokens
    run.place.admit(HEAD)
    assert not run.place.market.tokens
    assert run.place.http(Fetch("POST", "http://h/h5/x/1.0/")).status == 200
