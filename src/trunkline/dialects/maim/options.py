"""The keys of a maim line besides those that every line has."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from trunkline.dialects.options import LineOptions

_SCHEMES = ("ws", "wss", "http", "https")


class MaimOptions(LineOptions):
    """One `[lines.NAME]` table with `dialect = "maim"`.

    Attributes:
        path: where adapters connect to our core. Source: maim 2.1
        platform: as an adapter: the name by which the core knows us. Source: maim 2.2
        bot_id, bot_name: who our answers say they are from. Source: maim 4.4
        max_message_bytes: 64 MiB; peers go up to 100 MiB. Source: maim 2.6
    """

    path: str = "/ws"
    platform: str = Field("default", min_length=1, max_length=512)
    bot_id: str = Field("trunkline", min_length=1, max_length=512)
    bot_name: str = Field("trunkline", min_length=1, max_length=512)
    max_message_bytes: int = Field(64 << 20, ge=1024, le=104_857_600)

    @field_validator("platform")
    @classmethod
    def _printable(cls, value: str) -> str:
        # It becomes a header: a line break in it would be a header of its own.
        if not value.isprintable() or value != value.strip():
            raise ValueError("a platform is a printable name without spaces around it")
        return value

    @field_validator("url")
    @classmethod
    def _websocket(cls, value: str) -> str:
        scheme = urlsplit(value).scheme
        if scheme == "tcp":  # Source: maim 2.4
            raise ValueError(
                "tcp:// is a transport of the maim_message package that is not WebSocket;"
                " let the core listen with mode ws and write ws:// or wss://"
            )
        if value and scheme not in _SCHEMES:
            raise ValueError("write ws:// or wss://")
        return value
