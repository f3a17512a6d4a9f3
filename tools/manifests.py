"""Checks Kubernetes manifests on stdin against the schemas of Kubernetes, KEDA and the Prometheus operator.

    helm template … | .venv-deploy/bin/python tools/manifests.py 1.29 1.37

Arguments are the versions of Kubernetes to check for. Prints what is wrong, and ends with 1 if anything is.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as operator
from kubernetes_validate import utils
from pydantic import BaseModel, ValidationError

# It would read its ten megabytes of definitions anew for each manifest.
utils.schema_contents = cache(utils.schema_contents)

# What a cluster knows only once somebody has added it.
ADDED: dict[tuple[str, str], type[BaseModel]] = {
    ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
    ("keda.sh/v1alpha1", "TriggerAuthentication"): keda.TriggerAuthentication,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): operator.ServiceMonitor,
}


def unknown(given: Any, model: Any, path: str = "") -> list[str]:
    """Return the fields that a model of pydantic's has dropped: it tolerates those that it does not know."""
    if isinstance(given, dict) and isinstance(model, dict):
        found = []
        for name, value in given.items():
            at = f"{path}.{name}"
            found += unknown(value, model[name], at) if name in model else [at]
        return found
    if isinstance(given, list) and isinstance(model, list):
        pairs = zip(given, model, strict=True)
        return [one for number, (a, b) in enumerate(pairs) for one in unknown(a, b, f"{path}[{number}]")]
    return []


def problems(manifest: dict[str, Any], versions: list[str]) -> list[str]:
    """Return what is wrong with a manifest."""
    model = ADDED.get((manifest["apiVersion"], manifest["kind"]))
    try:
        if model is None:
            for version in versions:
                kubernetes_validate.validate(manifest, version, strict=True)
            return []
        made = model.model_validate(manifest).model_dump(mode="json", by_alias=True)
        return [f"unknown field {path}" for path in unknown(manifest, made)]
    except (
        kubernetes_validate.ValidationError,
        kubernetes_validate.SchemaNotFoundError,
        ValidationError,
    ) as error:
        return [str(getattr(error, "message", error))]


def main() -> int:
    """Check all manifests on stdin."""
    bad = False
    for manifest in filter(None, yaml.safe_load_all(sys.stdin)):
        for problem in problems(manifest, sys.argv[1:]):
            bad = True
            print(f"{manifest['kind']} {manifest['metadata']['name']}: {problem}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
