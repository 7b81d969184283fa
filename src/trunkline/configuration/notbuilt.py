"""Keys that the design names and nothing acts on yet. They are refused, never ignored.

An issue that builds one removes it here. Imports nothing of the house.
"""

from __future__ import annotations

from typing import Final

TABLES: Final = frozenset({"bridges", "notify"})

# By table; `lines` holds for every line whose dialect does not have the key.
KEYS: Final[dict[str, frozenset[str]]] = {"lines": frozenset()}

# Keys that every line's options have, but nothing acts on: of any dialect, and of one.
IDLE_KEYS: Final = frozenset({"alias"})
IDLE_KEYS_OF: Final = {
    "boss": frozenset({"heartbeat_timeout_s"}),
    "maim": frozenset({"subprotocol", "user_agent"}),
    "xianyu": frozenset({"subprotocol"}),
}

STORE_SCHEMES: Final = ("postgresql:", "postgres:")
