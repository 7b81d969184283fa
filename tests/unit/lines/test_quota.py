"""What one address may have."""

from trunkline.clock import FakeClock
from trunkline.lines import quota as room
from trunkline.lines.quota import Quota, QuotaRules


def test_the_bucket_refills_and_never_overflows():
    clock = FakeClock()
    quota = Quota(clock, QuotaRules(new_per_s=2, new_burst=3))
    assert [quota.ask("a", 9) == "" for _ in range(4)] == [True, True, True, False]
    clock.advance(1)
    assert [quota.ask("a", 9) == "" for _ in range(3)] == [True, True, False]
    clock.advance(3600)
    assert [quota.ask("a", 9) == "" for _ in range(4)] == [True, True, True, False]


def test_links_are_counted_in_and_out():
    quota = Quota(FakeClock(), QuotaRules(max_links=3))
    quota.enter("a")
    quota.enter("a")
    assert "more than 2" in quota.ask("a", 2)
    assert quota.ask("b", 2) == ""
    quota.enter(None)
    assert quota.is_full
    quota.leave("a")
    assert quota.ask("a", 2) == ""
    assert not quota.is_full
    quota.leave(None)
    quota.leave("a")
    quota.leave("never entered")
    assert quota.links == -1 + 0  # the last line was a bug of the caller, and it shows


def test_failures_are_counted_per_minute():
    clock = FakeClock()
    quota = Quota(clock, QuotaRules(failures_per_min=3, lockout_s=300))
    for _ in range(2):
        quota.fail("a")
    clock.advance(60)
    for _ in range(2):
        quota.fail("a")
    assert quota.ask("a", 9) == ""
    quota.fail("a")
    assert "log-ins" in quota.ask("a", 9)
    assert quota.ask("b", 9) == ""
    clock.advance(299.9)
    assert "log-ins" in quota.ask("a", 9)
    clock.advance(0.2)
    assert quota.ask("a", 9) == ""


def test_ipv6_is_counted_by_its_64_bits():
    quota = Quota(FakeClock(), QuotaRules())
    quota.enter("2001:db8:1:2::1")
    assert "more than 1" in quota.ask("2001:db8:1:2:ffff::9", 1)
    assert quota.ask("2001:db8:1:3::1", 1) == ""
    quota.enter("::ffff:9.9.9.9")
    assert "more than 1" in quota.ask("9.9.9.9", 1)


def test_the_book_is_bounded_and_keeps_open_links(monkeypatch):
    monkeypatch.setattr(room, "_MAX_ADDRESSES", 50)
    clock = FakeClock()
    quota = Quota(clock, QuotaRules())
    quota.enter("open")
    for number in range(500):
        quota.ask(f"a{number}", 9)
    assert len(quota) <= 50
    assert "more than 1" in quota.ask("open", 1)


def test_addresses_are_forgotten_after_a_while():
    clock = FakeClock()
    quota = Quota(clock, QuotaRules())
    for number in range(40):
        quota.ask(f"a{number}", 9)
    clock.advance(61)
    for number in range(20):
        quota.ask(f"b{number}", 9)
    assert len(quota) == 20


def test_a_locked_address_is_remembered():
    clock = FakeClock()
    quota = Quota(clock, QuotaRules(failures_per_min=1))
    quota.fail("bad")
    clock.advance(100)
    for number in range(40):
        quota.ask(f"b{number}", 9)
    assert "log-ins" in quota.ask("bad", 9)


def test_zero_is_no_limit_of_links():
    quota = Quota(FakeClock(), QuotaRules())
    for _ in range(60):
        assert quota.ask("192.0.2.1", 0) == ""
        quota.enter("192.0.2.1")
