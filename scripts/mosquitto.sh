#!/usr/bin/env bash
# Prints the path of a mosquitto broker. As root on Debian it is installed through apt when it is
# missing (neither started nor enabled: the tests start one of their own, on loopback); otherwise its
# absence is an error, which the tests count as a skip.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/usr/local/sbin"

if ! command -v mosquitto; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "mosquitto: not installed, and not root on Debian: apt-get install mosquitto" >&2
        exit 1
    fi
    echo "mosquitto: installing the Debian package" >&2
    apt-get -qq update >&2
    # The package would start a broker on port 1883, now and at every boot.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends mosquitto >&2
    if command -v systemctl >/dev/null 2>&1; then
        systemctl disable --now mosquitto >&2 || true # without a running systemd there is nothing
    fi
    command -v mosquitto
fi
