"""When a token is asked for, and how the account dials."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Fetched
from trunkline.dialects.xianyu.http import ORIGIN, TokenFate, digest
from trunkline.dialects.xianyu.session import Kept
from trunkline.dialects.xianyu.tokens import Account
from trunkline.ids import CountingIds
from xianyu_house import COOKIES, ME, make_options

EMPTY = b'{"ret":["FAIL_SYS_TOKEN_EMPTY::x"]}'


def account(kept: Kept, clock: FakeClock | None = None) -> Account:
    return Account(make_options(), kept, clock or FakeClock(), CountingIds())


def kept(**more: object) -> Kept:
    clock = FakeClock()
    fields = {"me": ME, "device": "D", "cookies": "renewed", "given": digest(COOKIES), "token": "t",
              "token_ms": clock.now_ms(), **more}  # fmt: skip
    return Kept(**fields)  # type: ignore[arg-type]  # every field by its name


@pytest.mark.parametrize(
    ("age_s", "ttl_s", "is_old"),
    [(0, 0, False), (3599, 0, False), (3600, 0, True), (3239, 3600, False), (3240, 3600, True),
     (3599, 86_400, False)],
)  # fmt: skip
def test_age(age_s: int, ttl_s: int, *, is_old: bool) -> None:
    clock = FakeClock()
    one = account(kept(token_ttl_ms=ttl_s * 1000), clock)
    clock.advance(age_s)
    assert one.is_token_old() is is_old


def test_no_token_is_old_and_one_from_the_future_too() -> None:
    assert account(kept(token="")).is_token_old()
    assert account(kept(token_ms=FakeClock().now_ms() + 120_000)).is_token_old()


def test_what_was_kept_is_used_while_the_owner_gives_the_same_cookies() -> None:
    assert account(kept()).kept.cookies == "renewed"
    other = account(kept(given=digest("unb=1; old")))
    assert (other.kept.cookies, other.kept.token) == (COOKIES, "")
    assert other.kept.device == "D"


def test_what_was_kept_of_another_account_is_nothing() -> None:
    one = account(kept(me="99", pts=7))
    assert (one.kept.pts, one.kept.token) == (0, "")
    assert one.kept.device.endswith(f"-{ME}")


def test_a_call_is_signed_again_once_and_only_with_a_new_cookie() -> None:
    one = account(kept())
    fresh = Fetched(200, (("set-cookie", "_m_h5_tk=new_1; Path=/"),), EMPTY)
    assert one.take_token_answer(fresh).fate is TokenFate.RESIGN
    again = Fetched(200, (("set-cookie", "_m_h5_tk=newer_1; Path=/"),), EMPTY)
    assert one.take_token_answer(again).fate is TokenFate.NETWORK
    assert one.take_token_answer(Fetched(200, (), EMPTY)).fate is TokenFate.NETWORK


def test_refusals_and_kicks_are_counted() -> None:
    clock = FakeClock()
    one = account(kept(), clock)
    assert [one.refused() for _ in range(3)] == [False, False, True]
    one = account(kept(), clock)
    assert [one.kicked(), one.kicked()] == [False, False]
    clock.advance(601)
    assert [one.kicked(), one.kicked(), one.kicked()] == [False, False, True]


def test_bearer_and_own_headers_are_sent_when_they_are_configured() -> None:
    def headers(**more: object) -> Mapping[str, str]:
        return Account(make_options(**more), kept(), FakeClock(), CountingIds()).dial().headers

    sent = headers(bearer="b1", headers={"X-A": "1"})
    assert sent["Authorization"] == "Bearer b1"
    assert sent["X-A"] == "1"
    plain = headers()
    assert "Authorization" not in plain
    assert (plain["Cookie"], plain["Origin"]) == ("renewed", ORIGIN)
