from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from asgi import Answer, call
from trunkline.clock import FakeClock
from trunkline.errors import ConfigError
from trunkline.web.app import make_app
from trunkline.web.auth import (
    MAX_ADDRESSES,
    OPEN,
    OPEN_HERE,
    SAFE_METHODS,
    Access,
    LockOut,
    digest_token,
    ensure_api_token,
)
from web_stand import TOKEN, Report, make_services

STRANGER = "203.0.113.9"


def access(**changes: object) -> Access:
    return Access(digest_token(TOKEN), **changes)  # type: ignore[arg-type]


def live_routes() -> list[tuple[str, str]]:
    app = make_app(make_services())
    return [(method, route.path) for route in app.routes for method in sorted(route.methods)]  # type: ignore[attr-defined]


def test_what_is_open_here_is_a_route() -> None:
    assert {path for _, path in live_routes()} >= OPEN_HERE
    assert not OPEN & OPEN_HERE


def test_every_open_path_is_a_route_that_only_reads() -> None:
    routes = live_routes()
    assert {path for _, path in routes} >= OPEN
    assert {method for method, path in routes if path in OPEN} <= SAFE_METHODS


@pytest.mark.parametrize(("method", "path"), live_routes())
async def test_a_route_is_open_only_if_the_table_says_so(method: str, path: str) -> None:
    app = make_app(make_services())
    answer = await call(app, method, re.sub(r"\{\w+\}", "x", path))
    if path in OPEN:
        assert answer.status in (200, 307)
    elif path in OPEN_HERE:
        assert answer.status == 422  # let in, and then it wants a body
    else:
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_there_are_routes_to_compare() -> None:
    assert len(live_routes()) > 25


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        f"Basic {TOKEN}",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        TOKEN,
    ],
)
async def test_anything_but_the_token_is_401(header: str) -> None:
    answer = await call(
        make_app(make_services()), "GET", "/metrics", headers={"authorization": header}
    )
    assert answer.status == 401
    assert answer.json()["code"] == "unauthorized"
    assert b"trunkline_up" not in answer.body


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_token_opens(scheme: str) -> None:
    app = make_app(make_services())
    answer = await call(app, "GET", "/metrics", headers={"authorization": f"{scheme} {TOKEN}"})
    assert (answer.status, answer.body) == (200, b"trunkline_up 1\n")


async def test_probes_tell_details_to_the_token_only() -> None:
    report = Report(is_ready=False, problems=("the disk is full",), notes=("line blog is open",))
    app = make_app(make_services(health=lambda: report))
    stranger = await call(app, "GET", "/readyz")
    owner = await call(app, "GET", "/readyz", token=TOKEN)
    assert (stranger.status, stranger.json()) == (503, {"status": "failing"})
    assert owner.status == 503
    assert owner.json()["problems"] == ["the disk is full"]
    assert owner.json()["notes"] == ["line blog is open"]
    assert (await call(app, "GET", "/livez")).json() == {"status": "ok"}


async def test_an_unknown_path_is_404_for_strangers_but_not_under_api() -> None:
    app = make_app(make_services())
    assert (await call(app, "GET", "/nowhere")).status == 404
    assert (await call(app, "GET", "/api/v1/nowhere")).status == 401
    assert (await call(app, "GET", "/api/v1/nowhere", token=TOKEN)).status == 404


async def test_an_unsafe_method_on_an_open_path_needs_the_token() -> None:
    app = make_app(make_services())
    assert (await call(app, "POST", "/demo")).status == 401
    assert (await call(app, "POST", "/demo", token=TOKEN)).status == 405


async def test_an_upgrade_that_no_door_took_is_refused() -> None:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await make_app(make_services())({"type": "websocket", "path": "/x"}, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


# -- lock-out -------------------------------------------------------------------------------


async def guess(app: object, peer: str, token: str = "wrong", path: str = "/metrics") -> Answer:
    return await call(app, "GET", path, peer=peer, token=token)


async def test_ten_wrong_tokens_in_a_minute_lock_an_address_out_for_five() -> None:
    clock = FakeClock()
    counted: list[int] = []
    app = make_app(make_services(clock=clock, count_auth_failure=lambda: counted.append(1)))
    for _ in range(10):
        assert (await guess(app, STRANGER)).status == 401
    locked = await guess(app, STRANGER, TOKEN)
    assert locked.status == 429
    assert locked.json()["code"] == "locked-out"
    assert 299 <= int(locked.headers["retry-after"]) <= 301
    assert len(counted) == 10
    assert (await guess(app, "203.0.113.10", TOKEN)).status == 200
    assert (await guess(app, STRANGER, "", "/livez")).status == 200
    clock.advance(299)
    assert (await guess(app, STRANGER, TOKEN)).status == 429
    clock.advance(1.5)
    assert (await guess(app, STRANGER, TOKEN)).status == 200


async def test_a_locked_out_address_learns_nothing_from_probes() -> None:
    app = make_app(make_services(health=lambda: Report(notes=("secret note",))))
    for _ in range(10):
        await guess(app, STRANGER, path="/readyz")
    answer = await guess(app, STRANGER, TOKEN, "/readyz")
    assert answer.json() == {"status": "ok"}


async def test_slow_guesses_and_missing_tokens_do_not_lock_out() -> None:
    clock = FakeClock()
    app = make_app(make_services(clock=clock))
    for _ in range(9):
        await guess(app, STRANGER)
    clock.advance(61)
    for _ in range(9):
        await guess(app, STRANGER)
    for _ in range(20):
        await guess(app, STRANGER, "")
    assert (await guess(app, STRANGER, TOKEN)).status == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_loopback_is_never_locked_out(peer: str) -> None:
    app = make_app(make_services())
    for _ in range(15):
        assert (await guess(app, peer)).status == 401
    assert (await guess(app, peer, TOKEN)).status == 200


def test_the_lock_out_remembers_a_bounded_number_of_addresses() -> None:
    lock_out = LockOut(FakeClock())
    for number in range(MAX_ADDRESSES + 500):
        lock_out.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(lock_out._seen) == MAX_ADDRESSES


# -- host, origin, proxies ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:99", 200),
        ("[::1]:8080", 200),
        ("chat.example.org", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("192.0.2.7", 200),  # an address cannot be rebound
        ("", 421),
    ],
)
async def test_the_host_must_be_ours(host: str, status: int) -> None:
    app = make_app(make_services(access=access(allowed_hosts=("chat.example.org",))))
    assert (await call(app, "GET", "/livez", headers={"host": host})).status == status


@pytest.mark.parametrize("bind", ["0.0.0.0", "", "chat.example.org"])
async def test_only_a_bind_that_is_a_name_adds_one(bind: str) -> None:
    app = make_app(make_services(access=access(bind_host=bind)))
    for host, status in (
        ("", 421),
        ("evil.example", 421),
        ("chat.example.org", 421 if bind != "chat.example.org" else 200),
    ):
        assert (await call(app, "GET", "/livez", headers={"host": host})).status == status


@pytest.mark.parametrize("name", ["host", "authorization", "origin"])
async def test_a_repeated_header_that_decides_is_refused(name: str) -> None:
    value = {"host": "127.0.0.1", "authorization": f"Bearer {TOKEN}", "origin": "http://x"}[name]
    answer = await call(make_app(make_services()), "GET", "/livez", headers=[(name, value)] * 2)
    assert answer.status == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8080", 200),
        ("https://console.example.org", 200),
        ("http://127.0.0.1:9999", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
async def test_unsafe_methods_come_from_our_own_pages(origin: str, status: int) -> None:
    app = make_app(make_services(access=access(origins=("https://console.example.org",))))
    path = "/api/v1/lines/blog/pause"
    answer = await call(app, "POST", path, headers={"origin": origin}, token=TOKEN)
    assert answer.status == status
    assert (await call(app, "POST", path, token=TOKEN)).status == 200


FORWARDED = [
    {"x-forwarded-for": "127.0.0.1"},
    {"forwarded": "for=127.0.0.1"},
    {"x-forwarded-proto": "https"},
    {"x-forwarded-host": "localhost"},
]


@pytest.mark.parametrize("headers", FORWARDED)
async def test_a_proxy_that_is_not_listed_is_refused_except_on_the_demo_page(
    headers: dict[str, str],
) -> None:
    app = make_app(make_services())
    for path in ("/livez", "/metrics", "/", "/api/v1/lines", "/demonstration"):
        answer = await call(app, "GET", path, headers=headers, token=TOKEN)
        assert (answer.status, answer.json()["code"]) == (403, "forwarded")
    for path in ("/demo", "/demo/app.js", "/demo/settings.json"):
        assert (await call(app, "GET", path, headers=headers)).status == 200


async def test_behind_a_listed_proxy_the_caller_is_who_it_names() -> None:
    app = make_app(make_services(access=access(trusted_proxies=("10.0.0.0/8",))))
    chain = {"x-forwarded-for": f"127.0.0.1, {STRANGER}, 10.0.0.2"}
    for _ in range(10):
        await call(app, "GET", "/metrics", headers=chain, token="wrong", peer="10.0.0.1")
    locked = await call(app, "GET", "/metrics", headers=chain, token=TOKEN, peer="10.0.0.1")
    assert locked.status == 429
    other = {"x-forwarded-for": "198.51.100.3"}
    assert (
        await call(app, "GET", "/metrics", headers=other, token=TOKEN, peer="10.0.0.1")
    ).status == 200
    direct = await call(app, "GET", "/metrics", headers=other, token=TOKEN, peer="192.0.2.1")
    assert direct.status == 403


async def test_a_forwarded_request_is_never_loopback() -> None:
    app = make_app(make_services(access=access(trusted_proxies=("127.0.0.1",))))
    claims = {"x-forwarded-for": "::1"}
    for _ in range(10):
        await call(app, "GET", "/metrics", headers=claims, token="wrong")
    assert (await call(app, "GET", "/metrics", headers=claims, token=TOKEN)).status == 429


# -- the token's file -----------------------------------------------------------------------


def test_the_token_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        token = ensure_api_token(tmp_path)
    finally:
        os.umask(before)
    assert len(token) >= 40
    assert (tmp_path / "api.token").stat().st_mode & 0o777 == 0o600
    assert ensure_api_token(tmp_path) == token
    assert [path.name for path in tmp_path.iterdir()] == ["api.token"]


def test_a_crash_while_it_was_made_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "api.new").write_text("half")
    assert ensure_api_token(tmp_path).startswith("tl_")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    ensure_api_token(tmp_path)
    (tmp_path / "api.token").chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        ensure_api_token(tmp_path)


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "api.token"
    path.touch(0o600)
    with pytest.raises(ConfigError, match="empty"):
        ensure_api_token(tmp_path)
