#!/usr/bin/env bash
# Makes the environment of the Autobahn test suite, .peers/autobahn, from its locked list.
# The suite runs on CPython 2.7 alone: PYTHON27=/path/to/python2.7 names one, else it is looked for.
# Prints the path of its python as the last line of stdout; exit code 3: there is no CPython 2.7.
set -euo pipefail
cd "$(dirname "$0")/../.."

is_python27() {
    "$1" -c 'import platform, sys
sys.exit(sys.version_info[:2] != (2, 7) or platform.python_implementation() != "CPython")' \
        >/dev/null 2>&1
}

find_python27() {
    local candidate root
    if [ -n "${PYTHON27:-}" ]; then
        if is_python27 "$PYTHON27"; then python27="$PYTHON27"; fi
        return 0
    fi
    # The shim of a version manager may be on the PATH and refuse: what it stands for is tried too.
    root="${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}"
    for candidate in python2.7 python2 "$root"/versions/2.7*/bin/python2.7; do
        if is_python27 "$candidate"; then
            python27="$candidate"
            return
        fi
    done
}

python27=""
find_python27
if [ -z "$python27" ]; then
    echo "conformance: there is no CPython 2.7 (PYTHON27=/path/to/python2.7 names one)" >&2
    exit 3
fi

target=".peers/autobahn"
stamp="$target/.stamp"
lock="scripts/conformance/autobahn.lock"
if ! { [ -f "$stamp" ] && [ "$stamp" -nt "$lock" ] && [ -x "$target/bin/python" ]; }; then
    . scripts/tools.sh
    find_uv
    echo "conformance: making $target (locked, hash-checked)" >&2
    mkdir -p .peers
    # Newer versions of virtualenv can no longer make an environment for 2.7.
    "$uv" venv --quiet --clear --python "$python" .peers/virtualenv
    "$uv" pip install --quiet --python .peers/virtualenv/bin/python --require-hashes \
        -r scripts/conformance/virtualenv.lock
    rm -rf "$target"
    .peers/virtualenv/bin/virtualenv --quiet --python "$python27" "$target"
    # The list is complete; pip would want a hash of setuptools too, which is there already.
    "$target/bin/python" -m pip install -qq --no-deps --require-hashes -r "$lock" >&2
    touch "$stamp"
fi
echo "$PWD/$target/bin/python"
