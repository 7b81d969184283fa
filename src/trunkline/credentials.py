"""New credentials for a line while it runs: given by a person, or by an edit of the file.

What is given is checked first, then written into the file that the configuration names (0600,
replaced whole), then used: the line dials anew and logs in with it, also when it was parked. The
file is looked at twice a second, as the configuration is (`reload.py`); what rests and differs is
taken up. A text that cannot be used changes nothing. No value ever reaches a log or an answer.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from trunkline.config import Config, secrets_of
from trunkline.dialects.options import LineOptions
from trunkline.errors import ConfigError
from trunkline.lines.contract import CredentialRefused
from trunkline.lines.line import Line
from trunkline.reload import LOOK_S, Stamp, stamp_of

MAX_CHARS: Final = 65_536


class Credentials:
    """What lines log in with, and the files it comes from.

    Args:
        config: as it was at the start.
        lines: by name; their options are replaced when a credential is.
        learn: told a line and its secrets before they are used.
        renew: has a line dial anew with it, also from FAILED.
        tell: told a line and why its edited file is not in use, "" = it is.
    """

    def __init__(
        self,
        config: Config,
        lines: Mapping[str, Line],
        *,
        learn: Callable[[str, list[str]], None],
        renew: Callable[[str], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self._config = config
        self._lines = lines
        self._learn = learn
        self._renew = renew
        self._tell = tell
        self._files: dict[str, Path] = {}
        for name, line in lines.items():
            file = config.credential_file(name)
            if file is not None and line.options.enabled and line.options.link == "dial":
                self._files[name] = file
        self._seen: dict[str, Stamp | None] = {}
        self._taken: dict[str, Stamp | None] = {}

    async def give(self, name: str, text: str) -> None:
        """Check, write and use a new credential.

        Raises:
            CredentialRefused: it cannot be used, or there is no file for it.
        """
        file = self._files.get(name)
        if file is None:
            raise CredentialRefused(self._why_none(name))
        text = text.strip()
        if not text or len(text) > MAX_CHARS:
            raise CredentialRefused(f"give 1 to {MAX_CHARS} characters")
        key = self._lines[name].options.credential_key
        try:
            options = self._config.refreshed(name, **{key: text})
        except ConfigError as error:
            raise CredentialRefused(error.problems[0]) from error
        if why := self._refuse(name, options):
            raise CredentialRefused(why)
        try:
            stamp = await asyncio.to_thread(_write, file, text)
        except OSError as error:
            why = f"cannot write {file.name}: {error.strerror or type(error).__name__}"
            raise CredentialRefused(why) from error
        self._taken[name] = self._seen[name] = stamp
        self._use(name, options)

    async def run(self) -> None:
        """Look twice a second, until cancelled."""
        while self._files:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Take up every file whose edit has rested since the last look."""
        for name, file in self._files.items():
            stamp = await asyncio.to_thread(stamp_of, file)
            has_rested = name in self._seen and stamp == self._seen[name]
            self._seen[name] = stamp
            if has_rested and (name not in self._taken or stamp != self._taken[name]):
                self._taken[name] = stamp
                await self._take(name)

    async def _take(self, name: str) -> None:
        try:
            options = await asyncio.to_thread(self._config.refreshed, name)
        except ConfigError as error:
            self._tell(name, error.problems[0])
            return
        key = options.credential_key
        if getattr(options, key) != getattr(self._lines[name].options, key):
            if why := self._refuse(name, options):
                self._tell(name, why)
                return
            self._use(name, options)
            self._tell(name, "")

    def _refuse(self, name: str, options: LineOptions) -> str:
        """Return why a line may not log in with it, as the lines run now; "" = it may."""
        lines = {other: line.options for other, line in self._lines.items()}
        return self._config.refuse_login(name, options, lines)

    def _use(self, name: str, options: LineOptions) -> None:
        """Use it from the next link on, and have that at once."""
        line = self._lines[name]
        key = options.credential_key
        self._learn(name, list(secrets_of(options)))
        line.options = line.options.model_copy(update={key: getattr(options, key)})
        self._renew(name)

    def _why_none(self, name: str) -> str:
        options = self._lines[name].options
        if not options.credential_key:
            return "this line logs in with nothing that could be given anew"
        if not options.enabled:
            return "this line is switched off"
        return f'write {options.credential_key} = {{ file = "…" }} into the configuration first'


def _write(path: Path, text: str) -> Stamp | None:
    """Replace a file whole, readable by its owner alone; return its stamp.

    Where it is a link, what it leads to is replaced: the link is somebody's arrangement.
    """
    path = path.resolve()
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return stamp_of(path)
