"""Guide 000: the account of a Boss直聘 chat as a thread, over `connect` (`boss 6`, `guides 3`).

    session_manager.update_session({"wt2": "…"}, {"User-Agent": "…"})   # from the owner's browser
    client = WsClient()
    client.start()
    client.send_text("600100200", "您好")

Cookies and headers come from `session_manager`: what it is given later is used by every client at
once, also by one whose login was refused. The thread owns one loop and one line; its callbacks are
called in another thread, one after another, so they may send and wait. It keeps the pace of a
boss line: `every_s` (6) between two messages and `daily` (150). MQTT and protobuf are trunkline's
own: no library is patched and no `_pb2` file is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from trunkline.embed import EmbeddedLine, Fate, connect
from trunkline.embed.asides import ask_aside
from trunkline.embed.sending import Message
from trunkline.errors import LinkTimeout, TrunklineError
from trunkline.model.event import Event, MessageReceived, RequestReceived
from trunkline.model.message import plain_text
from trunkline.model.segment import Image
from trunkline.telemetry.logs import get_logger
from trunkline.wire.cookies import parse_cookies

STOP_S: Final = 10.0
SEND_S: Final = 20.0  # an upload belongs to it
_COOKIES: Final = "cookies"
_USER_AGENT: Final = "user-agent"
_log = get_logger("guides")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
T = TypeVar("T")


class SessionManager:
    """The newest cookies and headers of the account; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cookies: dict[str, str] = {}
        self._headers: dict[str, str] = {}
        self._told: list[Callable[[], None]] = []

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, by name."""
        with self._lock:
            return dict(self._cookies)

    @property
    def headers(self) -> dict[str, str]:
        """The headers, by name."""
        with self._lock:
            return dict(self._headers)

    def update_session(
        self, cookies: Mapping[str, str] | str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Add or replace cookies and headers; clients that run log in anew with them.

        Args:
            cookies: by name, or as a browser's `Cookie` header has them.
            headers: by name; a `Cookie` among them counts as cookies.
        """
        given = dict(headers or {})
        named = [name for name in given if name.lower() == "cookie"]
        found = {k: v for name in named for k, v in parse_cookies(given.pop(name)).items()}
        found.update(parse_cookies(cookies) if isinstance(cookies, str) else cookies)
        with self._lock:
            self._cookies.update(found)
            self._headers.update(given)
            told = list(self._told)
        for call in told:
            call()

    def load(self, file: str | Path) -> None:
        """Read the cookies from a file, as a browser has them."""
        self.update_session(Path(file).read_text("utf-8-sig").strip())

    def listen(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have something called after every update; what is returned ends that."""
        with self._lock:
            self._told.append(call)

        def forget() -> None:
            with self._lock:
                self._told.remove(call)

        return forget

    def options(self) -> dict[str, Any]:
        """What a line needs of it."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        agent = headers.pop(_USER_AGENT, "")
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        found: dict[str, Any] = {_COOKIES: cookies, "headers": headers}
        return found | ({"user_agent": agent} if agent else {})


class ConfigManager:
    """The settings of the account.

    Args:
        resume_image_file: the picture of the resume.
        send_resume_image: answer a request for the resume with that picture.
        options: further keys of a boss line (`docs/options.md`), such as `url` or `side`.
    """

    def __init__(
        self, resume_image_file: str = "", *, send_resume_image: bool = False, **options: Any
    ) -> None:
        self.resume_image_file = resume_image_file
        self.send_resume_image = send_resume_image
        self.options = options

    def update(self, **settings: Any) -> None:
        """Change some; a client takes options when it connects and the rest at once."""
        for name in ("resume_image_file", "send_resume_image"):
            if name in settings:
                setattr(self, name, settings.pop(name))
        self.options.update(settings)


session_manager = SessionManager()
config_manager = ConfigManager()


class WsClient(threading.Thread):
    """The chat of one account. Override the callbacks, `start()`, and `stop()` in the end.

    It waits for cookies, connects, and connects again with the newest ones. A login that is refused
    is told by `_on_error`, and then it waits for others.

    Args:
        session, config: where cookies, headers and settings come from.
        options: further keys of a boss line; they win over those of `config`.
    """

    def __init__(
        self,
        session: SessionManager = session_manager,
        config: ConfigManager = config_manager,
        **options: Any,
    ) -> None:
        super().__init__(name="boss", daemon=True)
        self.session = session
        self.config = config
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()  # other cookies, or the end
        self._line: EmbeddedLine | None = None
        self._is_stopping = False
        self._connected = threading.Event()
        self._caller = 0  # the thread of the callbacks
        self._calls = ThreadPoolExecutor(1, "boss callbacks", self._note_caller)

    # -- life --------------------------------------------------------------------------------

    def run(self) -> None:
        """The thread: called by `start`, not by you."""
        forget = self.session.listen(lambda: self._soon(self._renew))
        try:
            asyncio.run(self._live())
        finally:
            self._loop = None
            forget()
            self._calls.shutdown(wait=False, cancel_futures=True)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Close the connection and end the thread; callbacks may call it too."""
        self._is_stopping = True
        self._soon(self._end)
        if self.is_alive() and threading.get_ident() not in (self.ident, self._caller):
            self.join(timeout_s)

    def wait_connected(self, timeout_s: float | None = None) -> bool:
        """Wait until the connection is there; return whether it is."""
        return self._connected.wait(timeout_s)

    @property
    def is_connected(self) -> bool:
        """Whether the gateway hears us."""
        return self._connected.is_set()

    # -- sending -----------------------------------------------------------------------------

    def send_text(self, to: str | int, text: str, *, timeout_s: float = SEND_S) -> Fate:
        """Say a text and wait for what becomes of it.

        Args:
            to: the number of a person, or the encrypted id of one whose number is not known.
            timeout_s: how long to wait for a connection, then for the line's pace, then for the
                platform's word. A pace that takes longer is an outcome LATER: nothing was sent.

        Raises:
            DeliveryRefused: the platform said no.
            LinkTimeout: there is no connection.
        """
        return self._send(to, text, timeout_s)

    def send_image(self, to: str | int, file: str | Path, *, timeout_s: float = SEND_S) -> Fate:
        """Upload a picture and send it; as `send_text`."""
        path = Path(file)
        return self._send(to, Image(data=path.read_bytes(), name=path.name), timeout_s)

    def accept(self, boss_id: str | int, mid: str | int, asked: str = "resume") -> Fate:
        """Accept what somebody asked for.

        Args:
            mid: of the question.
            asked: `resume`, `phone` or `wechat`.
        """
        target, data = _target(boss_id), {"mid": str(mid), "asked": asked}
        return self._ask(lambda line: line.act("accept", data, target, timeout_s=SEND_S), SEND_S)

    def _send(self, to: str | int, what: Message, timeout_s: float) -> Fate:
        target = _target(to)
        return self._ask(lambda line: line.send(target, what, timeout_s=timeout_s), timeout_s)

    # -- callbacks, to be overridden -----------------------------------------------------------

    def _on_connect(self) -> None:
        """The connection is there, also after each reconnect."""

    def _on_disconnect(self, error: BaseException) -> None:
        """The connection has ended; another one is on its way."""

    def _on_error(self, error: BaseException) -> None:
        """An attempt failed, the login was refused, or a callback raised."""
        _log.warning("boss client", error=str(error))

    def _on_message(self, event: Event) -> None:
        """Something arrived; calls the two below. Override it to see cards and notices too."""
        if isinstance(event, MessageReceived) and not event.is_own and event.sender is not None:
            if text := plain_text(event.segments):
                self.on_text_message(event.sender.id, text, event.at_ms or 0)
        elif isinstance(event, RequestReceived) and event.name == "resume":
            mid = str(_decode(event.data).get("mid", event.peer_id))
            self.on_request_resume(event.chat.id, mid)

    def on_text_message(self, from_uid: str, text: str, timestamp: int) -> None:
        """Somebody said something.

        Args:
            timestamp: unix milliseconds.
        """

    def on_request_resume(self, boss_id: str, mid: str) -> None:
        """A recruiter wants the resume: its picture goes out when `config` says so."""
        del mid
        file = self.config.resume_image_file
        if self.config.send_resume_image and file and Path(file).is_file():
            self.send_image(boss_id, file)

    # -- inside ------------------------------------------------------------------------------

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not self._is_stopping:
            self._news.clear()
            if not self.session.cookies:
                await self._news.wait()
                continue
            if (error := await self._serve()) is not None:
                await self._call(self._on_error, error)
                # Nothing changes before somebody gives other cookies or settings.
                await self._news.wait()

    async def _serve(self) -> TrunklineError | None:
        """Keep a line open until the end, or until it has given up and why."""
        try:
            self._line = self._make()
            await self._line.run()
        except TrunklineError as error:
            return error
        finally:
            self._line = None
            self._connected.clear()
        return None

    def _make(self) -> EmbeddedLine:
        line = connect("boss", **self._given())
        line.on_connect(self._was_connected)
        line.on_disconnect(self._was_disconnected)
        line.on_error(partial(self._call, self._on_error))
        line.on_message(partial(self._call, self._on_message))
        return line

    def _given(self) -> dict[str, Any]:
        return {**self.session.options(), **self.config.options, **self._options}

    async def _was_connected(self) -> None:
        self._connected.set()
        await self._call(self._on_connect)

    async def _was_disconnected(self, error: BaseException) -> None:
        self._connected.clear()
        await self._call(self._on_disconnect, error)

    async def _call(self, call: Callable[..., None], *arguments: object) -> None:
        """Call in the other thread; what it raises is told, and nothing ends by it."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._calls, call, *arguments)
        except Exception as error:  # noqa: BLE001 - somebody else's code must not end the line
            if call == self._on_error:
                _log.error("callback failed", error=error)
            else:
                await self._call(self._on_error, error)

    def _renew(self) -> None:
        """The session has news: the line logs in anew, or is made at last."""
        self._news.set()
        line = self._line
        if line is not None and line.line is not None and not self._is_stopping:
            try:
                line.renew(**self.session.options())
            except TrunklineError as error:
                _log.error("cookies not taken up", error=error)

    def _end(self) -> None:
        self._news.set()
        if self._line is not None:
            self._line.shutdown_now()

    def _soon(self, call: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(call)

    def _note_caller(self) -> None:
        self._caller = threading.get_ident()

    def _ask(self, work: Callable[[EmbeddedLine], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """Do something on the line from another thread, and wait for it."""
        self._connected.wait(timeout_s)
        line, loop = self._line, self._loop
        if line is None or loop is None:
            raise LinkTimeout("the client is not connected")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work(line), loop)
        return future.result(3 * timeout_s + STOP_S)


# -- without a connection ----------------------------------------------------------------------


def get_user_info(
    session: SessionManager = session_manager, config: ConfigManager = config_manager
) -> tuple[int, dict[str, Any]]:
    """Ask who is logged in; return the number, and what the site says of the user.

    Raises:
        CredentialsRejected: the login is over.
        ChallengeRequired: the site asks for a verification in the browser.
        LinkError: the site did not answer.
    """
    info: dict[str, Any] = _ask_site("user_info", session, config)
    return int(info["userId"]), info


def get_wt2(
    session: SessionManager = session_manager, config: ConfigManager = config_manager
) -> str:
    """Ask for a new password of the chat; clients do by themselves before each connection.

    Raises:
        TrunklineError: as `get_user_info`.
    """
    return _ask_site("wt2", session, config)


def upload_image(
    file: str | Path,
    security_id: str = "",
    session: SessionManager = session_manager,
    config: ConfigManager = config_manager,
) -> dict[str, Any]:
    """Upload a picture; return it as a message carries it: `tinyImage`, `originImage`.

    Args:
        security_id: of whom it is for; `WsClient.send_image` finds it by itself.

    Raises:
        DeliveryRefused: it is no picture, or the site does not take it.
        TrunklineError: as `get_user_info`.
    """
    path = Path(file)
    data = path.read_bytes()
    return _ask_site("upload", session, config, data=data, name=path.name, security_id=security_id)


def _ask_site(
    call: str, session: SessionManager, config: ConfigManager, /, **arguments: object
) -> Any:
    options = {**session.options(), **config.options}
    # In a thread of its own: whoever calls may have a loop that runs.
    with ThreadPoolExecutor(1) as pool:
        done: Future[Any] = pool.submit(asyncio.run, ask_aside("boss", call, options, **arguments))
        return done.result()


def _target(to: str | int) -> str:
    """A number is a person's; anything else is an encrypted id. Source: boss 3"""
    text = str(to)
    return f"user:{text}" if text.partition(".")[0].isdecimal() else f"key:{text}"
