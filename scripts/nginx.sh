#!/usr/bin/env bash
# Prints the path of an nginx. As root on Debian it is installed through apt when it is missing (and
# not started); otherwise its absence is an error, which the tests count as a skip.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/usr/local/sbin"

if ! command -v nginx; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "nginx: not installed, and not root on Debian: apt-get install nginx" >&2
        exit 1
    fi
    echo "nginx: installing the Debian package" >&2
    apt-get -qq update >&2
    # The tests start one of their own: the package's service must not take port 80.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends nginx >&2
    command -v nginx
fi
