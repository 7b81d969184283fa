"""Hypothesis strategies for MQTT packets, and how a stream is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from trunkline.wire.mqtt_packets import (
    PROTOCOLS,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)  # fmt: skip

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
_LEVELS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0+#/"), max_size=8)
TOPICS = st.lists(_LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.builds(
    lambda levels, last: "/".join([*levels, last]),
    st.lists(_LEVELS | st.just("+"), max_size=3),
    _LEVELS | st.sampled_from(["+", "#"]),
).filter(bool)
IDS = st.integers(1, 65535)
ANY_ID = st.integers(0, 65535)
PAYLOADS = st.binary(max_size=300)
_PUBLISHES = st.builds(
    Publish, TOPICS, PAYLOADS, st.just(0), st.just(0), st.just(value=False), st.booleans()
) | st.builds(Publish, TOPICS, PAYLOADS, st.integers(1, 2), IDS, st.booleans(), st.booleans())


@st.composite
def _connects(draw: st.DrawFn) -> Connect:
    protocol, level = draw(st.sampled_from(sorted(PROTOCOLS)))
    username = draw(st.none() | TEXTS)
    password = None if username is None else draw(st.none() | st.binary(max_size=30))
    will = draw(st.none() | st.builds(Will, TOPICS, PAYLOADS, st.integers(0, 2), st.booleans()))
    return Connect(
        draw(TEXTS), draw(ANY_ID), username, password, draw(st.booleans()), will, protocol, level
    )


# What both a client and a broker may write, with and without an oddity of a platform.
PACKETS = st.one_of(
    _connects(),
    st.builds(ConnAck, st.just(0), st.booleans()),
    st.builds(ConnAck, st.integers(1, 255)),
    _PUBLISHES,
    st.builds(PubAck, ANY_ID, st.just(b"") | st.binary(max_size=20)),
    st.builds(PubRec, ANY_ID),
    st.builds(PubRel, ANY_ID),
    st.builds(PubComp, ANY_ID),
    st.builds(
        Subscribe, IDS,
        st.lists(st.tuples(FILTERS, st.integers(0, 2)), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(SubAck, ANY_ID, st.lists(st.sampled_from([0, 1, 2, 128]), max_size=3).map(tuple)),
    st.builds(Unsubscribe, IDS, st.lists(FILTERS, min_size=1, max_size=3).map(tuple)),
    st.builds(UnsubAck, ANY_ID),
    st.sampled_from([PingReq(), PingResp(), Disconnect()]),
)  # fmt: skip
STREAMS = st.lists(PACKETS, max_size=6)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cut `data` anywhere, empty pieces included."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    edges = [0, *places, len(data)]
    return [data[left:right] for left, right in pairwise(edges)]
