# Sourced, not run: finds a Python and uv for the scripts beside it. Sets $python and $uv.
# uv is taken from the PATH, else it is installed into the private folder .tools.
# The caller has changed into the project's folder.

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
    echo "setup: no python3 >= 3.11 on the PATH; install one, or name it: make PYTHON=/path/to/python3.11 test" >&2
    exit 2
fi

make_tools() {
    rm -rf .tools
    if ! "$python" -m venv .tools >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "setup: python3-venv is missing, installing it" >&2
            apt-get -qq update >&2
            DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null
            rm -rf .tools
            "$python" -m venv .tools
        else
            echo "setup: '$python -m venv' does not work; install python3-venv (or uv) and run make again" >&2
            exit 2
        fi
    fi
    .tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
}

find_uv() {
    uv="$(command -v uv || true)"
    if [ -z "$uv" ]; then
        [ -x .tools/bin/uv ] || make_tools
        uv=".tools/bin/uv"
    fi
}
