"""Functions of the embedding program that are called with what happens (`design 3`).

For people who come from the guides; whoever starts anew iterates. A function may be plain or async
and may take fewer arguments than there are. They are called one after another, so a slow one holds
up the next message, and with it the link: that is meant.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

Callback: TypeAlias = Callable[..., Any]
When: TypeAlias = Literal["message", "frame", "connect", "disconnect", "error"]

_ANY: Final = 99


class Callbacks:
    """The functions of one line, by occasion.

    Args:
        failed: told when a function raised and there is none for errors, or that one raised too.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._calls: dict[When, list[tuple[Callback, int]]] = {}

    def add(self, when: When, call: Callback) -> None:
        """Call this from now on, once each time however often it is added."""
        calls = self._calls.setdefault(when, [])
        if all(known is not call for known, _ in calls):
            calls.append((call, _arity(call)))

    def put(self, when: When, call: Callback) -> None:
        """Call this from now on instead of whatever was called before."""
        self._calls[when] = [(call, _arity(call))]

    def has(self, when: When) -> bool:
        """Whether there is a function for this."""
        return bool(self._calls.get(when))

    async def tell(self, when: When, *arguments: object) -> None:
        """Call the functions for this; what they raise goes to those for errors."""
        for call, arity in self._calls.get(when, ()):
            try:
                result = call(*arguments[:arity])
                if inspect.isawaitable(result):
                    await result
            except Exception as error:  # noqa: BLE001 - somebody else's code must not end the line
                if when == "error" or not self.has("error"):
                    self._failed(error)
                else:
                    await self.tell("error", error)


def _arity(call: Callback) -> int:
    """Return how many arguments a function takes by position."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return _ANY  # a function of C that does not say
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return _ANY
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
