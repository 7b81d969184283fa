"""Every command against the real application on a real socket."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import web_rows as rows
from trunkline.cli.main import run
from trunkline.cli.output import ExitCode
from trunkline.errors import StoreFull
from trunkline.exchange.contract import Pace, PaceNow
from trunkline.ids import format_id
from trunkline.lines.contract import LineState, OddityStatus
from trunkline.model.address import Address
from trunkline.model.segment import Image, Text
from trunkline.store.contract import Beat
from web_stand import OneFleet, line_status
from web_world import World, serving

ASKED, REQUESTED, BROKEN = (format_id("m", n) for n in (rows.ASKED, rows.REQUESTED, rows.BROKEN))
DRAFT, LOST, REFUSED = (format_id("d", n) for n in (rows.DRAFT, rows.LOST, rows.REFUSED))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server for commands that only read."""
    with serving(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server for one test."""
    with serving(tmp_path) as world:
        yield world


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "TRUNKLINE_URL", "TRUNKLINE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")


def cli(world: World, *words: str) -> int:
    return run([*words, "-c", str(world.config)])


def test_what_waits_for_a_person_is_named_by_lines_and_listed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    look = "trunkline inbox list --for-person --line blog"
    assert cli(world, "inbox", "list", "--for-person") == 0
    assert capsys.readouterr().out == "Nothing waits for you.\n"
    handed = Beat(for_person=[(rows.ASKED, rows.BLOG.id)], now_ms=rows.NOW_MS)
    world.do(world.store.commit(handed))
    world.fleet.lines = [line_status("blog", last_ms=0)]
    assert cli(world, "lines") == 0
    assert f"blog: 1 wait for you: {look}" in capsys.readouterr().out.splitlines()
    assert cli(world, "inbox", "list", "--for-person", "--line", "blog") == 0
    _, one, fix = capsys.readouterr().out.splitlines()
    assert one.startswith(ASKED)
    assert "trunkline send" in fix
    assert cli(world, "inbox", "discard", ASKED) == 0
    capsys.readouterr()
    assert cli(world, "lines", "show", "blog") == 0
    assert look not in capsys.readouterr().out


# -- lines ----------------------------------------------------------------------------------


def test_lines_is_a_table(shared: World, capsys: pytest.CaptureFixture[str]) -> None:
    shared.fleet.lines = [
        line_status("blog", last_ms=0),
        line_status(
            "mai", dialect="maim", link="dial", state=LineState.RECONNECTING, links=0,
            overlays=("needs-you",), error="closed\x1b[2J 1008", retry_in_s=8.2, mode="draft",
        ),
    ]  # fmt: skip
    assert cli(shared, "lines") == 0
    head, blog, mai, note, drafts = capsys.readouterr().out.splitlines()
    assert drafts == "blog: 1 in draft: trunkline outbox list --state draft --line blog"
    assert head.split() == ["LINE", "DIALECT", "LINK", "STATE", "MODE", "TODAY", "IN/OUT", "LAST"]
    assert blog.split() == [
        "blog",
        "contact",
        "listen",
        "●",
        "connected",
        "·",
        "1",
        "links",
        "·",
        "open",
        "auto",
        "–",
        "3/2",
        "–",
    ]
    assert "◑ reconnecting · again in 8 s · ! needs you · closed\\x1b[2J 1008" in mai
    assert "mai" in note
    shared.fleet.lines = OneFleet().lines


def test_lines_json_is_what_the_api_says(shared: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(shared, "lines", "--json") == 0
    assert json.loads(capsys.readouterr().out)["lines"][0]["name"] == "blog"
    assert cli(shared, "lines", "show", "blog", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "blog"


def test_what_was_odd_is_shown_with_its_line(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [OddityStatus("rejected:not_json", "9 bytes\x1b[2J", 3, rows.NOW_MS)]
    odd += [OddityStatus(f"kind-{number}", "", 1, rows.NOW_MS) for number in range(11)]
    world.fleet.odd["blog"] = odd
    assert cli(world, "lines", "show", "blog") == 0
    shown = capsys.readouterr().out
    assert "  oddity  rejected:not_json ×3  9 bytes\\x1b[2J  " in shown
    assert "oddity  kind-8  " in shown
    assert "kind-9" not in shown
    assert "… 12  --json" in shown


def test_the_language_is_that_of_the_terminal(
    shared: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert cli(shared, "lines") == 0
    assert "线路" in capsys.readouterr().out
    assert cli(shared, "lines", "show", "none") == ExitCode.USAGE
    assert "没有这条线路" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["pause", "resume", "reconnect"])
def test_a_line_is_steered(shared: World, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(shared, "lines", verb, "blog") == 0
    assert shared.fleet.done[-1] == (verb, "blog")
    assert capsys.readouterr().out.startswith("blog")


def test_a_mode_is_set(shared: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(shared, "lines", "mode", "blog", "off") == 0
    assert shared.fleet.done[-1] == ("mode", "blog", "off")
    assert cli(shared, "lines", "mode", "blog", "loud") == ExitCode.USAGE
    assert "mode" in capsys.readouterr().err


# -- reaching the server --------------------------------------------------------------------


def test_a_wrong_token_is_exit_4(
    shared: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_TOKEN", "wrong")
    assert cli(shared, "lines") == ExitCode.NOT_ALLOWED
    assert "token" in capsys.readouterr().err


def test_a_stopped_server_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(tmp_path) as world:
        pass
    for words in (
        ["lines"],
        ["why", ASKED],
        ["outbox"],
        ["inbox"],
        ["tail"],
        ["send", "a/b:c", "x"],
    ):
        assert cli(world, *words) == ExitCode.UNREACHABLE
        assert "trunkline serve" in capsys.readouterr().err


def test_another_server_is_named_by_url(
    shared: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUNKLINE_TOKEN", (shared.folder / "api.token").read_text().strip())
    assert run(["lines", "--url", shared.url]) == 0


# -- why, outbox, inbox ---------------------------------------------------------------------


def test_why_tells_words_way_and_answer(shared: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(shared, "why", ASKED) == 0
    out = capsys.readouterr().out
    assert "Ana · blog" in out
    assert "price" in out
    assert "words of confirmed" in out
    assert "\x1b" not in out
    assert cli(shared, "why", ASKED, "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"][0]["stage"] == "rules"
    assert cli(shared, "why", "m-0") == ExitCode.USAGE


def test_outbox_lists_what_is_not_done(shared: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(shared, "outbox") == 0
    out = capsys.readouterr().out
    assert DRAFT in out
    assert "restart 1" in out
    assert "confirmed" not in out
    assert cli(shared, "outbox", "list", "--state", "refused", "--json") == 0
    found = json.loads(capsys.readouterr().out)["deliveries"]
    assert [delivery["id"] for delivery in found] == [REFUSED]
    assert cli(shared, "outbox", "list", "--state", "refused, uncertain", "--json") == 0
    found = {row["state"] for row in json.loads(capsys.readouterr().out)["deliveries"]}
    assert found == {"refused", "uncertain"}
    assert cli(shared, "outbox", "list", "--state", "refused,odd") == ExitCode.USAGE
    capsys.readouterr()
    assert cli(shared, "outbox", "show", REFUSED) == 0
    assert "no such user" in capsys.readouterr().out


def test_outbox_decides(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(world, "outbox", "approve", DRAFT) == 0
    assert capsys.readouterr().out.split() == [DRAFT, "queued"]
    assert cli(world, "outbox", "approve", DRAFT) == 0
    assert capsys.readouterr().out.split() == [DRAFT, "queued", "(as", "before)"]
    assert cli(world, "outbox", "discard", REFUSED, LOST) == 0
    assert cli(world, "outbox", "requeue", "--group", "restart 1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "restart 1  1"
    assert cli(world, "outbox", "requeue") == ExitCode.USAGE


def test_a_draft_is_approved_with_other_words(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(world, "outbox", "show", DRAFT) == 0
    shown = capsys.readouterr().out
    assert f"trunkline outbox approve {DRAFT}" in shown
    assert "of use until" in shown
    assert cli(world, "outbox", "approve", DRAFT, "--text", "亲，包邮", "--json") == 0
    (moved,) = json.loads(capsys.readouterr().out)["moved"]
    assert (moved["id"], moved["state"]) == (DRAFT, "queued")
    assert cli(world, "outbox", "show", DRAFT, "--json") == 0
    delivery = json.loads(capsys.readouterr().out)
    assert (delivery["text"], delivery["source"]) == ("亲，包邮", "person")
    assert cli(world, "outbox", "approve", DRAFT, "--text", " ") == ExitCode.USAGE
    assert cli(world, "outbox", "approve", DRAFT, REFUSED, "--text", "x") == ExitCode.USAGE
    assert "one draft" in capsys.readouterr().err


def test_one_that_cannot_be_approved_keeps_no_other_from_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(world, "outbox", "approve", REFUSED, "d-0", DRAFT) == ExitCode.USAGE
    heard = capsys.readouterr()
    assert heard.out.split() == [DRAFT, "queued"]
    assert f"{REFUSED}: " in heard.err
    assert "requeue" in heard.err
    assert "d-0: " in heard.err
    assert cli(world, "outbox", "discard", LOST, LOST, REFUSED) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_pace_is_shown_where_it_is_waited_for(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.fleet.lines = [line_status("core")]
    world.desk.paces["core"] = PaceNow(Pace(6000, 150), 38, rows.NOW_MS + 6000)
    assert cli(world, "lines") == 0
    assert "38/150" in capsys.readouterr().out
    assert cli(world, "lines", "show", "core") == 0
    shown = capsys.readouterr().out
    assert "pace · one every 6 s · sent today 38/150 · next not before 01-01 " in shown
    assert cli(world, "outbox") == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if " queued " in line]
    assert "waits for pace until 01-01 " in row
    world.desk.paces["core"] = PaceNow(Pace(0, 150), 38, 0)
    assert cli(world, "outbox") == 0
    assert "pace" not in capsys.readouterr().out


def test_inbox_lists_requests_and_decides(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(world, "inbox") == 0
    out = capsys.readouterr().out
    assert "[contact] call me" in out
    assert "\x1b" not in out
    assert cli(world, "inbox", "list", "--kind", "request", "--json") == 0
    assert json.loads(capsys.readouterr().out)["messages"][0]["id"] == REQUESTED
    assert cli(world, "inbox", "show", ASKED) == 0
    assert "words of confirmed" in capsys.readouterr().out
    assert cli(world, "inbox", "requeue", BROKEN) == 0
    assert cli(world, "inbox", "discard", REQUESTED) == 0
    assert cli(world, "inbox", "discard", ASKED) == ExitCode.PROBLEM


# -- send -----------------------------------------------------------------------------------


def test_send_queues_once_and_names_the_delivery(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(world, "send", "blog/visitor:v-1", "hi") == 0
    assert capsys.readouterr().out.split() == ["d-10", "queued"]
    ((address, segments, key),) = world.desk.sent
    assert (address, segments) == (Address("blog", "visitor", "v-1"), (Text("hi"),))
    assert len(key) == 36


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (rows.ANSWERED, ExitCode.GOOD),
        (rows.REFUSED, ExitCode.REFUSED),
        (rows.DRAFT, ExitCode.WAITS_FOR_PERSON),
        (rows.LOST, ExitCode.WAITS_FOR_PERSON),
        (rows.EXPIRED, ExitCode.PROBLEM),
        (rows.QUEUED, ExitCode.PROBLEM),
    ],
)
def test_send_and_wait_ends_as_the_delivery_does(
    shared: World, capsys: pytest.CaptureFixture[str], row: int, code: ExitCode
) -> None:
    shared.desk.outcome = row
    assert cli(shared, "send", "blog/visitor:v-1", "hi", "--wait", "0.05") == code
    assert capsys.readouterr().out.startswith(format_id("d", row))
    assert cli(shared, "send", "blog/visitor:v-1", "hi", "--wait", "0.05", "--json") == code
    assert json.loads(capsys.readouterr().out)["id"] == format_id("d", row)


def test_send_takes_a_picture(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    data = base64.b64decode("iVBORw0KGgo=") + bytes(range(256)) * 100
    picture.write_bytes(data)
    assert cli(world, "send", "blog/visitor:v-1", "look", "--image", str(picture)) == 0
    assert world.desk.sent[0][1] == (Text("look"), Image(data=data, name="a.png"))
    picture.write_bytes(b"x" * 7_600_000)
    assert cli(world, "send", "blog/visitor:v-1", "", "--image", str(picture)) == ExitCode.USAGE
    assert cli(world, "send", "b/c:d", "", "--image", str(tmp_path / "no")) == ExitCode.USAGE
    picture.write_bytes(b"x" * 7_400_000)
    assert cli(world, "send", "blog/visitor:v-1", "", "--image", str(picture)) == 0


@pytest.mark.parametrize(
    ("outcome", "target", "code"),
    [
        (32, "blog", ExitCode.USAGE),
        (LookupError("no line"), "nix/visitor:1", ExitCode.USAGE),
        (StoreFull(), "blog/visitor:1", ExitCode.PROBLEM),
    ],
)
def test_send_that_is_not_taken(
    world: World, capsys: pytest.CaptureFixture[str], outcome: object, target: str, code: ExitCode
) -> None:
    world.desk.outcome = outcome  # type: ignore[assignment]
    assert cli(world, "send", target, "hi") == code
    assert capsys.readouterr().err.startswith("trunkline: ")


# -- broadcast ------------------------------------------------------------------------------


def test_broadcast_says_it_once_and_tells_how_many_got_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(world, "broadcast", "blog", "hello all") == 0
    assert capsys.readouterr().out == "blog: 3 got it, 1 did not\n"
    assert world.desk.said == [("blog", (Text("hello all"),))]
    assert cli(world, "broadcast", "blog", "again", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"delivered": 3, "failed": 1}


def test_broadcast_on_a_line_that_has_none_says_what_to_do(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.desk.outcome = ValueError("no contact line")
    assert cli(world, "broadcast", "blog", "x") == ExitCode.PROBLEM
    assert "Only contact lines have one" in capsys.readouterr().err
    assert cli(world, "broadcast", "none", "x") == ExitCode.USAGE
