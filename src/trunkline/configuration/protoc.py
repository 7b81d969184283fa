"""Compiles the text of a protobuf schema, in a child process that can do no harm.

The compiler is C++ code and its input came through a clipboard: the child has bounds of its own
for time, memory and files, and no more of the environment than it needs to start. `grpc_tools`
(extra `boss`) is imported there alone.

The child runs this very file in a folder of its own: so nothing but the standard library is
imported at the top.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

TIMEOUT_S: Final = 20.0
CPU_S: Final = 10
MEMORY_BYTES: Final = 512 << 20  # of address space; the site's schema needs 0.03 GB
FILE_BYTES: Final = 16 << 20
MAX_SAID_BYTES: Final = 64 << 10
# Exit codes of the child. 1 is an interpreter's own, for what nobody caught.
NOT_INSTALLED: Final = 3
REFUSED: Final = 4
_SOURCE: Final = "schema.proto"
_COMPILED: Final = "schema.binpb"
# What an interpreter may need to find itself and its libraries; no secret is among them.
_PASSED_ON: Final = ("HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")


class CompilerMissing(Exception):
    """The compiler is not installed (extra `boss`)."""


class CompilerKilled(Exception):
    """The compiler took more time or memory than it may."""


class Compiled(NamedTuple):
    """What the compiler made.

    Args:
        data: a serialized `FileDescriptorSet`; b"" when it refused the text.
        said: its errors and warnings, lines like `schema.proto:3:12: Expected ";".`.
    """

    data: bytes
    said: str


def compile_schema(
    source: str, *, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES
) -> Compiled:
    """Compile one text. Takes 0.1 s, at most `timeout_s`.

    Raises:
        CompilerMissing: `grpc_tools` cannot be imported.
        CompilerKilled: it did not end in time, or ended by a signal.
    """
    with tempfile.TemporaryDirectory(prefix="trunkline-schema-") as name:
        folder = Path(name)
        (folder / _SOURCE).write_text(source, "utf-8")
        env = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and file, no shell
                # -P: the folder of this file has modules whose names others use.
                [sys.executable, "-P", __file__, str(memory_bytes)],
                cwd=name,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CompilerKilled(f"{timeout_s:g} s") from error
        said = done.stderr[:MAX_SAID_BYTES].decode("utf-8", "replace")
        if done.returncode == NOT_INSTALLED:
            raise CompilerMissing
        if done.returncode not in (0, REFUSED):
            raise CompilerKilled(f"exit {done.returncode}")
        data = (folder / _COMPILED).read_bytes() if done.returncode == 0 else b""
        return Compiled(data, said)


def _child(memory_bytes: int) -> int:
    """Compile the text in the working folder; returns the exit code."""
    import resource

    for what, bound in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        if hard == resource.RLIM_INFINITY or bound < hard:
            resource.setrlimit(what, (bound, bound))
    try:
        from grpc_tools import protoc
    except ModuleNotFoundError:
        return NOT_INSTALLED
    # No include path but this folder: an `import` in the text finds nothing.
    code: int = protoc.main(["protoc", "-I.", f"--descriptor_set_out={_COMPILED}", _SOURCE])  # pyright: ignore[reportUnknownVariableType] - it has no types
    return REFUSED if code else 0


if __name__ == "__main__":
    sys.exit(_child(int(sys.argv[1])))
