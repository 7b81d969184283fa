"""Bodies of every kind, in both styles, become events that can be stored."""

from __future__ import annotations

import msgspec
import pytest

from boss_events import event_of, message_of
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.content import MEMBERS, UNKNOWN_KIND, make_body
from trunkline.dialects.boss.schema import built_in
from trunkline.model.event import MessageReceived, NoticeReceived, RequestReceived


def test_every_known_kind_has_a_template() -> None:
    assert set(MEMBERS) == frames.KNOWN


@pytest.mark.parametrize("is_lean", [True, False])
@pytest.mark.parametrize("kind", [*MEMBERS, UNKNOWN_KIND])
def test_a_body_of_any_kind_is_an_event(kind: int, is_lean: bool) -> None:
    schema = built_in()
    body = make_body(schema, kind, is_lean=is_lean)
    payload = schema.encode(
        schema.chat(type=1, messages=[{"type": 1, "from": {"uid": 1}, "to": {"uid": 2},
                                       "body": body}])
    )  # fmt: skip
    assert not schema.decode(payload).incomplete
    event = event_of(message_of(body))
    msgspec.msgpack.encode(event)
    if kind in frames.SPEECH or kind == UNKNOWN_KIND:
        assert isinstance(event, MessageReceived)
        assert event.segments
    elif kind == frames.DIALOG:
        assert isinstance(event, RequestReceived)
    else:
        assert isinstance(event, NoticeReceived)
        wanted = frames.CARDS.get(kind)
        assert wanted is None or event.name == f"card:{wanted}"
        assert MEMBERS[kind] in msgspec.json.decode(event.data)["body"]
