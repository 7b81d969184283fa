"""What can be asked of the site without a connection: who is logged in, a chat password, an upload.

Each is a generator: it yields a `Fetch`, is sent what came back, and returns the value. Nothing is
kept, and what is asked here changes nothing of a line that is connected. Source: boss 6.4, 7
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trunkline.dialects.boss import http
from trunkline.dialects.boss.http import Answer, Caller, Fate, Fields, Picture, Uploaded
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.contract import SideCall, Talk
from trunkline.errors import (
    ChallengeRequired,
    CredentialsRejected,
    DeliveryRefused,
    LinkError,
    TrunklineError,
)

SOURCE: Final = "chat_file"  # Source: boss 6.4


def user_info(options: BossOptions) -> Talk:
    """Ask who is logged in; the value is `zpData` as the site sent it."""
    answer = _checked((yield _caller(options).get(http.USER_INFO)))
    if http.parse_user(answer) is None:
        raise LinkError("the site did not say who is logged in")
    return answer.fields


def wt2(options: BossOptions) -> Talk:
    """Ask for a new password of the chat; the value is the text."""
    answer = _checked((yield _caller(options).get(http.GET_WT)))
    password = http.to_text(answer.fields.get("wt2"))
    if not password:
        # Source: boss 6.9 (3): a login that is gone may answer so, too
        raise CredentialsRejected("the site gave no wt2: the login is over")
    return password


def upload(options: BossOptions, data: bytes, name: str = "", security_id: str = "") -> Talk:
    """Upload a picture; the value is the `image` of a message's body.

    Args:
        name: of the file.
        security_id: of the conversation or the peer; what belongs to another peer is refused.
    """
    if not http.picture_type(data):
        raise DeliveryRefused("not a picture")
    caller, digest = _caller(options), http.md5(data)
    fields = {"securityId": security_id, "source": SOURCE}
    quick: dict[str, str | int] = {"fileMd5": digest, "fileSize": len(data), **fields}
    told = _checked((yield caller.post(http.QUICK_UPLOAD, quick)), may_refuse=True)
    found = http.parse_upload(told)
    if found is None:
        # The boundary is nowhere in what has this digest.
        call = caller.upload(http.UPLOAD, fields, Picture(data, name), f"trunkline-{digest}")
        found = http.parse_upload(_checked((yield call)))
    if found is None:
        raise DeliveryRefused("the site took the picture and named no address for it")
    return _to_image(found)


def _to_image(found: Uploaded) -> Fields:
    return {
        "tinyImage": {
            "url": found.tiny_url, "width": http.TINY_WIDTH, "height": found.tiny_height,
        },
        "originImage": {"url": found.url, "width": found.width, "height": found.height},
    }  # fmt: skip


def _caller(options: BossOptions) -> Caller:
    own = {name: value.get_secret_value() for name, value in options.headers.items()}
    return Caller(options.http_url, options.cookie_text, options.user_agent, own)


_ERRORS: Final[Mapping[Fate, type[TrunklineError]]] = {
    Fate.LOGIN_OVER: CredentialsRejected,
    Fate.RISK: ChallengeRequired,
    Fate.NETWORK: LinkError,
}


def _checked(fetched: object, *, may_refuse: bool = False) -> Answer:
    answer = http.parse_answer(fetched)
    if answer.fate is not Fate.OK and not (may_refuse and answer.fate not in _ERRORS):
        raise _ERRORS.get(answer.fate, DeliveryRefused)(answer.detail)
    return answer


CALLS: Final[Mapping[str, SideCall]] = {"user_info": user_info, "wt2": wt2, "upload": upload}
