"""Who hears what lines and the exchange say of themselves: the trace, the book, or nobody.

The house under test and the people who talk to it have lines; both speak to these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .book import Book
from .trace import Trace


class Counts:
    """Counts nothing: what counts here is in the book."""

    def beat(self, **_: object) -> None:
        """See `exchange.contract.Meter`."""

    def outcomes(self, counts: Mapping[str, int]) -> None:
        """See `exchange.contract.Meter`."""

    def queued(self, events: int) -> None:
        """See `exchange.contract.Meter`."""

    def noticed(self, dialect: str, kind: str) -> None:
        """See `lines.line.LineMeter`."""

    def links(self, line: str, count: int) -> None:
        """See `lines.line.LineMeter`."""

    def connected(self, dialect: str) -> None:
        """See `lines.line.LineMeter`."""


class Log:
    """Traces what lines say of their life; a fault of ours is a broken promise.

    Args:
        name: of whose lines these are.
        needs_person: told a line that has failed; whether a person comes to see to it.
    """

    def __init__(
        self,
        trace: Trace,
        book: Book,
        name: str,
        needs_person: Callable[[str], bool] = lambda line: False,
    ) -> None:
        self._needs_person = needs_person
        self._trace = trace
        self._book = book
        self._name = name

    def info(self, action: str, **fields: object) -> None:
        """Life of lines."""
        self._trace.note(self._name, _shown(action, fields))

    def warning(self, action: str, **fields: object) -> None:
        """Will heal."""
        self._trace.note(self._name, _shown(action, fields))

    def error(self, action: str, **fields: object) -> None:
        """Needs a person; where none is here, nothing may."""
        if action == "line failed" and self._needs_person(str(fields["line"])):
            self._trace.note(self._name, _shown(action, fields))
            return
        self._book.breaks(f"{self._name}: {_shown(action, fields)}")


def _shown(action: str, fields: Mapping[str, object]) -> str:
    return " ".join([action, *(f"{key}={value}" for key, value in fields.items())])
