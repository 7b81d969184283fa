"""What a played gateway checks by itself; the rules of messages are in `test_platform`."""

from __future__ import annotations

import pytest

from trunkline.dialects.boss.checking import is_client_id


@pytest.mark.parametrize(
    ("client_id", "is_right"),
    [
        ("ws-0123456789ABCDEF", True),
        ("ws-0123456789ABCDE", False),
        ("ws-0123456789ABCDEF0", False),
        ("xs-0123456789ABCDEF", False),
        ("", False),
    ],
)
def test_a_client_id_is_one_that_a_browser_makes(client_id: str, *, is_right: bool) -> None:
    assert is_client_id(client_id) is is_right
