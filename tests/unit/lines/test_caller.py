"""Who is calling."""

import pytest

from trunkline.lines.caller import (
    Caller,
    host_name,
    identify,
    is_host_allowed,
    is_loopback,
    parse_networks,
)

TRUSTED = parse_networks(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("128.0.0.1", False),
        ("::ffff:9.9.9.9", False),
        ("localhost.evil", False),
        ("", False),
    ],
)
def test_loopback(address, expected):
    assert is_loopback(address) is expected


CALLS = [
    ("127.0.0.1", {}, (), Caller("127.0.0.1", is_loopback=True)),
    ("9.9.9.9", {}, TRUSTED, Caller("9.9.9.9")),
    ("127.0.0.1", {"x-forwarded-for": "9.9.9.9"}, (), Caller("127.0.0.1", is_proxied=True)),
    ("127.0.0.1", {"x-forwarded-host": "a"}, (), Caller("127.0.0.1", is_proxied=True)),
    ("9.9.9.9", {"x-forwarded-for": "127.0.0.1"}, TRUSTED, Caller("9.9.9.9", is_proxied=True)),
    ("127.0.0.1", {"x-forwarded-for": "6.6.6.6, 9.9.9.9"}, TRUSTED, Caller("9.9.9.9")),
    ("127.0.0.1", {"x-forwarded-for": "6.6.6.6,9.9.9.9 , 10.0.0.7"}, TRUSTED, Caller("9.9.9.9")),
    ("127.0.0.1", {"x-forwarded-for": "10.1.1.1, 10.0.0.7"}, TRUSTED, Caller("127.0.0.1")),
    ("127.0.0.1", {"x-forwarded-for": "9.9.9.9:4711"}, TRUSTED, Caller("9.9.9.9")),
    ("127.0.0.1", {"x-forwarded-for": "[2001:db8::1]:443"}, TRUSTED, Caller("2001:db8::1")),
    ("127.0.0.1", {"x-forwarded-for": "9.9.9.9, unknown"}, TRUSTED, Caller("127.0.0.1")),
    ("127.0.0.1", {"x-forwarded-for": ""}, TRUSTED, Caller("127.0.0.1")),
    ("127.0.0.1", {"x-forwarded-proto": "https"}, TRUSTED, Caller("127.0.0.1")),
    (
        "fd00::1",
        {"forwarded": 'for=6.6.6.6, for="[2001:db8::1]:47"; proto=https'},
        TRUSTED,
        Caller("2001:db8::1"),
    ),
    ("10.0.0.1", {"forwarded": "FOR=9.9.9.9;by=10.0.0.1"}, TRUSTED, Caller("9.9.9.9")),
    ("10.0.0.1", {"forwarded": "for=_hidden"}, TRUSTED, Caller("10.0.0.1")),
]


@pytest.mark.parametrize(("peer", "headers", "trusted", "expected"), CALLS)
def test_identify(peer, headers, trusted, expected):
    assert identify(peer, headers, trusted) == expected


def test_a_forwarded_loopback_is_not_loopback():
    assert not identify("127.0.0.1", {"x-forwarded-for": "127.0.0.2"}, TRUSTED).is_loopback


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.b:80", "a.b"), ("A", "a"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("", "")],
)
def test_host_names(host, name):
    assert host_name(host) == name


def test_the_host_list():
    assert is_host_allowed("chat.example:443", ["chat.example"])
    assert is_host_allowed("anything", ["*"])
    assert is_host_allowed("192.168.0.1", [])
    assert not is_host_allowed("", [])
    assert not is_host_allowed("192.168.0.1.evil", [])


def test_proxies_must_be_addresses():
    with pytest.raises(ValueError, match="proxy"):
        parse_networks(["proxy.example"])
