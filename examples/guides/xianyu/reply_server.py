"""Guide 001: `python reply_server.py [PORT]` serves `POST /xianyu/reply`.

The rules are in reply_server.toml beside it and may be edited while it runs.
"""

import sys
from pathlib import Path

from trunkline.cli.main import run

CONFIG = Path(__file__).with_suffix(".toml")

if __name__ == "__main__":
    port = ["--port", sys.argv[1]] if len(sys.argv) > 1 else []
    sys.exit(run(["serve", "-c", str(CONFIG), *port]))
