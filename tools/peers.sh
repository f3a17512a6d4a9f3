#!/bin/sh
# Creates the virtual environment $1 with what `make bench` compares fanout with, at pinned versions, and sees to Redis and
# PostgreSQL, which some of it needs. An environment of its own, for its packages want other versions than fanout's tools.
# On Debian and Ubuntu it installs the servers when it may, and otherwise ends with the line to run.
set -eu

venv=$1
python=${PYTHON:-python3}

. "$(dirname "$0")/debian.sh"

missing=
command -v redis-server >/dev/null 2>&1 || missing=redis-server
# Debian keeps PostgreSQL's programs off PATH.
if ! command -v postgres >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    missing="${missing:+$missing }postgresql"
fi

# shellcheck disable=SC2086 # several words
[ -z "$missing" ] || apt_install peers $missing

say "peers: installing their packages into $venv"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement constraints-peers.txt
say "peers: done"
