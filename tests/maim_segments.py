"""Hypothesis strategies of segments as a maim line may have to send them."""

from __future__ import annotations

from hypothesis import strategies as st

from trunkline.model.segment import Face, Image, Mention, Quote, Raw, Sticker, Text, Video, Voice

CONTENT = st.binary(min_size=21, max_size=60)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SEGMENTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Image, CONTENT),
    st.builds(lambda url: Image(url=url), WORDS),
    st.builds(Sticker, CONTENT),
    st.sampled_from([Sticker(text="😀"), Face("14")]),
    st.builds(Voice, CONTENT),
    st.builds(Video, CONTENT),
    st.builds(Mention, WORDS),
    st.builds(Quote, WORDS.filter(lambda word: word != "notice")),
    st.sampled_from([Raw("maim", "dict", b'{"a":1}'), Raw("maim", "hologram", b"[null]")]),
)
