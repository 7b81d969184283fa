"""The schema under any bytes: identity, truncation, damage, and what it does not know."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from boss_schema import CASES
from trunkline.dialects.boss.schema import Decoded, built_in, to_json
from trunkline.errors import WireMalformed

PAYLOADS = [bytes.fromhex(case["hex"]) for name, case in CASES.items() if name != "corrupt_payload"]
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
USERS = st.fixed_dictionaries({"uid": INT64}, optional={"name": TEXTS, "source": st.integers(0, 9)})
BODIES = st.fixed_dictionaries(
    {"type": st.integers(-1, 40), "templateId": st.just(1)}, optional={"text": TEXTS}
)
MESSAGES = st.fixed_dictionaries(
    {"from": USERS, "to": USERS, "type": st.integers(1, 6), "body": BODIES},
    optional={"mid": INT64, "cmid": INT64, "offline": st.booleans()},
)


def decoded(payload: bytes) -> Decoded | None:
    try:
        return built_in().decode(payload)
    except WireMalformed:
        return None


@given(st.lists(MESSAGES, max_size=4), INT64)
def test_what_is_written_is_read(messages, uid):
    schema = built_in()
    made = schema.chat(type=1, messages=messages, messageRead=[{"userId": uid, "messageId": 1}])
    found = schema.decode(schema.encode(made))
    assert found.message == made
    assert to_json(found.message)["messageRead"][0]["userId"] == str(uid)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error_of_the_wire(payload):
    found = decoded(payload)
    if found is not None:
        to_json(found.message)
        assert built_in().decode(built_in().encode(found.message)).message == found.message


@given(st.sampled_from(PAYLOADS), st.data())
def test_a_truncated_payload_never_does_harm(payload, data):
    cut = data.draw(st.integers(0, len(payload)))
    found = decoded(payload[:cut])
    if found is not None:
        to_json(found.message)


@settings(max_examples=50)
@given(st.sampled_from(PAYLOADS), st.integers(100, 500), st.binary(max_size=50))
def test_what_a_newer_platform_adds_survives(payload, number, value):
    tag = number << 3 | 2  # two bytes for these numbers
    extra = bytes([tag & 127 | 128, tag >> 7, len(value)]) + value
    found = built_in().decode(payload + extra)
    assert extra in built_in().encode(found.message)
