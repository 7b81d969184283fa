"""Guide 000's names: the client's thread against our own platform, over real sockets."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from trunkline.clock import SystemClock
from trunkline.dev.market import MarketPlace, MarketScript
from trunkline.errors import ConfigError, CredentialsRejected, DeliveryRefused, LinkTimeout
from trunkline.guides.boss import (
    ConfigManager,
    SessionManager,
    WsClient,
    config_manager,
    get_user_info,
    get_wt2,
    session_manager,
    upload_image,
)
from trunkline.model.delivery import Outcome

PNG = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + b"IHDR" + (400).to_bytes(4) + (300).to_bytes(4)
LOGIN = "wt=one; bst=tok"
WAIT_S = 15


class Told(WsClient):
    """Keeps what it is told."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.told: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self.threads: set[int] = set()

    def _on_connect(self) -> None:
        self.told.put(("connect",))

    def _on_disconnect(self, error: BaseException) -> None:
        self.told.put(("disconnect", error))

    def _on_error(self, error: BaseException) -> None:
        self.told.put(("error", error))

    def on_text_message(self, from_uid: str, text: str, timestamp: int) -> None:
        self.threads.add(threading.get_ident())
        self.told.put(("text", from_uid, text, timestamp))

    async def get(self, what: str) -> tuple[Any, ...]:
        """Return the next of a kind; others before it are dropped."""
        while True:
            found = await asyncio.to_thread(self.told.get, timeout=WAIT_S)
            if found[0] == what:
                return found


def story(
    work: Callable[[MarketPlace, dict[str, Any]], Any], *, every_s: float = 0.0, **script: Any
) -> None:
    """Run a story beside a platform; it gets the place and the keys that lead there.

    Args:
        every_s: the pace; a line's own would make two messages last six seconds.
    """

    async def bounded() -> None:
        place = MarketPlace(
            0, SystemClock(), MarketScript(**{"messages": 1, "pace_s": 0.05, **script}), "boss"
        )
        base = await place.start()
        url = "ws" + base.removeprefix("http") + place.path
        keys: dict[str, Any] = {"url": url, "http_url": base, "every_s": every_s}
        try:
            async with asyncio.timeout(2 * WAIT_S):
                await work(place, keys)
        finally:
            await place.stop()

    asyncio.run(bounded())


def session(cookies: str = LOGIN, **headers: str) -> SessionManager:
    found = SessionManager()
    found.update_session(
        cookies, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    return found


async def ended(client: WsClient) -> None:
    await asyncio.to_thread(client.stop)
    assert not client.is_alive()


def test_it_hears_and_answers():
    class Answering(Told):
        def on_text_message(self, from_uid: str, text: str, timestamp: int) -> None:
            super().on_text_message(from_uid, text, timestamp)
            self.told.put(("fate", self.send_text(from_uid, f"收到：{text}")))

    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        client = Answering(session(User_Agent="mine/1"), ConfigManager(), **keys)
        client.start()
        await client.get("connect")
        assert client.wait_connected(0)
        assert client.is_connected
        _, uid, text, timestamp = await client.get("text")
        assert uid.isdecimal()
        assert "#0" in text
        assert timestamp > 1_600_000_000_000
        _, fate = await client.get("fate")
        assert fate.outcome is Outcome.CONFIRMED
        assert place.tally["answered"] == 1
        assert client.ident not in client.threads
        head = place.world.gateway.upgrades[-1]
        assert (head["cookie"], head["user-agent"]) == (LOGIN, "mine/1")
        await ended(client)
        assert not client.is_connected

    story(work)


def test_a_picture_and_a_person_known_by_the_encrypted_id(tmp_path):
    file = tmp_path / "cv.png"
    file.write_bytes(PNG)

    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        client = Told(session(), ConfigManager(**keys))
        client.start()
        _, uid, *_ = await client.get("text")
        fate = await asyncio.to_thread(client.send_image, int(uid), file)
        assert fate.outcome is Outcome.CONFIRMED
        (account,) = place.world.gateway.accounts.values()
        key = account.peer(int(uid)).key
        fate = await asyncio.to_thread(client.send_text, key, "您好")
        assert fate.is_sent
        assert [what for _, what in account.heard][-1] == "您好"
        assert len(place.world.gateway.pictures) == 1
        await ended(client)

    story(work)


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_resume_is_asked_for(tmp_path, is_allowed):
    file = tmp_path / "cv.png"
    file.write_bytes(PNG)

    class Asked(Told):
        def on_request_resume(self, boss_id: str, mid: str) -> None:
            super().on_request_resume(boss_id, mid)
            self.told.put(("resume", boss_id, mid, self.accept(boss_id, mid)))

    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        config = ConfigManager(str(file), send_resume_image=is_allowed, **keys)
        client = Asked(session(), config)
        client.start()
        _, boss_id, mid, fate = await client.get("resume")
        assert fate.outcome is Outcome.CONFIRMED
        (account,) = place.world.gateway.accounts.values()
        (exchanged,) = account.exchanged
        assert (exchanged["mid"], str(exchanged["peer"])) == (mid, boss_id)
        assert len(place.world.gateway.pictures) == int(is_allowed)
        await ended(client)

    story(work, faults={"dialog": 1.0})


def test_it_keeps_the_pace_of_the_line():
    """Source: boss 6.2; what has no turn in time is not sent at all."""

    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        client = Told(session(), ConfigManager(**keys))
        client.start()
        _, uid, *_ = await client.get("text")
        first = await asyncio.to_thread(client.send_text, uid, "一")
        assert first.outcome is Outcome.CONFIRMED
        second = await asyncio.to_thread(client.send_text, uid, "二", timeout_s=1)
        assert second.outcome is Outcome.LATER
        assert 3500 < second.wait_s <= 3600
        (account,) = place.world.gateway.accounts.values()
        assert [what for _, what in account.heard] == ["一"]
        await ended(client)

    story(work, every_s=3600.0)


def test_other_cookies_are_used_at_once():
    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        cookies = SessionManager()
        client = Told(cookies, ConfigManager(**keys))
        client.start()
        cookies.update_session({"wt": "one", "bst": "tok"})
        await client.get("connect")
        cookies.update_session({"wt": "two"}, {"X-A": "b"})
        await client.get("disconnect")
        await client.get("connect")
        assert [head["cookie"] for head in place.world.gateway.upgrades] == [
            "wt=one; bst=tok",
            "wt=two; bst=tok",
        ]
        await ended(client)

    story(work)


def test_a_login_that_is_refused_waits_for_another_one():
    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        place.world.gateway.login = "good"
        cookies = session("wt=bad; bst=tok")
        client = Told(cookies, ConfigManager(**keys))
        client.start()
        _, error = await client.get("error")
        assert "login is over" in str(error), "the first word is the reason"
        with pytest.raises(LinkTimeout):
            await asyncio.to_thread(client.send_text, "1", "x", timeout_s=0.1)
        assert place.world.gateway.calls.total() == 1, "it hammers the site"
        cookies.update_session({"wt": "good"})
        await client.get("connect")
        await ended(client)

    story(work)


def test_a_connection_that_is_cut_comes_again():
    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        client = Told(session(), ConfigManager(**keys))
        client.start()
        await client.get("disconnect")
        await client.get("connect")
        await ended(client)

    story(work, faults={"cut": 1.0})


def test_what_a_callback_raises_is_told_and_ends_nothing():
    class Broken(Told):
        def on_text_message(self, from_uid: str, text: str, timestamp: int) -> None:
            raise ValueError(text)

        def _on_disconnect(self, error: BaseException) -> None:
            self.stop()

    async def work(_: MarketPlace, keys: dict[str, Any]) -> None:
        client = Broken(session(), ConfigManager(**keys))
        client.start()
        for number in range(2):
            _, error = await client.get("error")
            assert f"#{number}" in str(error)
        await ended(client)

    story(work, messages=2)


def test_a_callback_may_stop_it():
    class Brief(Told):
        def on_text_message(self, from_uid: str, text: str, timestamp: int) -> None:
            self.stop()
            self.told.put(("alive", self.is_alive()))

    async def work(_: MarketPlace, keys: dict[str, Any]) -> None:
        client = Brief(session(), ConfigManager(**keys))
        client.start()
        assert await client.get("alive") == ("alive", True), "it waits for itself"
        await asyncio.to_thread(client.join, WAIT_S)
        assert not client.is_alive()

    story(work)


def test_without_cookies_it_waits_and_can_be_stopped():
    client = WsClient(SessionManager(), ConfigManager())
    client.start()
    client.stop()
    assert not client.is_alive()
    with pytest.raises(LinkTimeout):
        client.send_text("1", "x", timeout_s=0)
    never = WsClient(SessionManager(), ConfigManager())
    never.stop()
    never.start()
    never.join(WAIT_S)
    assert not never.is_alive()


def test_keys_that_cannot_work_are_told():
    client = Told(session(), ConfigManager(), ulr="x")
    client.start()
    what, error = client.told.get(timeout=WAIT_S)
    assert what == "error"
    assert isinstance(error, ConfigError)
    client.stop()


def test_the_site_is_asked_without_a_connection(tmp_path):
    file = tmp_path / "cv.png"
    file.write_bytes(PNG)

    async def work(place: MarketPlace, keys: dict[str, Any]) -> None:
        who, config = session(), ConfigManager(**keys)
        ask = asyncio.to_thread
        uid, info = await ask(get_user_info, who, config)
        (account,) = place.world.gateway.accounts.values()
        assert (uid, info["token"]) == (account.uid, account.token)
        assert await ask(get_wt2, who, config) in account.passwords
        peer = account.peer(700_000_001)
        image = await ask(upload_image, file, peer.upload_id, who, config)
        assert (image["originImage"]["width"], image["tinyImage"]["height"]) == (400, 150)
        with pytest.raises(DeliveryRefused):
            await ask(upload_image, __file__, "", who, config)
        place.world.gateway.login = "other"
        with pytest.raises(CredentialsRejected):
            await ask(get_wt2, who, config)
        assert not place.world.gateway.upgrades

    story(work)


def test_the_session_takes_cookies_in_every_form(tmp_path):
    found = SessionManager()
    found.update_session({"a": "1"}, {"Cookie": "b=2; c=x=y", "User-Agent": "ua", "X-A": "z"})
    found.update_session("a=3; ; nothing")
    assert found.cookies == {"a": "3", "b": "2", "c": "x=y"}
    assert found.options() == {
        "cookies": "b=2; c=x=y; a=3", "headers": {"x-a": "z"}, "user_agent": "ua",
    }  # fmt: skip
    (tmp_path / "job.cookies").write_text("\ufeffd=4\n", "utf-8")
    found.load(tmp_path / "job.cookies")
    assert found.cookies["d"] == "4"
    found.cookies["d"] = "5"
    assert found.cookies["d"] == "4"


def test_the_settings_are_changed_by_name():
    config = ConfigManager("a.png", side="geek")
    config.update(send_resume_image=True, resume_image_file="b.png", url="ws://x/")
    assert (config.resume_image_file, config.send_resume_image) == ("b.png", True)
    assert config.options == {"side": "geek", "url": "ws://x/"}
    assert isinstance(session_manager, SessionManager)
    assert isinstance(config_manager, ConfigManager)
