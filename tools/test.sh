#!/bin/sh
# Runs the tests with the Python $1, and the further arguments for pytest: first those that can share the machine, then
# the fault scenarios and what is marked `alone`, one at a time. All run, also where some fail.
# Those on a production server are for `make production`.
set -eu

python=$1
shift

failed=0
kinds=2
run() {
    code=0
    "$python" -m pytest "$@" || code=$?
    # Where only some tests are asked for, there may be none of this kind.
    if [ "$code" = 5 ]; then
        kinds=$((kinds - 1))
    elif [ "$code" != 0 ]; then
        failed=$code
    fi
}

run -m "not faults and not alone and not runbooks and not production" --numprocesses 3 --dist loadfile "$@"
# Whatever disturbs or measures wants the machine at its full speed.
run -m "faults or alone" "$@"
[ "$kinds" != 0 ] || { echo "no test was chosen" >&2; exit 5; }
exit "$failed"
