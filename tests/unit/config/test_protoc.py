"""The compiler's child process: real ones, and the bounds that they run in."""

from __future__ import annotations

import pytest

from boss_schema import TEXT
from trunkline.configuration.protoc import CompilerKilled, CompilerMissing, compile_schema

SMALL = 'syntax = "proto2"; message A { optional int32 b = 1; }'


def test_a_text_is_compiled():
    made = compile_schema(TEXT)
    assert b"TechwolfChatProtocol" in made.data
    assert made.said == ""


def test_what_is_wrong_is_said_without_a_path_of_this_machine():
    made = compile_schema("message A {\n  optional int32 b\n}")
    assert made.data == b""
    assert "schema.proto:3:1: " in made.said
    assert "/" not in made.said.partition("schema.proto:3")[2]


@pytest.mark.parametrize("name", ["/etc/hostname", "google/protobuf/any.proto", "../x.proto"])
def test_nothing_else_is_read(name):
    made = compile_schema(SMALL.replace("message", f'import "{name}"; message'))
    assert made.data == b""
    assert name in made.said


def test_it_has_its_time():
    with pytest.raises(CompilerKilled, match=r"0\.001 s"):
        compile_schema(SMALL, timeout_s=0.001)


def test_it_has_its_memory():
    with pytest.raises(CompilerKilled):
        compile_schema(SMALL, memory_bytes=16 << 20)


def test_it_sees_nothing_of_the_environment(tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os; open({str(seen)!r}, 'w').write('\\n'.join(os.environ))"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert compile_schema(SMALL).data
    names = set(seen.read_text().split("\n"))
    assert "PYTHONPATH" in names
    assert "OPENAI_API_KEY" not in names


def test_without_a_compiler_it_says_so(tmp_path, monkeypatch):
    (tmp_path / "grpc_tools.py").write_text("raise ModuleNotFoundError('grpc_tools')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(CompilerMissing):
        compile_schema(SMALL)
