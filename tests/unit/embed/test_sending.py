"""What became of a message or an action, as the embedding program is told."""

from __future__ import annotations

import pytest

from trunkline.embed.sending import NOBODY, Fate, read_result
from trunkline.errors import DeliveryThrottled, DeliveryUncertain, LinkTimeout
from trunkline.model.delivery import Outcome


def test_the_data_of_an_action_that_was_done():
    done = Fate(Outcome.CONFIRMED, data=b'{"n": 123456789012345678901}')
    assert read_result(done) == {"n": 123456789012345678901}
    assert read_result(Fate(Outcome.SENT)) is None
    assert read_result(Fate(Outcome.CONFIRMED, data=b"null")) is None


@pytest.mark.parametrize(
    ("fate", "error"),
    [
        (Fate(Outcome.UNCERTAIN, detail="the link ended"), DeliveryUncertain("the link ended")),
        (Fate(Outcome.LATER, detail=NOBODY), LinkTimeout(NOBODY)),
        (Fate(Outcome.LATER, wait_s=2.0), DeliveryThrottled(2.0)),
    ],
)
def test_an_action_that_was_not(fate, error):
    with pytest.raises(type(error)) as caught:
        read_result(fate)
    assert str(caught.value) == str(error)
