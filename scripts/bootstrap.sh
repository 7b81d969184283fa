#!/usr/bin/env bash
# Makes .venv from the locked, hash-checked requirements. Needs python3 >= 3.11 and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=".venv/.stamp"
if [ -f "$stamp" ] && [ "$stamp" -nt requirements.lock ] && [ "$stamp" -nt pyproject.toml ] &&
    [ "$stamp" -nt scripts/bootstrap.sh ] && [ -x .venv/bin/python ]; then
    exit 0
fi

. scripts/tools.sh
find_uv

echo "setup: making .venv (locked, hash-checked)"
"$uv" venv --quiet --clear --python "$python" .venv
"$uv" pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
touch "$stamp"
