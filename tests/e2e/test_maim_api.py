"""The API-Server vectors over real sockets, on the path of the classic line. Source: maim 9"""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from maim_vectors import load
from peers import closing, dial, maim_message, maim_text, receive
from product import Product

CASES = {
    case["id"]: case
    for case in load("api_server_vectors")
    if "client_replies_first" not in case["expect"]  # those are for an adapter
}


def _url(site: Product, platform: str, key: str = "K1", path: str = "/ws") -> str:
    return f"{site.socket(path)}?api_key={key}&platform={platform}"


def _std(text: str, ident: str, platform: str) -> dict[str, Any]:
    frame = json.loads(json.dumps(CASES["A001"]["frame_json"]))
    frame["msg_id"] = ident
    frame["payload"]["message_info"]["platform"] = platform
    frame["payload"]["message_segment"]["data"][0]["data"] = text
    return frame


@pytest.mark.parametrize("ident", CASES)
async def test_vector(site: Product, ident: str) -> None:
    """Each on a connection of its own platform; a marker after it shows that all was said."""
    expect, platform = CASES[ident]["expect"], f"api-{ident}"
    async with dial(_url(site, platform)) as socket:
        if "precondition" in CASES[ident]:
            await socket.send(json.dumps(CASES["A001"]["frame_json"]))
            assert [(await receive(socket))["type"] for _ in range(2)] == ["sys_ack", "sys_std"]
        await socket.send(json.dumps(CASES[ident]["frame_json"]))
        await socket.send(json.dumps(_std("marker", "marker", platform)))
        acks: list[str] = []
        said: list[str] = []
        while "收到：marker" not in said:
            frame = await receive(socket)
            if frame["type"] == "sys_ack":
                acks.append(frame["meta"]["acked_msg_id"])
            else:
                said.append(maim_text(frame["payload"]))
        wanted = [expect["replies_first"]["meta.acked_msg_id"]] if "replies_first" in expect else []
        assert sorted(acks) == sorted([*wanted, "marker"])
        meaning = expect["meaning"]
        answers = [f"收到：{meaning['text']}"] if meaning and "text" in meaning else []
        assert said == [*answers, "收到：marker"]


async def test_a_key_is_checked_against_the_token_of_the_line(site: Product) -> None:
    async with dial(_url(site, "qq", "wrong", "/guarded")) as socket:
        assert (await closing(socket))[0] == 1008
    async with dial(_url(site, "api-key", "T0", "/guarded")) as socket:
        await socket.send(json.dumps(_std("hi", "m", "api-key")))
        assert [(await receive(socket))["type"] for _ in range(2)] == ["sys_ack", "sys_std"]


async def test_both_lines_share_the_path_and_the_core(site: Product) -> None:
    async with (
        dial(_url(site, "both-api")) as api,
        dial(site.socket("/ws"), {"platform": "both-classic"}) as classic,
    ):
        await api.send(json.dumps(_std("a", "m", "both-api")))
        await classic.send(json.dumps(maim_message("c", platform="both-classic")))
        assert maim_text(await receive(classic)) == "收到：c"
        frames = [await receive(api) for _ in range(2)]
        assert [frame["type"] for frame in frames] == ["sys_ack", "sys_std"]
        assert maim_text(frames[1]["payload"]) == "收到：a"
        assert frames[1]["payload"]["message_dim"] == {"api_key": "K1", "platform": "both-api"}


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
def test_a_socket_io_client_is_told_what_to_do_also_when_it_begins_with_polling(
    site: Product, path: str
) -> None:
    """Maim 10: it polls first, at the path with a slash behind it."""
    answer = site.ask(f"{path}?EIO=4&transport=polling&t=abc")
    assert answer.status == 400
    assert "maim_message==0.6.8" in answer.body
    assert site.ask("/ws?transport=polling").status == 426
    assert site.ask("/ws/?transport=polling").status == 404
    assert site.ask("/nowhere/?EIO=4").status == 404


async def test_a_socket_io_client_that_upgrades_at_once_is_told_too(site: Product) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await dial(f"{site.socket('/ws/')}?EIO=4&transport=websocket")
    assert refused.value.response.status_code == 400
    assert b"maim_message==0.6.8" in (refused.value.response.body or b"")


async def test_the_same_connection_id_again_closes_the_first_with_1000(site: Product) -> None:
    url, headers = _url(site, "api-twin"), {"x-uuid": "u1"}
    older = await dial(url, headers)
    async with dial(url, headers) as newer, dial(url) as other:
        assert (await closing(older))[0] == 1000
        for nth, socket in enumerate((newer, other)):
            await socket.send(json.dumps(_std(f"t{nth}", f"m{nth}", "api-twin")))
            wanted = {"sys_ack", f"收到：t{nth}"}
            while wanted:  # the platform's other connections are told of each other's answers
                frame = await receive(socket)
                wanted.discard(frame["type"])
                wanted -= {maim_text(frame["payload"])} if frame["type"] == "sys_std" else set()
