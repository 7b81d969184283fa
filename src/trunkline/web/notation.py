"""How ids and instants are written in the API: `m-…`, `d-…`, and RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from trunkline.ids import DeliveryId, InboxId, parse_id

from .problem import Problem, Said


def format_time(wall_ms: int) -> str:
    """Format an instant as RFC 3339, UTC, with milliseconds."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_when(wall_ms: int) -> str | None:
    """Format an instant, or None for 0 = never."""
    return format_time(wall_ms) if wall_ms else None


def read_delivery_id(text: str) -> DeliveryId:
    """Parse `d-…` out of a path.

    Raises:
        Problem: `invalid`.
    """
    return DeliveryId(_read_id("d", text))


def read_message_id(text: str) -> InboxId:
    """Parse `m-…` out of a path.

    Raises:
        Problem: `invalid`.
    """
    return InboxId(_read_id("m", text))


def _read_id(kind: str, text: str) -> int:
    try:
        return parse_id(kind, text)
    except ValueError:
        said = Said(f"编号的形式是 {kind}-…", f"An id here looks like {kind}-…")
        raise Problem("invalid", said) from None
