"""Guide 000: `from ws_client import WsClient`."""

from .ws_client import WsClient

__all__ = ["WsClient"]
