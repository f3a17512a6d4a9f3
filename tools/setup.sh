#!/bin/sh
# Creates the virtual environment $1 and installs the project into it, editable, with the pinned versions.
# Needs a Python of 3.11 or later. On Debian and Ubuntu, where venv is a package of its own, installs that too
# when it may, and otherwise ends with the line to run.
set -eu

venv=$1
python=${PYTHON:-python3}

. "$(dirname "$0")/debian.sh"

if ! command -v "$python" >/dev/null 2>&1; then
    say "setup: no '$python' on PATH: install Python 3.11 or later, or name one: make setup PYTHON=python3.12"
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "setup: $("$python" --version) is too old: fanout needs Python 3.11 or later: make setup PYTHON=python3.12"
    exit 1
fi

# A venv without ensurepip would be left half-made, so ask before making one.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    say "setup: this Python comes without venv"
    apt_install setup "$package"
fi

# Also after a broken start: without a working pip the environment is made anew.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "setup: creating $venv"
    "$python" -m venv --clear "$venv"
fi
say "setup: installing what fanout and its development need"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
say "setup: done"
