from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.address import Address, format_address, parse_address

SIGNS = st.characters(exclude_categories=["Cs"])
IDS = st.text(SIGNS | st.sampled_from("@?%/:#&="), min_size=1, max_size=40)
REST = st.text(SIGNS | st.sampled_from("@?%"), max_size=20)
LINES = st.from_regex(r"[^/\s]{1,12}", fullmatch=True).filter(lambda line: line.isprintable())
KINDS = st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True)


@given(LINES, KINDS, IDS, REST, REST)
def test_every_address_can_be_written_and_read(line, kind, ident, account, item):
    address = Address(line, kind, ident, account, item)
    assert parse_address(format_address(address)) == address


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text):
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert address.id


@given(st.text(st.sampled_from("a/:@?%4item=0"), max_size=20).map("q/k:".__add__))
def test_what_is_read_can_be_written_again(text):
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(format_address(address)) == address
