"""Backups of the real process under load, restored to elsewhere, started there.

Source: reliability 4 and 6
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

import product
from peers import dial, maim_message, maim_text, receive

pytestmark = pytest.mark.real

CONFIG = """\
[lines.core]
dialect = "maim"
path = "/ws"

[[rules]]
name = "echo"
match = "any"
reply = "re:{send_message}"
"""
BACKUPS = 3


async def test_what_was_answered_before_a_backup_is_in_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    answered: list[str] = []
    before: list[list[str]] = []
    is_over = False

    async def talk(url: str) -> None:
        number = 0
        large = "x" * 40_000  # bodies in files are part of it
        async with dial(url, {"platform": "qq"}) as adapter:
            while not is_over:
                words = f"{number}." + (large if number % 10 == 0 else "")
                await adapter.send(json.dumps(maim_message(words, ident=str(number))))
                assert maim_text(await receive(adapter)) == f"re:{words}"
                answered.append(str(number))  # what is answered was committed
                number += 1

    with product.serving(home, CONFIG) as running:
        talking = asyncio.create_task(talk(running.socket("/ws")))
        for nth in range(BACKUPS):
            while len(answered) < 50 * (nth + 1):
                await asyncio.sleep(0.01)  # the talk goes on over real sockets
                assert not talking.done() or talking.result() is None
            before.append(list(answered))
            done = await asyncio.to_thread(
                product.run, home, "backup", str(tmp_path / f"{nth}.zip"), "--json"
            )
            assert done.code == 0, done.text
            assert json.loads(done.out)["rows"]["inbox"] >= len(before[nth])
        is_over = True
        await talking
        refused = await asyncio.to_thread(
            product.run, home, "restore", str(tmp_path / "0.zip"), "--force"
        )
        assert refused.code == 73, refused.text
        assert str(running.pid) in refused.text
        running.stop()

    for nth in range(BACKUPS):
        folder = tmp_path / f"new{nth}"
        done = await asyncio.to_thread(
            product.run, tmp_path, "restore", str(tmp_path / f"{nth}.zip"), "--to", str(folder)
        )
        assert done.code == 0, done.text
        with contextlib.closing(product.database(folder)) as data:
            assert data.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            rows = data.execute("SELECT count(*), count(media) FROM inbox").fetchone()
            named = {row[0].hex() for row in data.execute("SELECT media FROM inbox") if row[0]}
        assert rows[0] >= len(before[nth])
        assert rows[1] > 0
        assert named <= {path.name for path in (folder / "media").iterdir()}
    with product.serving(tmp_path / "new0", None, "-c", "trunkline.toml") as again:
        async with dial(again.socket("/ws"), {"platform": "qq"}) as adapter:
            await adapter.send(json.dumps(maim_message("0.", ident="0")))  # a repeat: no answer
            await adapter.send(json.dumps(maim_message("still there?", ident="new")))
            assert maim_text(await receive(adapter)) == "re:still there?"
        assert again.token == (home / "api.token").read_text().strip()
        again.stop()


async def test_a_start_on_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    with product.serving(tmp_path, CONFIG) as running:
        running.stop()
    with (tmp_path / "trunkline.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    done = await asyncio.to_thread(
        product.run, tmp_path, "serve", "-c", "trunkline.toml", "--port", "0"
    )
    assert done.code == 1
    assert "ready " not in done.out
    assert "damaged" in done.err
    assert "trunkline restore" in done.err
    assert "Traceback" not in done.text
