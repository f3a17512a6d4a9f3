"""Looks at a Temporal server: its version, the namespace, the search attributes there, its limits."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeNamespaceResponse,
    GetSystemInfoRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from fanout import searchattributes
from fanout.checks.check import Check, look
from fanout.observability.drawing import size_of

if TYPE_CHECKING:
    from temporalio.client import Client

SHORT_RETENTION = timedelta(days=1)
PAYLOAD_LIMIT = 2 * 1024 * 1024
"""Bytes; Temporal's default, below which fanout keeps all that it sends with room to spare."""


async def look_at_server(client: Client) -> list[Check]:
    """Look at all of it, at once."""
    namespace, *others = await asyncio.gather(
        look(
            "namespace",
            _namespace(client),
            next=f"temporal operator namespace list --address {_target(client)}",
        ),
        look("server", _server(client), next=f"temporal operator cluster health --address {_target(client)}"),
        look("search attributes", _attributes(client)),
        look("limits", _limits(client)),
    )
    if namespace.outcome == "failed":
        # The others would say the same in other words.
        return [others[0], namespace]
    return [others[0], namespace, *others[1:]]


def _target(client: Client) -> str:
    return client.service_client.config.target_host


async def _server(client: Client) -> Check:
    answer = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    version = f" {answer.server_version}" if answer.server_version else ""
    return Check("server", "ok", f"Temporal{version} at {_target(client)}")


async def _describe(client: Client) -> DescribeNamespaceResponse:
    return await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace)
    )


async def _namespace(client: Client) -> Check:
    try:
        answer = await _describe(client)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return Check(
            "namespace",
            "failed",
            f"there is no namespace {client.namespace!r}",
            f"temporal operator namespace create --namespace {client.namespace} --retention 7d",
        )
    kept = answer.config.workflow_execution_retention_ttl.ToTimedelta()
    says = f"{client.namespace!r} keeps the histories of runs that ended for {_duration(kept)}"
    if kept < SHORT_RETENTION:
        command = f"temporal operator namespace update --namespace {client.namespace} --retention 7d"
        return Check("namespace", "warning", f"{says}: Temporal Web soon knows nothing of them", command)
    return Check("namespace", "ok", says)


async def _attributes(client: Client) -> Check:
    searchattributes.forget(client)
    there = await searchattributes.registered(client)
    missing = {name: kind for name, kind in searchattributes.TYPES.items() if name not in there}
    if not missing:
        return Check("search attributes", "ok", ", ".join(there))
    flags = " ".join(f"--name {name} --type {kind}" for name, kind in missing.items())
    return Check(
        "search attributes",
        "warning",
        f"{', '.join(missing)} missing, or of another type: Temporal Web cannot search runs by them",
        f"temporal operator search-attribute create --namespace {client.namespace} {flags}",
    )


async def _limits(client: Client) -> Check:
    limits = (await _describe(client)).namespace_info.limits
    blob = limits.blob_size_limit_error
    if not blob:
        return Check("limits", "skipped", "this server does not tell them")
    says = f"payloads up to {size_of(blob)}"
    if limits.workflow_task_completion_size_limit_error:
        says += f", completions of workflow tasks up to {size_of(limits.workflow_task_completion_size_limit_error)}"
    if blob < PAYLOAD_LIMIT:
        return Check(
            "limits",
            "failed",
            f"{says}: fanout counts on {size_of(PAYLOAD_LIMIT)}",
            f"raise limit.blobSize.error to {PAYLOAD_LIMIT} in the server's dynamic configuration",
        )
    return Check("limits", "ok", says)


def _duration(kept: timedelta) -> str:
    return f"{kept.days} day{'s' if kept.days != 1 else ''}" if kept >= timedelta(days=1) else str(kept)
