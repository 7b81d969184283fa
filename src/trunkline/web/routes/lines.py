"""Lines: how they are, and steering them until the next start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastapi import Response

from trunkline.errors import StoreUnavailable
from trunkline.lines.contract import CredentialRefused, LineStatus
from trunkline.web.live import Shown, Viewer
from trunkline.web.notation import format_time
from trunkline.web.problem import Problem, Said
from trunkline.web.schemas import CredentialIn, LineOut, LinesOut, ModeIn
from trunkline.web.services import Services, Using
from trunkline.web.showing import Waiting, to_line

from .table import GET, POST, PUT, Route

COUNTED: Final = 100_000  # of all lines: a number for people


def find_line(services: Services, name: str) -> LineStatus:
    """Return a line's status.

    Raises:
        Problem: `no-such-line`, naming those that exist.
    """
    status = services.fleet.status(name)
    if status is None:
        known = ", ".join(line.name for line in services.fleet.statuses()) or "–"
        said = Said(f"{name[:64]} 不存在；现有：{known}", f"{name[:64]} is none of: {known}")
        raise Problem("no-such-line", said)
    return status


async def list_lines(services: Using) -> LinesOut:
    """List all lines in file order."""
    waiting = await _waiting(services)
    shown = [
        to_line(status, services.desk.pace(status.name), waiting(status.name))
        for status in services.fleet.statuses()
    ]
    return LinesOut(lines=shown)


async def show_line(services: Using, name: str) -> LineOut:
    """Show one line."""
    return await _show(services, name)


async def pause_line(services: Using, name: str) -> LineOut:
    """Stay connected and store, but send nothing."""
    return await _steer(services, name, services.fleet.pause)


async def resume_line(services: Using, name: str) -> LineOut:
    """End a pause; what waits leaves."""
    return await _steer(services, name, services.fleet.resume)


async def reconnect_line(services: Using, name: str) -> LineOut:
    """Dial now, also from FAILED; a listening line closes its links."""
    return await _steer(services, name, services.fleet.reconnect)


async def set_mode(services: Using, name: str, wanted: ModeIn) -> LineOut:
    """Set the mode until the next start. Drafts that wait go on waiting for a person."""
    return await _steer(services, name, lambda line: services.fleet.set_mode(line, wanted.mode))


async def give_credential(services: Using, name: str, given: CredentialIn) -> LineOut:
    """Give new credentials: checked, written into the line's file, and the line dials anew."""
    find_line(services, name)
    try:
        await services.fleet.give_credential(name, given.credential.get_secret_value())
    except CredentialRefused as error:
        raise Problem("invalid", str(error)) from error
    return await _show(services, name)


async def stream_frames(services: Using, name: str) -> Response:
    """Stream the line's frames as short texts: `<` in, `>` out; no bodies of secrets."""
    find_line(services, name)

    def watch(viewer: Viewer) -> Callable[[], None]:
        def sink(direction: str, seat: str, frame: str) -> None:
            at = format_time(services.clock.now_ms())
            shown = {"at": at, "direction": direction, "seat": seat, "text": frame}
            viewer.push(Shown("frame", shown))

        return services.fleet.watch_frames(name, sink)

    return services.live.open(watch)


async def _steer(services: Services, name: str, act: Callable[[str], None]) -> LineOut:
    find_line(services, name)
    act(name)
    return await _show(services, name)


async def _show(services: Services, name: str) -> LineOut:
    status = find_line(services, name)
    waiting = await _waiting(services)
    oddities = services.fleet.oddities(name)
    return to_line(status, services.desk.pace(name), waiting(name), oddities)


async def _waiting(services: Services) -> Callable[[str], Waiting]:
    """Return how to tell what waits for a person on a line."""
    try:
        drafts = await services.store.drafts(COUNTED)
        messages = await services.store.for_person(COUNTED)
    except StoreUnavailable:
        drafts = messages = {}  # a line can be seen and steered while the store is away
    return lambda name: Waiting(drafts.get(name, 0), messages.get(name, 0))


ROUTES: Final = (
    Route(GET, "/api/v1/lines", list_lines),
    Route(GET, "/api/v1/lines/{name}", show_line),
    Route(POST, "/api/v1/lines/{name}/pause", pause_line),
    Route(POST, "/api/v1/lines/{name}/resume", resume_line),
    Route(POST, "/api/v1/lines/{name}/reconnect", reconnect_line),
    Route(POST, "/api/v1/lines/{name}/mode", set_mode),
    Route(PUT, "/api/v1/lines/{name}/credential", give_credential),
    Route(GET, "/api/v1/lines/{name}/frames", stream_frames),
)
