"""Any file and any environment give a configuration or sentences, never another error."""

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from trunkline.config import load_config
from trunkline.configuration.source import locate
from trunkline.errors import ConfigError

words = st.sampled_from(
    ["server", "lines", "rules", "port", "a", "dialect", "maim", "contact", "env", "file", "token"]
)
values = st.recursive(
    st.booleans() | st.integers() | words | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.text())
def test_locate_takes_any_text(text):
    locate(text)


@given(st.dictionaries(words, values, max_size=4))
def test_any_environment_is_a_configuration_or_sentences(tables):
    env = {f"TRUNKLINE__{key.upper()}": json.dumps(value) for key, value in tables.items()}
    sentences = ["all: good"]
    try:
        load_config(None, env)
    except ConfigError as error:
        sentences = error.problems
    assert sentences
    assert all(": " in sentence for sentence in sentences)


@given(st.lists(st.sampled_from(["[t]", "[[r]]", "k = 1", "x.y = 2", 'z = """a"""', "# c"])))
def test_every_key_of_a_valid_file_has_a_place(lines):
    text = "\n".join(lines)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = locate(text)
    for key, value in table.items():
        if isinstance(value, list):
            assert all((key, index) in found for index in range(len(value)))
        else:
            assert (key,) in found
