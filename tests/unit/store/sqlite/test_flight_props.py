"""What is SENDING, against a plain set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.store.sqlite.flight import Flight

IDS = st.integers(1, 40)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(IDS, unique=True, max_size=6)),
        st.tuples(st.just("remove"), st.lists(IDS, max_size=4)),
        st.tuples(st.just("range"), st.tuples(IDS, IDS)),
    )
)


@given(STEPS)
def test_a_flight_is_a_map_from_id_to_conversation(steps: list[tuple[str, list[int]]]):
    flight, model = Flight(), dict[int, int]()
    for name, ids in steps:
        if name == "add":
            fresh = [ident for ident in ids if ident not in model]
            flight.add({ident: ident % 3 for ident in fresh})
            model |= {ident: ident % 3 for ident in fresh}
        elif name == "remove":
            flight.remove(ids)
            model = {ident: chat for ident, chat in model.items() if ident not in ids}
        else:
            first, last = ids
            flight.remove_range(first, last)
            model = {i: chat for i, chat in model.items() if not first <= i <= last}
        assert len(flight) == len(model)
        assert flight.earliest() == {
            chat: min(i for i, own in model.items() if own == chat) for chat in set(model.values())
        }
