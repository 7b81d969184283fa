"""One target under atheris: `harness.py TARGET SECONDS FINDS CORPUS`; `scripts/fuzz.py` runs it.

Runs in the environment of `scripts/fuzz.sh`, which has atheris; pytest does not import it. What
crashes is written to FINDS by libFuzzer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["trunkline"]):
    from fuzztargets import TARGETS

from fuzzcorpus import corpus_of

MOST_BYTES = 4096


def main() -> None:
    """Write the corpus, then fuzz until the time is over; ends the process."""
    name, seconds, finds, corpus = sys.argv[1:]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(corpus_of(name)):
        (folder / f"example-{number}").write_bytes(data)
    flags = [
        f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-artifact_prefix={finds}/",
        "-rss_limit_mb=1024", "-timeout=10", "-print_final_stats=1", "-verbosity=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *flags, corpus], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
