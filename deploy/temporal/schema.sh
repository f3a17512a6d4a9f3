#!/bin/sh
# Makes Temporal's two databases on PostgreSQL and brings their schema up to the version of the tools at hand; changes
# nothing where it is that already. For first installations and, before the servers, for upgrades.
#
#     SQL_HOST=postgres SQL_USER=temporal SQL_PASSWORD=… sh schema.sh
#
# It runs in the image temporalio/admin-tools. SQL_PORT, SQL_TLS and other settings: temporal-sql-tool --help.
set -eu

: "${SQL_HOST:?the host of PostgreSQL}" "${SQL_USER:?a user that may create databases}" "${SQL_PASSWORD:?its password}"
schemas=${SCHEMAS:-/etc/temporal/schema/postgresql/v12}

sql() { temporal-sql-tool --plugin postgres12 --endpoint "$SQL_HOST" --port "${SQL_PORT:-5432}" --user "$SQL_USER" "$@"; }

bring_up() {
    database=$1
    versions=$2
    sql --database "$database" create-database
    sql --database "$database" setup-schema --version 0.0
    sql --database "$database" update-schema --schema-dir "$versions"
}

bring_up "${TEMPORAL_DATABASE:-temporal}" "$schemas/temporal/versioned"
bring_up "${TEMPORAL_VISIBILITY_DATABASE:-temporal_visibility}" "$schemas/visibility/versioned"
