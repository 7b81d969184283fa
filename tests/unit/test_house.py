"""Who may import whom, what a pure room may not touch, and where a library lives (style 2).

import-linter knows the house's own modules only; here every import statement is read, also those
inside functions, so a standard module in a pure room or a library in a second file goes red too.
The checks are functions of a tree, and each is shown below to catch what it is for.
"""

from __future__ import annotations

import ast
import fnmatch
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "trunkline"

BASE = frozenset({"errors", "clock", "ids", "failpoints"})
VALUES = frozenset({"model", "wire"})
PURE = frozenset({"model", "wire", "dialects", "pipeline"})
CONFIG = frozenset({"config", "configuration"})
SIDES = frozenset({"pipeline", "plugins", "assistants", "knowledge", "notify", "store", "dialects"})
UPPER = frozenset({"embed", "guides", "testing", "dev"})

# cli ▶ app ▶ web | embed, guides, testing, dev ▶ lines ▶ exchange ▶ sides ▶ model | wire ▶ base
LOW = BASE | VALUES
MAY_IMPORT: dict[str, frozenset[str]] = {
    "clock": frozenset(),
    "errors": frozenset(),
    "failpoints": frozenset(),
    "ids": frozenset({"clock"}),
    "model": BASE - {"failpoints"},
    "wire": BASE - {"failpoints"},
    "pipeline": LOW - {"failpoints"},
    "dialects": LOW - {"failpoints"},
    "plugins": LOW | {"telemetry"},
    "assistants": LOW | {"telemetry"},
    "knowledge": LOW | {"telemetry"},
    "notify": LOW | {"telemetry"},
    "store": LOW | {"telemetry"},
    "telemetry": LOW,
    "exchange": LOW | SIDES | {"telemetry"},
    "lines": LOW | {"dialects", "store", "exchange", "telemetry"},
    "config": LOW | {"configuration", "dialects", "pipeline"},
    "configuration": LOW | {"dialects", "pipeline"},
    "web": LOW | SIDES | {"exchange", "lines", "telemetry"},
    "embed": LOW | SIDES | {"configuration", "exchange", "lines", "telemetry", "web"},
    "guides": LOW | SIDES | {"exchange", "lines", "telemetry", "embed"},
    "testing": LOW | SIDES | {"exchange", "lines", "telemetry", "embed"},
    "dev": LOW | SIDES | {"exchange", "lines", "telemetry", "embed", "testing", "web"},
    "credentials": LOW | CONFIG | {"dialects", "lines", "reload"},
    "reload": LOW | CONFIG | {"pipeline", "dialects"},
    "process": LOW
    | CONFIG
    | {"assistants", "dialects", "store", "exchange", "lines", "telemetry", "web", "reload"},
    "app": LOW
    | SIDES
    | CONFIG
    | {"exchange", "lines", "telemetry", "web", "reload", "credentials", "process"},
    "cli": LOW
    | SIDES
    | CONFIG
    | UPPER
    | {"exchange", "lines", "telemetry", "web", "process", "app"},
    "__main__": frozenset({"cli"}),
    "__init__": LOW | SIDES | CONFIG | UPPER | {"lines", "telemetry", "web"},
}

# (who, what of it) – a room that may be seen by these only through the modules named.
SEEN_ONLY_THROUGH: dict[tuple[str, str], frozenset[str]] = {
    ("web", "store"): frozenset({"store.contract"}),
    ("lines", "store"): frozenset({"store.contract"}),
    ("exchange", "store"): frozenset({"store.contract"}),
    ("web", "assistants"): frozenset({"assistants.contract"}),
    ("exchange", "assistants"): frozenset({"assistants.contract"}),
    ("web", "dialects"): frozenset({"dialects.contract"}),
    ("exchange", "dialects"): frozenset({"dialects.contract"}),
    # `options` holds the keys that every line has, whatever it speaks.
    ("lines", "dialects"): frozenset({"dialects.contract", "dialects.options"}),
    ("lines", "exchange"): frozenset({"exchange.contract"}),
    # `dev echo` measures the production listener, not a copy of it (reliability 7).
    ("dev", "web"): frozenset({"web.server"}),
    # An embedded server is the production listener with the doors of one line.
    ("embed", "web"): frozenset({"web.server"}),
    # An embedded line has no exchange but its pace: the same arithmetic, or the two would differ.
    ("embed", "exchange"): frozenset({"exchange.contract", "exchange.pacing"}),
    ("embed", "store"): frozenset({"store.contract"}),
    # `app.py` makes them; what runs is stopped and shown by what it promises.
    ("process", "store"): frozenset({"store.contract"}),
    ("process", "assistants"): frozenset({"assistants.contract"}),
    ("process", "dialects"): frozenset({"dialects.contract"}),
    ("embed", "dialects"): frozenset(
        {
            "dialects.contract",
            "dialects.options",
            "dialects.registry",
        }
    ),
}

# Only the registry names the dialects; the shells that show an emulator may name that.
NAMES_DIALECTS = frozenset({"dialects/registry.py"})
NAMES_EMULATORS = ("cli/*.py", "dev/*.py")
SHARED_BY_DIALECTS = frozenset({"contract", "options", "schemas", "scripted", "calls", "heartbeat"})

# Time, chance, files and the outside arrive as arguments or effects.
FORBIDDEN_IN_PURE = frozenset({
    "asyncio", "socket", "ssl", "time", "random", "logging", "os", "pathlib", "secrets",
    "threading", "multiprocessing", "subprocess", "selectors", "select", "signal", "sqlite3",
    "http",
    "urllib.request", "shutil", "tempfile", "queue", "sched", "concurrent", "contextvars",
    "ctypes", "socketserver", "ftplib", "smtplib", "glob", "fcntl", "mmap", "pickle", "marshal",
})  # fmt: skip
CLOCK_CALLS = frozenset({"now", "utcnow", "today"})
CHANCE_CALLS = frozenset({"uuid1", "uuid4"})

# library → the files it may live in (globs below src/trunkline)
LIBRARIES: dict[str, tuple[str, ...]] = {
    "ahocorasick_rs": ("pipeline/keywords.py",),
    "regex": ("pipeline/patterns.py",),
    "picows": ("lines/link.py", "lines/dial.py", "lines/listen.py", "lines/reader.py"),
    "uvicorn": ("web/server.py",),
    "httptools": ("web/server.py",),
    "uvloop": ("process/loop.py",),
    "fastapi": ("web/*",),
    "starlette": ("web/*",),
    "structlog": ("telemetry/logs.py",),
    "prometheus_client": ("telemetry/metrics.py",),
    "typer": ("cli/*",),
    "click": ("cli/*",),
    "tomlkit": ("config.py", "configuration/*"),
    "openpyxl": ("configuration/sheets.py",),
    "pydantic": (
        "config.py", "configuration/*", "dialects/options.py", "dialects/*/options.py", "web/*",
    ),
    "pydantic_core": ("config.py", "configuration/*"),
    "pydantic_settings": ("config.py", "configuration/*"),
    "sqlalchemy": ("store/schema.py", "store/migrations/*", "store/*/migrating.py"),
    "alembic": ("store/migrations/*", "store/*/migrating.py"),
    "sqlite3": ("store/sqlite/connection.py",),
    "asyncpg": ("store/postgres/connection.py",),
    "anyio": ("lines/http.py",),  # what httpx2 calls through
    "httpx2": ("lines/http.py", "cli/client.py", "assistants/*", "notify/*"),
    "google": ("dialects/boss/*",),
    "grpc_tools": ("configuration/protoc.py",),
    "cryptography": ("cli/cert.py",),
    "openai": ("assistants/*",),
    "apprise": ("notify/*",),
    "argon2": ("web/auth.py",),
    "msgspec": ("*",),
    "typing_extensions": ("*",),
}  # fmt: skip

BACKEND_USERS = frozenset({
    "app.py", "cli/migrate.py", "cli/backup.py", "cli/restore.py",
    # The crash harness reads the data that a killed product left, and takes a migration back.
    "dev/torture/checker.py", "dev/torture/runner.py",
    # The simulation composes a process of its own, with the store's threads left out.
    "dev/simulate/storage.py",
})  # fmt: skip

DUMPING_GROUNDS = frozenset(
    {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
)


class Import(NamedTuple):
    """One imported module: `trunkline.…` without its first word, or anybody else's."""

    module: str
    is_house: bool
    line: int


def imports(tree: ast.AST, file: str) -> Iterator[Import]:
    """Every module that a file imports, relative ones made absolute."""
    package = Path(file).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            stem = ".".join(("trunkline", *above, *filter(None, [node.module])))
            names = [stem] if node.module else [f"{stem}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            parts = module.split(".")
            is_room = parts[0] == "trunkline" and len(parts) <= 2
            names = [f"{module}.{alias.name}" for alias in node.names] if is_room else [module]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            yield Import(rest if head == "trunkline" else name, head == "trunkline", node.lineno)


def room_of(file: str) -> str:
    return Path(file).parts[0].removesuffix(".py")


def is_in(file: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(file, pattern) for pattern in globs)


def room_faults(file: str, found: list[Import]) -> Iterator[str]:
    """Imports against the direction of the house."""
    room = room_of(file)
    if room not in MAY_IMPORT:
        yield f"{file}: the room {room!r} is not in the table MAY_IMPORT"
        return
    for one in found:
        if not one.is_house or not one.module or one.module == "__version__":
            continue
        target = one.module.split(".")[0]
        where = f"{file}:{one.line}: {one.module}"
        if target == room:
            continue
        if target not in MAY_IMPORT[room]:
            yield f"{where}: {room} may not import {target}"
        doors = SEEN_ONLY_THROUGH.get((room, target))
        if doors is not None and ".".join(one.module.split(".")[:2]) not in doors:
            yield f"{where}: {room} sees of {target} only {', '.join(sorted(doors))}"


def backend_faults(file: str, found: list[Import]) -> Iterator[str]:
    """Back-ends are imported by `app.py` and by commands that work on a data folder."""
    for one in found:
        parts = one.module.split(".")
        if not one.is_house or parts[0] != "store" or room_of(file) == "store":
            continue
        is_backend = len(parts) > 1 and parts[1] in {"sqlite", "postgres"}
        if is_backend and file not in BACKEND_USERS:
            yield f"{file}:{one.line}: only app.py imports back-ends"


def dialect_faults(file: str, found: list[Import]) -> Iterator[str]:
    """Dialects never import one another, and only the registry names them."""
    own = Path(file).parts[1] if file.startswith("dialects/") else ""
    for one in found:
        parts = one.module.split(".")
        if not one.is_house or parts[0] != "dialects" or len(parts) < 2:
            continue
        name = parts[1]
        if name in SHARED_BY_DIALECTS or name == "registry" or name == own:
            continue
        if file in NAMES_DIALECTS:
            continue
        if parts[2:3] == ["emulator"] and is_in(file, NAMES_EMULATORS):
            continue
        yield f"{file}:{one.line}: names the dialect {name!r}"


def purity_faults(file: str, tree: ast.AST, found: list[Import]) -> Iterator[str]:
    """Clocks, chance, files, threads and sockets in a pure room."""
    if room_of(file) not in PURE:
        return
    for one in found:
        names = {one.module, one.module.split(".")[0]}
        if not one.is_house and names & FORBIDDEN_IN_PURE:
            yield f"{file}:{one.line}: {one.module} in a pure room"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            call = node.func
            if isinstance(call, ast.Name) and call.id in {"open", "print", "input", "eval", "exec"}:
                yield f"{file}:{node.lineno}: {call.id}() in a pure room"
            name = getattr(call, "id", None) or getattr(call, "attr", None)
            if name in CHANCE_CALLS:
                yield f"{file}:{node.lineno}: {name}() draws by chance in a pure room"
            if (
                isinstance(call, ast.Attribute)
                and call.attr in CLOCK_CALLS
                and isinstance(call.value, ast.Name)
                and call.value.id in {"datetime", "date"}
            ):
                yield f"{file}:{node.lineno}: {call.attr}() reads a clock in a pure room"
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"{file}:{node.lineno}: async in a pure room"


def library_faults(file: str, found: list[Import]) -> Iterator[str]:
    """A library in a file that is not its own, or one that the table does not know."""
    for one in found:
        name = one.module.split(".")[0]
        if one.is_house or (name in sys.stdlib_module_names and name not in LIBRARIES):
            continue
        if name not in LIBRARIES:
            yield f"{file}:{one.line}: {name} is not in the table LIBRARIES"
        elif not is_in(file, LIBRARIES[name]):
            yield f"{file}:{one.line}: {name} lives in {', '.join(LIBRARIES[name])}"


def name_faults(file: str) -> Iterator[str]:
    """Dumping grounds."""
    for part in Path(file).with_suffix("").parts:
        if part.strip("_") in DUMPING_GROUNDS:
            yield f"{file}: {part!r} says nothing; a function goes to the noun it is about"


def faults(file: str, text: str) -> list[str]:
    """Everything that is wrong with one file (its path below src/trunkline)."""
    tree = ast.parse(text)
    found = list(imports(tree, file))
    return [
        *room_faults(file, found),
        *backend_faults(file, found),
        *dialect_faults(file, found),
        *purity_faults(file, tree, found),
        *library_faults(file, found),
        *name_faults(file),
    ]


FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES)
def test_file(file):
    assert faults(file, (SOURCE / file).read_text(encoding="utf-8")) == []


def test_the_rooms_are_all_looked_at():
    assert {"pipeline/decide.py", "model/event.py", "wire/jsonwire.py", "errors.py"} <= set(FILES)


def test_the_table_has_no_circle():
    order: list[str] = []
    rest = dict(MAY_IMPORT)
    while rest:
        free = [room for room, below in rest.items() if not below & (rest.keys() - {room})]
        assert free, f"these import one another: {sorted(rest)}"
        order += free
        rest = {room: below for room, below in rest.items() if room not in free}
    assert order.index("model") < order.index("pipeline") < order.index("exchange")


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("pipeline/x.py", "import asyncio", "asyncio in a pure room"),
        ("model/x.py", "from time import monotonic", "time in a pure room"),
        ("dialects/maim/x.py", "def f():\n    import random", "random in a pure room"),
        ("wire/x.py", "from os import path", "os in a pure room"),
        ("wire/x.py", "import os.path", "os.path in a pure room"),
        ("pipeline/x.py", "import urllib.request", "urllib.request in a pure room"),
        ("pipeline/x.py", "x = uuid4()", "draws by chance"),
        ("pipeline/x.py", "x = uuid.uuid1()", "draws by chance"),
        ("model/x.py", "x = datetime.now()", "reads a clock"),
        ("model/x.py", "open('x')", "open() in a pure room"),
        ("dialects/maim/bot.py", "async def f(): ...", "async in a pure room"),
        ("pipeline/x.py", "from trunkline.lines.contract import Link", "may not import lines"),
        ("lines/x.py", "from trunkline.pipeline.turn import Turn", "may not import pipeline"),
        ("lines/x.py", "from trunkline import pipeline", "may not import pipeline"),
        ("lines/x.py", "from trunkline.exchange.intake import Intake", "only exchange.contract"),
        ("lines/x.py", "from trunkline.exchange import intake", "only exchange.contract"),
        ("model/x.py", "from trunkline.wire import jsonwire", "may not import wire"),
        ("errors.py", "from trunkline.model.event import Event", "may not import model"),
        ("pipeline/x.py", "from ..store.contract import Beat", "may not import store"),
        ("pipeline/x.py", "from trunkline.telemetry.logs import log", "may not import telemetry"),
        ("dev/x.py", "from trunkline.web.app import make_app", "only web.server"),
        ("app.py", "from trunkline.cli.main import main", "may not import cli"),
        ("process/x.py", "from trunkline.app import App", "may not import app"),
        ("process/x.py", "from trunkline.store.sqlite import SqliteStore", "only store.contract"),
        ("web/x.py", "from trunkline.store.schema import inbox", "only store.contract"),
        ("exchange/x.py", "from trunkline.store.sqlite.worker import W", "only app.py imports"),
        ("cli/x.py", "from trunkline.store.sqlite import SqliteStore", "only app.py imports"),
        ("exchange/x.py", "from trunkline.dialects.registry import find", "only dialects.contract"),
        ("dialects/maim/x.py", "from trunkline.dialects.contact import frames", "'contact'"),
        ("dialects/maim/x.py", "from ..contact.frames import x", "names the dialect 'contact'"),
        ("cli/x.py", "from trunkline.dialects.maim.bot import Core", "names the dialect 'maim'"),
        ("config.py", "import trunkline.dialects.maim", "names the dialect 'maim'"),
        ("lines/roster.py", "import picows", "picows lives in"),
        ("exchange/x.py", "import sqlite3", "sqlite3 lives in"),
        ("pipeline/x.py", "import regex", "regex lives in"),
        ("dialects/maim/frames.py", "from pydantic import BaseModel", "pydantic lives in"),
        ("web/x.py", "import requests", "not in the table LIBRARIES"),
        ("store/helpers.py", "", "says nothing"),
        ("attic/x.py", "", "not in the table MAY_IMPORT"),
    ],
)
def test_what_is_caught(file, text, words):
    assert any(words in fault for fault in faults(file, text)), faults(file, text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dialects/registry.py", "from trunkline.dialects.maim import DIALECT"),
        ("dialects/maim/bot.py", "from .frames import decode\nfrom ..contract import Ask"),
        ("dialects/maim/options.py", "from pydantic import Field"),
        ("dialects/maim/bot.py", "from trunkline.clock import Clock"),
        ("cli/emulate.py", "from trunkline.dialects.maim.emulator import World"),
        ("web/x.py", "from trunkline import __version__"),
        ("app.py", "from trunkline.store.sqlite import SqliteStore"),
        ("model/x.py", "from urllib.parse import quote"),
        ("dialects/contact/x.py", "from uuid import UUID\nx = UUID('0' * 32)"),
        ("dev/echo.py", "from trunkline.web.server import Server"),
    ],
)
def test_what_is_fine(file, text):
    assert faults(file, text) == []
