#!/bin/sh
# Creates the virtual environment $1 with what `make bench` compares fanout with, at pinned versions, and sees to Redis and
# PostgreSQL, which some of it needs. An environment of its own, for its packages want other versions than fanout's tools.
# On Debian and Ubuntu it installs the servers when it may, and otherwise ends with the line to run.
set -eu

venv=$1
python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }

missing=
command -v redis-server >/dev/null 2>&1 || missing=redis-server
# Debian keeps PostgreSQL's programs off PATH.
if ! command -v postgres >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    missing="${missing:+$missing }postgresql"
fi

if [ -n "$missing" ]; then
    line="apt-get update && apt-get install --yes --no-install-recommends $missing"
    if ! command -v apt-get >/dev/null 2>&1; then
        say "peers: install these and try again (names of Debian's packages): $missing"
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root=sudo
    else
        say "peers: $missing missing. Run this, then try again:"
        say "    sudo sh -c '$line'"
        exit 1
    fi
    say "peers: installing $missing"
    $as_root sh -c "export DEBIAN_FRONTEND=noninteractive; $line" >&2
fi

say "peers: installing their packages into $venv"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement constraints-peers.txt
say "peers: done"
