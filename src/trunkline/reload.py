"""Taking up an edited configuration file without a restart: rules and default replies.

The file's stamp is looked at twice a second; an edit counts once it has rested for one look, so
that a file which is still being written is not read. Reading, checking and compiling happen in a
thread (10,000 keywords take 0.65 s), and the result is used from the next beat on. A broken edit
changes nothing and says so: in the log, in `/readyz`, in `/api/v1/rules` and on the event stream.
What else was edited – lines, sockets, the store – is not applied and is named: it needs a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from trunkline.clock import Clock
from trunkline.config import Config, load_config
from trunkline.dialects.options import LineOptions
from trunkline.errors import ConfigError
from trunkline.model.asking import HandlerSpec
from trunkline.model.conversation import ConversationState
from trunkline.pipeline.asked import answer
from trunkline.pipeline.compiled import Handler
from trunkline.pipeline.decide import (
    Rulebook,
    RuleHealth,
    compile_handlers,
    compile_rulebook,
    decide,
    with_handlers,
)
from trunkline.pipeline.rulebook import RulebookSpec
from trunkline.pipeline.turn import Turn, Verdict

LOOK_S: Final = 0.5
# What is taken up, and what is no setting. Everything else needs a restart.
_LIVE: Final = frozenset({"rules", "default_replies", "site"})
_NO_SETTING: Final = frozenset({"path", "folder", "warnings", "source"})

Stamp: TypeAlias = tuple[int, int, int]


class Reloaded(msgspec.Struct, frozen=True):
    """What became of an edit.

    Args:
        problems: why it was refused; empty = it is in use.
        restart_needed: what else of it is not in use before the next start.
    """

    problems: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()
    rules: int = 0
    default_replies: int = 0


class Reload:
    """The rules in use, and the file they come from.

    Args:
        config: as it was at the start.
        use: has the beat decide by a rulebook, plugins' handlers included, from now on.
        tell: told of every edit, taken or refused.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        use: Callable[[Rulebook], None],
        tell: Callable[[Reloaded, Config | None], None],
    ) -> None:
        self._started_with = config
        self._clock = clock
        self._use = use
        self._tell = tell
        self._trial_health = RuleHealth()
        self._asked_health = RuleHealth()
        self._rules = self.rulebook = compile_rulebook(config.rulebook)
        self._handlers: tuple[Handler, ...] = ()
        self.loaded_ms = clock.now_ms()
        self.problems: Sequence[str] = ()
        self.restart_needed: Sequence[str] = ()
        # Read once more at the start: it may have been edited since it was read.
        self._taken: Stamp | None = None
        self._seen = stamp_of(config.path)

    @property
    def spec(self) -> RulebookSpec:
        """The rules in use, as they were written."""
        return self._rules.spec

    def try_on(self, state: ConversationState, turn: Turn) -> Verdict:
        """Decide on a turn that nobody waits for.

        Patterns that take too long are counted apart: a trial must not switch off a rule.
        """
        return decide(state, turn, self.rulebook, {}, self._trial_health)

    def answer(self, state: ConversationState, turn: Turn) -> Verdict:
        """Decide for somebody who asks by HTTP: by rules, item replies and default replies."""
        return answer(state, turn, self.rulebook, self._asked_health)

    def use_handlers(self, specs: Iterable[HandlerSpec]) -> None:
        """Have the handlers of plugins asked from now on, instead of those before.

        Raises:
            ConfigError: a filter cannot be compiled; nothing is changed.
        """
        self._handlers = compile_handlers(specs)
        self._compose()

    def _compose(self) -> None:
        self.rulebook = with_handlers(self._rules, self._handlers)
        self._use(self.rulebook)

    def notes(self) -> tuple[str, ...]:
        """Return what `/readyz` says of it."""
        notes = [f"the last edit of the configuration is not in use: {problem}"
                 for problem in self.problems[:1]]  # fmt: skip
        if self.restart_needed:
            notes.append(f"restart needed for {', '.join(self.restart_needed)}")
        return tuple(notes)

    async def run(self) -> None:
        """Look twice a second, until cancelled."""
        while self._started_with.path is not None:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Take up an edit that has rested since the last look."""
        stamp = await asyncio.to_thread(stamp_of, self._started_with.path)
        has_rested, self._seen = stamp == self._seen, stamp
        if not has_rested or stamp == self._taken:
            return
        self._taken = stamp
        try:
            config, rulebook = await asyncio.to_thread(self._load, self._rules)
        except ConfigError as error:
            self._refuse(error.problems)
        except Exception as error:  # noqa: BLE001 - the edge "reload": what runs must go on
            self._refuse([f"{type(error).__name__}: {error}"])
        else:
            self._take(config, rulebook)

    def _load(self, used: Rulebook) -> tuple[Config, Rulebook]:
        before = self._started_with
        config = load_config(before.path, before.source.env)
        # The assistant is asked as it was at the start, so its place in the rules stays as well.
        spec = msgspec.structs.replace(config.rulebook, model=before.rulebook.model)
        return config, used if spec == used.spec else compile_rulebook(spec)

    def _refuse(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        self._tell(Reloaded(self.problems, tuple(self.restart_needed)), None)

    def _take(self, config: Config, rulebook: Rulebook) -> None:
        restarts = find_restarts(self._started_with, config)
        was_good = not self.problems
        if was_good and rulebook is self._rules and restarts == tuple(self.restart_needed):
            return  # a comment, or the same again
        self.problems = ()
        self.restart_needed = restarts
        if rulebook is not self._rules:
            self._rules = rulebook
            self.loaded_ms = self._clock.now_ms()
            self._compose()
        done = Reloaded(
            (), tuple(self.restart_needed), len(config.rules), len(config.default_replies)
        )
        self._tell(done, config)


def find_restarts(before: Config, after: Config) -> tuple[str, ...]:
    """Return what differs and is not taken up while running, as people find it in the file."""
    found: list[str] = []
    for name in Config.__struct_fields__:
        if name in _LIVE or name in _NO_SETTING:
            continue
        old, new = getattr(before, name), getattr(after, name)
        if name == "lines":
            names = dict.fromkeys((*old, *new))
            found += [
                f"[lines.{line}]"
                for line in names
                if _without_credential(old.get(line)) != _without_credential(new.get(line))
            ]
        elif old != new:
            found.append(f"[{name}]")
    return tuple(found)


def _without_credential(options: LineOptions | None) -> LineOptions | None:
    """Return a line without what `credentials.py` takes up by itself."""
    if options is None or not options.credential_key:
        return options
    return options.model_copy(update={options.credential_key: None})


def stamp_of(path: Path | None) -> Stamp | None:
    """Return what changes when a file is written or replaced; None when it is not there."""
    if path is None:
        return None
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
