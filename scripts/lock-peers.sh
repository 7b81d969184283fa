#!/usr/bin/env bash
# Writes the locked lists of scripts/peers/*.in anew. Run it by hand when a peer is to be updated.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
find_uv
for list in scripts/peers/*.in; do
    "$uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        "$list" --output-file "${list%.in}.txt"
done
