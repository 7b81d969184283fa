"""`[plugins]` and `[assistant]`."""

import textwrap

import pytest

from trunkline.config import load_config
from trunkline.errors import ConfigError
from trunkline.model.asking import ModelSpec

MODEL = '[assistant]\nbase_url = "https://api.example/v1"\nmodel = "m"\n'
SORRY = "抱歉，我暂时无法处理您的请求，请稍后再试。"
REFUSAL = "不好意思，这已经是能给的最低价了，谢谢理解。"


@pytest.fixture
def load(tmp_path):
    def load(text, env=()):
        path = tmp_path / "trunkline.toml"
        path.write_text(textwrap.dedent(text), "utf-8")
        path.chmod(0o600)
        return load_config(path, dict(env))

    return load


@pytest.fixture
def problems(load):
    def problems(text, env=()):
        with pytest.raises(ConfigError) as caught:
            load(text, env)
        return caught.value.problems

    return problems


def test_without_the_sections_plugins_are_found_and_nobody_is_asked():
    config = load_config(None, {})
    assert config.plugins.paths == ("plugins/*.py",)
    assert config.assistant.spec is None
    assert config.rulebook.model is None


def test_an_assistant_is_read_whole(load):
    config = load(
        MODEL + 'api_key = { env = "KEY" }\nprompt = "p"\nfallback = "f"\nlines = ["blog"]\n'
        'timeout_s = 5\nlinks = ["shop.example"]\nper_day = 9\n',
        {"KEY": "sk-geheim-geheim"},
    )
    chosen = config.assistant
    assert (chosen.base_url, chosen.model) == ("https://api.example/v1", "m")
    assert chosen.api_key.get_secret_value() == "sk-geheim-geheim"
    assert "geheim" not in repr(config)
    assert config.rulebook.model == ModelSpec(("blog",), "f", 3, REFUSAL)
    assert config.secrets() == ["sk-geheim-geheim"]  # for the redactor
    assert (chosen.timeout_s, chosen.links, chosen.per_day, chosen.per_minute) == (
        5.0, ("shop.example",), 9, 6,
    )  # fmt: skip


def test_a_model_has_an_excuse_by_itself(load):
    assert load(MODEL).rulebook.model == ModelSpec((), SORRY, 3, REFUSAL)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[assistant]\nmodel = "m"', "base_url and model"),
        (MODEL + "max_discount_percent = 101", "max_discount_percent"),
        (MODEL + "[assistant.prices]\n1 = -1", "prices"),
        (MODEL + '[assistant.prices]\n1 = "x"', "prices"),
        ('[assistant]\nbase_url = "https://h/v1"', "base_url and model"),
        ('[assistant]\nbase_url = "h/v1"\nmodel = "m"', "base_url"),
        (MODEL + "timeout_s = 0", "timeout_s"),
        (MODEL + "per_minute = 0", "per_minute"),
        (MODEL + 'promt = "x"', 'did you mean "prompt"'),
        (MODEL + 'api_key = { env = "NONE" }', "api_key"),
        ("[plugins]\npaths = 3", "paths"),
        ("[plugins]\npath = []", 'did you mean "paths"'),
    ],
)
def test_what_is_wrong_is_named(problems, text, place):
    (found,) = problems(text)
    assert place in found


def test_how_often_a_model_bargains_is_the_owners_to_say(load):
    spec = load(
        MODEL + 'max_bargain_rounds = 0\nbargain_refusal = "不行"\nprice_words = ["刀"]\n'
    ).rulebook.model
    assert (spec.max_bargain_rounds, spec.refusal, spec.price_words) == (0, "不行", ("刀",))
