"""Frames of guide 003 as a visitor writes them."""

from datetime import UTC, datetime


def now() -> str:
    """The time with its zone; the service takes it without one too."""
    return datetime.now(UTC).isoformat()


def chat_message(message: str) -> dict[str, str]:
    return {"type": "chat_message", "message": message, "timestamp": now()}


def contact_request(message: str, user_agent: str = "Python") -> dict[str, str]:
    frame = {"type": "contact_request", "message": message, "timestamp": now()}
    return {**frame, "userAgent": user_agent}
