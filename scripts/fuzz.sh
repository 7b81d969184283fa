#!/usr/bin/env bash
# Makes the environment of the fuzzers, .peers/fuzz: ours, and atheris. Locked, hash-checked.
# Prints the path of its python as the last line of stdout.
set -euo pipefail
cd "$(dirname "$0")/.."

target=".peers/fuzz"
stamp="$target/.stamp"
lock="scripts/fuzz.lock"
if ! { [ -f "$stamp" ] && [ "$stamp" -nt "$lock" ] && [ "$stamp" -nt requirements.lock ] &&
    [ -x "$target/bin/python" ]; }; then
    . scripts/tools.sh
    find_uv
    echo "fuzz: making $target (locked, hash-checked)" >&2
    mkdir -p .peers
    "$uv" venv --quiet --clear --python "$python" "$target"
    "$uv" pip install --quiet --python "$target/bin/python" --require-hashes \
        -r requirements.lock -r "$lock"
    touch "$stamp"
fi
echo "$PWD/$target/bin/python"
