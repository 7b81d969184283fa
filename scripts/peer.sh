#!/usr/bin/env bash
# Makes the environment of a real peer, .peers/NAME, from its locked, hash-checked list.
# Prints the path of its python as the last line of stdout.
#   scripts/peer.sh maim_message | baseline | websockets
set -euo pipefail
cd "$(dirname "$0")/.."

name="${1:?which peer? one of: $(cd scripts/peers && ls -- *.txt | sed 's/\.txt$//' | tr '\n' ' ')}"
lock="scripts/peers/$name.txt"
if [ ! -f "$lock" ]; then
    echo "peer: there is no $lock" >&2
    exit 2
fi

target=".peers/$name"
stamp="$target/.stamp"
made_from="$(cksum < "$lock")" # what it says, not how old it is: in a fresh clone every file is new
if [ ! -x "$target/bin/python" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$made_from" ]; then
    if [ -L .peers ] || [ -L "$target" ]; then
        echo "peer: $target is a link, and another checkout uses it: not rebuilt" >&2
        exit 1
    fi
    . scripts/tools.sh
    find_uv
    echo "peer: making $target (locked, hash-checked)" >&2
    mkdir -p .peers
    "$uv" venv --quiet --clear --python "$python" "$target"
    "$uv" pip install --quiet --python "$target/bin/python" --require-hashes -r "$lock"
    echo "$made_from" > "$stamp"
fi
echo "$PWD/$target/bin/python"
