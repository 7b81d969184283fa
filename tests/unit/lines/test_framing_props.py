"""Properties of what we write."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.lines import framing


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(payload, key):
    once = framing.apply_mask(payload, key)
    assert once == bytes(byte ^ key[at & 3] for at, byte in enumerate(payload))
    assert framing.apply_mask(once, key) == payload


@given(st.integers(0, 65_535), st.text(max_size=200))
def test_a_close_we_write_fits_and_is_read_back(code, reason):
    payload = framing.encode_close(code, reason)
    assert len(payload) <= framing.MAX_CONTROL_BYTES
    found = framing.decode_close(payload)
    if code == 1005:
        assert found == (1005, "")
    elif framing.is_close_code(code):
        assert found is not None
        assert found[0] == code
        whole = reason.encode("utf-8", "replace").decode()
        assert whole.startswith(found[1])
    else:
        assert found is None


@given(st.binary(max_size=125))
def test_any_close_payload_is_read_or_refused(payload):
    found = framing.decode_close(payload)
    assert found is None or found[0] == 1005 or framing.is_close_code(found[0])


@given(st.binary(max_size=300) | st.just(b"x" * 70_000), st.binary(min_size=4, max_size=4))
def test_a_masked_frame_is_the_plain_one_with_a_mask(payload, key):
    plain = framing.encode_header(framing.TEXT, len(payload)) + payload
    masked = framing.encode_masked(framing.TEXT, payload, key)
    at = len(plain) - len(payload)
    assert masked[:2] == bytes((plain[0], plain[1] | 0x80))
    assert masked[2:at] == plain[2:at]
    assert masked[at : at + 4] == key
    assert framing.apply_mask(masked[at + 4 :], key) == payload
