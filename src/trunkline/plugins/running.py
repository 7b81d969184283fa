"""Runs the handlers that match, one after another, until one answers.

Everything that a handler can do wrong but block the loop ends here: it raises, hangs, returns
nonsense, leaves the process. Each is a fault with type and line, counted, and the next is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from trunkline.model.asking import Answer, Failed, PluginAnswer, PluginRequest, Question
from trunkline.model.message import Segments

from .binding import Around, Bound, Call, message_of
from .router import Message, Stop, to_replies

MAX_ANSWERS: Final = 15
MAX_FAULT_CHARS: Final = 300
MAX_STUCK: Final = 16
TIMEOUT_S: Final = 60.0  # of all handlers of one message together


class Runner:
    """Asks handlers (`exchange.asking.Asker`).

    Args:
        handlers: looks up the ones of now by id; a file may change while a message waits.
        on_fault: told the handler's name and what went wrong.
    """

    def __init__(
        self,
        around: Around,
        handlers: Callable[[], Mapping[str, Bound]],
        on_fault: Callable[[str, str], None],
    ) -> None:
        self._around = around
        self._handlers = handlers
        self._on_fault = on_fault
        self.faults: dict[str, int] = {}
        self._beside = 0  # plain handlers under way in threads of their own

    async def ask(self, question: Question) -> Answer:
        """Ask the handlers of a request."""
        request = question.request
        if not isinstance(request, PluginRequest):
            return Failed("not-configured", type(request).__name__)
        faults: list[tuple[str, str]] = []
        for hit in request.hits:
            bound = self._handlers().get(hit.handler)
            if bound is None:
                continue  # its file was changed or removed meanwhile
            message = message_of(question.conversation, request, hit)
            call = Call(
                self._around, question.conversation, request, message, bound.log, bound.store
            )
            name = bound.spec.name
            said, fault = await self._call(bound, call)
            if fault:
                faults.append((name, fault))
                self.faults[name] = self.faults.get(name, 0) + 1
                # What an exception says may quote the message: that is for `why`, not for the log.
                self._on_fault(name, ": ".join(fault.split(": ")[:2]))
            elif isinstance(said, Stop):
                return PluginAnswer(handler=name, is_stopped=True, faults=tuple(faults))
            elif said:
                return PluginAnswer(said, name, faults=tuple(faults))
        return PluginAnswer(faults=tuple(faults))

    async def _start(self, bound: Bound, call: Call) -> object:
        """Call the function: an `async` one on the loop, a plain one in a thread of its own.

        A plain handler may block (`time.sleep`, a slow library): the loop must not. What hangs
        there for ever keeps its thread; with `MAX_STUCK` of them no further one is begun.
        """
        function, arguments = bound.function, bound.arguments(call)
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            return function(**arguments)
        if self._beside >= MAX_STUCK:
            raise RuntimeError(f"{MAX_STUCK} handlers hang already")
        self._beside += 1
        work = _beside(lambda: function(**arguments))
        try:
            value = await asyncio.shield(work)
        finally:
            if work.done():
                self._beside -= 1
            else:
                work.add_done_callback(self._let_go)
        return await value if inspect.isawaitable(value) else value

    def _let_go(self, work: asyncio.Future[object]) -> None:
        self._beside -= 1
        if not work.cancelled():
            work.exception()  # nobody waits for it any more

    async def _call(self, bound: Bound, call: Call) -> tuple[tuple[Segments, ...] | Stop, str]:
        """Call one handler; return what it said, and what went wrong."""
        limit = asyncio.timeout(bound.within_s)
        try:
            async with limit:
                value = await self._start(bound, call)
                return await _gather(value, call.message), ""
        except TimeoutError as error:
            if limit.expired():
                return (), f"took more than {bound.within_s:g} s"
            return (), describe(error, bound.function)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return (), describe(error, bound.function)  # the handler's own doing
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge "plugins"
            return (), describe(error, bound.function)


def _beside(work: Callable[[], object]) -> asyncio.Future[object]:
    """Do `work` in a thread of its own, which a stop of the process does not wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[object] = loop.create_future()

    def settle(result: object, failure: BaseException | None) -> None:
        if done.done():
            return  # its time is over: nobody waits any more
        if failure is None:
            done.set_result(result)
        else:
            done.set_exception(failure)

    def run() -> None:
        result: object = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - carried to the edge "plugins"
            failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="plugin", daemon=True).start()
    return done


async def _gather(value: object, message: Message) -> tuple[Segments, ...] | Stop:
    """Take what was returned, or each thing that was yielded."""
    if not isinstance(value, AsyncIterator | Iterator):
        return _one(value, message)
    said: list[Segments] = []
    async for part in _parts(value):  # pyright: ignore[reportUnknownArgumentType] - any
        answer = _one(part, message)
        if isinstance(answer, Stop):
            return tuple(said) or answer
        said += answer
        if len(said) >= MAX_ANSWERS:
            break
    return tuple(said[:MAX_ANSWERS])


async def _parts(value: AsyncIterator[Any] | Iterator[Any]) -> AsyncIterator[object]:
    if isinstance(value, AsyncIterator):
        async for part in value:
            yield part
    else:
        for part in value:
            yield part


def _one(value: object, message: Message) -> tuple[Segments, ...] | Stop:
    said = to_replies(value, message)
    if isinstance(said, Stop):
        return said
    return () if said is None else (said,)


def describe(error: BaseException, function: Callable[..., Any] | None, path: str = "") -> str:
    """Say what happened and in which line of the plugin's file: `line 7: KeyError: 'x'`."""
    if function is not None:
        code = getattr(function, "__code__", None)
        path = code.co_filename if code is not None else path
    number = _line_of(error, path)
    where = f"line {number}: " if number else ""
    return f"{where}{type(error).__name__}: {error}"[:MAX_FAULT_CHARS]


def _line_of(error: BaseException, path: str) -> int:
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 0
    number = 0
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == Path(path):
            number = trace.tb_lineno
        trace = trace.tb_next
    return number
