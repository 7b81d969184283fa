"""Guide 000: the newest cookies and headers; whoever updates them here reaches every client."""

from trunkline.guides.boss import SessionManager, session_manager

__all__ = ["SessionManager", "session_manager"]
