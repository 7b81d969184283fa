"""What is asked of the site without a connection: the calls, and what answers mean."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.sidecalls import CALLS
from trunkline.dialects.contract import Fetch, Fetched
from trunkline.errors import (
    ChallengeRequired,
    CredentialsRejected,
    DeliveryRefused,
    LinkError,
    LinkTimeout,
)

OPTIONS = BossOptions.model_validate({
    "dialect": "boss", "cookies": "wt2=a; bst=tok", "http_url": "http://site",
    "headers": {"X-A": "b"},
})  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20
UPLOADED = {"url": "https://i/o.png?auth_key=1", "tinyUrl": "https://i/s.png",
            "metadata": {"width": 1700, "height": 2200}}  # fmt: skip


def fetched(data: Any, code: int = 0, message: str = "Success") -> Fetched:
    body = json.dumps({"code": code, "message": message, "zpData": data}).encode()
    return Fetched(200, (), body)


def talk(name: str, /, *answers: object, **arguments: Any) -> tuple[list[Fetch], Any]:
    """Run a call with these answers; return what was asked and the value."""
    asked: list[Fetch] = []
    work = CALLS[name](OPTIONS, **arguments)
    try:
        asked.append(next(work))
        for answer in answers:
            asked.append(work.send(answer))
    except StopIteration as end:
        return asked, end.value
    raise AssertionError(f"{asked[-1].url} is asked, too")


def test_the_user():
    told = {"userId": 600100200, "token": "t", "name": "n"}
    (call,), value = talk("user_info", fetched(told))
    assert value == told
    assert call.url == "http://site/wapi/zpuser/wap/getUserInfo.json"
    assert (call.headers["cookie"], call.headers["x-a"]) == ("wt2=a; bst=tok", "b")
    with pytest.raises(LinkError):
        talk("user_info", fetched({}))


def test_the_password():
    (call,), value = talk("wt2", fetched({"wt2": "W~2"}))
    assert value == "W~2"
    assert call.url == "http://site/wapi/zppassport/get/wt"
    with pytest.raises(CredentialsRejected):
        talk("wt2", fetched({}))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (fetched(None, 7, "当前登录状态已失效"), CredentialsRejected),
        (fetched(None, 36, "x"), ChallengeRequired),
        (fetched(None, 1, "x"), DeliveryRefused),
        (Fetched(302), ChallengeRequired),
        (Fetched(200, (), b"<html>"), LinkError),
        (LinkTimeout("no answer"), LinkError),
    ],
)
@pytest.mark.parametrize("name", ["user_info", "wt2"])
def test_an_answer_that_is_none_is_an_error(name, answer, error):
    with pytest.raises(error):
        talk(name, answer)


def test_a_picture_that_the_platform_has_is_not_sent_again():
    (call,), image = talk("upload", fetched(UPLOADED), data=PNG, name="cv.png", security_id="s")
    form = parse_qs(call.body.decode())
    assert call.url.endswith("/wapi/zpupload/quicklyUpload")
    assert (form["securityId"], form["fileSize"], form["source"]) == (["s"], ["28"], ["chat_file"])
    assert len(form["fileMd5"][0]) == 32
    assert image == {
        "tinyImage": {"url": "https://i/s.png", "width": 200, "height": 258},
        "originImage": {"url": "https://i/o.png?auth_key=1", "width": 1700, "height": 2200},
    }


@pytest.mark.parametrize(
    "first", [fetched({}), fetched(None, 1, "no such file"), fetched(None, 121)]
)
def test_a_picture_that_it_has_not_is_sent_whole(first):
    (_, call), image = talk("upload", first, fetched(UPLOADED), data=PNG, name="cv.png")
    assert call.url.endswith("/wapi/zpupload/image/uploadSingle")
    assert call.headers["zp_token"] == "tok"
    assert PNG in call.body
    assert b'filename="cv.png"' in call.body
    assert image["originImage"]["width"] == 1700


@pytest.mark.parametrize(
    ("answers", "data", "error"),
    [
        ((fetched(None, 7),), PNG, CredentialsRejected),
        ((fetched({}), fetched({})), PNG, DeliveryRefused),
        ((fetched({}), fetched(None, 1, "too large")), PNG, DeliveryRefused),
        ((), b"no picture", DeliveryRefused),
    ],
)
def test_a_picture_that_is_not_taken_is_an_error(answers, data, error):
    with pytest.raises(error):
        talk("upload", *answers, data=data)
