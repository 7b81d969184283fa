"""Composition: what starts, in which order it stops, what a failed start leaves behind.

The whole program as a process is in `tests/e2e`; here it runs inside the test.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from boss_schema import with_two_more
from peers import chat, closing, visiting
from trunkline import failpoints
from trunkline.app import App
from trunkline.config import load_config
from trunkline.configuration.schemas import Schemas, make_schema
from trunkline.dialects.boss.importing import SCHEMA
from trunkline.errors import ConfigError, DataDirInUse, StoreUnavailable, UnsafeConfig
from trunkline.lines.contract import LineState
from trunkline.process.doors import Ready, ws_url
from trunkline.store.contract import Beat
from trunkline.telemetry.logs import ROOT
from trunkline.telemetry.watchdog import Stall

SITE = """\
[server]
port = 0

[log]
level = "error"

[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
bind = "127.0.0.1:0"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""


def app_of(folder: Path, text: str = SITE) -> App:
    path = folder / "trunkline.toml"
    path.write_text(text, encoding="utf-8")
    return App(load_config(path, {}))


@contextlib.asynccontextmanager
async def running(folder: Path, text: str = SITE) -> AsyncIterator[tuple[App, Ready]]:
    app = app_of(folder, text)
    ready = await app.start()
    try:
        yield app, ready
    finally:
        if not app.condition.is_stopping:
            await app.stop()


async def test_a_start_says_where_everything_is(tmp_path: Path) -> None:
    async with running(tmp_path) as (app, ready):
        assert ready.url.startswith("http://127.0.0.1:")
        assert ready.demo_url == f"{ready.url}/demo"
        assert set(ready.sockets) == {"core"}
        assert ready.sockets["core"].startswith("ws://127.0.0.1:")
        assert Path(ready.token_file).read_text().strip()
        assert app.lines["blog"].where[0] == f"{ws_url(ready.url)}/contact"
        assert app.condition.health().is_ready


async def test_stop_acknowledges_what_was_read_answers_it_and_closes_1001(tmp_path: Path) -> None:
    async with running(tmp_path) as (app, ready), visiting(f"{ws_url(ready.url)}/contact") as one:
        await one.send(chat("last words"))
        await one.until("chat_message")
        await one.send(chat("very last"))
        while not app.core._queue and app.lines["blog"].received < 2:
            await asyncio.sleep(0)
        stopping = asyncio.create_task(app.stop())
        frames = await one.until("chat_message")
        assert frames[0]["message"] == "收到：very last"
        assert (await closing(one.socket))[0] == 1001
        await stopping
        assert not len(app.tasks)


async def test_two_processes_on_one_folder(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(DataDirInUse):
            await app_of(tmp_path).start()


async def test_a_start_that_fails_lets_the_folder_go(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, ready):
        taken = ready.url.rpartition(":")[2]
        other = tmp_path / "other"
        other.mkdir()
        text = SITE.replace("port = 0", f"port = {taken}")
        with pytest.raises(ConfigError, match=taken):
            await app_of(other, text).start()
        ROOT.stop()
        app = app_of(other)
        await app.store.open()  # its lock is free
        await app.store.close()


def test_an_unsafe_configuration_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnsafeConfig):
        app_of(tmp_path, SITE.replace("port = 0", 'port = 0\nhost = "0.0.0.0"'))
    assert [path.name for path in tmp_path.iterdir()] == ["trunkline.toml"]


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        (SITE, "send.before_write:error", "failpoints is not true"),
        (SITE + "\n[dev]\nfailpoints = true\n", "nonsense:kill", "unknown failpoint"),
    ],
)
async def test_crash_points_are_refused_unless_asked_for_and_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: str, why: str
) -> None:
    monkeypatch.setenv("TRUNKLINE_FAILPOINT", value)
    with pytest.raises(ConfigError, match=why):
        await app_of(tmp_path, text).start()
    assert failpoints._armed == {}


async def test_a_store_that_is_away_shows_in_readiness_and_heals(tmp_path: Path) -> None:
    async with running(tmp_path) as (app, ready), visiting(f"{ws_url(ready.url)}/contact") as one:
        commit = app.store.commit
        is_away = True
        refused = asyncio.Event()

        async def gated(beat: Beat) -> Any:
            if is_away:
                refused.set()
                raise StoreUnavailable("gone for a test")
            return await commit(beat)

        app.store.commit = gated  # type: ignore[method-assign]
        await one.send(chat("hi"))
        await refused.wait()
        assert not app.condition.health().is_ready
        is_away = False
        await one.until("chat_message")
        assert app.condition.health().is_ready


async def test_a_task_that_dies_stops_the_process_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as (app, ready), visiting(f"{ws_url(ready.url)}/contact") as one:

        async def broken() -> None:
            raise ZeroDivisionError("ours")

        app.tasks.spawn(broken(), "broken")
        await app.run()
        assert (await closing(one.socket))[0] == 1001


async def test_the_pulse_of_the_loop_and_what_runs_are_in_the_metrics(tmp_path: Path) -> None:
    async with running(tmp_path, SITE + "\n[dev]\nclock_scale = 60\n") as (app, _):
        app.condition.stalled(Stall(0.2, is_ours=True, stack="x"))
        text = (await app.condition.metrics_text()).decode()
        assert "trunkline_app_loop_blocked_total 1.0" in text
        assert "trunkline_app_tasks 0.0" not in text
        assert "trunkline_app_threads 0.0" not in text
        assert any("60 times too fast" in note for note in app.condition.health().notes)
    assert app.condition.watchdog._thread is None


JOB = (
    SITE
    + """
[lines.job]
dialect = "boss"
cookies = "wt=a; bst=b"
url = "ws://127.0.0.1:1/chatws"
http_url = "http://127.0.0.1:1"
"""
)


async def test_lines_use_the_schema_that_was_imported_from_their_next_start_on(
    tmp_path: Path,
) -> None:
    made = make_schema(SCHEMA, with_two_more())
    async with running(tmp_path, JOB) as (app, _):
        Schemas(app.config.folder, "boss").keep(made)
        assert {line.schema for line in app.lines.values()} == {b""}
        folder = app.config.folder
    async with running(tmp_path, JOB) as (app, _):
        assert app.lines["job"].schema == made.data
        assert {line.schema for line in app.lines.values()} == {b"", made.data}
    (folder / "schemas" / "boss" / f"{made.sha256}.binpb").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="trunkline proto import"):
        async with running(tmp_path, JOB):
            pass


async def test_lines_that_dial_stay_below_the_limit_and_the_next_takes_the_free_place(
    tmp_path: Path,
) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "adapters").mkdir()
    async with running(tmp_path / "core") as (core, ready):
        url = ready.sockets["core"]
        lines = "".join(
            f'[lines.a{nth}]\ndialect = "maim"\nrole = "adapter"\nlink = "dial"\n'
            f'url = "{url}"\nplatform = "p{nth}"\n'
            for nth in range(4)
        )
        limits = '[server]\nport = 0\n[log]\nlevel = "error"\n[limits]\nmax_connections = 2\n'
        async with running(tmp_path / "adapters", limits + lines) as (app, _):

            def connected() -> list[str]:
                return [n for n, line in app.lines.items() if line.state is LineState.CONNECTED]

            def refused() -> list[str]:
                return [n for n, line in app.lines.items() if "max_connections" in line.error]

            async with asyncio.timeout(20):
                while len(connected()) + len(refused()) < 4:
                    await asyncio.sleep(0)
                assert (len(connected()), len(refused())) == (2, 2)
                assert core.gate.links == 2
                first, _ = connected()
                waits, _ = refused()
                app.supervisors[first].stop()
                app.lines[first].close_links(1000, "gone")
                while app.lines[first].drivers:
                    await asyncio.sleep(0)
                app.fleet.reconnect(waits)
                while waits not in connected():
                    await asyncio.sleep(0)
                assert len(connected()) == 2
