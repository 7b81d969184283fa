"""Any service that speaks the OpenAI API, through the official SDK.

The SDK is imported at the first question, in a thread: it takes half a second, and most people
have no assistant. No tools, no fetching; the visitor's text is data in the role `user`, and the
prompt holds no other conversation (reliability 8, "Model replies").
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.model.asking import Answer, Failed, ModelAnswer, ModelRequest, Question

from .breaker import Breaker
from .limits import Blocked, Censor, Quota

TIMEOUT_S: Final = 30.0  # reliability 2


class Settings(msgspec.Struct, frozen=True):
    """How one model is reached, and what it is told.

    Args:
        secrets: of the whole configuration: none may be in an answer.
        links: hosts that an answer may name.
        denied: words that an answer may not have.
        daily: questions of one account on one day; 0 = no limit.
    """

    base_url: str
    model: str
    api_key: str
    prompt: str
    timeout_s: float = TIMEOUT_S
    secrets: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    per_minute: int = 6
    per_day: int = 60
    daily: int = 0


class OpenAiCompatible:
    """`contract.Assistant` over one service."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._breaker = Breaker(clock)
        self._quota = Quota(
            clock,
            per_minute=settings.per_minute,
            per_day=settings.per_day,
            daily=settings.daily,
        )
        self._censor = Censor(
            prompt=settings.prompt,
            secrets=(settings.api_key, *settings.secrets),
            links=settings.links,
            denied=settings.denied,
        )
        self._client: Any = None  # openai.AsyncOpenAI; the SDK is not imported yet
        self._opening = asyncio.Lock()
        self.failures: dict[str, int] = {}

    @property
    def timeout_s(self) -> float:
        """How long one answer may take; a little more than the service is given."""
        return self._settings.timeout_s + 1.0

    @property
    def trouble(self) -> str:
        """Why the model is not asked at the moment."""
        return "assistant: failed too often, not asked for a while" if self._breaker.is_open else ""

    async def ask(self, question: Question) -> Answer:
        """Answer a question; whatever the service does is an answer or a `Failed`."""
        answer = await self._ask(question)
        if isinstance(answer, Failed):
            self.failures[answer.reason] = self.failures.get(answer.reason, 0) + 1
        return answer

    async def _ask(self, question: Question) -> Answer:
        request, state = question.request, question.conversation
        if not isinstance(request, ModelRequest):
            return Failed("not-configured", type(request).__name__)
        if not self._breaker.enter():
            return Failed("breaker")
        if not self._quota.take(state.id, (state.line, state.account)):
            self._breaker.leave()
            return Failed("quota")
        try:
            text = await self._complete(_messages(self._settings.prompt, question, request))
        except asyncio.CancelledError:
            self._breaker.leave()
            raise
        except Exception as error:  # noqa: BLE001 - the edge "asking": a service may answer anything
            failed = _failed(error)
            self._breaker.note(is_good=False)
            return failed
        self._breaker.note(is_good=True)
        try:
            return ModelAnswer(self._censor.pass_on(text))
        except Blocked as blocked:
            return Failed(blocked.reason, blocked.detail)

    async def close(self) -> None:
        """Close the service's connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _complete(self, messages: list[Mapping[str, str]]) -> str:
        client = await self._open()
        async with asyncio.timeout(self._settings.timeout_s):
            # `chat.completions.create` does the same in four times the processor time, for types
            # that are not used here; sixteen questions at once would block the loop.
            done = await client.post(
                "/chat/completions",
                cast_to=object,
                body={"model": self._settings.model, "messages": messages},
            )
        content = done["choices"][0]["message"]["content"]  # else it is nonsense: see `_failed`
        if not isinstance(content, str):
            raise TypeError("the answer holds no text")
        return content

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                settings = self._settings
                sdk = await asyncio.to_thread(_import_sdk)
                self._client = await asyncio.to_thread(
                    sdk.AsyncOpenAI,
                    api_key=settings.api_key or "none",
                    base_url=settings.base_url,
                    timeout=settings.timeout_s,
                    max_retries=0,  # the breaker and the next stage are our answer to a failure
                )
        return self._client


def _import_sdk() -> Any:
    import openai

    return openai


def _messages(prompt: str, question: Question, request: ModelRequest) -> list[Mapping[str, str]]:
    messages: list[Mapping[str, str]] = []
    if prompt:
        messages.append({"role": "system", "content": prompt})
    messages += ({"role": said.role, "content": said.text} for said in question.past)
    messages.append({"role": "user", "content": request.text})
    return messages


_BY_NAME: Final[Iterable[tuple[str, str]]] = (
    ("APITimeoutError", "timeout"),
    ("TimeoutError", "timeout"),
    ("RateLimitError", "throttled"),
    ("APIConnectionError", "unreachable"),
    ("InternalServerError", "server"),
    ("APIStatusError", "refused"),
    ("ModuleNotFoundError", "not-installed"),
)


def _failed(error: Exception) -> Failed:
    """Say in one word what went wrong. The SDK's classes are known by name: it is not imported."""
    names = [kind.__name__ for kind in type(error).__mro__]
    for name, reason in _BY_NAME:
        if name in names:
            return Failed(reason, type(error).__name__)
    return Failed("nonsense", type(error).__name__)
