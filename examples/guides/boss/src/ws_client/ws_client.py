"""Guide 000: the client as a thread. Override a callback to do more than print."""

from trunkline.guides import boss

__all__ = ["WsClient"]


class WsClient(boss.WsClient):
    def _on_connect(self) -> None:
        print("已连接", flush=True)

    def _on_message(self, event) -> None:
        print("收到:", event, flush=True)
        super()._on_message(event)

    def _on_disconnect(self, error) -> None:
        print("连接断开，将自动重连:", error, flush=True)

    def on_text_message(self, from_uid: str, text: str, timestamp: int) -> None:
        print(f"{from_uid}: {text}", flush=True)

    def on_request_resume(self, boss_id: str, mid: str) -> None:
        print(f"{boss_id} 想要简历", flush=True)
        super().on_request_resume(boss_id, mid)  # sends the picture when the settings allow it
