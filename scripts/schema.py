"""Compile the schema of Boss into the package data that `trunkline.dialects.boss.schema` reads.

    .venv/bin/python scripts/schema.py [--check]

`--check` writes nothing and exits 1 when the file in the tree is not the one this would make; so
does `tests/unit/dialects/boss/test_schema.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).parents[1] / "src" / "trunkline" / "dialects" / "boss"
SOURCE, COMPILED = FOLDER / "techwolf.proto", FOLDER / "schema.binpb"


def compiled() -> bytes:
    """The descriptor set of the source in the tree.

    Raises:
        SystemExit: it does not compile; protoc has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / COMPILED.name
        if protoc.main(["protoc", f"-I{FOLDER}", f"--descriptor_set_out={out}", str(SOURCE)]):
            raise SystemExit(1)
        return out.read_bytes()


def main() -> None:
    """Write the file, or say whether it is current."""
    data = compiled()
    if "--check" in sys.argv[1:]:
        if data != COMPILED.read_bytes():
            sys.exit(f"{COMPILED} is not current: run scripts/schema.py")
        return
    COMPILED.write_bytes(data)
    sys.stdout.write(f"{COMPILED}: {len(data)} bytes\n")


if __name__ == "__main__":
    main()
