"""A house whose turns may be asked outside: plugin files, and a model that a test holds back.

async with AskHouse(tmp_path, files={"echo.py": ECHO_PLUGIN}, model=Gate("答")) as house: …
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from house import House
from trunkline.exchange.asking import Asker
from trunkline.exchange.plans import decider
from trunkline.model.asking import Answer, Failed, ModelAnswer, ModelSpec, Question
from trunkline.pipeline.decide import (
    RuleHealth,
    compile_handlers,
    compile_rulebook,
    decide,
    with_handlers,
)
from trunkline.plugins.binding import Around
from trunkline.plugins.loader import Plugins
from trunkline.plugins.running import Runner

SORRY = "抱歉，请稍后再试"


class Gate:
    """Somebody who is asked and answers when the test opens the gate.

    Args:
        answer: what is answered, or how: a function of the question.
    """

    def __init__(self, answer: str | Callable[[Question], Answer]) -> None:
        self._answer = answer
        self.asked: list[Question] = []
        self.running = 0
        self.most = 0
        self.is_open = asyncio.Event()

    def open(self) -> Gate:
        self.is_open.set()
        return self

    @property
    def texts(self) -> list[str]:
        return [question.request.text for question in self.asked]

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.is_open.wait()
        finally:
            self.running -= 1
        if isinstance(self._answer, str):
            return ModelAnswer(self._answer.format(question.request.text))
        return self._answer(question)


def failing(reason: str = "server") -> Gate:
    return Gate(lambda _: Failed(reason)).open()


class AskHouse(House):
    """See the module.

    Args:
        files: plugin files by name; written before the start.
        model: who is asked for the stage `model`; None = no assistant.
    """

    def __init__(
        self,
        folder: Path,
        *,
        files: Mapping[str, str] | None = None,
        model: Callable[[Question], Any] | None = None,
        fallback: str = SORRY,
        wants_past: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(folder, **more)
        self.files = folder / "plugins"
        for name, text in (files or {}).items():
            self.write(name, text)
        self.model = model
        self.wants_past = wants_past
        if model is not None:
            self._spec = msgspec.structs.replace(self._spec, model=ModelSpec((), fallback))

    def write(self, name: str, text: str) -> None:
        self.files.mkdir(parents=True, exist_ok=True)
        (self.files / name).write_text(text, encoding="utf-8")

    async def __aenter__(self) -> AskHouse:
        await super().__aenter__()
        self.rulebook = compile_rulebook(self._spec)
        around = Around(self.clock, self.log, self.folder / "plugin-data", 28_800_000)
        self.plugins = Plugins(
            self.folder, ("plugins/*.py",), around, compile_handlers, self._changed
        )
        self.faults: list[tuple[str, str]] = []
        self.runner = Runner(
            around, lambda: self.plugins.handlers, lambda *fault: self.faults.append(fault)
        )
        askers = {"plugins": Asker(self.runner.ask, 60.0)}
        if self.model is not None:
            askers["model"] = Asker(self.model, 30.0, wants_past=self.wants_past)
        self.core.asking.use(askers)
        self._changed()
        await self.plugins.look()
        return self

    def _changed(self) -> None:
        handlers = compile_handlers(self.plugins.specs)
        rulebook = with_handlers(self.rulebook, handlers)
        self.core.use(decider(decide, rulebook, RuleHealth()))

    def _spawn_short(self, work: Any) -> asyncio.Task[None]:
        # Askings may hang for as long as the test likes: `quiet` must not wait for them.
        return self._spawn(work)

    async def until(self, is_so: Callable[[], object], rounds: int = 20_000) -> None:
        """Let everything go on until something holds."""
        for _ in range(rounds):
            await self.quiet()
            if is_so():
                return
            await self.store.next_conversation_id()  # a round trip: the store's thread goes on
        raise AssertionError("it did not come to pass")

    async def rest(self) -> None:
        """Let everything go on until nothing is asked and nothing waits."""
        await self.until(lambda: not self.core.asking.held)
        await self.quiet()


def said(frames: Sequence[dict[str, Any]]) -> list[str]:
    """The answers among a visitor's frames."""
    return [frame["message"] for frame in frames if frame["type"] == "chat_message"]
