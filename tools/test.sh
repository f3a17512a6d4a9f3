#!/bin/sh
# Runs the tests with the Python $1, and the further arguments for pytest: first those that can share the machine, in
# two processes and with coverage, then those that are marked `alone`, one at a time. All run, also where some fail.
set -eu

python=$1
shift

failed=0
kinds=2
run() {
    code=0
    "$python" -m pytest "$@" || code=$?
    # Where only some tests are asked for, none may be of this kind.
    if [ "$code" = 5 ]; then
        kinds=$((kinds - 1))
    elif [ "$code" != 0 ]; then
        failed=$code
    fi
}

rm -f .coverage .coverage.*
run -m "not alone" --numprocesses 2 --dist loadfile --cov --cov-report=term "$@"
# What wants the machine for itself wants it at its full speed, too.
run -m alone "$@"
[ "$kinds" != 0 ] || { echo "no test was chosen" >&2; exit 5; }
exit "$failed"
