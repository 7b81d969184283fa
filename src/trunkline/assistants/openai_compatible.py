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
        price_prompt, tech_prompt: instead of `prompt` where the price, or how the goods work, is
            asked for; "" = `prompt` and a built-in one.
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
    price_prompt: str = ""
    tech_prompt: str = ""


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
            prompt="\n".join((settings.prompt, settings.price_prompt, settings.tech_prompt)),
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
            text = await self._complete(
                _messages(_prompt(self._settings, request), question, request)
            )
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


def _prompt(settings: Settings, request: ModelRequest) -> str:
    """Return what the model is told first: by intent in a chat about goods. Source: xianyu 15"""
    if not request.intent:
        return settings.prompt
    own = {"price": settings.price_prompt, "tech": settings.tech_prompt}.get(request.intent, "")
    if own:
        return own
    if request.intent == "default" and settings.prompt:
        return settings.prompt
    return f"{settings.prompt}\n{_BUILT_IN[request.intent]}".strip()


def _messages(prompt: str, question: Question, request: ModelRequest) -> list[Mapping[str, str]]:
    messages: list[Mapping[str, str]] = []
    if prompt:
        messages.append({"role": "system", "content": prompt})
    messages += ({"role": said.role, "content": said.text} for said in question.past)
    # What we tell stands before, and apart from, what a stranger says.
    text = f"{request.about}\n\n买家说：{request.text}" if request.about else request.text
    messages.append({"role": "user", "content": text})
    return messages


_BUILT_IN: Final[Mapping[str, str]] = {
    "default": "你是二手商品卖家的客服。用一两句话友好回答，40 字以内；不知道的事就说稍后确认。",
    "price": "买家在谈价格。友好地用 40 字以内回答，让价要小步，绝不超过给出的优惠上限；"
    "标价未知时不报价。",
    "tech": "买家在问商品怎么用。40 字以内，只说给出的商品信息里有的事实，不知道就说稍后确认。",
}
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
