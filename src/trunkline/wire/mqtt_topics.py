"""Texts, topics and topic filters of MQTT, as they stand in a packet and as we know them.

Texts are UTF-8 without U+0000 and lone surrogates; a byte order mark is an ordinary character.
A topic has no wildcards, a filter has them only where they mean something, both have at most 1 KiB.

Source: MQTT 3.1.1 1.5.3 and 4.7; reliability 7
"""

from __future__ import annotations

import functools
import struct
from typing import Final

from trunkline.errors import LocalProtocolError, WireMalformed

MAX_TOPIC_BYTES: Final = 1024
_U16: Final = struct.Struct(">H")


# Peers name the same few topics all the time: the checks are half of what a PUBLISH costs.
@functools.lru_cache(maxsize=64)
def parse_topic(data: bytes) -> str:
    """Read the topic of a PUBLISH or a will.

    Raises:
        WireMalformed: `bad_topic` or `bad_text`.
    """
    if not 0 < len(data) <= MAX_TOPIC_BYTES:
        raise WireMalformed("bad_topic", "its length")
    if b"+" in data or b"#" in data:
        raise WireMalformed("bad_topic", "a wildcard")
    return parse_text(data)


def parse_text(data: bytes) -> str:
    """Read a text.

    Raises:
        WireMalformed: `bad_text`.
    """
    if b"\0" in data:
        raise WireMalformed("bad_text", "U+0000")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WireMalformed("bad_text") from error


def parse_filter(data: bytes) -> str:
    """Read a topic filter.

    Raises:
        WireMalformed: `bad_topic` or `bad_text`.
    """
    if not 0 < len(data) <= MAX_TOPIC_BYTES:
        raise WireMalformed("bad_topic", "its length")
    text = parse_text(data)
    if not is_filter(text):
        raise WireMalformed("bad_topic", "a wildcard")
    return text


def is_filter(text: str) -> bool:
    """Whether wildcards stand alone in their level, and `#` in the last. Source: MQTT 3.1.1 4.7"""
    levels = text.split("/")
    return all(
        level == "+" or (level == "#" and at == len(levels) - 1)
        for at, level in enumerate(levels)
        if "+" in level or "#" in level
    )


def format_data(data: bytes) -> bytes:
    """Write bytes behind their length.

    Raises:
        LocalProtocolError: more than 65,535 bytes.
    """
    if len(data) > 0xFFFF:
        raise LocalProtocolError(f"a field of {len(data)} bytes")
    return _U16.pack(len(data)) + data


def format_text(text: str) -> bytes:
    """Write a text behind its length.

    Raises:
        LocalProtocolError: too long, or what no text of MQTT may hold.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise LocalProtocolError("a lone surrogate in a text") from error
    if b"\0" in data:
        raise LocalProtocolError("U+0000 in a text")
    return format_data(data)


def format_topic(topic: str) -> bytes:
    """Write a topic behind its length.

    Raises:
        LocalProtocolError: not a topic.
    """
    data = format_text(topic)
    if not 2 < len(data) <= MAX_TOPIC_BYTES + 2 or b"+" in data[2:] or b"#" in data[2:]:
        raise LocalProtocolError(f"not a topic: {topic[:75]!r}")
    return data


def format_filter(text: str) -> bytes:
    """Write a topic filter behind its length.

    Raises:
        LocalProtocolError: not a filter.
    """
    data = format_text(text)
    if not 2 < len(data) <= MAX_TOPIC_BYTES + 2 or not is_filter(text):
        raise LocalProtocolError(f"not a topic filter: {text[:75]!r}")
    return data
