"""What the crash harness is asked for, and what the emulators say about their peers."""

from __future__ import annotations

import tomllib

import pytest

from trunkline import failpoints
from trunkline.clock import SystemClock
from trunkline.dev.torture.bench import Unknown, find_cast, parse_names
from trunkline.dev.torture.ledger import Answer, Ledger
from trunkline.dev.torture.peers import MANNERS
from trunkline.dev.torture.runner import REACHABLE, UNREACHABLE, Options, Runner
from trunkline.dev.torture.stage import StampedClock
from trunkline.dev.torture.ways import DialledCast
from trunkline.dialects.contract import Dial, Opening
from trunkline.dialects.registry import DIALECTS
from trunkline.ids import SystemIds


def cast_of(name: str) -> object:
    try:
        return find_cast(name)
    except Unknown:
        return None


def test_names_of_failpoints():
    assert parse_names("all") == REACHABLE
    assert parse_names("none") == ()
    assert parse_names(" drain.mid, ack.before_write,drain.mid") == (
        "drain.mid",
        "ack.before_write",
    )
    assert set(REACHABLE) | UNREACHABLE == failpoints.NAMES


@pytest.mark.parametrize(
    ("text", "words"), [("nowhere", "no failpoint"), ("lease.after_acquire", "cluster mode")]
)
def test_names_that_cannot_be_hit(text, words):
    with pytest.raises(Unknown, match=words):
        parse_names(text)


def test_an_unknown_dialect():
    with pytest.raises(Unknown, match="contact, maim"):
        find_cast("smoke-signals")


# Nobody dials a line of a dialect whose own side always dials: there is no peer to cast.
SERVED = sorted(name for name, one in DIALECTS.items() if one.roles[0] in one.listens)


@pytest.mark.parametrize("name", SERVED)
def test_every_dialect_casts_peers_that_dial(name):
    dialect, cast = DIALECTS[name], find_cast(name)
    assert cast.manners <= MANNERS
    actors = [cast.actor(number) for number in range(4)]
    assert actors == [cast.actor(number) for number in range(4)]
    assert any(not actor.is_brief for actor in actors)
    for actor in actors:
        assert actor.role in dialect.dials
        fields = {"dialect": name, "role": actor.role, "link": "dial", **actor.fields}
        options = dialect.options(**fields, url=f"ws://127.0.0.1:1{cast.path}")
        clock = SystemClock()
        session = dialect.open(options, Opening(actor.role, "", clock, SystemIds(clock)))
        (dial,) = session.begin(None)
        assert isinstance(dial, Dial)
        assert dial.url.endswith(cast.path)


# The others dial: their emulator is the platform of the run.
DIALLED = sorted(name for name in DIALECTS if isinstance(cast_of(name), DialledCast))


def test_every_dialect_that_only_dials_has_a_place_to_dial():
    assert {"boss", "xianyu"} <= set(DIALLED)
    assert not set(DIALLED) & set(SERVED)


@pytest.mark.parametrize("name", DIALLED)
def test_a_place_has_lines_that_dial_it_and_an_account_for_each_peer(name, tmp_path):
    cast = find_cast(name)
    assert isinstance(cast, DialledCast)
    assert cast.manners <= MANNERS
    clock = SystemClock()
    place = cast.place(Opening("", "", clock, SystemIds(clock)), 3)
    lines = tomllib.loads(place.lines("http://127.0.0.1:1"))["lines"]
    assert len(lines) == 3
    for fields in lines.values():
        options = DIALECTS[name].options(**fields)
        assert options.link == "dial"
        assert "127.0.0.1:1" in options.url
    assert [place.actor(nth) for nth in range(3)] == [place.actor(nth) for nth in range(3)]
    assert not place.violations


async def test_the_accounts_of_a_place_are_peers_that_wait(tmp_path):
    runner = Runner(DIALECTS["xianyu"], find_cast("xianyu"), Options(peers=2), tmp_path, print)
    assert [peer.way.dials for peer in runner.peers] == [False, False]


def test_what_is_sent_again_has_its_first_time():
    clock = StampedClock()
    now_ms = clock.now_ms()
    clock.at_ms = 5
    assert clock.now_ms() == 5
    clock.at_ms = 0
    assert clock.now_ms() >= now_ms


def test_what_a_peer_was_told_is_on_disk_before_it_goes_on(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.say("p0.", "p0.0.0")
    ledger.sync()
    assert (tmp_path / "ledger").read_text() == ""  # nobody was promised anything
    ledger.acknowledge("p0.0.0")
    ledger.answer(Answer("p0.0.0", "d"))
    ledger.sync()
    assert (tmp_path / "ledger").read_text().count("\n") == 3
    ledger.acknowledge("p0.0.1")
    assert ledger.strays == ["acknowledged what nobody said: p0.0.1"]
    ledger.close()


async def test_the_same_seed_casts_the_same_peers(tmp_path):
    def manners(seed: int, folder: str) -> list[frozenset[str]]:
        (tmp_path / folder).mkdir()
        runner = Runner(
            DIALECTS["maim"], find_cast("maim"), Options(seed=seed), tmp_path / folder, print
        )
        return [peer.manners for peer in runner.peers]

    one = manners(1, "a")
    assert one == manners(1, "b")
    assert one != manners(2, "c")
    assert one[:2] == [frozenset(), frozenset()]
    assert frozenset.union(*one) == MANNERS
