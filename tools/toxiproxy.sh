#!/bin/sh
# Builds Toxiproxy, which the fault suite puts between workers and what they talk to, as the file $1.
set -eu

target=$1
version=v2.5.0

. "$(dirname "$0")/debian.sh"
. "$(dirname "$0")/go.sh"

scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch" && rm -rf "$scratch"' EXIT

need_go toxiproxy 1.22 "$scratch"
say "toxiproxy: building $version with $(go env GOVERSION)"
# A folder of its own: the command is called `server`.
GOBIN=$scratch/bin go install "github.com/Shopify/toxiproxy/v2/cmd/server@$version"
mkdir -p "$(dirname "$target")"
mv "$scratch/bin/server" "$target"
