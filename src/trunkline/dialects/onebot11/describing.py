"""One frame as a short text for DEBUG logs and `tail --raw`; credentials in it are masked."""

from __future__ import annotations

from typing import Any, Final, cast

from trunkline.dialects.onebot11.frames import to_fields
from trunkline.dialects.onebot11.segments import to_word
from trunkline.dialects.onebot11.session import fingerprint
from trunkline.errors import WireMalformed

MAX_CHARS: Final = 160
# Results and requests of these hold what nobody may read in a log. Source: onebot11 7.4
_SECRETS: Final = frozenset({"cookies", "csrf_token", "token", "access_token"})


def describe(data: bytes) -> str:
    """Describe a frame in at most 160 characters."""
    try:
        fields, _ = to_fields(data)
    except WireMalformed as error:
        return f"! {error.reason}, {fingerprint(data)}"
    if "post_type" in fields:
        return _elide(_event(fields), MAX_CHARS)
    if "action" in fields:
        words = f"call {_word(fields, 'action')} {_words(fields.get('params'))}"
        return _elide(words, MAX_CHARS)
    head = f"response {_word(fields, 'status')} {_word(fields, 'retcode')}"
    return _elide(f"{head} {_words(fields.get('data'))}", MAX_CHARS)


def _event(fields: dict[str, Any]) -> str:
    post = _word(fields, "post_type")
    kind = post.removesuffix("_event").removesuffix("_sent")
    detail = _word(fields, "meta_event_type" if kind == "meta" else f"{kind}_type")
    name = ".".join(filter(None, (post, detail, _word(fields, "sub_type"))))
    if kind != "message":
        return name
    where = f"group:{_word(fields, 'group_id')} " if fields.get("group_id") else ""
    said = fields.get("raw_message") or fields.get("message")
    head = f"{name} {where}{_word(fields, 'user_id')} {_word(fields, 'message_id')}"
    return f"{head} {_elide(_word_of(said), 75)}"


def _words(value: object) -> str:
    if not isinstance(value, dict):
        return _elide(_word_of(value), 75)
    pairs = cast("dict[str, object]", value)  # JSON: the keys are text
    return " ".join(
        f"{key}={'***' if key in _SECRETS else _elide(_word_of(one), 40)}"
        for key, one in pairs.items()
    )


def _word(fields: dict[str, Any], key: str) -> str:
    return _elide(_word_of(fields.get(key)), 40)


def _word_of(value: object) -> str:
    return "" if value is None else to_word(value)


def _elide(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
