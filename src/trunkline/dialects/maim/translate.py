"""Segments of maim ⇄ segments of the model: one small function per kind, one table per way.

What has no kind in the model is kept whole as `Raw("maim", …)` and leaves unchanged. What a peer
cannot take is degraded to the nearest thing it can: in the end to text. Source: maim 4.5
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeGuard

import msgspec

from trunkline.dialects.maim.blocks import to_object
from trunkline.dialects.maim.frames import STAND_ALONE, Seg, SegOut
from trunkline.model.message import Segments, summary
from trunkline.model.segment import (
    Face,
    File,
    Image,
    Mention,
    Quote,
    Raw,
    Segment,
    Sticker,
    Text,
    Video,
    Voice,
)
from trunkline.wire import jsonwire

DIALECT: Final = "maim"
# Until a peer has said what it accepts. Source: maim 4.5
DEFAULT_ACCEPT: Final = frozenset({"text", "image", "emoji", "at", "reply", "seglist"})
# What the strictest deployed core takes. Source: maim 4.5
CORE_ACCEPT: Final = frozenset({"text", "image", "emoji", "voice", "file", "at", "reply", "dict"})
# Known kinds that the model has no word for. Source: maim 4.5
RAW_KINDS: Final = frozenset({
    "music", "forward", "command", "notify", "video_card", "music_card", "miniapp_card", "dict",
})  # fmt: skip
WARNINGS: Final = frozenset({
    "message_id_generated", "time_from_receipt", "time_coerced", "time_in_ms",
    "platform_from_connection", "platform_mismatch", "text_coerced", "unknown_segment",
    "odd_segment", "image_not_base64", "emoji_not_base64", "voice_not_base64", "video_not_base64",
    "image_too_large", "emoji_too_large", "seglist_null",
})  # fmt: skip
MAX_IMAGE_BYTES: Final = 10 << 20  # reliability 2: decoded image
_MIN_PICTURE_CHARS = 28  # no picture format is shorter; a shorter emoji is its name
_MAX_EMOJI_CHARS = 64
_MAX_URL_CHARS = 8192


# -- what a peer says --------------------------------------------------------------------------


def to_segments(parts: Sequence[Seg], odd: list[str]) -> Segments:
    """Translate what a peer sent.

    Args:
        odd: takes a word of `WARNINGS` for everything that was repaired or not understood.
    """
    if len(parts) == 1:
        part = parts[0]
        if part.type == "text" and type(part.data) is str:
            return (Text(part.data),)
    segments: list[Segment] = []
    for part in parts:
        read = _READ.get(part.type)
        if read is None:
            if part.type not in RAW_KINDS:
                odd.append("unknown_segment")
            segments.append(_keep(part.type, part.data))
            continue
        segment = read(part.data, odd)
        if segment is not None:
            segments.append(segment)
    return tuple(segments)


def _keep(kind: str, data: object) -> Raw:
    return Raw(DIALECT, kind, jsonwire.encode(data))


def _odd(kind: str, data: object, odd: list[str]) -> Raw:
    odd.append("odd_segment")
    return _keep(kind, data)


def _text(data: object, odd: list[str]) -> Text:
    if type(data) is str:
        return Text(data)
    odd.append("text_coerced")
    return Text("" if data is None else jsonwire.encode(data).decode())


def _image(data: object, odd: list[str]) -> Segment:
    picture = _bytes(data, "image", odd, MAX_IMAGE_BYTES)
    return Image(picture) if picture else Image(is_valid=False)


def _voice(data: object, odd: list[str]) -> Segment:
    sound = _bytes(data, "voice", odd)
    return Voice(sound) if sound else Voice(is_valid=False)


def _video(data: object, odd: list[str]) -> Segment:
    film = _bytes(data, "video", odd)
    return Video(film) if film else Video(is_valid=False)


def _emoji(data: object, odd: list[str]) -> Segment:
    """Read a sticker: the base64 of a picture, or Unicode. Source: maim 4.5"""
    if type(data) is str and 0 < len(data) < _MIN_PICTURE_CHARS:
        return Sticker(text=data)
    if type(data) is str and len(data) <= _MAX_EMOJI_CHARS and not data.isascii():
        return Sticker(text=data)
    picture = _bytes(data, "emoji", odd, MAX_IMAGE_BYTES)
    return Sticker(picture) if picture else Sticker(is_valid=False)


def _imageurl(data: object, odd: list[str]) -> Segment:
    return Image(url=data) if _is_url(data) else _odd("imageurl", data, odd)


def _voiceurl(data: object, odd: list[str]) -> Segment:
    return Voice(url=data) if _is_url(data) else _odd("voiceurl", data, odd)


def _videourl(data: object, odd: list[str]) -> Segment:
    return Video(url=data) if _is_url(data) else _odd("videourl", data, odd)


def _face(data: object, odd: list[str]) -> Segment:
    ident = _word(data)
    return Face(ident) if ident else _odd("face", data, odd)


def _at(data: object, odd: list[str]) -> Segment:
    ident, name = _word(data), ""
    fields = to_object(data)
    if fields is not None:
        ident = _first(fields, "target_user_id", "qq", "user_id", "id")
        name = _first(
            fields, "target_user_cardname", "card", "target_user_nickname", "nickname",
            "user_nickname",
        )  # fmt: skip
    return Mention(ident, name) if ident else _odd("at", data, odd)


def _reply(data: object, odd: list[str]) -> Segment | None:
    ident = _word(data)
    fields = to_object(data)
    if fields is not None:
        ident = _first(fields, "target_message_id", "message_id", "id")
    if ident == "notice":  # it quotes an event, not a message. Source: maim 4.5
        return None
    return Quote(ident) if ident else _odd("reply", data, odd)


def _file(data: object, odd: list[str]) -> Segment:
    if type(data) is str and data:
        name = data.replace("\\", "/").rpartition("/")[2]
        url = data if data.startswith(("https://", "http://")) else ""
        return File(name=name, url=url, detail=jsonwire.encode(data))
    fields = to_object(data)
    if fields is None:
        return _odd("file", data, odd)
    size = _first(fields, "size", "file_size")
    content = fields.get("base64")
    body = _decode_base64(content) if type(content) is str else None
    if body:  # kept once, as bytes
        fields = {key: value for key, value in fields.items() if key != "base64"}
    return File(
        name=_first(fields, "name", "file"),
        url=_first(fields, "url"),
        data=body or b"",
        size_bytes=int(size) if size.isdecimal() and len(size) < 19 else 0,
        detail=jsonwire.encode(fields),
    )


_READ: Mapping[str, Callable[[object, list[str]], Segment | None]] = {
    "text": _text, "image": _image, "emoji": _emoji, "voice": _voice, "video": _video,
    "imageurl": _imageurl, "voiceurl": _voiceurl, "videourl": _videourl, "face": _face,
    "at": _at, "reply": _reply, "file": _file,
}  # fmt: skip
# What we can take back as an adapter.
ACCEPTED: Final = (*_READ, "seglist")


def _bytes(data: object, kind: str, odd: list[str], limit: int | None = None) -> bytes | None:
    if type(data) is str:
        if limit is not None and len(data) > limit // 3 * 4 + 256:
            odd.append(f"{kind}_too_large")
            return None
        content = _decode_base64(data)
        if content:
            return content
    odd.append(f"{kind}_not_base64")
    return None


def _decode_base64(text: str) -> bytes | None:
    """Decode strictly; prefixes and white space are dropped. Source: maim 4.5"""
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    if text.startswith("base64://"):
        text = text[9:]
    elif text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        return None


def _is_url(data: object) -> TypeGuard[str]:
    return type(data) is str and 0 < len(data) <= _MAX_URL_CHARS


def _word(data: object) -> str:
    if type(data) is str:
        return data
    return str(data) if type(data) is int else ""


def _first(fields: Mapping[str, object], *names: str) -> str:
    for name in names:
        word = _word(fields.get(name))
        if word:
            return word
    return ""


# -- what we say -------------------------------------------------------------------------------


def to_parts(segments: Segments, accept: frozenset[str]) -> list[SegOut]:
    """Translate what we want to say into kinds that the peer takes.

    Returns:
        Parts in reading order; empty when nothing is left that this peer could show.
    """
    if len(segments) == 1:
        only = segments[0]
        if type(only) is Text:
            return [SegOut("text", only.text)]
        if type(only) is Raw and only.dialect == DIALECT and only.kind in accept:
            return [SegOut(only.kind, msgspec.Raw(only.data))]
    parts: list[SegOut] = []
    for segment in segments:
        part = _WRITE[type(segment)](segment, accept)
        if part is not None:
            parts.append(part)
    return parts


def _label(segment: Segment) -> SegOut:
    return SegOut("text", summary((segment,)))


def _link(segment: Segment, url: str) -> SegOut:
    return SegOut("text", f"{summary((segment,))} {url}")


def _say_text(segment: Text, _accept: frozenset[str]) -> SegOut:
    return SegOut("text", segment.text)


def _say_media(
    segment: Image | Voice | Video, kind: str, url_kind: str, accept: frozenset[str]
) -> SegOut:
    if segment.data and kind in accept:
        return SegOut(kind, segment.data)
    if not segment.url:
        return _label(segment)
    return SegOut(url_kind, segment.url) if url_kind in accept else _link(segment, segment.url)


def _say_image(segment: Image, accept: frozenset[str]) -> SegOut:
    return _say_media(segment, "image", "imageurl", accept)


def _say_voice(segment: Voice, accept: frozenset[str]) -> SegOut:
    return _say_media(segment, "voice", "voiceurl", accept)


def _say_video(segment: Video, accept: frozenset[str]) -> SegOut:
    return _say_media(segment, "video", "videourl", accept)


def _say_sticker(segment: Sticker, accept: frozenset[str]) -> SegOut:
    content = segment.data or segment.text
    if content and "emoji" in accept:
        return SegOut("emoji", content)
    if segment.data and "image" in accept:
        return SegOut("image", segment.data)
    return _label(segment)


def _say_face(segment: Face, accept: frozenset[str]) -> SegOut:
    return SegOut("face", segment.id) if "face" in accept else _label(segment)


def _say_file(segment: File, accept: frozenset[str]) -> SegOut:
    if "file" in accept:
        fields: dict[str, object] = {
            "name": segment.name, "url": segment.url, "base64": segment.data,
            "size": str(segment.size_bytes or len(segment.data) or ""),
        }  # fmt: skip
        if segment.url or segment.data:
            return SegOut("file", {key: value for key, value in fields.items() if value})
        if segment.detail:
            return SegOut("file", msgspec.Raw(segment.detail))
    words = " ".join(filter(None, (summary((segment,)), segment.name, segment.url)))
    return SegOut("text", words)


def _say_mention(segment: Mention, accept: frozenset[str]) -> SegOut:
    if "at" in accept:
        return SegOut("at", segment.user)
    return SegOut("text", f"@{segment.name or segment.user} ")


def _say_quote(segment: Quote, accept: frozenset[str]) -> SegOut | None:
    return SegOut("reply", segment.message) if "reply" in accept else None


def _say_raw(segment: Raw, accept: frozenset[str]) -> SegOut:
    # A command or a forward among other segments is ignored by adapters: it goes alone, above.
    if segment.dialect == DIALECT and segment.kind in accept and segment.kind not in STAND_ALONE:
        return SegOut(segment.kind, msgspec.Raw(segment.data))
    return _label(segment)


_WRITE: Mapping[type, Callable[..., SegOut | None]] = {
    Text: _say_text, Image: _say_image, Sticker: _say_sticker, Face: _say_face, Voice: _say_voice,
    Video: _say_video, File: _say_file, Mention: _say_mention, Quote: _say_quote, Raw: _say_raw,
}  # fmt: skip
