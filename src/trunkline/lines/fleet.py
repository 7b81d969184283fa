"""All lines of this node: what people may do with them (`lines.contract.Fleet`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from trunkline.lines.contract import CredentialRefused, LineStatus, OddityStatus
from trunkline.lines.line import Line
from trunkline.lines.supervisor import Supervisor

MODES = ("auto", "draft", "off")


class NodeFleet:
    """The lines of one process.

    Args:
        lines: by name, in file order.
        supervisors: of the dialled ones.
        resumed: told a line's name when its queue may move again.
        give: uses a new credential, `(line, text)`; None = none can be given.
    """

    def __init__(
        self,
        lines: Mapping[str, Line],
        supervisors: Mapping[str, Supervisor],
        resumed: Callable[[str], None],
        give: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        self._lines = lines
        self._supervisors = supervisors
        self._resumed = resumed
        self._give = give

    def statuses(self) -> list[LineStatus]:
        """Every line in file order."""
        return [line.status() for line in self._lines.values()]

    def status(self, name: str) -> LineStatus | None:
        """One line, or None."""
        line = self._lines.get(name)
        return line.status() if line is not None else None

    def oddities(self, name: str) -> Sequence[OddityStatus]:
        """What was odd at one line, newest first; empty when there is no such line."""
        line = self._lines.get(name)
        return line.oddities.shown() if line is not None else ()

    def pause(self, name: str) -> None:
        """Stay connected, store, send nothing."""
        self._lines[name].facts.is_paused = True

    def resume(self, name: str) -> None:
        """End `pause`; what waits leaves."""
        self._lines[name].facts.is_paused = False
        self._resumed(name)

    def reconnect(self, name: str) -> None:
        """Dial now; a listening line closes its links, so that its peers come back."""
        supervisor = self._supervisors.get(name)
        if supervisor is not None:
            supervisor.reconnect()
        else:
            self._lines[name].close_links(1012, "reconnect")

    def set_mode(self, name: str, mode: str) -> None:
        """Set `auto`, `draft` or `off` until the next start.

        Raises:
            ValueError: another word.
        """
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}")
        self._lines[name].facts.mode = mode

    async def give_credential(self, name: str, text: str) -> None:
        """Use a new credential.

        Raises:
            CredentialRefused: it cannot be used; nothing is changed.
        """
        if self._give is None:
            raise CredentialRefused("no credential can be given here")
        await self._give(name, text)

    def accounts(self, name: str) -> list[str]:
        """The accounts seen on a line since the start."""
        line = self._lines.get(name)
        return list(line.accounts) if line is not None else []

    def watch_frames(self, name: str, sink: Callable[[str, str, str], None]) -> Callable[[], None]:
        """Call `sink(direction, seat, described frame)` for each frame; return how to stop."""
        line = self._lines[name]

        def tap(direction: str, seat: str, data: bytes) -> None:
            sink(direction, seat, line.dialect.describe(data))

        line.taps.append(tap)

        def stop() -> None:
            if tap in line.taps:
                line.taps.remove(tap)

        return stop
