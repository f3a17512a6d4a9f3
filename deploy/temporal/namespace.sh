#!/bin/sh
# Gives a Temporal server of your own the namespace of TEMPORAL_NAMESPACE with what fanout wants there: retention, and
# the search attributes by which runs are found. Changes nothing that is so already.
#
#     TEMPORAL_ADDRESS=… TEMPORAL_NAMESPACE=jobs RETENTION=30d sh namespace.sh
#
# It needs the `temporal` command, and runs in the image temporalio/admin-tools. TEMPORAL_API_KEY and TEMPORAL_TLS_… count.
# Temporal Cloud has its own ways: see docs/deploying.md.
set -eu

: "${TEMPORAL_ADDRESS:?host and port of the server}"
namespace=${TEMPORAL_NAMESPACE:-default}
# How long histories of ended runs are kept. Outputs are files, and stay without them.
retention=${RETENTION:-30d}
temporal=${TEMPORAL_CLI:-temporal}

operator() { "$temporal" operator "$@" --namespace "$namespace"; }

# A server that has just begun answers late, and one that has just made a namespace denies it for some seconds.
patiently() {
    tries=60
    until said=$("$@" 2>&1); do
        tries=$((tries - 1))
        [ "$tries" != 0 ] || { printf '%s\n' "$said" >&2; exit 1; }
        sleep 1
    done
}

# One at a time: of two names in one command, only one was there afterwards.
attribute() {
    patiently operator search-attribute create --name "$1" --type "$2"
    echo "search attribute $1 ($2)"
}

patiently "$temporal" operator cluster health
if operator namespace describe >/dev/null 2>&1; then
    patiently operator namespace update --retention "$retention"
else
    patiently operator namespace create --retention "$retention"
fi
echo "namespace $namespace keeps histories for $retention"
attribute FanoutProcessor Keyword
attribute FanoutStatus Keyword
attribute FanoutFailed Int
