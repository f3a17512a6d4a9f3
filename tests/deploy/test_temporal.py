"""deploy/temporal: what a namespace is given, on a real server, and what the server is told."""

from __future__ import annotations

import os
import subprocess
import uuid
from datetime import timedelta

import yaml
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from fanout import searchattributes
from fanout.devserver import RUNS_SMOOTHLY, find_cli
from tests.conftest import TestServer
from tests.deploy.tools import DEPLOY
from tests.waiting import eventually

SCRIPT = DEPLOY / "temporal/namespace.sh"


def set_up(address: str, namespace: str, retention: str) -> None:
    done = subprocess.run(
        ["sh", SCRIPT],
        env={
            "PATH": os.environ["PATH"],
            "TEMPORAL_CLI": str(find_cli().path),
            "TEMPORAL_CONFIG_FILE": "/nonexistent",
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_NAMESPACE": namespace,
            "RETENTION": retention,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_a_namespace_gets_retention_and_all_search_attributes_also_a_second_time(
    dev_server: TestServer,
) -> None:
    name = f"deploy-{uuid.uuid4().hex[:8]}"
    for retention in (timedelta(days=3), timedelta(days=30)):
        set_up(dev_server.address, name, f"{retention.days}d")
        client = await Client.connect(dev_server.address, namespace=name)
        described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=name))
        assert described.config.workflow_execution_retention_ttl.ToTimedelta() == retention

        async def complete(client: Client = client) -> bool:
            searchattributes.forget(client)
            return set(await searchattributes.registered(client)) == set(searchattributes.TYPES)

        await eventually(complete)


def test_the_server_is_told_what_dev_servers_are() -> None:
    told = yaml.safe_load((DEPLOY / "temporal/dynamicconfig.yaml").read_text())
    assert {name: values[0]["value"] for name, values in told.items()} == RUNS_SMOOTHLY
