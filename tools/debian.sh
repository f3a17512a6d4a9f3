# Sourced by other scripts: `apt_install WHO PACKAGES…` installs Debian's packages where it may, and otherwise ends with the
# line to run.

say() { printf '%s\n' "$*" >&2; }

apt_install() {
    who=$1
    shift
    line="apt-get update && apt-get install --yes --no-install-recommends $*"
    if ! command -v apt-get >/dev/null 2>&1; then
        say "$who: install this and try again (Debian's names): $*"
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root=sudo
    else
        say "$who: missing: $*. Run this, then try again:"
        say "    sudo sh -c '$line'"
        exit 1
    fi
    say "$who: installing $*"
    $as_root sh -c "export DEBIAN_FRONTEND=noninteractive; $line" >&2
}
