"""RFC 6455 conformance of our links in both roles, by the Autobahn test suite; `make conformance`.

As server, `trunkline dev echo` is examined by the suite's fuzzing client; as client,
`trunkline dev testee-client` by its fuzzing server: groups 1 to 7, 246 cases each. Prints a table
and one JSON line, keeps both below `.peers/autobahn/reports`. Exit code 0: every case passes or is
named in `docs/conformance.md`; 1: one fails that is not; 2: the suite could not be run. Where there
is no CPython 2.7 it says so loudly and ends with 0.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
REPORTS = ROOT / ".peers" / "autobahn" / "reports"
KNOWN = ROOT / "docs" / "conformance.md"
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*"]
COUNT = 246
START_S = 30.0
RUN_S = 900.0
PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")
NO_PYTHON27 = 3


class Unusable(Exception):
    """The suite could not be run to its end."""


def known_failures() -> dict[str, set[str]]:
    """Return the cases that `docs/conformance.md` names, by role."""
    known: dict[str, set[str]] = {"server": set(), "client": set()}
    rows = re.findall(r"^\| (server|client) \| (\d+(?:\.\d+)+) \|", KNOWN.read_text(), re.M)
    for role, case in rows:
        known[role].add(case)
    return known


@contextlib.contextmanager
def running(
    command: list[str], name: str, folder: Path, *, is_read: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """Run a process in a folder; what it says is kept beside the reports, unless it is read."""
    with (
        (REPORTS / f"{name}.log").open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own commands
            command, cwd=folder, text=True, stderr=log,
            stdout=subprocess.PIPE if is_read else log,
            stdin=subprocess.DEVNULL,
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            process.kill()


def trunkline(*arguments: str) -> list[str]:
    """Return a command line of the product."""
    return [sys.executable, "-m", "trunkline", *arguments]


def suite(python27: str, mode: str, spec: dict[str, Any]) -> list[str]:
    """Write a specification of the suite and return the command that runs it."""
    path = REPORTS / f"{mode}.json"
    common = {"cases": CASES, "exclude-cases": [], "exclude-agent-cases": {}, "options": {}}
    path.write_text(json.dumps(common | spec))
    script = str(Path(__file__).with_name("suite.py"))
    # Port 0 of the web server switches the suite's own page off.
    return [python27, script, "--mode", mode, "--spec", str(path), "--webport", "0"]


def examine_server(python27: str) -> None:
    """Let the fuzzing client examine `dev echo`."""
    with running(trunkline("dev", "echo", "--port", "0"), "echo", ROOT, is_read=True) as echo:
        line = echo.stdout.readline() if echo.stdout else ""
        if not line.startswith("ready "):
            raise Unusable("trunkline dev echo did not start; see echo.log")
        url = json.loads(line.removeprefix("ready "))["url"].replace("http", "ws", 1)
        spec = {"outdir": "server", "servers": [{"agent": "trunkline", "url": url}]}
        with running(suite(python27, "fuzzingclient", spec), "fuzzingclient", REPORTS) as client:
            client.wait(RUN_S)
            if client.returncode != 0:
                raise Unusable("the fuzzing client failed; see fuzzingclient.log")
        if echo.poll() is not None:
            raise Unusable("trunkline dev echo died; see echo.log")


def free_port() -> int:
    """Return a port of loopback that was free a moment ago; the suite cannot pick one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    """Return once somebody listens.

    Raises:
        Unusable: nobody does in time.
    """
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    raise Unusable("the fuzzing server did not start; see fuzzingserver.log")


def examine_client(python27: str) -> None:
    """Let the fuzzing server examine `dev testee-client`."""
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    spec = {"outdir": "client", "url": url}
    with running(suite(python27, "fuzzingserver", spec), "fuzzingserver", REPORTS) as server:
        wait_for_port(port, server)
        done = subprocess.run(  # noqa: S603 - our own commands
            trunkline("dev", "testee-client", "--url", url, "--agent", "trunkline"),
            cwd=ROOT, check=False, timeout=RUN_S,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unusable(f"trunkline dev testee-client ended with {done.returncode}")


def judge(role: str) -> dict[str, Any]:
    """Read the suite's report of one role."""
    index = json.loads((REPORTS / role / "index.json").read_text())["trunkline"]
    by_behavior: dict[str, list[str]] = {}
    for case, result in index.items():
        worst = result["behavior"]
        if result["behaviorClose"] not in PASSED and worst in PASSED:
            worst = f"{result['behaviorClose']} (close)"
        by_behavior.setdefault(worst, []).append(case)

    def order(case: str) -> list[int]:
        return [int(part) for part in case.split(".")]

    failed = sorted(
        (case for behavior, cases in by_behavior.items() if behavior not in PASSED
         for case in cases),
        key=order,
    )  # fmt: skip
    counts = Counter({behavior: len(cases) for behavior, cases in by_behavior.items()})
    return {
        "cases": len(index),
        "counts": dict(counts),
        "failed": failed,
        "non_strict": sorted(by_behavior.get("NON-STRICT", []), key=order),
        "informational": sorted(by_behavior.get("INFORMATIONAL", []), key=order),
    }


def main() -> int:
    """Run both roles and judge them."""
    made = subprocess.run(  # noqa: S603 - our own commands
        [str(ROOT / "scripts" / "conformance" / "environment.sh")],
        text=True, stdout=subprocess.PIPE, check=False, cwd=ROOT,
    )  # fmt: skip
    if made.returncode == NO_PYTHON27:
        sys.stdout.write("conformance: SKIPPED, no CPython 2.7: nothing was examined\n")
        return 0
    if made.returncode != 0:
        return 2
    python27 = made.stdout.strip().splitlines()[-1]
    REPORTS.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PYTHONPATH", str(ROOT / "src"))
    known = known_failures()
    summary: dict[str, Any] = {}
    try:
        for role, examine in (("server", examine_server), ("client", examine_client)):
            sys.stdout.write(f"conformance: as {role} …\n")
            sys.stdout.flush()
            examine(python27)
            summary[role] = judge(role)
    except (Unusable, subprocess.TimeoutExpired) as error:
        sys.stdout.write(f"conformance: {error}\n")
        return 2
    is_good = True
    for role, found in summary.items():
        surprises = [case for case in found["failed"] if case not in known[role]]
        found["not_named"] = surprises
        is_good = is_good and not surprises and found["cases"] == COUNT
        counts = ", ".join(f"{count} {name}" for name, count in sorted(found["counts"].items()))
        sys.stdout.write(f"conformance: as {role}: {found['cases']} cases: {counts}\n")
        if found["failed"]:
            sys.stdout.write(f"conformance: as {role}: failed: {' '.join(found['failed'])}\n")
    line = json.dumps(summary)
    (REPORTS / "summary.json").write_text(line + "\n")
    sys.stdout.write(line + "\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
