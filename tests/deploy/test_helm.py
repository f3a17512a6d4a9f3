"""The chart, rendered by Helm: what it makes is checked against schemas, and for what matters to runs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fanout.cli import supervisor
from tests.deploy.tools import DEPLOY, ROOT, passes, tool

CHART = DEPLOY / "helm/fanout"
VALUES = sorted(CHART.glob("ci/*.yaml"))
SMALLEST, POOLS, CLOUD = (CHART / f"ci/{name}.yaml" for name in ("smallest", "pools", "cloud"))

KUBERNETES = ("1.29", "1.37")
"""The oldest and the newest that the chart is checked for."""

Manifests = dict[tuple[str, str], dict[str, Any]]


@cache
def render(values: Path, *more: str) -> Manifests:
    """Return the manifests that the chart makes, by kind and name."""
    words = [word for one in more for word in ("--set-json", one)]
    text = passes("helm", "template", "x", CHART, "--values", values, *words)
    made = [one for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in made}


def refusal(*more: str, values: Path = SMALLEST) -> str:
    """Return why the chart refuses some values."""
    words = [word for one in more for word in ("--set-json", one)]
    done = tool("helm", "template", "x", CHART, "--values", values, *words)
    assert done.returncode != 0, done.stdout
    return done.stderr


def pod(manifests: Manifests, pool: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifests["Deployment", f"x-fanout-{pool}"]["spec"]["template"]["spec"]
    return spec


def environment(manifests: Manifests, pool: str) -> dict[str, Any]:
    [container] = pod(manifests, pool)["containers"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_has_nothing_to_say_against_the_chart(values: Path) -> None:
    passes("helm", "lint", "--strict", CHART, "--values", values)


def test_all_manifests_are_valid_for_kubernetes_keda_and_the_prometheus_operator() -> None:
    text = "\n---\n".join(passes("helm", "template", "x", CHART, "--values", one) for one in VALUES)
    passes("python", ROOT / "tools/manifests.py", *KUBERNETES, stdin=text)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("livenessProbe:", "aliveProbe:", "Deployment x-fanout-urls: "),
        ("maxReplicaCount:", "maxReplicas:", "ScaledObject x-fanout-urls: unknown field .spec.maxReplicas"),
        ("secretTargetRef:", "secretRefs:", "TriggerAuthentication x-fanout-temporal: unknown field"),
    ],
)
def test_the_check_of_manifests_finds_fields_that_do_not_exist(right: str, wrong: str, said: str) -> None:
    text = passes("helm", "template", "x", CHART, "--values", CLOUD)
    assert right in text
    manifests = [one for one in text.replace(right, wrong).split("\n---\n") if wrong in one]
    checked = tool("python", ROOT / "tools/manifests.py", "1.37", stdin="\n---\n".join(manifests))
    assert checked.returncode == 1
    assert said in checked.stdout


def test_what_must_be_said_is_asked_for() -> None:
    assert "image.repository" in refusal('image.repository=""')
    assert "temporal.address" in refusal('temporal.address=""')
    assert "store.url" in refusal('store.url=""')
    assert "pools.default.modules" in refusal("pools.default.modules=[]")
    assert "say at least one" in refusal("pools=null")


def test_a_value_that_the_chart_does_not_know_is_refused() -> None:
    assert "'replica'" in refusal("pools.default.replica=3")
    assert "'tsl'" in refusal("temporal.tsl={}")


def test_a_pod_has_longer_to_end_than_its_batches() -> None:
    # The supervisor kills what is left only then, and must not be killed itself before.
    margin = supervisor._KILL_AFTER
    manifests = render(POOLS)
    for pool in ("images", "gpu"):
        timeout = float(environment(manifests, pool)["FANOUT_SHUTDOWN_TIMEOUT"])
        assert pod(manifests, pool)["terminationGracePeriodSeconds"] > timeout + margin
    assert pod(manifests, "gpu")["terminationGracePeriodSeconds"] == 300
    assert pod(render(SMALLEST, "pools.default.shutdownTimeout=600"), "default")[
        "terminationGracePeriodSeconds"
    ] > (600 + margin)


def test_a_grace_period_that_cuts_batches_off_is_refused() -> None:
    told = refusal("pools.default.shutdownTimeout=120", "pools.default.terminationGracePeriodSeconds=125")
    assert "125 s are too short for shutdownTimeout: 120 s" in told
    assert "say at least 131" in told
    assert pod(
        render(
            SMALLEST, "pools.default.shutdownTimeout=120", "pools.default.terminationGracePeriodSeconds=131"
        ),
        "default",
    )


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_pods_may_do_nothing_that_they_need_not(values: Path) -> None:
    for (kind, _), manifest in render(values).items():
        if kind != "Deployment":
            continue
        spec = manifest["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {"name": "scratch", "mountPath": "/tmp"} in container["volumeMounts"]


def test_pools_have_what_they_say_and_the_defaults_besides() -> None:
    manifests = render(POOLS)
    images = environment(manifests, "images")
    assert images["FANOUT_PROCESSES"] == "4"
    assert images["FANOUT_DEPLOYMENT"] == "images"
    assert images["FANOUT_BUILD_ID"] == "2026-11-27"
    assert images["FANOUT_ALLOWED_ROOTS"] == "s3://incoming,s3://archive/2026"
    assert "FANOUT_TASK_QUEUE" not in images
    [container] = pod(manifests, "images")["containers"]
    assert container["args"] == ["worker", "images", "billing"]
    assert container["image"].startswith("registry.example/images@sha256:")
    assert [port["containerPort"] for port in container["ports"]] == [8080, 9464, 9465, 9466, 9467]
    gpu = environment(manifests, "gpu")
    assert gpu["FANOUT_TASK_QUEUE"] == "gpu"
    assert gpu["FANOUT_MAX_BATCHES"] == "2"
    assert gpu["CUDA_VISIBLE_DEVICES"] == "0"
    assert gpu["FANOUT_THREADS"] == "128"
    assert pod(manifests, "gpu")["nodeSelector"] == {"accelerator": "l4"}
    assert manifests["PodDisruptionBudget", "x-fanout-images"]["spec"]["maxUnavailable"] == "25%"


def test_each_selector_finds_the_pods_of_its_pool_alone() -> None:
    manifests = render(POOLS)
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"]
        for (kind, name), one in manifests.items()
        if kind == "Deployment"
    }
    for (kind, name), manifest in manifests.items():
        if kind in {"Deployment", "PodDisruptionBudget", "Service"}:
            selector = manifest["spec"]["selector"]
            wanted = selector.get("matchLabels", selector).items()
            found = [pool for pool, has in labels.items() if wanted <= has.items()]
            assert found == [name.removesuffix("-metrics")]


def test_secrets_are_named_and_never_held() -> None:
    for values in (POOLS, CLOUD):
        assert not [name for kind, name in render(values) if kind == "Secret"]
    cloud = render(CLOUD)
    assert environment(cloud, "urls")["TEMPORAL_API_KEY"] == {
        "secretKeyRef": {"name": "fanout-temporal", "key": "api-key"}
    }
    assert pod(cloud, "urls")["containers"][0]["envFrom"] == [{"secretRef": {"name": "fanout-store"}}]
    own = render(POOLS)
    variables = environment(own, "images")
    assert variables["TEMPORAL_TLS_CLIENT_CERT_PATH"] == "/etc/fanout/tls/tls.crt"
    assert variables["TEMPORAL_TLS_CLIENT_KEY_PATH"] == "/etc/fanout/tls/tls.key"
    assert variables["TEMPORAL_TLS_SERVER_CA_CERT_PATH"] == "/etc/fanout/tls/ca.crt"
    [mount] = [
        one for one in pod(own, "images")["containers"][0]["volumeMounts"] if one["name"] == "temporal-tls"
    ]
    assert mount == {"name": "temporal-tls", "mountPath": "/etc/fanout/tls", "readOnly": True}


def test_only_metrics_can_be_reached_and_only_what_is_listed_can_be_called() -> None:
    [rule] = render(SMALLEST)["NetworkPolicy", "x-fanout"]["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9464, "endPort": 9465}]
    assert render(SMALLEST)["NetworkPolicy", "x-fanout"]["spec"]["policyTypes"] == ["Ingress"]
    spec = render(POOLS)["NetworkPolicy", "x-fanout"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"][0]["ports"][0]["endPort"] == 9467
    ports = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 7233, 443]


def test_prometheus_scrapes_each_process() -> None:
    manifests = render(POOLS)
    service = manifests["Service", "x-fanout-images-metrics"]["spec"]
    monitor = manifests["ServiceMonitor", "x-fanout-images"]["spec"]
    [container] = pod(manifests, "images")["containers"]
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert len(service["ports"]) == 4
    assert {port["name"]: port["port"] for port in service["ports"]}.items() <= named.items()
    assert [one["port"] for one in monitor["endpoints"]] == [port["name"] for port in service["ports"]]
    # Rules and dashboard go by the name of the job.
    labels = manifests["Service", "x-fanout-images-metrics"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "fanout"


def test_keda_counts_all_that_a_run_may_wait_for() -> None:
    manifests = render(CLOUD)
    spec = manifests["ScaledObject", "x-fanout-urls"]["spec"]
    assert spec["scaleTargetRef"]["name"] in {name for kind, name in manifests if kind == "Deployment"}
    assert "replicas" not in manifests["Deployment", "x-fanout-urls"]["spec"]
    waiting, control, running = spec["triggers"]
    assert waiting["metadata"]["taskQueue"] == environment(manifests, "urls")["FANOUT_TASK_QUEUE"]
    assert waiting["metadata"]["queueTypes"] == "workflow,activity"
    assert control["metadata"]["taskQueue"] == "urls/control"
    assert waiting["metadata"]["endpoint"] == environment(manifests, "urls")["TEMPORAL_ADDRESS"]
    assert 'task_queue="urls"' in running["metadata"]["query"]
    modifiers = spec["advanced"]["scalingModifiers"]
    names = {trigger["name"] for trigger in spec["triggers"]}
    assert set(re.findall(r"\w+", modifiers["formula"])) == names
    assert modifiers["target"] == "8"  # what a pod runs at once: 2 processes, 4 batches each
    reference = manifests["TriggerAuthentication", "x-fanout-temporal"]["spec"]["secretTargetRef"]
    assert waiting["authenticationRef"]["name"] == "x-fanout-temporal"
    assert reference == [{"parameter": "apiKey", "name": "fanout-temporal", "key": "api-key"}]


def test_keda_without_prometheus_goes_by_what_waits() -> None:
    spec = render(CLOUD)["ScaledObject", "x-fanout-invoices"]["spec"]
    assert "scalingModifiers" not in spec["advanced"]
    assert [trigger["metadata"]["targetQueueSize"] for trigger in spec["triggers"]] == ["4", "4"]


def test_keda_that_could_not_work_is_refused() -> None:
    on = "pools.urls.keda.enabled=true"
    assert "pools.urls.taskQueue" in refusal(on, 'pools.urls.taskQueue=""', values=CLOUD)
    assert "hardly any would wait" in refusal(on, "pools.urls.maxBatches=100", values=CLOUD)
    assert "batches that run" in refusal(on, 'pools.urls.keda.prometheusAddress=""', values=CLOUD)
    assert "minReplicas are more" in refusal(on, "pools.urls.keda.minReplicas=30", values=CLOUD)
