from __future__ import annotations

import pytest

from asgi import call
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.web.app import make_app
from trunkline.web.headers import HEADERS
from trunkline.web.problem import KINDS, choose_language
from web_stand import TOKEN, OneDesk, make_services

MEMBERS = {"type", "title", "status", "detail", "code", "fix"}
SEND = {"to": "blog/visitor:1", "message": "hi"}


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("en;q=0.3, zh;q=0.7", "zh"),
        ("fr, zh-Hant;q=0.1", "zh"),
        ("fr", "en"),
        ("zh;q=abc", "en"),
        ("zh;q=0", "en"),
        (";;;,,q=", "en"),
    ],
)
def test_language_is_the_better_liked_of_two(accept: str, language: str) -> None:
    assert choose_language(accept) == language


def test_every_code_has_both_languages() -> None:
    for code, kind in KINDS.items():
        for said in (kind.title, kind.fix):
            assert said.zh, code
            assert said.en, code
            assert said.en.isascii() or "–" in said.en, code
            assert not said.zh.isascii(), code
        assert 400 <= kind.status <= 599


@pytest.mark.parametrize(
    ("method", "path", "token", "status", "code"),
    [
        ("GET", "/metrics", "", 401, "unauthorized"),
        ("GET", "/nowhere", "", 404, "not-found"),
        ("GET", "/api/v1/lines/none", TOKEN, 404, "no-such-line"),
        ("GET", "/api/v1/messages/zzz", TOKEN, 422, "invalid"),
        ("DELETE", "/api/v1/lines", TOKEN, 405, "method"),
        ("GET", "/api/v1/messages?limit=0", TOKEN, 422, "invalid"),
        ("GET", "/api/v1/messages?limti=3", TOKEN, 422, "invalid"),
        ("GET", "/api/v1/deliveries?state=lost", TOKEN, 422, "invalid"),
        ("POST", "/api/v1/messages", TOKEN, 422, "invalid"),
    ],
)
async def test_what_goes_wrong_is_a_problem_document(
    method: str, path: str, token: str, status: int, code: str
) -> None:
    app = make_app(make_services())
    for language in ("zh", "en"):
        answer = await call(app, method, path, token=token, headers={"accept-language": language})
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["content-language"] == language
        document = answer.json()
        assert document.keys() >= MEMBERS
        assert (document["status"], document["code"]) == (status, code)
        kind = KINDS[code]
        assert document["title"] == (kind.title.zh if language == "zh" else kind.title.en)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{not json", ""),
        (b"[]", ""),
        (b'{"to":"blog/visitor:1"}', "message"),
        (b'{"to":5,"message":"x"}', "to"),
        (b'{"to":"blog/visitor:1","message":"x","also":1}', "also"),
    ],
)
async def test_a_wrong_body_names_the_field_and_never_the_input(body: bytes, field: str) -> None:
    app = make_app(make_services())
    headers = {"content-type": "application/json"}
    answer = await call(
        app, "POST", "/api/v1/messages", token=TOKEN, headers=headers, chunks=[body]
    )
    assert answer.status == 422
    assert any(field in error["field"] for error in answer.json()["errors"])
    assert b"visitor:1" not in answer.body


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreFull(), 507, "store-full"),
        (StoreUnavailable("database is locked: /data/x.db"), 503, "store-unavailable"),
        (LookupError("there is no line 'x'"), 404, "no-such-target"),
        (ValueError("the address does not fit"), 422, "invalid"),
    ],
)
async def test_the_desk_can_say_no(error: Exception, status: int, code: str) -> None:
    app = make_app(make_services(desk=OneDesk(error)))
    answer = await call(app, "POST", "/api/v1/messages", token=TOKEN, json=SEND)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert b"/data" not in answer.body
    assert ("retry-after" in answer.headers) == (status >= 500)


async def test_a_bug_shows_nothing_of_itself() -> None:
    app = make_app(make_services(desk=OneDesk(RuntimeError("secret internals"))))
    headers_seen = []
    body = bytearray()

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            headers_seen.append((message["status"], dict(message["headers"])))  # type: ignore[call-overload]
        else:
            body.extend(message.get("body", b""))  # type: ignore[arg-type]

    with pytest.raises(RuntimeError):  # the server logs it
        await call_with(app, send)
    status, headers = headers_seen[0]
    assert status == 500
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"internal" in body
    assert b"secret" not in body
    assert b"Traceback" not in body


async def call_with(app: object, send: object) -> None:
    from asgi import _pairs, _scope

    pairs = [*_pairs((), TOKEN), ("content-type", "application/json")]
    scope = _scope("POST", "/api/v1/messages", pairs, "127.0.0.1")

    async def receive() -> dict[str, object]:
        body = b'{"to":"blog/visitor:1","message":"hi"}'
        return {"type": "http.request", "body": body, "more_body": False}

    await app(scope, receive, send)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("path", "token"),
    [("/livez", ""), ("/metrics", ""), ("/metrics", TOKEN), ("/demo", ""), ("/nix", "")],
)
async def test_every_answer_carries_the_security_headers(path: str, token: str) -> None:
    answer = await call(make_app(make_services()), "GET", path, token=token)
    for name in HEADERS:
        assert name.lower() in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
