"""Guide 003, step 1: `python api/tcp_contact.py`, or import `run_contact_server` from here.

To answer in your own way, derive from `ContactServer` and give `ContactService().run()` instead.
"""

import sys
from pathlib import Path

from trunkline.guides.contact import ContactServer, run_contact_server

__all__ = ["ContactService", "run_contact_server"]


class ContactService(ContactServer):
    """The three methods of the guide's "advanced" part."""

    async def generate_ai_response(self, message: str) -> str:
        return f"收到：{message}"

    async def save_chat_message(self, client_id: str, message: str, sender: str) -> None:
        print(f"{sender} {client_id}: {message}", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from config import HOST, PORT

    ContactService(HOST, int(sys.argv[1]) if len(sys.argv) > 1 else PORT).run()
