#!/bin/sh
# Builds .venv from the lock: uv in .uv, Python as .python-version says, every package by its hash.
# Does nothing when .venv already holds this lock.
set -eu
cd "$(dirname "$0")/.."

wanted="$(cat requirements.lock .python-version | cksum)"
stamp=.venv/.lock-installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

if [ ! -x .uv/bin/uv ]; then
    echo "Installing uv into .uv …"
    if ! python3 -m venv .uv; then
        rm -rf .uv
        echo "python3 has no venv module (on Debian: apt-get install python3-venv)." >&2
        echo "Nothing was installed. Add it and run make again." >&2
        exit 1
    fi
    .uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
fi
uv=.uv/bin/uv

if [ ! -x .venv/bin/python ]; then
    python="$(cat .python-version)"
    # A Python already here is better than a download; the product runs on 3.12 and later.
    if ! $uv python find --quiet --no-python-downloads "$python" >/dev/null 2>&1 &&
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
        python=python3
    fi
    if ! $uv venv --quiet --python "$python" .venv; then
        echo "No Python 3.12 or later is here, and none could be downloaded. Nothing was built." >&2
        echo "Install one (as python3, or python3.13) and run make again." >&2
        exit 1
    fi
fi
echo "Installing what requirements.lock names into .venv …"
$uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
echo "$wanted" >"$stamp"
