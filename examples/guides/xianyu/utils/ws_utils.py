"""Guide 001: `from utils.ws_utils import WebSocketClient`."""

from trunkline.guides.xianyu import ConnectionState, WebSocketClient

__all__ = ["ConnectionState", "WebSocketClient"]
