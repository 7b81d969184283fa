"""Problem documents (RFC 9457): one table of codes, in both languages, and who turns what into one.

A `code` is stable and is what programs look at; `title`, `detail` and `fix` are for people, in the
language of `Accept-Language`. No document ever carries a traceback, a value of a secret or the
text of an unexpected exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.store.contract import BadCursor

from .headers import HEADERS

MEDIA_TYPE: Final = "application/problem+json"
MAX_DETAIL_CHARS: Final = 500
# A route whose callers know nothing of problem documents. Source: guides 6, xianyu 13
PLAIN: Final = frozenset({"/xianyu/reply"})
_encoder = msgspec.json.Encoder()


class Said(NamedTuple):
    """The same sentence in both languages."""

    zh: str
    en: str


class Kind(NamedTuple):
    """One code: the status it is sent with, its name, and what to do about it."""

    status: int
    title: Said
    fix: Said


_LOOK_AT_API = Said("查看 /openapi.json 中的接口说明。", "See /openapi.json for the interface.")

KINDS: Final[Mapping[str, Kind]] = {
    "bad-request": Kind(
        400, Said("请求无法理解", "The request cannot be understood"), _LOOK_AT_API
    ),
    "unauthorized": Kind(
        401,
        Said("需要 API 令牌", "An API token is needed"),
        Said(
            "加上请求头 Authorization: Bearer <数据目录中 api.token 的内容>。",
            "Send Authorization: Bearer <what api.token in the data folder holds>.",
        ),
    ),
    "forwarded": Kind(
        403,
        Said("请求经过了未登记的代理", "The request came through a proxy that is not listed"),
        Said(
            "把代理的地址写进 [server] trusted_proxies。",
            "List the proxy's address in [server] trusted_proxies.",
        ),
    ),
    "origin": Kind(
        403,
        Said("来源网页不在名单中", "The page this comes from is not listed"),
        Said("把网页的来源写进 [server] origins。", "List the page's origin in [server] origins."),
    ),
    "forbidden": Kind(403, Said("不允许", "Not allowed"), _LOOK_AT_API),
    "not-found": Kind(404, Said("没有找到", "Not found"), _LOOK_AT_API),
    "no-such-line": Kind(
        404,
        Said("没有这条线路", "There is no such line"),
        Said("运行 trunkline lines 查看线路。", "Run trunkline lines to see the lines."),
    ),
    "no-such-target": Kind(
        404,
        Said("发不到这个对象", "This target cannot be reached"),
        Said(
            "目标写作 line/kind:id，线路有多个账号时再加 @account。",
            "Write a target as line/kind:id, with @account when the line has several.",
        ),
    ),
    "method": Kind(
        405, Said("这个地址不支持此方法", "This address has no such method"), _LOOK_AT_API
    ),
    "too-slow": Kind(
        408,
        Said("请求内容没有及时到达", "The body did not arrive in time"),
        Said("请重试。", "Try again."),
    ),
    "wrong-state": Kind(
        409,
        Said("当前状态不能这样做", "Its state does not allow that"),
        Said("重新读取后再决定。", "Read it again and decide then."),
    ),
    "no-broadcast": Kind(
        409,
        Said("这条线路不能群发", "This line has no broadcast"),
        Said(
            "只有访客线路（contact）可以；其他线路请逐个发送。",
            "Only contact lines have one; send to each target on others.",
        ),
    ),
    "rules-live-in-the-file": Kind(
        409,
        Said("规则写在配置文件里", "The rules live in the configuration file"),
        Said(
            "修改 trunkline.toml 并保存，一秒左右生效，无需重启；有误时原规则继续生效。",
            "Edit trunkline.toml and save it: it is taken up in about a second, without a restart; "
            "a broken edit changes nothing.",
        ),
    ),
    "too-large": Kind(
        413,
        Said("请求内容太大", "The body is too large"),
        Said("发送更小的内容。", "Send less in one request."),
    ),
    "wrong-host": Kind(
        421,
        Said("主机名不在名单中", "This host name is not served here"),
        Said("把主机名写进 [server] allowed_hosts。", "List it in [server] allowed_hosts."),
    ),
    "invalid": Kind(422, Said("内容不正确", "Something in the request is wrong"), _LOOK_AT_API),
    "locked-out": Kind(
        429,
        Said("令牌错误次数过多", "Too many wrong tokens"),
        Said("等待后用正确的令牌重试。", "Wait, then use the right token."),
    ),
    "internal": Kind(
        500,
        Said("内部错误", "Something went wrong inside"),
        Said("查看 trunkline.log。", "Look into trunkline.log."),
    ),
    "store-unavailable": Kind(
        503,
        Said("存储暂不可用，没有保存任何内容", "The store does not answer; nothing was stored"),
        Said("稍后重试。", "Try again soon."),
    ),
    "too-many-viewers": Kind(
        503,
        Said("打开的实时流太多", "Too many live streams are open"),
        Said("关闭一些后重试。", "Close some and try again."),
    ),
    "store-full": Kind(
        507,
        Said("磁盘已满，没有保存任何内容", "The disk is full; nothing was stored"),
        Said("腾出空间，之后会自动恢复。", "Make room; it recovers by itself."),
    ),
}
_BY_STATUS: Final = {400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found",
                     405: "method", 408: "too-slow", 413: "too-large", 422: "invalid"}  # fmt: skip


class Problem(Exception):
    """A request that ends in a problem document.

    Args:
        code: a key of `KINDS`.
        detail: one sentence about this case, in both languages or in one that both read.
        headers: sent with it (`Retry-After`).
        extra: further members of the document.
    """

    def __init__(
        self,
        code: str,
        detail: Said | str = "",
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra or {}


def choose_language(accept: str) -> str:
    """Return `zh` or `en`: which of them `Accept-Language` likes better; `en` when neither."""
    best, best_q = "en", 0.0
    for part in accept[:256].split(","):
        tag, _, rest = part.strip().lower().partition(";")
        language = tag.split("-")[0]
        if language not in ("zh", "en"):
            continue
        try:
            quality = float(rest.strip().removeprefix("q=") or "1")
        except ValueError:
            continue
        if quality > best_q:
            best, best_q = language, quality
    return best


def choose_text(said: Said | str, language: str) -> str:
    """Return the sentence in `language`."""
    if isinstance(said, str):
        return said
    return said.zh if language == "zh" else said.en


def build_response(problem: Problem, accept_language: str, path: str = "") -> Response:
    """Build the document of a problem, or the plain answer of a path that has no such documents."""
    kind = KINDS[problem.code]
    language = choose_language(accept_language)
    if path in PLAIN:
        return _build_plain(problem, language)
    document = {
        "type": f"urn:trunkline:problem:{problem.code}",
        "title": choose_text(kind.title, language),
        "status": kind.status,
        "detail": choose_text(problem.detail, language)[:MAX_DETAIL_CHARS],
        "code": problem.code,
        "fix": choose_text(kind.fix, language),
        **problem.extra,
    }
    headers = {"Content-Language": language, "Vary": "Accept-Language", **problem.headers}
    return Response(_encoder.encode(document), kind.status, headers, MEDIA_TYPE)


def _build_plain(problem: Problem, language: str) -> Response:
    """Build `{"detail": …}`: a sentence, or for a wrong body the list of what is wrong."""
    kind = KINDS[problem.code]
    said = choose_text(problem.detail, language) or choose_text(kind.title, language)
    detail: object = said[:MAX_DETAIL_CHARS]
    if kind.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        named: Iterable[Mapping[str, str]] = problem.extra.get("errors", ())
        listed = [{"loc": ["body", one["field"]], "msg": one["message"]} for one in named]
        detail = listed or [{"loc": ["body"], "msg": detail}]
    return Response(
        _encoder.encode({"detail": detail}), kind.status, dict(problem.headers), "application/json"
    )


def add_handlers(app: FastAPI) -> None:
    """Have everything that can go wrong answered by a problem document."""
    # Coroutines although they wait for nothing: the framework gives plain functions a thread.
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(BadCursor, _on_cursor)
    app.add_exception_handler(StoreUnavailable, _on_store)
    app.add_exception_handler(Exception, _on_unexpected)


def _respond(request: Request, problem: Problem) -> Response:
    path = request.url.path
    if path in PLAIN and problem.code == "bad-request":
        problem = Problem("invalid")  # what cannot be read as JSON at all. Source: xianyu 13
    return build_response(problem, request.headers.get("accept-language", ""), path)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  registered for this class only
    return _respond(request, error)


async def _on_cursor(request: Request, error: Exception) -> Response:
    said = Said("cursor 要照抄上一页给出的值。", "Take the cursor from the page before, unchanged.")
    return _respond(request, Problem("invalid", said))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class only
    code = _BY_STATUS.get(error.status_code)
    if code is None:
        code = "bad-request" if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else "internal"
    return _respond(request, Problem(code, headers=error.headers))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this class only
    problems = list(_describe(error.errors()))
    detail = "; ".join(f"{where}: {what}" if where else what for where, what in problems)
    named = [{"field": where, "message": what} for where, what in problems]
    return _respond(request, Problem("invalid", detail, extra={"errors": named}))


def _describe(errors: Iterable[Any]) -> Iterable[tuple[str, str]]:
    # The input itself is left out on purpose: it may hold what nobody should see again.
    for error in list(errors)[:20]:
        where = ".".join(str(part) for part in error["loc"] if part not in ("body", "query"))
        yield where[:100], str(error["msg"])[:200]


async def _on_store(request: Request, error: Exception) -> Response:
    code = "store-full" if isinstance(error, StoreFull) else "store-unavailable"
    return _respond(request, Problem(code, headers={"Retry-After": "5"}))


async def _on_unexpected(request: Request, _error: Exception) -> Response:
    # Runs outside every middleware, hence the headers here; the server logs the exception itself.
    return _respond(request, Problem("internal", headers=HEADERS))
