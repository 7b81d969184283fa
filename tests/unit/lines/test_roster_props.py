"""Links that want one seat, in any order of arrivals, signs of life, ends and time.

The real drivers and roster against a model of a few lines: who sits, who waits, who was refused.
Whatever a peer said is heard once, in order, when it has a seat, and never when it was refused.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scripted import Sitting, Stand, message
from trunkline.dialects.contract import Changed, LinkState, Received, Seat, Sharing
from trunkline.errors import LinkLost

WAIT_S = 1.0
KINDS = ("", "api", "event")  # a whole connection, and the halves of a pair


def script() -> dict[str, Any]:
    def linked(info: Any) -> Any:
        kind, name = info.head.query["kind"], info.head.query["name"]
        sharing = Sharing.EACH if kind else Sharing.REPLACE
        seat = Seat("qq", "qq", True, sharing, link_id=kind, refusal="taken", probe_s=WAIT_S)
        return Changed(LinkState.READY, seat), Received(message(f"{name}.hello"))

    return {"linked": linked, "receive": lambda data: (Received(message(data.decode())),)}


class Model:
    """What ought to be."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.states: list[str] = []
        self.waits: dict[int, tuple[float, set[int]]] = {}
        self.now_s = 0.0

    def _conflicts(self, one: int, other: int) -> bool:
        return "" in (self.kinds[one], self.kinds[other]) or self.kinds[one] == self.kinds[other]

    def enter(self, kind: str) -> None:
        new = len(self.kinds)
        self.kinds.append(kind)
        rivals = {n for n, state in enumerate(self.states) if state == "sits"}
        rivals = {n for n in rivals if self._conflicts(n, new)}
        if any(self._conflicts(n, new) for n in self.waits):
            self.states.append("refused")
        elif not rivals:
            self.states.append("sits")
        else:
            self.states.append("waits")
            self.waits[new] = (self.now_s + WAIT_S, rivals)

    def sign(self, who: int) -> None:
        for n, (_, rivals) in list(self.waits.items()):
            if who in rivals:
                del self.waits[n]
                self.states[n] = "refused"

    def end(self, who: int) -> None:
        self.states[who] = "gone"
        self.waits.pop(who, None)
        for n, (_, rivals) in list(self.waits.items()):
            rivals.discard(who)
            if not rivals:
                del self.waits[n]
                self.states[n] = "sits"

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        for n, (at_s, rivals) in list(self.waits.items()):
            if at_s <= self.now_s:
                del self.waits[n]
                self.states[n] = "sits"
                for rival in rivals:
                    self.states[rival] = "replaced"


class Play:
    """The real ones beside the model."""

    def __init__(self) -> None:
        self.stand = Stand(script())
        self.model = Model()
        self.sittings: list[Sitting] = []
        self.said: list[list[str]] = []

    def enter(self, kind: str, *, is_mute: bool) -> None:
        name = str(len(self.sittings))
        self.model.enter(kind)
        sitting = self.stand.enter(query={"kind": kind, "name": name})
        sitting.far.is_mute = is_mute
        self.sittings.append(sitting)
        self.said.append([f"{name}.hello"])

    def act(self, what: str, who: int) -> None:
        if not self.sittings:
            return
        who %= len(self.sittings)
        sitting, state = self.sittings[who], self.model.states[who]
        if state not in ("sits", "waits"):
            return
        if what == "say":
            words = f"{who}.{len(self.said[who])}"
            self.said[who].append(words)
            if state == "sits":
                self.model.sign(who)
            sitting.say(words.encode())
        elif what == "answer":
            sitting.far.is_mute = False
            if state == "sits":
                self.model.sign(who)
            sitting.pump()
            sitting.far.is_mute = True
        else:
            self.model.end(who)
            sitting.cut()

    def advance(self, seconds: float) -> None:
        self.model.advance(seconds)
        self.stand.advance(seconds)

    def check(self) -> None:
        heard: dict[str, list[str]] = {}
        for event, _, _ in self.stand.exchange.offered:
            words = event.segments[0].text
            heard.setdefault(words.partition(".")[0], []).append(words)
        for n, (sitting, state) in enumerate(zip(self.sittings, self.model.states, strict=True)):
            driver = sitting.driver
            mine = heard.get(str(n), [])
            assert mine == self.said[n][: len(mine)], "in order, and once"
            if state == "sits":
                assert driver.can_send
                assert mine == self.said[n], "nothing is lost"
            elif state in ("waits", "refused"):
                assert not driver.can_send
                assert driver.seat is None
                assert mine == []
                assert sitting.near.is_open is (state == "waits")
            if state == "refused":
                sitting.pump()
                assert isinstance(sitting.end, LinkLost)
                assert (sitting.end.code, sitting.end.reason) == (1008, "taken")
            elif state == "replaced":
                assert sitting.near.close_code == 1000
        able = [n for n, state in enumerate(self.model.states) if state == "sits"]
        found = self.stand.roster.find("core", "qq")
        assert [self.sittings[n].driver for n in able[-1:]] == list(found) or (
            len(able) > 1 and len(found) == 1  # of a pair the newest, which may have waited longer
        )
        assert bool(self.stand.roster._claims) is bool(self.model.waits)


STEPS = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from(KINDS), st.booleans()),
    st.tuples(st.sampled_from(["say", "answer", "cut"]), st.integers(0, 7)),
    st.tuples(st.just("advance"), st.sampled_from([0.4, 0.6, 1.0])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_one_link_has_a_place_and_what_it_says_is_heard_once(steps: list[Any]) -> None:
    async def play() -> None:
        game = Play()
        for step in steps:
            match step:
                case "enter", kind, is_mute:
                    game.enter(kind, is_mute=is_mute)
                case "advance", seconds:
                    game.advance(seconds)
                case what, who:
                    game.act(what, who)
            game.check()

    asyncio.run(play())
