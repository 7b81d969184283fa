import stat

import pytest

from trunkline.clock import FakeClock
from trunkline.plugins import services
from trunkline.plugins.services import Store


async def test_values_are_there_after_a_restart(tmp_path):
    clock = FakeClock()
    store = Store(tmp_path / "data" / "a.json", clock)
    assert await store.get("x") is None
    await store.set("x", {"城市": [1, 2]})
    again = Store(tmp_path / "data" / "a.json", clock)
    assert await again.get("x") == {"城市": [1, 2]}
    assert stat.S_IMODE((tmp_path / "data" / "a.json").stat().st_mode) == 0o600


async def test_a_number_counts_until_its_time_is_over(tmp_path):
    clock = FakeClock()
    store = Store(tmp_path / "a.json", clock)
    assert [await store.add("used", expires="1d") for _ in range(3)] == [1, 2, 3]
    clock.advance(86_399)
    assert await store.add("used", expires="1d") == 4
    clock.advance(1)
    assert await store.get("used", 0) == 0
    assert await store.add("used", expires="1d") == 1


async def test_keys_and_forgetting(tmp_path):
    store = Store(tmp_path / "a.json", FakeClock())
    for key in ("u:1", "u:2", "x"):
        await store.set(key, 1)
    assert sorted(await store.keys("u:")) == ["u:1", "u:2"]
    await store.delete("u:1")
    await store.delete("nothing")
    assert sorted(await store.keys()) == ["u:2", "x"]


async def test_bounds_refuse_and_keep_what_was(tmp_path, monkeypatch):
    store = Store(tmp_path / "a.json", FakeClock())
    await store.set("a", 1)
    with pytest.raises(ValueError, match="MiB"):
        await store.set("b", "x" * services.MAX_STORE_BYTES)
    monkeypatch.setattr(services, "MAX_KEYS", 1)
    with pytest.raises(ValueError, match="keys"):
        await store.set("c", 1)
    assert await store.keys() == ["a"]
    assert await Store(tmp_path / "a.json", FakeClock()).keys() == ["a"]
