#!/usr/bin/env bash
# Prints the path of a Chromium. As root on Debian it is installed through apt when it is missing;
# otherwise its absence is an error, which the tests count as a skip.
set -euo pipefail

find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

if ! find_chromium; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "chromium: not installed, and not root on Debian: apt-get install chromium" >&2
        exit 1
    fi
    echo "chromium: installing the Debian package" >&2
    apt-get -qq update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >&2
    find_chromium
fi
