"""The suite runs once for each back-end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storekit import BACK_ENDS, MakeStore
from trunkline import failpoints
from trunkline.clock import FakeClock
from trunkline.store.sqlite import SqliteStore


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=list(BACK_ENDS))
def make_store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> MakeStore:
    """Make one more store over the same data: what a restart does."""
    return lambda: BACK_ENDS[request.param](tmp_path / "data", clock)


@pytest.fixture
async def store(make_store: MakeStore) -> AsyncIterator[SqliteStore]:
    one = make_store()
    await one.open()
    yield one
    await one.close()


@pytest.fixture(autouse=True)
def _no_failpoints() -> Iterator[None]:
    yield
    failpoints.arm({})
