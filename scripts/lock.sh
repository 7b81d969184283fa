#!/usr/bin/env bash
# Renews requirements.lock from pyproject.toml: versions and hashes, no host names.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="$(command -v uv || echo .tools/bin/uv)"
"$uv" pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
    --group dev pyproject.toml -o requirements.lock "$@"
