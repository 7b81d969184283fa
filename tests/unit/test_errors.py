import inspect
import re

import pytest

from trunkline import errors
from trunkline.errors import (
    ConfigError,
    DataDirInUse,
    DeliveryThrottled,
    LinkLost,
    LinkRefused,
    Retry,
    TrunklineError,
    UnsafeConfig,
    WireMalformed,
)

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, TrunklineError)
]
NEVER = {
    "TrunklineError", "ConfigError", "DataDirInUse", "UnsafeConfig", "WireError", "WireMalformed",
    "WireTooLarge", "ProtocolError", "LocalProtocolError", "CredentialError", "CredentialsRejected",
    "ChallengeRequired", "DeliveryError", "DeliveryRefused", "DeliveryUncertain", "StoreError",
    "AlreadySeen", "LeaseLost", "StoreTooNew", "StageError",
}  # fmt: skip


def test_every_class_says_what_a_loop_may_do():
    assert {error.__name__ for error in CLASSES if error.retry is Retry.NEVER} == NEVER
    after = [error for error in CLASSES if error.retry is Retry.AFTER]
    assert after == [DeliveryThrottled]
    assert DeliveryThrottled(1.5).wait_s == 1.5


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = set(
        re.findall(r"[A-Z][a-zA-Z]+", errors.__doc__.split("├─", 1)[1].split("The class")[0])
    )
    assert {error.__name__ for error in CLASSES} - {"TrunklineError"} <= drawn


@pytest.mark.parametrize("error", CLASSES)
def test_the_docstring_is_the_default_text(error):
    assert error.__doc__
    if "__init__" not in vars(error) and error.__init__ is Exception.__init__:
        assert str(error()) == error.__doc__.strip().splitlines()[0]
        assert str(error("other")) == "other"


def test_a_class_without_docstring_says_its_name():
    class Nameless(TrunklineError):
        pass

    assert str(Nameless()) == "Nameless"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError(["a", "b"]), "a\nb"), (WireMalformed("not_json"), "not_json"),
        (WireMalformed("bad_segment", "data[0]"), "bad_segment: data[0]"),
        (DataDirInUse("d", "pid 7"), "data folder d is in use by pid 7"),
        (UnsafeConfig(["no token"]), "no token"), (LinkRefused(401), "refused with HTTP 401"),
        (LinkRefused(503, "busy"), "refused with HTTP 503: busy"), (LinkLost(), "closed 1006"),
        (LinkLost(1000, "bye"), "closed 1000: bye"), (DeliveryThrottled(2), "wait 2 s"),
    ],
)  # fmt: skip
def test_texts_carry_values(error, text):
    assert str(error) == text
