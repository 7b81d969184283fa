"""Handed-over sockets: whose they are, which address they are for, what is refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence

import pytest

from linkstand import standing
from rawsocket import RawSocket
from trunkline.errors import ConfigError
from trunkline.web.activation import Handed, Sockets, read_handed
from trunkline.web.server import Server, Socket, not_found

FIRST = 200  # of the descriptors here, where nothing else is


@pytest.fixture
def hand() -> Iterator[object]:
    """Put sockets at the descriptors from `FIRST` on; return the environment that tells of them."""
    used: list[int] = []

    def put(*sockets: socket.socket, names: Sequence[str] = (), pid: int = os.getpid()):
        for nth, one in enumerate(sockets):
            os.dup2(one.fileno(), FIRST + nth, True)
            used.append(FIRST + nth)
        env = {"LISTEN_PID": str(pid), "LISTEN_FDS": str(len(sockets))}
        return env | ({"LISTEN_FDNAMES": ":".join(names)} if names else {})

    yield put
    for number in used:
        try:
            os.close(number)
        except OSError:
            continue


def listening(host: str = "127.0.0.1", family: int = socket.AF_INET) -> socket.socket:
    one = socket.socket(family)
    one.bind((host, 0))
    one.listen()
    return one


def read(env: dict[str, str]) -> list[Handed]:
    return read_handed(env, os.getpid(), FIRST)


def test_nothing_is_handed_over_without_the_variables():
    assert read_handed({}, os.getpid()) == []


def test_what_was_for_a_parent_is_not_ours(hand):
    with listening() as one:
        assert read(hand(one, pid=os.getpid() + 1)) == []


def test_a_socket_comes_with_its_name_and_is_not_inherited(hand):
    with listening() as one:
        (found,) = read(hand(one, names=["web"]))
        with found.sock:
            assert (found.host, found.port) == one.getsockname()
            assert str(found) == f"127.0.0.1:{found.port} (web)"
            assert not os.get_inheritable(found.sock.fileno())
            assert found.sock.getblocking() is False


@pytest.mark.parametrize("count", ["x", "-1", "257", "²"])
def test_a_number_that_is_none_is_refused(count):
    env = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}
    with pytest.raises(ConfigError, match="LISTEN_FDS"):
        read(env)


def test_what_does_not_listen_is_refused_with_everything_else_let_go(hand):
    with (
        listening() as good,
        socket.socket() as deaf,
        socket.socket(type=socket.SOCK_DGRAM) as gram,
    ):
        with pytest.raises(ConfigError) as refused:
            read(hand(good, deaf, gram))
        assert len(refused.value.problems) == 2
        assert all("not a listening TCP socket" in one for one in refused.value.problems)
        os.fstat(FIRST)  # still open: it belongs to who handed it over


def test_a_descriptor_that_is_no_socket_is_refused(hand):
    reading, writing = os.pipe()
    try:
        os.dup2(reading, FIRST)
        env = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        with pytest.raises(ConfigError, match="no socket"):
            read(env)
    finally:
        for number in (reading, writing, FIRST):
            os.close(number)


def test_the_address_decides_and_not_the_name():
    with listening() as one, listening() as two:
        sockets = Sockets([Handed(one, "b"), Handed(two, "a")])
        assert sockets.take("a", ["127.0.0.1"], one.getsockname()[1]) == [one]
        assert sockets.take("b", ["127.0.0.1"], two.getsockname()[1]) == [two]
        assert sockets.require_none() == []


def test_an_address_takes_nothing_of_another_host_or_port():
    with listening() as one:
        port = one.getsockname()[1]
        sockets = Sockets([Handed(one, "")])
        assert sockets.take("", ["127.0.0.2"], port) == []
        assert sockets.take("", ["127.0.0.1"], port + 1) == []
        (problem,) = sockets.require_none()
        assert f"127.0.0.1:{port} matches no bind" in problem


def test_where_any_port_will_do_the_name_decides():
    with listening() as one, listening() as two:
        sockets = Sockets([Handed(one, "api"), Handed(two, "main")])
        assert sockets.take("", ["127.0.0.1"], 0) == [two]
        assert sockets.take("127.0.0.1:0", ["127.0.0.1"], 0) == [one]


@pytest.mark.parametrize("v6_only", [0, 1])
def test_a_socket_for_both_families_serves_the_ipv4_wildcard(v6_only):
    one = socket.socket(socket.AF_INET6)
    try:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
        one.bind(("::", 0))
    except OSError as error:
        one.close()
        pytest.skip(f"no IPv6 here: {error}")
    one.listen()
    with one:
        taken = Sockets([Handed(one, "")]).take("", ["0.0.0.0"], one.getsockname()[1])
        assert taken == ([] if v6_only else [one])


async def test_a_server_serves_a_handed_socket_and_opens_the_rest():
    with listening() as one:
        port = one.getsockname()[1]
        async with standing() as stand:
            sockets = Sockets([Handed(one.dup(), "")])
            server = Server(
                not_found, stand.gate,
                [Socket("", "127.0.0.1", port), Socket("x", "127.0.0.1", 0)], handed=sockets,
            )  # fmt: skip
            bound = await server.start()
            assert bound[""] == f"http://127.0.0.1:{port}"
            assert bound["x"] != bound[""]
            peer = await RawSocket.connect(port)
            await peer.close()
            await server.stop(0.0)
        # Whoever handed it over still listens: who comes now waits and is not refused.
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


async def test_a_server_with_a_socket_too_many_does_not_start_and_opens_nothing():
    with listening() as one, listening() as other:
        port = other.getsockname()[1]
        other.close()
        async with standing() as stand:
            server = Server(
                not_found, stand.gate, [Socket("", "127.0.0.1", port)],
                handed=Sockets([Handed(one.dup(), "")]),
            )  # fmt: skip
            with pytest.raises(ConfigError, match="matches no bind"):
                await server.start()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
