"""Properties of what waits: fragments and kept messages."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from trunkline.lines.pieces import Assembly, Kept

messages = st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=20)


@given(messages, st.lists(st.booleans(), max_size=60))
def test_kept_messages_come_out_as_they_went_in(given_messages, turns):
    kept = Kept()
    waiting = list(given_messages)
    expected = []
    for takes in turns:
        if takes and kept.has_more:
            assert kept.take() == expected.pop(0)
        elif waiting:
            data, is_text = waiting.pop(0)
            kept.put(data, is_text=is_text)
            expected.append((data, is_text))
        assert kept.has_more == bool(expected)
    while kept.has_more:
        assert kept.take() == expected.pop(0)
    assert expected == []
    assert len(kept) == 0


@given(st.text(max_size=60), st.lists(st.integers(0, 200), max_size=10))
def test_text_cut_anywhere_is_put_together(text, cuts):
    data = text.encode("utf-8", "ignore")
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    parts = [data[a:b] for a, b in itertools.pairwise(marks)] or [b""]
    assembly = Assembly(is_text=True, max_message_bytes=1000)
    for number, part in enumerate(parts):
        assert assembly.add(part, is_final=number == len(parts) - 1) is None
    assert bytes(assembly.body) == data


@given(st.binary(max_size=60), st.integers(0, 60))
def test_text_is_refused_exactly_when_it_is_not_utf8(data, cut):
    try:
        data.decode()
        is_good = True
    except UnicodeDecodeError:
        is_good = False
    assembly = Assembly(is_text=True, max_message_bytes=1000)
    first = assembly.add(data[:cut], is_final=False)
    fault = first or assembly.add(data[cut:], is_final=True)
    assert (fault is None) is is_good
    assert is_good or fault[0] == 1007


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(0, 300))
def test_sizes_are_counted_across_fragments(parts, limit):
    assembly = Assembly(is_text=False, max_message_bytes=limit)
    total = 0
    for part in parts:
        total += len(part)
        fault = assembly.add(part, is_final=False)
        assert (fault is not None) is (total > limit)
        if fault is not None:
            assert fault[0] == 1009
            return
