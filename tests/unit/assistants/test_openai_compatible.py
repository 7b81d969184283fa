"""The official SDK against a real server that is good, slow, cut, throttling or talks nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from modelservice import ModelService
from trunkline.assistants.openai_compatible import OpenAiCompatible, Settings
from trunkline.clock import FakeClock
from trunkline.ids import ConversationId
from trunkline.model.asking import Failed, ModelAnswer, ModelRequest, Question, Said
from trunkline.model.conversation import ConversationState

KEY = "sk-test-0123456789abcdef"
STATE = ConversationState(ConversationId(1), "blog", "", "visitor", "v1")


def question(text: str = "在吗", past: tuple[Said, ...] = (), ident: int = 1) -> Question:
    state = ConversationState(ConversationId(ident), "blog", "", "visitor", f"v{ident}")
    return Question(state, ModelRequest(text), past)


@asynccontextmanager
async def asked(
    service: ModelService, clock: FakeClock | None = None, **more: Any
) -> AsyncIterator[OpenAiCompatible]:
    values: dict[str, Any] = {"timeout_s": 10.0, "prompt": "", **more}
    settings = Settings(base_url=service.url, model="m1", api_key=KEY, **values)
    assistant = OpenAiCompatible(settings, clock or FakeClock())
    try:
        yield assistant
    finally:
        await assistant.close()


async def test_the_service_gets_prompt_past_and_question() -> None:
    past = (Said("user", "你好"), Said("assistant", "您好"))
    async with ModelService() as service, asked(service, prompt="你是店员") as assistant:
        assert await assistant.ask(question("多少钱", past)) == ModelAnswer("答：多少钱")
        (request,) = service.requests
        assert request["model"] == "m1"
        assert [(one["role"], one["content"]) for one in request["messages"]] == [
            ("system", "你是店员"), ("user", "你好"), ("assistant", "您好"), ("user", "多少钱"),
        ]  # fmt: skip
        assert "tools" not in request
        assert service.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("prompts", "intent", "system"),
    [
        ({"prompt": "店员", "price_prompt": "砍价"}, "price", "砍价"),
        ({"prompt": "店员", "tech_prompt": "技术"}, "tech", "技术"),
        ({"prompt": "店员", "price_prompt": "砍价"}, "default", "店员"),
        ({"prompt": "店员"}, "price", "店员\n买家在谈价格"),
        ({}, "tech", "买家在问商品怎么用"),
        ({}, "default", "你是二手商品卖家的客服"),
        ({"prompt": "店员", "price_prompt": "砍价"}, "", "店员"),
    ],
)
async def test_a_chat_about_goods_has_the_prompt_of_its_intent(
    prompts: Any, intent: Any, system: str
) -> None:
    async with ModelService() as service, asked(service, **prompts) as assistant:
        request = ModelRequest("便宜点", intent, "标价：100 元" if intent else "")
        await assistant.ask(Question(STATE, request))
        first, last = service.requests[0]["messages"]
        assert (first["role"], first["content"][: len(system)]) == ("system", system)
        expected = "标价：100 元\n\n买家说：便宜点" if intent else "便宜点"
        assert (last["role"], last["content"]) == ("user", expected)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("cut", "unreachable"), ("cut-inside", "unreachable"), ("429", "throttled"),
        ("500", "server"), ("401", "refused"), ("html", "nonsense"), ("no-choices", "nonsense"),
        ("no-text", "nonsense"), ("other-json", "nonsense"),
    ],
)  # fmt: skip
async def test_whatever_the_service_does_is_a_failure_with_its_reason(
    how: Any, reason: str
) -> None:
    async with ModelService() as service, asked(service) as assistant:
        service.how = how
        answer = await assistant.ask(question())
        assert isinstance(answer, Failed)
        assert answer.reason == reason
        assert len(service.requests) == 1  # not tried again: the next stage answers
        assert assistant.failures == {reason: 1}
        service.how = "good"
        assert await assistant.ask(question()) == ModelAnswer("答：在吗")


async def test_a_slow_service_is_given_up() -> None:
    async with ModelService() as service, asked(service, timeout_s=0.05) as assistant:
        service.how = "slow"
        assert (await assistant.ask(question())).reason == "timeout"  # type: ignore[union-attr]
        service.go_on.set()


async def test_a_service_that_is_not_there() -> None:
    async with ModelService() as service:
        pass
    async with asked(service) as assistant:
        answer = await assistant.ask(question())
        assert isinstance(answer, Failed)
        assert answer.reason == "unreachable"


async def test_after_five_failures_it_is_left_alone_then_probed_once() -> None:
    clock = FakeClock()
    async with ModelService() as service, asked(service, clock) as assistant:
        service.how = "500"
        for ident in range(5):
            await assistant.ask(question(ident=ident))
        assert assistant.trouble
        assert await assistant.ask(question(ident=9)) == Failed("breaker")
        assert len(service.requests) == 5
        clock.advance(30)
        service.how = "good"
        assert await assistant.ask(question(ident=9)) == ModelAnswer("答：在吗")
        assert assistant.trouble == ""


async def test_a_cancelled_question_is_no_failure_of_the_service() -> None:
    async with ModelService() as service, asked(service) as assistant:
        service.how = "slow"
        for nth in range(6):
            call = asyncio.create_task(assistant.ask(question()))
            while len(service.requests) <= nth:
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        assert assistant.trouble == ""
        service.go_on.set()


async def test_a_conversation_asks_six_times_a_minute_and_others_go_on() -> None:
    clock = FakeClock()
    async with ModelService() as service, asked(service, clock) as assistant:
        answers = [await assistant.ask(question(f"{n}")) for n in range(7)]
        assert answers[6] == Failed("quota")
        assert all(isinstance(answer, ModelAnswer) for answer in answers[:6])
        assert isinstance(await assistant.ask(question(ident=2)), ModelAnswer)
        clock.advance(60)
        assert isinstance(await assistant.ask(question()), ModelAnswer)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (f"the key is {KEY}", "secret"),
        ("the word is hunter2-hunter2", "secret"),
        ("My instructions: never tell the visitor anything about the warehouse", "prompt"),
        ("see http://evil.example/x", "link"),
        ("buy at 批发网", "denied"),
        (" \u200b ", "nothing"),
    ],
)
async def test_what_must_not_be_said_is_a_failure(says: str, reason: str) -> None:
    prompt = "Be kind. Never tell the visitor anything about the warehouse."
    async with (
        ModelService() as service,
        asked(
            service, prompt=prompt, secrets=("hunter2-hunter2",), denied=("批发网",),
            links=("shop.example",),
        ) as assistant,
    ):  # fmt: skip
        service.says = says
        answer = await assistant.ask(question())
        assert isinstance(answer, Failed)
        assert answer.reason == reason
        assert KEY not in answer.detail


async def test_what_was_said_before_ends_at_its_own_conversation() -> None:
    async with ModelService() as service, asked(service) as assistant:
        await assistant.ask(question("geheim", ident=1))
        await assistant.ask(question("hallo", ident=2))
        assert "geheim" not in str(service.requests[1])


def test_the_sdk_is_imported_on_first_use() -> None:
    import subprocess
    import sys

    code = "import sys, trunkline.app; assert 'openai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
