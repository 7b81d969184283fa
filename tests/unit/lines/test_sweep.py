"""One timer and one budget for all links."""

import asyncio

from trunkline.clock import FakeClock, SystemClock
from trunkline.lines import sweep as room
from trunkline.lines.sweep import Budget, PingSweep


class Held:
    def __init__(self, active_s: float = 0.0) -> None:
        self.active_s = active_s
        self.visits: list[float] = []
        self.evicted = 0
        self.on_visit = None

    def visit(self, now_s: float) -> None:
        self.visits.append(now_s)
        if self.on_visit is not None:
            self.on_visit()

    def evict(self) -> None:
        self.evicted += 1


def test_every_link_is_visited_until_it_is_discarded():
    clock = FakeClock()
    sweep = PingSweep(clock, is_driven=False)
    one, two = Held(), Held()
    sweep.add(one)
    sweep.add(two)
    sweep.visit()
    clock.advance(5)
    sweep.discard(one)
    sweep.discard(one)
    sweep.visit()
    assert one.visits == [1000.0]
    assert two.visits == [1000.0, 1005.0]
    assert len(sweep) == 1


def test_a_link_may_end_while_it_is_visited():
    sweep = PingSweep(FakeClock(), is_driven=False)
    one, two = Held(), Held()
    one.on_visit = lambda: (sweep.discard(one), sweep.discard(two))
    sweep.add(one)
    sweep.add(two)
    sweep.visit()
    assert len(sweep) == 0


async def test_the_timer_runs_only_while_there_are_links(monkeypatch):
    monkeypatch.setattr(room, "PERIOD_S", 0.001)
    sweep = PingSweep(SystemClock())
    link = Held()
    done = asyncio.Event()
    link.on_visit = lambda: len(link.visits) == 3 and done.set()
    sweep.add(link)
    await done.wait()
    sweep.discard(link)
    assert sweep._timer is None
    sweep.add(link)
    assert sweep._timer is not None
    sweep.discard(link)


def test_the_budget_adds_up_and_forgets():
    budget = Budget(1000)
    one, two = Held(), Held()
    budget.put(one, 400)
    budget.put(two, 500)
    budget.put(one, 100)
    assert budget.total_bytes == 600
    budget.discard(one)
    budget.discard(one)
    assert budget.total_bytes == 500
    assert one.evicted == two.evicted == 0


def test_the_idlest_large_link_goes_first_then_the_next():
    budget = Budget(300_000)
    small_and_idle, idle, busy = Held(0), Held(1), Held(2)
    budget.put(small_and_idle, 60_000)
    budget.put(idle, 100_000)
    budget.put(busy, 100_000)
    budget.put(busy, 260_000)
    assert (small_and_idle.evicted, idle.evicted, busy.evicted) == (0, 1, 1)
    assert budget.total_bytes == 60_000


def test_many_small_ones_are_no_way_around():
    budget = Budget(100_000)
    links = [Held(number) for number in range(60)]
    for link in links:
        budget.put(link, 2000)
    assert budget.total_bytes <= 100_000
    assert [link.evicted for link in links] == [1] * 10 + [0] * 50
