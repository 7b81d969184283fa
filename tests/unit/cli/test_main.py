"""The door: names, exit codes, and errors that say what to do next, never a traceback."""

import importlib
import subprocess
import sys
import types

import pytest

from trunkline import __version__
from trunkline.cli import main as door
from trunkline.cli.main import COMMANDS, run
from trunkline.cli.output import CommandFailed, ExitCode
from trunkline.errors import (
    ConfigError,
    DataDirInUse,
    LinkRefused,
    StoreFull,
    TrunklineError,
    UnsafeConfig,
)


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def serve(monkeypatch):
    """Put a command in the place of `serve` that does what the test says."""

    def put(act):
        def register(app):
            @app.command("serve")
            def serve(port: int = 0):
                act(port)

        module = types.ModuleType("fake_serve")
        module.register = register
        monkeypatch.setitem(sys.modules, "fake_serve", module)
        monkeypatch.setattr(door, "COMMANDS", {"serve": ("fake_serve", "", "")})

    return put


def test_the_version_is_fast_because_nothing_else_is_imported():
    code = (
        "import sys; from trunkline.cli.main import run; run(['--version']);"
        "print(sorted({'typer', 'pydantic', 'structlog', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"trunkline {__version__}\n[]\n"


def test_help_lists_every_command_in_both_languages(capsys, monkeypatch):
    assert run(["--help"]) == 0
    english = capsys.readouterr().out
    assert all(f"  {name} " in english for name in COMMANDS)
    assert "check the configuration" in english
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(["-h"]) == 0
    assert "检查配置" in capsys.readouterr().out


def test_every_command_of_the_table_registers_itself():
    import typer

    for name, (module, _, _) in COMMANDS.items():
        if importlib.util.find_spec(module) is None:
            continue  # written in another room; the test of the whole program runs it
        app = typer.Typer()
        importlib.import_module(module).register(app)
        names = {command.name for command in app.registered_commands}
        names |= {group.name for group in app.registered_groups}
        assert name in names, name


@pytest.mark.parametrize("args", [[], ["--port", "7"], ["serve", "--port", "7"]])
def test_no_command_means_serve(serve, args):
    ports = []
    serve(ports.append)
    assert run(args) == 0
    assert ports == [7 if args else 0]


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert run(["chekc"]) == 2
    assert capsys.readouterr().err == (
        "trunkline: no command 'chekc'\n  next: did you mean check?\n"
    )


def test_a_command_of_a_later_issue_says_so(capsys):
    assert run(["doctor"]) == 2
    assert "doctor: not built yet" in capsys.readouterr().err


def test_wrong_options_are_usage_errors(serve, capsys):
    serve(lambda _port: None)
    assert run(["serve", "--nope"]) == 2
    assert "No such option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "sentences"),
    [
        (ConfigError(["one", "two"]), 2, ["trunkline: one\n  two\n", "trunkline check"]),
        (UnsafeConfig(["a token"]), 78, ["a token", "bind 127.0.0.1"]),
        (DataDirInUse("/data", "pid 7"), 73, ["/data is in use by pid 7", "another folder"]),
        (LinkRefused(502), 3, ["refused with HTTP 502"]),
        (StoreFull(), 1, ["The disk is full", "check disk space"]),
        (TrunklineError("odd"), 1, ["odd"]),
        (CommandFailed(ExitCode.REFUSED, "said no", "ask again"), 5, ["said no", "next: ask"]),
        (PermissionError(13, "Permission denied", "/x"), 1, ["cannot access", "permissions"]),
        (KeyboardInterrupt(), 130, []),
    ],
)
def test_errors_become_exit_codes_and_sentences(serve, capsys, error, code, sentences):
    def act(_port):
        raise error

    serve(act)
    assert run(["serve"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    for sentence in sentences:
        assert sentence in shown.err


def test_a_command_may_end_with_a_code_of_its_own(serve):
    def act(_port):
        raise SystemExit(6)

    serve(act)
    assert run(["serve"]) == 6
