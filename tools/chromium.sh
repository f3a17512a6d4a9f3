#!/bin/sh
# Sees to Chromium, in which the browser tests look at pages. On Debian and Ubuntu it installs the distribution's package
# when it may, and otherwise ends with the line to run.
set -eu

. "$(dirname "$0")/debian.sh"

command -v chromium >/dev/null 2>&1 || apt_install chromium chromium
