#!/bin/sh
# Create or update a virtual environment with the tested versions.
# Usage: sh requirements/make_venv.sh PYTHON VENV  (from the repository root)
set -eu
python=$1
venv=$2

say() { echo "mmdavpt set-up: $*" >&2; }

if [ -x "$venv/bin/python" ]; then
    # Packages installed so far are kept when the pinned versions change.
    python=$venv/bin/python
elif ! command -v "$python" >/dev/null 2>&1; then
    say "'$python' was not found. Install Python 3.10, 3.11 or 3.12, or name" \
        "one: make PYTHON=python3.11 venv"
    exit 1
fi

if ! "$python" -c \
    'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'
then
    say "Python 3.10, 3.11 or 3.12 is needed, but '$python' is" \
        "$("$python" --version 2>&1). Name another one:" \
        "make distclean && make PYTHON=python3.11 venv"
    exit 1
fi

if command -v uv >/dev/null 2>&1; then
    uv=uv
    [ -x "$venv/bin/python" ] || uv venv --quiet --python "$python" "$venv"
else
    if [ ! -x "$venv/bin/python" ] && ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        say "'$python -m venv' failed. Install the venv module of this Python" \
            "(Debian and Ubuntu: apt install python3-venv), or uv" \
            "(https://docs.astral.sh/uv), then run make again."
        exit 1
    fi
    uv=$venv/bin/uv
    if [ ! -x "$uv" ]; then
        say 'fetching uv, which sets up the rest in about a minute'
        # An environment that uv made has no pip of its own.
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
            "$venv/bin/python" -m ensurepip >/dev/null
        "$venv/bin/python" -m pip install --quiet \
            --disable-pip-version-check uv
    fi
fi

say "installing the tested versions into $venv ($("$python" --version))"
compile=
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
    # Python would then cache nothing by itself, and every start of a process
    # would compile the OpenMMLab packages again, for several seconds.
    compile=--compile-bytecode
fi
# shellcheck disable=SC2086  # no word at all where it is empty
"$uv" pip install --python "$venv/bin/python" $compile \
    -r requirements/tested.txt
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps \
    --no-build-isolation -e .
