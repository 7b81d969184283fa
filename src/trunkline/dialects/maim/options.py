"""The keys of a maim line besides those that every line has."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from trunkline.dialects.options import LineOptions

_SCHEMES = ("ws", "wss", "http", "https")


class MaimOptions(LineOptions):
    """One `[lines.NAME]` table with `dialect = "maim"`.

    Attributes:
        path: where adapters connect to our core. Source: maim 2.1
        platform: the name by which the core knows an adapter: ours, or of the one that we dial as
            the core. Source: maim 2.2
        bot_id, bot_name: who our answers say they are from. Source: maim 4.4
        api: when dialling, speak the API-Server line; listening, each connection chooses it for
            itself. Source: maim 9
        api_key: for that line; without it the token. A listening line checks keys against its own
            token. Source: maim 9.1, reliability 5
        max_message_bytes: 64 MiB; peers go up to 100 MiB. Source: maim 2.6
    """

    path: str = "/ws"
    platform: str = Field("default", min_length=1, max_length=512)
    bot_id: str = Field("trunkline", min_length=1, max_length=512)
    bot_name: str = Field("trunkline", min_length=1, max_length=512)
    api: bool = False
    api_key: SecretStr | None = None
    max_message_bytes: int = Field(64 << 20, ge=1024, le=104_857_600)

    @field_validator("platform")
    @classmethod
    def _printable(cls, value: str) -> str:
        # It becomes a header: a line break in it would be a header of its own.
        if not value.isprintable() or value != value.strip():
            raise ValueError("a platform is a printable name without spaces around it")
        return value

    @field_validator("api")
    @classmethod
    def _dialled(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic calls it
        if value and info.data.get("link") == "listen":
            raise ValueError('is only for link = "dial": who connects to us chooses by its api_key')
        return value

    @field_validator("api_key")
    @classmethod
    def _of_the_api(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("api") is False:
            raise ValueError("needs api = true")
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

    @property
    def dialled_key(self) -> str:
        """The API key in clear that we dial with. Source: maim 9.1"""
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        return self.tokens[0] if self.token else ""
