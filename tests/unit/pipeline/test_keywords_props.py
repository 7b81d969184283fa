from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from trunkline.pipeline.keywords import MAX_CHARS, Automaton, fold

ANY = st.text(st.characters(), max_size=60)  # lone surrogates included
CHATTY = st.text(
    st.sampled_from("aAＡbB价格？！，：；（）～?!\u0301\u0338 ßŞİ①㎏ﷺ가ᄀ\ud800"), max_size=40
)


@given(ANY | CHATTY)
def test_fold_is_nfkc_then_casefold(text):
    assert fold(text) == normalize("NFKC", text).casefold()[:MAX_CHARS]


@given(CHATTY, st.integers(1, 600))
def test_fold_is_bounded(text, times):
    long = text * times
    assert len(fold(long)) <= MAX_CHARS
    assert fold(long) == normalize("NFKC", long[:MAX_CHARS]).casefold()[:MAX_CHARS]


@given(CHATTY, CHATTY, CHATTY)
def test_both_sides_are_folded_alike(before, word, after):
    """However a word is typed, it is found wherever its folded form is."""
    folded = fold(before + word + after)
    typed = [word, word.upper(), word.lower(), normalize("NFKC", word)]
    for form in typed:
        key = fold(form)
        if key and key in folded and "\ud800" not in key:
            assert list(Automaton([key]).hits(folded)) == [0]


@given(
    st.lists(st.text(st.sampled_from("abc价格"), min_size=1, max_size=4), unique=True, max_size=12),
    st.text(st.sampled_from("abc价格\ud800"), max_size=60),
)
def test_hits_equal_a_naive_search(words, text):
    if words:
        expected = [at for at, word in enumerate(words) if word in text]
        assert list(Automaton(words).hits(text)) == expected
