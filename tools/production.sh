#!/bin/sh
# Builds the production Temporal server and the tool for its schema, which `make production` needs, into the folder $1 as
# temporal-server and temporal-sql-tool; once, it takes some minutes. Sees to Debian's PostgreSQL and iproute2, too.
set -eu

folder=$1
version=1.32.0

. "$(dirname "$0")/debian.sh"
. "$(dirname "$0")/go.sh"

missing=
command -v ip >/dev/null 2>&1 || missing=iproute2
# Debian keeps PostgreSQL's programs off PATH.
if ! command -v postgres >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    missing="${missing:+$missing }postgresql"
fi
# shellcheck disable=SC2086 # several words
[ -z "$missing" ] || apt_install production $missing

built() {
    [ -x "$folder/temporal-sql-tool" ] && "$folder/temporal-server" --version 2>/dev/null | grep -q "version $version\$"
}

if built; then
    exit 0
fi

scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch" && rm -rf "$scratch"' EXIT

need_go production 1.26 "$scratch"
say "production: building Temporal server $version with $(go env GOVERSION)"
GOBIN=$scratch/bin go install -ldflags="-s -w" "go.temporal.io/server/cmd/server@v$version" "go.temporal.io/server/cmd/tools/sql@v$version"
mkdir -p "$folder"
mv "$scratch/bin/sql" "$folder/temporal-sql-tool"
mv "$scratch/bin/server" "$folder/temporal-server"
