"""Secrets and control characters never leave, whatever form they take."""

import base64
from urllib.parse import quote, quote_plus

import pytest

from trunkline.telemetry.redact import MASK, Redactor, escape

SECRET = "p@ss w/rd+密码-1234"


@pytest.fixture
def redactor():
    redactor = Redactor()
    redactor.register([SECRET])
    return redactor


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
    ids=["raw", "url", "form", "base64", "base64url"],
)
def test_registered_forms_are_masked(redactor, form):
    text = redactor.clean(f"GET /ws?token={form} HTTP/1.1")
    assert form not in text
    assert MASK in text
    assert "HTTP/1.1" in text


@pytest.mark.parametrize("head", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("tail", ["", "!", "!!", "!!!"])
def test_secret_inside_longer_base64_is_masked(head, tail):
    redactor = Redactor()
    redactor.register(["correct-horse-battery"])
    text = base64.b64encode(f"{head}correct-horse-battery{tail}".encode()).decode()
    masked = redactor.clean(f"Basic {text}")
    assert MASK in masked
    # What is left must not tell more than the characters that neighbours share.
    assert len(masked) - len("Basic ") - len(MASK) <= len(head) * 2 + len(tail) * 2 + 8


def test_shorter_secret_inside_longer_one_does_not_leave_the_rest():
    redactor = Redactor()
    redactor.register(["token", "token-abcdefgh"])
    assert redactor.clean("x token-abcdefgh y") == f"x {MASK} y"


def test_short_secret_is_masked_only_where_it_stands_alone():
    redactor = Redactor()
    redactor.register(["abc", ""])
    assert redactor.clean("token=abc, abcdef") == f"token={MASK}, abcdef"


def test_nothing_registered_changes_nothing():
    assert Redactor().clean("plain 文字") == "plain 文字"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("nul\x00", "nul\\x00"),
        ("c1\x9b", "c1\\x9b"),
        ("sep\u2028", "sep\\u2028"),
        ("rtl\u202e", "rtl\\u202e"),
        ("half\ud800", "half\ufffd"),
        ("好 é", "好 é"),
    ],
)
def test_control_characters_are_escaped(raw, shown):
    assert escape(raw) == shown


def test_a_secret_with_control_characters_is_masked_before_it_is_escaped():
    redactor = Redactor()
    redactor.register(["line1\nline2"])
    assert redactor.clean("x line1\nline2 y") == f"x {MASK} y"
    assert redactor.clean("x line1\\nline2 y") == f"x {MASK} y"


def test_renewed_secrets_are_masked_and_the_oldest_are_forgotten() -> None:
    redactor = Redactor()
    redactor.register(["fixed-secret"])
    assert redactor.clean("fixed-secret token-one") == "••• token-one"
    redactor.renew("shop", ["token-one"])
    redactor.renew("job", ["other-token"])
    assert redactor.clean("fixed-secret token-one other-token") == "••• ••• •••"
    for token in ("token-two", "token-three", "token-three", "token-two"):
        redactor.renew("shop", [token])
    # The last one may still be in the air, a repeat is no renewal.
    assert redactor.clean("token-one token-two token-three") == "••• ••• •••"
    redactor.renew("shop", ["token-four"])
    assert redactor.clean("token-one token-two other-token") == "token-one ••• •••"
