"""The conformance client against an examiner of our own."""

import asyncio

import pytest
from websockets.asyncio.server import serve

from trunkline.dev.testee import Examinee
from trunkline.errors import LinkError, RemoteProtocolError


class Examiner:
    """Has three cases: an echo in both opcodes, one that ends at once, one that never ends."""

    def __init__(self, count: str = "3") -> None:
        self.count = count
        self.paths: list[str] = []
        self.echoes: list[str | bytes] = []

    async def __call__(self, connection) -> None:
        path = connection.request.path
        self.paths.append(path)
        if path == "/getCaseCount":
            await connection.send(self.count)
        elif path.startswith("/runCase?case=1&"):
            for data in ("text", b"binary", "text"):
                await connection.send(data)
                self.echoes.append(await connection.recv())
        elif path.startswith("/runCase?case=3&"):
            await connection.wait_closed()


async def test_every_case_is_run_echoed_and_reported():
    examiner, shown, troubles = Examiner(), [], []
    async with serve(examiner, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        examinee = Examinee(url, "a b", lambda *trouble: troubles.append(trouble), case_s=0.2)
        examined = await examinee.run(lambda *case: shown.append(case))
    assert examiner.echoes == ["text", b"binary", "text"]
    assert examiner.paths == [
        "/getCaseCount",
        *(f"/runCase?case={number}&agent=a%20b" for number in (1, 2, 3)),
        "/updateReports?agent=a%20b",
    ]
    assert shown == [(1, 3), (2, 3), (3, 3)]
    assert examined.cases == 3
    (unopened,) = examined.unopened
    assert unopened.startswith("3: /runCase?case=3")
    assert troubles == []


@pytest.mark.parametrize("count", ["", "many", "9999999"])
async def test_an_examiner_that_cannot_count_is_no_examiner(count):
    async with serve(Examiner(count), "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RemoteProtocolError, match="by a number"):
            await Examinee(url, "x", print).run(lambda *_: None)


async def test_nobody_there_is_a_link_error():
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(LinkError):
        await Examinee(f"ws://127.0.0.1:{port}", "x", print).run(lambda *_: None)
