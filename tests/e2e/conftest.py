"""One running program for the tests that leave it as they find it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import product

SITE = """\
[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
role = "core"
link = "listen"
path = "/ws"

[lines.guarded]
dialect = "maim"
role = "core"
link = "listen"
path = "/guarded"
token = "T0"

[lines.small]
dialect = "maim"
role = "core"
link = "listen"
path = "/small"
max_message_bytes = 50000

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[product.Product]:
    """A contact line and three maim cores that answer everything with `收到：…`."""
    with product.serving(tmp_path_factory.mktemp("site"), SITE) as running:
        yield running
