"""What is refused before the upgrade, over a real socket: a status, a sentence, and the end."""

import pytest

from linkstand import StandDoor, standing
from rawsocket import KEY, RawSocket, upgrade_request
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Admit, Refuse
from trunkline.errors import ConfigError
from trunkline.lines.listen import GateRules
from trunkline.lines.quota import QuotaRules

REFUSED = {
    "version 8": ({"Sec-WebSocket-Version": "8"}, 426),
    "no version": ({"Sec-WebSocket-Version": None}, 426),
    "no upgrade": ({"Upgrade": None}, 426),
    "another upgrade": ({"Upgrade": "h2c"}, 426),
    "no connection": ({"Connection": "keep-alive"}, 426),
    "no key": ({"Sec-WebSocket-Key": None}, 400),
    "short key": ({"Sec-WebSocket-Key": "AAAA"}, 400),
    "broken key": ({"Sec-WebSocket-Key": "!" * 24}, 400),
    "non-ascii key": ({"Sec-WebSocket-Key": "é" * 24}, 400),
    "no host": ({"Host": None}, 400),
    "a body": ({"Content-Length": "5"}, 400),
    "two keys": ([("Sec-WebSocket-Key", KEY)], 400),
    "two hosts": ([("Host", "127.0.0.1")], 400),
    "two tokens": ([("Authorization", "a"), ("authorization", "b")], 400),
    "two origins": ([("Origin", "http://localhost")] * 2, 400),
    "another host": ({"Host": "evil.example:80"}, 403),
    "a foreign page": ({"Origin": "https://evil.example"}, 403),
    "an opaque page": ({"Origin": "null"}, 403),
    "an unknown proxy": ({"X-Forwarded-For": "10.0.0.1"}, 403),
    "an unknown proxy, new style": ({"Forwarded": "for=10.0.0.1"}, 403),
    "an unknown proxy, only a scheme": ({"X-Forwarded-Proto": "https"}, 403),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refusals(name):
    headers, status = REFUSED[name]
    async with standing() as stand:
        peer = await RawSocket.open(stand.port, headers=headers)
        assert peer.response.status == status
        assert peer.response.headers["content-type"].startswith("text/plain")
        assert peer.response.headers["connection"] == "close"
        assert peer.response.text.endswith("\n")
        assert "date" in peer.response.headers
        assert "server" not in peer.response.headers
        assert await peer.read_eof()
        assert stand.door.ears == []
        assert stand.gate.links == 0
        await peer.close()


async def test_426_names_what_is_wanted():
    async with standing() as stand:
        peer = await RawSocket.open(stand.port, headers={"Sec-WebSocket-Version": "8"})
        assert peer.response.headers["sec-websocket-version"] == "13"
        await peer.close()
        for request in (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            b"GET / HTTP/1.0\r\n\r\n",
        ):
            peer = await RawSocket.connect(stand.port)
            peer.write(request)
            response = await peer.read_response()
            assert response.status == 426
            assert response.headers["upgrade"] == "websocket"
            await peer.close()


async def test_http_1_0_is_not_upgraded():
    async with standing() as stand:
        peer = await RawSocket.connect(stand.port)
        peer.write(upgrade_request(first_line="GET / HTTP/1.0"))
        assert (await peer.read_response()).status in (400, 426)
        assert stand.door.ears == []
        await peer.close()


@pytest.mark.parametrize("path", ["/ws", "//", "/?x=1/ws", "/%2e", "/index.html"])
async def test_unknown_paths_are_the_apps(path):
    async with standing() as stand:
        stand.gate.remove("", "/")
        stand.gate.add("", "/known", stand.door)
        peer = await RawSocket.open(stand.port, path)
        assert peer.response.status == 404
        await peer.close()


@pytest.mark.parametrize("target", ["/a%20b", "/a b", "http://127.0.0.1/a%20b", "/a%20b?x=%41"])
async def test_paths_are_matched_exactly_after_decoding(target):
    async with standing() as stand:
        stand.gate.add("", "/a b", stand.door)
        peer = await RawSocket.open(stand.port, target)
        assert peer.response.status == (400 if target == "/a b" else 101)
        await peer.close()


async def test_slash_counts():
    async with standing() as stand:
        stand.gate.add("", "/ws", StandDoor())
        stand.gate.add("", "/ws/", stand.door)
        with pytest.raises(ConfigError, match="both want path '/ws'"):
            stand.gate.add("", "/ws", stand.door)
        peer = await RawSocket.open(stand.port, "/ws/")
        assert peer.response.status == 101
        assert len(stand.door.ears) == 1
        await peer.close()


async def test_what_the_door_is_told():
    async with standing() as stand:
        peer = await RawSocket.open(
            stand.port,
            "/?token=a%20b&token=c&empty=&x=%e4%bd%a0",
            [
                ("X-Name", "\xe5\xb9\xb3"),
                ("X-Twice", "1"),
                ("x-twice", "2"),
                ("Authorization", "t"),
            ],
        )
        assert peer.response.status == 101
        (head,) = stand.door.heads
        assert head.path == "/"
        assert head.query == {"token": "c", "empty": "", "x": "你"}
        assert head.headers["x-name"] == "\xe5\xb9\xb3"
        assert head.headers["x-twice"] == "2"
        assert head.headers["authorization"] == "t"
        assert "sec-websocket-key" not in head.headers
        assert head.peer == "127.0.0.1"
        assert head.is_loopback
        await peer.close()


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
async def test_the_doors_refusal_is_answered_with_its_sentence(status):
    async with standing(StandDoor(answer=Refuse(status, "because — so"))) as stand:
        peer = await RawSocket.open(stand.port)
        assert peer.response.status == status
        assert peer.response.text == "because — so\n"
        assert ("www-authenticate" in peer.response.headers) is (status == 401)
        await peer.close()


async def test_a_door_that_fails_is_500_and_told():
    door = StandDoor()

    def explode(head):
        raise RuntimeError("bug")

    door.admit = explode
    door.on_receive = None
    async with standing(door) as stand:
        peer = await RawSocket.open(stand.port)
        assert peer.response.status == 500
        assert stand.troubles[0][0] == "admit"
        await peer.close()


async def test_doors_come_and_go():
    async with standing() as stand:
        first = await RawSocket.open(stand.port)
        stand.gate.remove("", "/")
        second = await RawSocket.open(stand.port)
        assert (first.response.status, second.response.status) == (101, 404)
        stand.gate.add("", "/", stand.door)
        third = await RawSocket.open(stand.port)
        assert third.response.status == 101
        for peer in (first, second, third):
            await peer.close()


@pytest.mark.parametrize(
    ("origin", "origins", "is_public", "status"),
    [
        ("http://localhost:3000", (), False, 101),
        ("http://127.0.0.1", (), False, 101),
        ("http://[::1]:8080", (), False, 101),
        ("https://shop.example", ("https://shop.example",), False, 101),
        ("https://SHOP.example", ("https://shop.example/",), False, 101),
        ("https://shop.example.evil", ("https://shop.example",), False, 403),
        ("http://localhost.evil", (), False, 403),
        ("https://evil.example", (), True, 101),
        ("null", (), True, 101),
        ("https://evil.example", ("https://shop.example",), True, 403),
        ("http://localhost:3000", ("https://shop.example",), True, 403),
    ],
)
async def test_origins(origin, origins, is_public, status):
    async with standing(StandDoor(origins=origins, is_public=is_public)) as stand:
        peer = await RawSocket.open(stand.port, headers={"Origin": origin})
        assert peer.response.status == status
        await peer.close()


@pytest.mark.parametrize(
    ("host", "is_public", "status"),
    [
        ("localhost:8080", False, 101),
        ("LOCALHOST", False, 101),
        ("[::1]:8080", False, 101),
        ("192.168.1.2:80", False, 101),
        ("Chat.Example", False, 101),
        ("chat.example.evil", False, 403),
        ("evil", False, 403),
        ("evil", True, 101),
    ],
)
async def test_hosts(host, is_public, status):
    rules = GateRules(allowed_hosts=("chat.example",))
    async with standing(StandDoor(is_public=is_public), rules=rules) as stand:
        peer = await RawSocket.open(stand.port, headers={"Host": host})
        assert peer.response.status == status
        await peer.close()


async def test_a_public_door_ignores_the_header_of_an_unknown_proxy_but_is_not_loopback():
    async with standing(StandDoor(is_public=True)) as stand:
        peer = await RawSocket.open(stand.port, headers={"X-Forwarded-For": "9.9.9.9"})
        assert peer.response.status == 101
        (head,) = stand.door.heads
        assert (head.peer, head.is_loopback) == ("127.0.0.1", False)
        await peer.close()


async def test_a_trusted_proxy_names_the_caller():
    rules = GateRules(trusted_proxies=("127.0.0.0/8", "10.1.1.1"))
    async with standing(rules=rules) as stand:
        peer = await RawSocket.open(
            stand.port,
            headers=[("X-Forwarded-For", "6.6.6.6, 7.7.7.7"), ("X-Forwarded-For", "10.1.1.1")],
        )
        assert peer.response.status == 101
        (head,) = stand.door.heads
        assert (head.peer, head.is_loopback) == ("7.7.7.7", False)
        await peer.close()


# -- how many ----------------------------------------------------------------------------------

PROXY = ("127.0.0.1",)


def of(address: str) -> dict[str, str | None]:
    return {"X-Forwarded-For": address}


async def test_the_total_is_503():
    rules = GateRules(quota=QuotaRules(max_links=2))
    async with standing(rules=rules) as stand:
        one = await RawSocket.open(stand.port)
        two = await RawSocket.open(stand.port)
        three = await RawSocket.open(stand.port)
        assert [peer.response.status for peer in (one, two, three)] == [101, 101, 503]
        for peer in (one, two, three):
            await peer.close()


async def test_links_of_one_address_are_429_and_another_is_let_in():
    rules = GateRules(trusted_proxies=PROXY)
    async with standing(StandDoor(max_per_address=2), rules=rules, clock=FakeClock()) as stand:
        peers = [await RawSocket.open(stand.port, headers=of("7.7.7.7")) for _ in range(3)]
        assert [peer.response.status for peer in peers] == [101, 101, 429]
        assert "retry-after" in peers[2].response.headers
        other = await RawSocket.open(stand.port, headers=of("8.8.8.8"))
        assert other.response.status == 101
        await peers[0].close()
        await stand.door.ears[0].ended.wait()
        again = await RawSocket.open(stand.port, headers=of("7.7.7.7"))
        assert again.response.status == 101
        for peer in [*peers, other, again]:
            await peer.close()


async def test_new_links_of_one_address_are_paced():
    clock = FakeClock()
    rules = GateRules(trusted_proxies=PROXY, quota=QuotaRules(new_per_s=2, new_burst=3))
    async with standing(rules=rules, clock=clock) as stand:

        async def knock() -> int:
            peer = await RawSocket.open(stand.port, headers=of("7.7.7.7"))
            await peer.close()
            return peer.response.status

        assert [await knock() for _ in range(4)] == [101, 101, 101, 429]
        clock.advance(1)
        assert [await knock() for _ in range(3)] == [101, 101, 429]


async def test_ten_wrong_tokens_lock_an_address_out_for_five_minutes():
    clock = FakeClock()
    rules = GateRules(trusted_proxies=PROXY)
    async with standing(StandDoor(), rules=rules, clock=clock) as stand:

        async def knock(address: str = "7.7.7.7") -> int:
            peer = await RawSocket.open(stand.port, headers=of(address))
            await peer.close()
            return peer.response.status

        stand.door.answer = Refuse(401, "wrong token")
        assert [await knock() for _ in range(9)] == [401] * 9
        stand.gate.auth_failed("7.7.7.7")
        stand.door.answer = Admit("", 1000)
        assert await knock() == 429
        assert await knock("8.8.8.8") == 101
        clock.advance(299)
        assert await knock() == 429
        clock.advance(1)
        assert await knock() == 101


async def test_loopback_is_never_locked_out_or_counted():
    rules = GateRules(quota=QuotaRules(new_burst=1, failures_per_min=1))
    async with standing(StandDoor(max_per_address=1), rules=rules, clock=FakeClock()) as stand:
        stand.gate.auth_failed("127.0.0.1")
        peers = [await RawSocket.open(stand.port) for _ in range(4)]
        assert {peer.response.status for peer in peers} == {101}
        for peer in peers:
            await peer.close()
