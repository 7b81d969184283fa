"""Every contact vector over a real WebSocket, those that only a real link can run included."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

import contact_vectors
from peers import closing, dial
from product import Product

IDS = [case["id"] for case in contact_vectors.CASES]


def test_the_cases_that_only_a_real_link_runs_are_here() -> None:
    assert set(IDS) >= contact_vectors.WIRE_ONLY
    assert len(IDS) == 43


async def _drive(url: str, case: dict[str, Any]) -> contact_vectors.Seen:
    async with dial(url) as socket:
        seen = contact_vectors.Seen(str(await socket.recv()))
        try:
            for out in contact_vectors.outgoing(case):
                parts = out.parts if len(out.parts) > 1 else out.data
                await socket.send(parts, text=out.is_text)
            for _ in range(contact_vectors.expected_count(case)):
                seen.frames.append(str(await socket.recv()))
            if case["connection_after"] == "open":
                await socket.send(contact_vectors.PING)
                seen.after = str(await socket.recv())
        except ConnectionClosed:
            pass
        if case["connection_after"] != "open" or seen.after is None:
            seen.close = (await closing(socket))[0]
        return seen


@pytest.mark.parametrize("case", contact_vectors.CASES, ids=IDS)
async def test_vector(site: Product, case: dict[str, Any]) -> None:
    contact_vectors.verify(case, await _drive(site.socket("/contact"), case))


async def test_every_connection_has_an_id_of_its_own(site: Product) -> None:
    found: set[str] = set()
    for _ in range(20):
        async with dial(site.socket("/contact")) as socket:
            found.add(json.loads(await socket.recv())["client_id"])
    assert len(found) == 20
