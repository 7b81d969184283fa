"""Segments of OneBot 11 ⇄ segments of the model: one small function per kind, one table per way.

What has no kind in the model is kept whole as `Raw("onebot11", …)` and leaves unchanged.
Source: onebot11 6.2
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.onebot11.segments import Data, Seg, text_seg, to_word
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

DIALECT: Final = "onebot11"
MAX_IMAGE_BYTES: Final = 10 << 20  # reliability 2: decoded image
_BASE64: Final = "base64://"
_URLS: Final = ("http://", "https://")
_MAX_URL_CHARS: Final = 8192

_decode_data = msgspec.json.Decoder(dict[str, Any]).decode


# -- what a peer says --------------------------------------------------------------------------


def to_segments(segs: Sequence[Seg]) -> Segments:
    """Translate clean segments of a peer."""
    if len(segs) == 1 and segs[0].type == "text":
        return (Text(segs[0].data["text"]),)
    return tuple(_READ.get(one.type, _keep)(one) for one in segs)


def _keep(seg: Seg) -> Segment:
    return Raw(DIALECT, seg.type, jsonwire.encode(seg.data))


def _read_text(seg: Seg) -> Segment:
    return Text(seg.data["text"])


def _read_face(seg: Seg) -> Segment:
    ident = to_word(seg.data.get("id"))
    return Face(ident) if ident else _keep(seg)


def _read_at(seg: Seg) -> Segment:
    user = to_word(seg.data.get("qq"))
    return Mention(user, to_word(seg.data.get("name"))) if user else _keep(seg)


def _read_reply(seg: Seg) -> Segment:
    ident = to_word(seg.data.get("id"))
    return Quote(ident) if ident else _keep(seg)


def _read_image(seg: Seg) -> Segment:
    """Read a picture; a flash picture is one of its own kind and kept whole."""
    if seg.data.get("type") == "flash":
        return _keep(seg)
    body, url, name = _media(seg.data)
    if body is None or len(body) > MAX_IMAGE_BYTES:
        return Image(is_valid=False)
    return Image(body, url, name) if body or url or name else _keep(seg)


def _read_record(seg: Seg) -> Segment:
    body, url, _ = _media(seg.data)
    if body is None:
        return Voice(is_valid=False)
    # Without its bytes or an address only the platform knows it, by a name that must survive.
    return Voice(body, url) if body or url else _keep(seg)


def _read_video(seg: Seg) -> Segment:
    body, url, _ = _media(seg.data)
    if body is None:
        return Video(is_valid=False)
    return Video(body, url) if body or url else _keep(seg)


def _read_file(seg: Seg) -> Segment:
    """Read the file of NapCat and LLOneBot. Source: onebot11 6.2 (extensions)"""
    data = seg.data
    body, url, name = _media(data)
    if body is None:
        return _keep(seg)
    size = to_word(data.get("file_size") or data.get("size"))
    shown = to_word(data.get("name")) or name
    is_number = size.isascii() and size.isdecimal() and len(size) < 19
    detail = {key: value for key, value in data.items() if key != "file" or not body}
    return File(shown, url, body, int(size) if is_number else 0, jsonwire.encode(detail))


def _media(data: Data) -> tuple[bytes | None, str, str]:
    """Return bytes (None = unreadable), address and name of a picture, recording or film."""
    file, url = to_word(data.get("file")), to_word(data.get("url"))
    if file.startswith(_BASE64):
        return decode_base64(file), "", ""
    if not url and file.startswith(_URLS):
        file, url = "", file
    if len(url) > _MAX_URL_CHARS:
        url = ""
    return b"", url, file


def is_local(seg: Seg) -> bool:
    """Whether a body is only a path, `file://` or bare, that means something to the peer alone.

    A plain name may mean something to the platform that gave it.
    """
    file, url = to_word(seg.data.get("file")), to_word(seg.data.get("url"))
    if url.startswith(_URLS) or file.startswith((_BASE64, *_URLS)):
        return False
    return "/" in file or "\\" in file


def decode_base64(text: str) -> bytes | None:
    """Decode `base64://…` strictly but for white space; None = it is none."""
    text = text.removeprefix(_BASE64)
    try:
        return _to_bytes(text) or None
    except msgspec.ValidationError:
        pass  # lines of 76 characters, or none at all
    try:
        return _to_bytes("".join(text.split())) or None
    except msgspec.ValidationError:
        return None


def _to_bytes(text: str) -> bytes:
    """Decode base64 as strictly as `binascii` does, in a third of the time.

    Raises:
        ValidationError: it is none.
    """
    return msgspec.convert(text, bytes)


_READ: Final[Mapping[str, Callable[[Seg], Segment]]] = {
    "text": _read_text, "face": _read_face, "at": _read_at, "reply": _read_reply,
    "image": _read_image, "record": _read_record, "video": _read_video, "file": _read_file,
}  # fmt: skip


# -- what we say -------------------------------------------------------------------------------


def to_segs(segments: Segments) -> list[Seg]:
    """Translate what we want to say; empty when nothing is left to be shown."""
    found: list[Seg] = []
    for segment in segments:
        seg = _WRITE[type(segment)](segment)
        if seg.type != "text" or seg.data["text"]:
            found.append(seg)
    return found


def _label(segment: Segment, more: str = "") -> Seg:
    return text_seg(" ".join(filter(None, (summary((segment,)), more))))


def _source(data: bytes, url: str, name: str = "") -> str:
    """Return what stands for a body: itself, its address, or the peer's name for it."""
    if data:
        return _BASE64 + b2a_base64(data, newline=False).decode()
    return url or name


def _write_text(segment: Text) -> Seg:
    return text_seg(segment.text)


def _write_image(segment: Image) -> Seg:
    file = _source(segment.data, segment.url, segment.name)
    return Seg("image", {"file": file}) if file else _label(segment)


def _write_sticker(segment: Sticker) -> Seg:
    if segment.data:
        return Seg("image", {"file": _source(segment.data, "")})
    return _label(segment)


def _write_face(segment: Face) -> Seg:
    return Seg("face", {"id": segment.id})


def _write_voice(segment: Voice) -> Seg:
    file = _source(segment.data, segment.url)
    return Seg("record", {"file": file}) if file else _label(segment)


def _write_video(segment: Video) -> Seg:
    file = _source(segment.data, segment.url)
    return Seg("video", {"file": file}) if file else _label(segment)


def _write_file(segment: File) -> Seg:
    """Write a file by the extension that NapCat and LLOneBot read."""
    file = _source(segment.data, segment.url)
    if not file:
        return _label(segment, segment.name)
    data = {"file": file, "name": segment.name}
    return Seg("file", {key: value for key, value in data.items() if value})


def _write_mention(segment: Mention) -> Seg:
    return Seg("at", {"qq": segment.user})


def _write_quote(segment: Quote) -> Seg:
    return Seg("reply", {"id": segment.message})


def _write_raw(segment: Raw) -> Seg:
    if segment.dialect != DIALECT:
        return _label(segment)
    try:
        return Seg(segment.kind, _decode_data(segment.data))
    except msgspec.DecodeError:
        return _label(segment)


_WRITE: Final[Mapping[type, Callable[[Any], Seg]]] = {
    Text: _write_text, Image: _write_image, Sticker: _write_sticker, Face: _write_face,
    Voice: _write_voice, Video: _write_video, File: _write_file, Mention: _write_mention,
    Quote: _write_quote, Raw: _write_raw,
}  # fmt: skip
