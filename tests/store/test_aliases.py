"""A message that a platform knows by two ids is stored once, whichever of them comes back."""

from __future__ import annotations

import itertools

import pytest

from storekit import DAY_MS, NOW_MS, all_messages, chat, message, put
from trunkline.ids import ConversationId, InboxId
from trunkline.store.contract import Committed, InboxRow, Retention
from trunkline.store.sqlite import SqliteStore


async def take(
    store: SqliteStore, *told: tuple[InboxRow, bytes | None], chats: int = 1
) -> Committed:
    return await put(
        store,
        conversations=[chat(ident) for ident in range(1, chats + 1)],
        inbox=[row for row, _ in told],
        aliases={row.id: alias for row, alias in told if alias is not None},
    )


FORMS = [(b"p", b"m"), (b"p", b""), (b"m", b""), (b"m", b"p"), (b"p", b"other"), (b"q", b"m")]


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMS, repeat=2)))
async def test_either_id_finds_the_message(
    store: SqliteStore, first: tuple[bytes, bytes], second: tuple[bytes, bytes]
) -> None:
    is_same = bool({*first} & {*second} - {b""})
    one, two = message(1, key=first[0]), message(2, key=second[0])
    assert await take(store, (one, first[1])) == Committed()
    later = await take(store, (two, second[1]))
    assert later.duplicates == (frozenset({0}) if is_same else frozenset())
    assert len(await all_messages(store)) == (1 if is_same else 2)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMS, repeat=2)))
async def test_also_inside_one_beat(
    store: SqliteStore, first: tuple[bytes, bytes], second: tuple[bytes, bytes]
) -> None:
    is_same = bool({*first} & {*second} - {b""})
    rows = [(message(1, key=first[0]), first[1]), (message(2, key=second[0]), second[1])]
    found = await take(store, *rows)
    assert found.duplicates == (frozenset({1}) if is_same else frozenset())
    assert len(await all_messages(store)) == (0 if is_same else 2)


async def test_another_chat_and_rows_without_second_keys_are_left_alone(
    store: SqliteStore,
) -> None:
    await take(store, (message(1, key=b"p"), b"m"), chats=2)
    other = message(2, 2, key=b"p")
    assert await take(store, (other, b"m"), chats=2) == Committed()
    plain = message(3, key=b"m")  # of a platform without second keys: nothing is looked up
    assert await take(store, (plain, None)) == Committed()
    keyless = message(4, key=None)
    assert await take(store, (keyless, b"m")) == Committed()
    assert len(await all_messages(store)) == 4


async def test_a_second_key_goes_with_its_row(store: SqliteStore) -> None:
    old = NOW_MS - 100 * DAY_MS
    await put(
        store, conversations=[chat(1)], inbox=[row := message(1, key=b"p", at_ms=old)],
        aliases={InboxId(row.id): b"m"},
    )  # fmt: skip
    again = message(2, key=b"q")
    assert (await take(store, (again, b"m"))).duplicates == {0}
    while await store.retain(NOW_MS, Retention(keys_days=60)):
        pass
    assert await take(store, (again, b"m")) == Committed()


async def test_a_chat_that_is_erased_takes_its_second_keys_along(store: SqliteStore) -> None:
    await take(store, (message(1, key=b"p"), b"m"))
    await store.erase(ConversationId(1))
    assert await take(store, (message(2, key=b"q"), b"m")) == Committed()
