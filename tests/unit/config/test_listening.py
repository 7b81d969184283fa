"""Tokens are judged by form; nothing short, repetitive or printed in a guide guards a door."""

import secrets

import pytest

from trunkline.configuration.listening import is_private_network, is_strong


@pytest.mark.parametrize(
    "token",
    [
        "",
        "short",
        "0123456789abcdef0123456789abcde",  # 31 hexadecimal digits
        "a" * 64,
        "abababababababababababababababab",
        "demo-K7dXq2vN9sLw4RtYbE8mJc5h",
        "your_token_K7dXq2vN9sLw4RtYbE8m",
        "changeme-K7dXq2vN9sLw4RtYbE8mJc",
        "83920571648392057164839205716483920571"[:38],  # 126 bits of digits
        "K7dXq2vN9sLw4RtYbE8mJ",  # 21 characters
    ],
)
def test_weak(token):
    assert not is_strong(token)


@pytest.mark.parametrize(
    "token",
    [
        "K7dXq2vN9sLw4RtYbE8mJc",  # 22 characters
        "9f86d081884c7d659a2feaa0c55ad015",  # 32 hexadecimal digits
        "9f86d081-884c-7d65-9a2f-eaa0c55ad015",
        "839205716483920571648392057164839205716"[:39],
    ],
)
def test_strong(token):
    assert is_strong(token)


def test_what_our_own_generators_make_is_strong():
    assert all(is_strong(secrets.token_urlsafe(24)) for _ in range(200))


@pytest.mark.parametrize(
    ("host", "is_private"),
    [
        ("10.1.2.3", True), ("172.16.0.1", True), ("192.168.0.1", True), ("fd00::1", True),
        ("0.0.0.0", False), ("::", False), ("8.8.8.8", False), ("172.32.0.1", False),
        ("2001:4860::1", False), ("127.0.0.1", False), ("nas.local", False),
    ],
)  # fmt: skip
def test_private_networks(host, is_private):
    assert is_private_network(host) is is_private
