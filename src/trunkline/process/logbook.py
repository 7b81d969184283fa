"""What is written about this process, and what never is: the log and the secrets kept out of it.

The rooms report by callback; here it becomes a line for a person, with a constant text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from trunkline.config import Config
from trunkline.reload import Reloaded
from trunkline.telemetry.logs import ROOT, Logger, get_logger, setup_logging


class Logbook:
    """The log of this process, from `open` to `close`; before that it goes to stderr."""

    def __init__(self) -> None:
        self.log: Logger = get_logger("app")
        self._lines: Logger = get_logger("lines")
        self.mask = ROOT.redactor.mask

    def open(self, config: Config, on_drop: Callable[[int], None]) -> None:
        """Begin to write where the configuration says.

        Args:
            on_drop: told how many lines found no room.
        """
        setup_logging(
            config.log.level,
            config.log_file,
            config.log.rotate_bytes,
            config.log.keep,
            config.log.format,
        )
        ROOT.on_drop = on_drop

    def close(self) -> None:
        """Write what waits, and end."""
        ROOT.stop()

    # -- what never is -----------------------------------------------------------------------

    def hide(self, secrets: Iterable[str]) -> None:
        """Keep these out for good."""
        ROOT.redactor.register(secrets)

    def learn(self, line: str, secrets: Sequence[str]) -> None:
        """Keep out what a line logs in with now."""
        ROOT.redactor.renew(line, secrets)

    # -- what the rooms report ---------------------------------------------------------------

    def trouble(self, action: str, error: BaseException | None) -> None:
        """Something of the exchange or the store went wrong, or is well again."""
        if error is None:
            self.log.warning(action)
        else:
            self.log.error(action, error=error)

    def task_died(self, name: str, error: BaseException) -> None:
        """A task that runs for as long as the process has ended."""
        self.log.error("task failed", task=name, error=error)

    def link_failed(self, where: str, error: BaseException) -> None:
        """Who uses a link has raised."""
        self._lines.error("link user failed", where=where, error=error)

    def plugin_failed(self, handler: str, fault: str) -> None:
        """A plugin of the user's has raised or took too long."""
        self.log.error("plugin failed", handler=handler, fault=fault)

    def credential_given(self, line: str, why_not: str) -> None:
        """Somebody has edited what a line logs in with."""
        if why_not:
            self.log.error("credential edit refused", line=line, problem=why_not)
        else:
            self.log.info("credential taken up", line=line)

    def reloaded(self, done: Reloaded) -> None:
        """Somebody has edited the rules."""
        if done.problems:
            self.log.error("configuration edit refused", problems=list(done.problems))
        else:
            self.log.info("rules reloaded", rules=done.rules, default_replies=done.default_replies)
        if done.restart_needed:
            self.log.warning("restart needed", sections=list(done.restart_needed))

    def checking(self, seconds: float) -> None:
        """A start takes its time; logs are not set up yet, so this goes to stderr."""
        self.log.warning("checking the data file", seconds=round(seconds))
