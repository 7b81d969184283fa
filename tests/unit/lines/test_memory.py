"""The in-memory twin keeps the contract of a link."""

import pytest

from linkstand import Ear, echo
from trunkline.dialects.contract import Head, LinkInfo
from trunkline.lines.memory import make_pair, pump


def pair(on_near=None, on_far=None, **how):
    near, far = make_pair(LinkInfo(Head("/n")), LinkInfo(Head("/f"), is_dialled=True), **how)
    ears = Ear(on_near), Ear(on_far)
    for link, ear in zip((near, far), ears, strict=True):
        ear.link = link
        link.attach(ear)
    return near, far, *ears


def test_messages_arrive_in_order_and_replies_in_one_write():
    near, far, near_ear, far_ear = pair(on_far=echo)
    for data in (b"a", b"b", b"c"):
        near.send(data)
    assert pump(near, far) == 0
    near.flush()
    pump(near, far)
    assert far_ear.messages == near_ear.messages == [b"a", b"b", b"c"]
    assert far_ear.calls == ["receive"] * 3 + ["read_done"]
    assert far.flushes == 1
    assert near_ear.kinds == [True] * 3


def test_binary_ends_send_binary():
    near, far, _, far_ear = pair(is_binary=True)
    near.send(b"x")
    near.flush()
    pump(near, far)
    assert far_ear.kinds == [False]


def test_close_tells_both_after_what_was_sent():
    near, far, near_ear, far_ear = pair()
    near.send(b"last")
    near.close(1001, "bye")
    near.send(b"late")
    near.close(1000)
    assert near.close_code == 1001
    assert near_ear.errors == far_ear.errors == []
    pump(near, far)
    assert far_ear.messages == [b"last"]
    assert near_ear.end == far_ear.end == (1001, "bye")
    assert not near.is_open
    assert not far.is_open


def test_nothing_is_delivered_after_our_own_close():
    near, far, near_ear, _ = pair()
    far.send(b"x")
    far.flush()
    near.close(1000)
    pump(near, far)
    assert near_ear.messages == []


@pytest.mark.parametrize("how", ["cut", "abort"])
def test_a_cut_is_1006_for_both(how):
    near, far, near_ear, far_ear = pair()
    near.send(b"never flushed")
    getattr(near, how)()
    pump(near, far)
    assert near_ear.end == far_ear.end == (1006, "")
    assert far_ear.messages == []


def test_pause_keeps_and_resume_delivers():
    def on_receive(ear, data):
        ear.link.pause()

    near, far, _, far_ear = pair(on_far=on_receive)
    near.send(b"a")
    near.send(b"b")
    near.flush()
    near.close(1000)
    pump(near, far)
    assert far_ear.messages == [b"a"]
    assert far_ear.errors == []
    far.resume()
    assert far_ear.messages == [b"a", b"b"]
    far.resume()
    assert far_ear.end[0] == 1000


def test_a_stalled_end_holds_back_and_drains():
    near, far, near_ear, far_ear = pair()
    near.is_stalled = True
    near.send(b"abc")
    assert near.buffered_bytes == 3
    near.flush()
    pump(near, far)
    assert far_ear.messages == []
    assert near.buffered_bytes == 3
    near.drain()
    pump(near, far)
    assert far_ear.messages == [b"abc"]
    assert near_ear.calls == ["drained"]
    assert near.buffered_bytes == 0


def test_an_endless_exchange_is_noticed():
    near, far, _, _ = pair(on_near=echo, on_far=echo)
    near.send(b"x")
    near.flush()
    with pytest.raises(RuntimeError, match="rest"):
        pump(near, far, most=50)


def test_a_ping_is_answered_by_a_peer_that_reads():
    near, far, _, _ = pair()
    heard = []
    near.ping(lambda: heard.append("pong"))
    assert heard == []
    far.is_mute = True
    pump(near, far)
    assert heard == []
    far.is_mute = False
    pump(near, far)
    assert heard == ["pong"]
    pump(near, far)
    assert heard == ["pong"]


def test_a_message_is_as_good_as_a_pong_and_an_end_is_not():
    near, far, _, _ = pair()
    far.is_mute = True
    heard = []
    near.ping(lambda: heard.append("sign"))
    far.send(b"x")
    far.flush()
    pump(near, far)
    assert heard == ["sign"]
    near.ping(lambda: heard.append("again"))
    far.send(b"y")
    far.close(1000)
    pump(near, far)
    near.ping(lambda: heard.append("closed"))
    assert heard == ["sign"]


def test_a_held_end_is_asked_in_vain():
    near, _, _, _ = pair()
    near.pause()
    heard = []
    near.ping(lambda: heard.append("it is us"))
    assert heard == ["it is us"]
