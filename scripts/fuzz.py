"""Fuzzes every decoder with atheris, one after the other; `make fuzz`.

`SECONDS=60` is the time of each target, `ARGS="link_server json_values"` names some of them. Begins
with the examples of `tests/fuzzcorpus.py` and what earlier runs have found interesting
(`.peers/fuzz-corpus`). A find is written to `.peers/fuzz-finds/TARGET`; copied to
`tests/fuzz/regressions/TARGET` it becomes a test. Prints one JSON line; exit code 1: there are
finds; 2: a target could not be run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = ROOT / ".peers"
GRACE_S = 120.0
# libFuzzer's own exit code for a find
FOUND = 77


def targets() -> list[str]:
    """Return the names of all targets, as their module lists them."""
    text = (ROOT / "tests" / "fuzztargets.py").read_text()
    return re.findall(r'^    "(\w+)": ', text.partition("TARGETS:")[2], re.M)


def fuzz(python: str, name: str, seconds: int) -> dict[str, object]:
    """Fuzz one target; return what became of it."""
    finds = MADE / "fuzz-finds" / name
    finds.mkdir(parents=True, exist_ok=True)
    before = set(finds.iterdir())
    corpus = MADE / "fuzz-corpus" / name
    paths = os.pathsep.join(str(ROOT / part) for part in ("src", "tests"))
    log = finds.parent / f"{name}.log"
    with log.open("w") as out:
        done = subprocess.run(  # noqa: S603 - our own commands
            [python, str(ROOT / "tests" / "fuzz" / "harness.py"), name, str(seconds), str(finds),
             str(corpus)],
            env=os.environ | {"PYTHONPATH": paths}, cwd=ROOT, stdout=out, stderr=out, check=False,
            timeout=seconds + GRACE_S,
        )  # fmt: skip
    text = log.read_text(errors="replace")
    executed = re.search(r"number_of_executed_units:\s+(\d+)", text)
    new = sorted(str(path.relative_to(ROOT)) for path in set(finds.iterdir()) - before)
    is_run = done.returncode in (0, FOUND) or bool(new)
    return {"runs": int(executed[1]) if executed else 0, "finds": new, "is_run": is_run}


def main() -> int:
    """Fuzz the targets that are named, or all."""
    seconds = int(os.environ.get("SECONDS_EACH", "60"))
    made = subprocess.run(  # noqa: S603 - our own commands
        [str(ROOT / "scripts" / "fuzz.sh")], text=True, stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        return 2
    python = made.stdout.strip().splitlines()[-1]
    known = targets()
    names = sys.argv[1:] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.stdout.write(f"fuzz: no target {unknown[0]!r}; one of: {' '.join(known)}\n")
        return 2
    summary: dict[str, dict[str, object]] = {}
    for name in names:
        summary[name] = found = fuzz(python, name, seconds)
        sys.stdout.write(f"fuzz: {name}: {found['runs']} runs, {len(found['finds'])} finds\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps(summary) + "\n")
    if any(found["finds"] for found in summary.values()):
        return 1
    return 0 if all(found["is_run"] for found in summary.values()) else 2


if __name__ == "__main__":
    sys.exit(main())
