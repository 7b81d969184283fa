import re

from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.event import Person
from trunkline.pipeline.render import FIELDS, compile_template
from turns import turn

NAMES = [*FIELDS, "coupon", "x", ""]
PIECES = st.sampled_from(
    ["{", "}", "{{", "}}", "a", "好", " ", "\ud800", *(f"{{{name}}}" for name in NAMES)]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def naive(text: str, values: dict[str, str]) -> str:
    """One left-to-right pass, written differently: character by character."""
    out, at = "", 0
    while at < len(text):
        match = re.match(r"\{\{([a-z_]+)\}\}", text[at:])
        if match:
            out += match[0][1:-1] if match[1] in values else match[0]
        else:
            match = re.match(r"\{([a-z_]+)\}", text[at:])
            if match:
                out += values.get(match[1], match[0])
        out += "" if match else text[at]
        at += len(match[0]) if match else 1
    return out


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_values_are_passed_through_and_never_expanded_again(template, name, message, item):
    asked = turn(message, sender=Person("u{item_id}", name), item=item)
    values = {
        "send_user_name": name, "send_user_id": "u{item_id}", "send_message": message,
        "item_id": item, "time": "08:00",
    }  # fmt: skip
    expected = naive(template, values)
    first = next((value for key, value in values.items() if template.startswith(f"{{{key}}}")), "x")
    if not first:  # an unknown name at the beginning leaves no blank behind
        expected = expected.lstrip(" ")
    assert compile_template(template).text(asked, 28_800_000) == expected


@given(st.text())
def test_text_without_known_names_stays_as_it_is(text):
    kept = text if not any(f"{{{name}}}" in text for name in FIELDS) else ""
    assert compile_template(kept).text(turn(), 0) == kept
