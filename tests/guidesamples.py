"""The samples that the guides print, extracted from their own texts at test time.

Nothing of them is in this tree: where `../shared/guides` is not beside the checkout, tests skip and
say so.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

GUIDES = Path(__file__).resolve().parents[2] / "shared" / "guides"


def sample(guide: str, language: str, mark: str) -> str:
    """Return the one block of a language in a guide that holds `mark`, unchanged."""
    path = GUIDES / guide
    if not path.exists():
        pytest.skip(f"the guides are not here: no {guide} in ../shared/guides")
    blocks = re.findall(rf"```{language}\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    found = [block for block in blocks if mark in block]
    assert len(found) == 1, f"{guide} prints {len(found)} blocks of {language} with {mark!r}"
    return found[0]


def fields(guide: str, pattern: str) -> list[str]:
    """Return what a pattern with one group finds in a guide, in order."""
    path = GUIDES / guide
    if not path.exists():
        pytest.skip(f"the guides are not here: no {guide} in ../shared/guides")
    return re.findall(pattern, path.read_text("utf-8"), re.MULTILINE)


def is_taken(port: int) -> bool:
    """Whether another program listens on a port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
