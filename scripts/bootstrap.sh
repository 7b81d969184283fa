#!/usr/bin/env bash
# Makes .venv from the locked, hash-checked requirements. Needs python3 >= 3.11 and nothing else.
# uv is used from the PATH, else it is installed into the private folder .tools.
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-}"
if [ -z "$python" ]; then
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            python="$candidate"
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "bootstrap: no python3 >= 3.11 on the PATH; install one, or name it: make PYTHON=/path/to/python3.11 test" >&2
    exit 2
fi

stamp=".venv/.stamp"
if [ -f "$stamp" ] && [ "$stamp" -nt requirements.lock ] && [ "$stamp" -nt pyproject.toml ] &&
    [ "$stamp" -nt scripts/bootstrap.sh ]; then
    exit 0
fi

uv="$(command -v uv || true)"
if [ -z "$uv" ]; then
    if [ ! -x .tools/bin/uv ]; then
        rm -rf .tools
        if ! "$python" -m venv .tools >/dev/null 2>&1; then
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
                echo "bootstrap: python3-venv is missing, installing it"
                apt-get -qq update
                DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null
                rm -rf .tools
                "$python" -m venv .tools
            else
                echo "bootstrap: '$python -m venv' does not work; install python3-venv (or uv) and run make again" >&2
                exit 2
            fi
        fi
        .tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
    fi
    uv=".tools/bin/uv"
fi

echo "bootstrap: making .venv (locked, hash-checked)"
"$uv" venv --quiet --clear --python "$python" .venv
"$uv" pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
touch "$stamp"
