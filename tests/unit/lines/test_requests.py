"""A request as a link: one message, one answer, one end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from linkstand import Ear
from trunkline.dialects.contract import Dial, Head, HttpAnswer, LinkInfo
from trunkline.lines.requests import RequestLink, open_calls

INFO = LinkInfo(Head("/x"), is_request=True)


def attached(says: Callable[[Ear, bytes], None] | None = None) -> tuple[RequestLink, Ear]:
    link, ear = RequestLink(INFO), Ear(says)
    ear.link = link
    link.attach(lambda _link: ear, b"in")
    return link, ear


async def turn() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


@pytest.mark.parametrize(
    ("data", "answer"), [(b"{}", HttpAnswer(200, b"{}")), (b"", HttpAnswer(204))]
)
async def test_the_first_message_is_the_answer_and_the_end(data, answer):
    link, ear = attached()
    assert (ear.messages, ear.calls) == ([b"in"], ["receive", "read_done"])
    assert link.is_open
    link.send(data)
    link.send(b"second")
    link.close(1000)
    assert not link.is_open
    assert link.answer.result() == answer
    assert ear.errors == [], "the session is still speaking"
    await turn()
    assert ear.end == (1000, "answered")
    await turn()
    assert len(ear.errors) == 1


@pytest.mark.parametrize(("code", "status"), [(1007, 400), (1008, 400), (1001, 503), (1011, 503)])
async def test_a_hang_up_is_told_as_a_failure(code, status):
    link, ear = attached(lambda ear, _data: ear.link.close(code, "why"))
    assert link.answer.result() == HttpAnswer(status, b'{"detail":"why"}')
    await turn()
    assert ear.end == (code, "why")


async def test_who_refuses_at_once_hears_of_the_end_and_of_no_message():
    link, ear = RequestLink(INFO), Ear()

    def enter(link: RequestLink) -> Ear:
        link.close(1008, "no")
        return ear

    link.attach(enter, b"in")
    assert link.answer.result().status == 400
    await turn()
    assert ear.calls == ["closed"]


async def test_nobody_waits_any_more():
    link, ear = attached()
    link.abort()
    link.abort()
    await turn()
    assert ear.end == (1006, "")
    assert link.answer.result() == HttpAnswer(503)


async def test_what_a_request_has_no_use_for():
    link, ear = attached()
    link.pause()
    link.resume()
    link.flush()
    assert link.buffered_bytes == 0
    assert ear.calls == ["receive", "read_done"]
    signs: list[str] = []
    link.ping(lambda: signs.append("waits for its answer"))
    link.abort()
    link.ping(lambda: signs.append("gone"))
    assert signs == ["waits for its answer"]
    await turn()


async def test_the_link_of_a_session_that_only_makes_calls():
    ear = Ear()
    link = open_calls(Dial("http://h/post?x=1", is_request=True), lambda _link: ear)
    assert link.info == LinkInfo(Head("/post"), is_dialled=True, is_request=True)
    link.send(b"nobody reads it")
    link.flush()
    link.pause()
    link.resume()
    assert (link.is_open, link.buffered_bytes, ear.calls) == (True, 0, [])
    signs: list[str] = []
    link.ping(lambda: signs.append("here"))
    link.close(1001, "going away")
    link.abort()
    link.ping(lambda: signs.append("gone"))
    assert signs == ["here"]
    assert (link.is_open, ear.calls) == (False, []), "the session is still speaking"
    await turn()
    assert ear.end == (1001, "going away")
    await turn()
    assert ear.calls == ["closed"]


async def test_a_session_that_hangs_up_at_once_is_told_all_the_same():
    ear = Ear()

    def enter(link: object) -> Ear:
        link.abort()  # type: ignore[attr-defined]
        return ear

    open_calls(Dial("http://h"), enter)
    await turn()
    assert ear.end == (1006, "")
