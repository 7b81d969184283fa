import subprocess
import sys

import pytest

from trunkline import failpoints
from trunkline.failpoints import NAMES, FailpointHit, arm, hit, parse


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    arm({})


def test_parse():
    assert parse("") == {}
    assert parse(" drain.mid:kill , ack.before_write:error:0.25,") == {
        "drain.mid": ("kill", 1.0), "ack.before_write": ("error", 0.25),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere:kill", "unknown failpoint 'nowhere'"), ("drain.mid", "unknown failpoint action"),
        ("drain.mid:explode", "'explode'"), ("drain.mid:kill:2", "not within"),
        ("drain.mid:kill:nan", "not within"), ("drain.mid:kill:often", "often"),
    ],
)  # fmt: skip
def test_what_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)


def test_unarmed_points_do_nothing():
    for name in NAMES:
        hit(name)


def test_an_error_is_raised_where_it_is_armed_and_nowhere_else():
    arm(parse("drain.mid:error"))
    hit("migrate.mid")
    with pytest.raises(FailpointHit, match=r"drain\.mid"):
        hit("drain.mid")


def test_arming_replaces_what_was_armed():
    arm(parse("drain.mid:error"))
    arm(parse("migrate.mid:error"))
    hit("drain.mid")
    with pytest.raises(FailpointHit):
        hit("migrate.mid")


@pytest.mark.parametrize(("drawn", "hits"), [(0.0, True), (0.24, True), (0.25, False)])
def test_probability(monkeypatch, drawn, hits):
    monkeypatch.setattr(failpoints.random, "random", lambda: drawn)
    arm(parse("drain.mid:error:0.25"))
    if hits:
        with pytest.raises(FailpointHit):
            hit("drain.mid")
    else:
        hit("drain.mid")


def test_a_stall_blocks_the_calling_thread_for_five_seconds(monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(failpoints.time, "sleep", slept.append)
    arm(parse("drain.mid:stall"))
    hit("drain.mid")
    assert slept == [5]


def test_kill_is_a_real_kill():
    code = (
        "from trunkline.failpoints import arm, hit, parse\n"
        "arm(parse('drain.mid:kill'))\ntry:\n    hit('drain.mid')\nfinally:\n    print('survived')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9
    assert done.stdout == b""


def test_a_hit_is_on_disk_before_the_process_dies(tmp_path):
    log = tmp_path / "hits"
    code = (
        "from trunkline.failpoints import arm, hit, parse\n"
        f"arm(parse('drain.mid:kill'), {str(log)!r})\nhit('ack.before_write')\nhit('drain.mid')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9
    name, action, pid, at_ms = log.read_text().split()
    assert (name, action) == ("drain.mid", "kill")
    assert int(pid) > 1
    assert int(at_ms) > 1_700_000_000_000


def test_hits_are_told_only_while_a_file_is_given(tmp_path):
    log = tmp_path / "hits"
    for given, lines in ((str(log), 1), ("", 1), (str(log), 2)):
        arm(parse("drain.mid:error"), given)
        with pytest.raises(FailpointHit):
            hit("drain.mid")
        assert len(log.read_text().splitlines()) == lines
