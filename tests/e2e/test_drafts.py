"""Drafts as a user meets them: seen, edited, approved – and not doubled by `kill -9`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import product
from peers import dial, maim_message, maim_text, receive
from product import Product
from sse import Listener

CORE = """\
[lines.core]
dialect = "maim"
path = "/ws"
mode = "draft"
{more}
[[rules]]
name = "echo"
match = "any"
reply = "收到：{{send_message}}"
"""
PLATFORM = {"platform": "qq"}


async def ask(site: Product, *words: str) -> list[dict[str, Any]]:
    """Say something and return the drafts that answer it, oldest first."""
    with Listener(site.port, site.token, "?start=oldest") as listener:
        async with dial(site.socket("/ws"), PLATFORM) as socket:
            for one in words:
                await socket.send(json.dumps(maim_message(one)))
                answer = f"收到：{one}"
                await asyncio.to_thread(listener.until, "delivery", state="draft", text=answer)
    found = site.get("/api/v1/deliveries?state=draft")["deliveries"]
    return list(reversed(found))


def delivery(site: Product, ident: str, wait_s: int = 0) -> dict[str, Any]:
    return site.get(f"/api/v1/deliveries/{ident}?wait={wait_s}")


async def test_an_approved_draft_survives_a_kill_and_leaves_once_within_its_pace(
    tmp_path: Path,
) -> None:
    site = product.start(tmp_path, CORE.format(more="daily = 1\n"))
    try:
        first, second = await ask(site, "一", "二")
        words = ("outbox", "approve", first["id"], "--text", "亲，在的", "-c", "trunkline.toml")
        done = await asyncio.to_thread(product.run, tmp_path, *words)
        assert (done.code, done.out.split()[:2]) == (0, [first["id"], "queued"])
        site.kill()  # its peer is away: nothing has left
        site = product.start(tmp_path, None, "-c", "trunkline.toml")
        again = await asyncio.to_thread(product.run, tmp_path, *words)
        assert (again.code, "as before" in again.out) == (0, True)
        async with dial(site.socket("/ws"), PLATFORM) as socket:
            assert maim_text(await receive(socket)) == "亲，在的"
            left = await asyncio.to_thread(delivery, site, first["id"], 10)
            assert (left["state"], left["source"]) == ("sent", "person")
        site.kill()
        site = product.start(tmp_path, None, "-c", "trunkline.toml")
        async with dial(site.socket("/ws"), PLATFORM) as socket:
            # The day has its one: the other is approved and waits, also after the restart.
            site.get(f"/api/v1/deliveries/{second['id']}/approve", method="POST")
            shown = delivery(site, second["id"])
            assert shown["state"] == "queued"
            # Midnight in China, where a site is unless `[site] utc_offset_h` says otherwise.
            assert shown["paced_until"].endswith("T16:00:00.000Z")
            (line,) = site.get("/api/v1/lines")["lines"]
            assert (line["pace"]["sent_today"], line["drafts"]) == (1, 0)
            left = delivery(site, first["id"])
            assert (left["state"], left["attempt"]) == ("sent", 1)
        site.stop()
    finally:
        site.kill()


async def test_a_kill_between_claim_and_write_holds_the_draft_for_its_person(
    tmp_path: Path,
) -> None:
    more = "\n[dev]\nfailpoints = true\n"
    site = product.start(
        tmp_path, CORE.format(more=more), env={"TRUNKLINE_FAILPOINT": "claim.after_commit:kill:1"}
    )
    try:
        (draft,) = await ask(site, "一")
        async with dial(site.socket("/ws"), PLATFORM):
            site.get(f"/api/v1/deliveries/{draft['id']}/approve", method="POST")
            await asyncio.to_thread(site.process.wait, 15)
        site.kill()
        site = product.start(tmp_path, None, "-c", "trunkline.toml")
        async with dial(site.socket("/ws"), PLATFORM) as socket:
            held = delivery(site, draft["id"])
            assert (held["state"], held["is_held"]) == ("uncertain", True)
            refused = site.ask(
                f"/api/v1/deliveries/{draft['id']}/approve",
                method="POST",
                Authorization=f"Bearer {site.token}",
            )
            assert (refused.status, "requeue" in refused.body["detail"]) == (409, True)
            site.get(f"/api/v1/deliveries/{draft['id']}/requeue", method="POST")
            assert maim_text(await receive(socket)) == "收到：一"
        site.stop()
    finally:
        site.kill()
