"""An account: ids of messages, refusals, and what survives other cookies."""

from __future__ import annotations

import json
from typing import Any

from boss_house import LOGIN, NOW_MS, make_options
from trunkline.clock import FakeClock
from trunkline.dialects.boss.account import AHEAD_MS, MID_EPOCH_MS, Account
from trunkline.dialects.boss.http import digest
from trunkline.dialects.boss.session import Kept
from trunkline.dialects.contract import Fetched
from trunkline.ids import CountingIds


def make(kept: Kept | None = None, **more: Any) -> Account:
    return Account(make_options(**more), kept or Kept(), FakeClock(NOW_MS), CountingIds())


def told(**data: Any) -> Fetched:
    return Fetched(200, (), json.dumps({"code": 0, "zpData": data}).encode())


def log_in(account: Account, uid: int = 5) -> None:
    assert account.next_call() is not None
    account.take(told(userId=uid, token="token-of-sixteen", clientIP="1.2.3.4"))
    assert account.next_call() is not None
    account.take(told(wt2="password~"))
    assert account.next_call() is None


def test_ids_are_above_the_highest_seen_and_ascend() -> None:
    account = make()
    account.saw(394_570_988_736_768)
    first = account.next_mid()
    assert first == 394_570_988_736_768 + NOW_MS
    assert account.next_mid() == first + 1
    account.saw(5)
    assert account.next_mid() == first + 2
    assert make(mid="plain").next_mid() == NOW_MS


def test_a_clock_that_goes_back_gives_no_id_twice() -> None:
    account = make(Kept(cookies=LOGIN, given=digest(LOGIN), sent_mid=NOW_MS + 500))
    assert account.next_mid() == NOW_MS + 501


def test_a_server_id_that_nobody_can_have_given_is_not_counted_from() -> None:
    account = make()
    real = (NOW_MS - MID_EPOCH_MS) * 4096 + 256
    for mid in (real, (1 << 63) - 1, 1 << 62, (NOW_MS + 2 * AHEAD_MS - MID_EPOCH_MS) * 4096):
        account.saw(mid)
        assert account.seen_mid == real
    tomorrow = (NOW_MS + AHEAD_MS // 2 - MID_EPOCH_MS) * 4096
    account.saw(tomorrow)
    assert account.seen_mid == tomorrow


def test_what_an_earlier_version_believed_is_forgotten() -> None:
    most = (1 << 63) - 1
    account = make(Kept(cookies=LOGIN, given=digest(LOGIN), uid=5, mid=most, sent_mid=most))
    assert (account.kept.mid, account.seen_mid) == (0, 0)
    sent = [account.next_mid() for _ in range(3)]
    assert sent == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


def test_the_owners_other_cookies_win_over_what_was_renewed() -> None:
    kept = Kept(cookies="wt=renewed", given=digest(LOGIN), uid=5, mid=9, refusals=2, flaps=(1,))
    assert make(kept).kept.cookies == "wt=renewed"
    other = make(kept, cookies="wt=other").kept
    assert (other.cookies, other.mid, other.refusals, other.flaps) == ("wt=other", 9, 0, ())


def test_another_person_behind_the_cookies_begins_at_nothing() -> None:
    kept = Kept(cookies=LOGIN, given=digest(LOGIN), uid=5, mid=9, sent_mid=8)
    same = make(kept)
    log_in(same, 5)
    assert (same.kept.mid, same.seen_mid) == (9, 9)
    other = make(kept)
    log_in(other, 6)
    assert (other.kept.mid, other.kept.sent_mid, other.seen_mid, other.me) == (0, 0, 0, 6)


def test_three_secrets_are_three_things() -> None:
    account = make()
    log_in(account)
    connect = account.connect()
    assert (connect.username, connect.password) == ("token-of-sixteen|0", b"password~")
    assert account.dial().subprotocol == "password~"
    assert "password" not in repr(connect)


def test_a_device_keeps_its_id() -> None:
    first, second = make(Kept(uid=5)), make(Kept(uid=5))
    assert first.device().ident == second.device().ident != make(Kept(uid=6)).device().ident
    assert len(first.device().ident) == 32
    assert make(device_id="mine").device().ident == "mine"


def test_flaps_count_within_a_minute() -> None:
    clock = FakeClock(NOW_MS)
    account = Account(make_options(), Kept(), clock, CountingIds())
    account.flapped()
    clock.advance(59)
    account.flapped()
    clock.advance(2)
    account.flapped()
    assert len(account.kept.flaps) == 2


def test_a_gateway_that_the_site_does_not_name_is_the_configured_one() -> None:
    account = make(resolve_host=True)
    account.take(told(userId=5, token="t"))
    account.take(told(wt2="w"))
    assert account.next_call() is not None
    assert account.take(Fetched(500)).why == ""
    assert account.dial().url == "ws://127.0.0.1/chatws"


def test_cookies_do_not_grow_without_end() -> None:
    account = make()
    account.renew(Fetched(200, (("set-cookie", "a=1"),)))
    assert account.kept.cookies == f"{LOGIN}; a=1"
    account.renew(Fetched(200, (("set-cookie", "b=" + "x" * 20_000),)))
    assert account.kept.cookies == f"{LOGIN}; a=1"
