"""A Temporal cluster as one runs it in production: the server's own binary, a process for each role, PostgreSQL below.

`sh tools/production.sh .venv/bin` builds what it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from fanout.devserver import RUNS_SMOOTHLY
from tools.production.config import CONNECTIONS, DATABASES, USER, Place, write_config, write_settings
from tools.production.member import Member
from tools.services import HOST, free_port, postgres

BIN: Final = Path(sys.executable).parent
SERVER: Final = BIN / "temporal-server"
SCHEMA_TOOL: Final = BIN / "temporal-sql-tool"
SCHEMAS: Final = {"temporal": "postgresql/v12/temporal", "temporal_visibility": "postgresql/v12/visibility"}

ROLES: Final = {"frontend": 1, "history": 2, "matching": 2, "worker": 1}
"""Processes of each role."""

SERVES_WITHIN: Final = 90.0
RETENTION: Final = timedelta(days=1)
_POLL: Final = 0.1


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        address: Of its frontend, for clients.
        members: Its processes.
        database: The port of PostgreSQL.
    """

    address: str
    members: list[Member]
    database: int

    def of(self, service: str) -> list[Member]:
        """Return the processes of a role."""
        return [member for member in self.members if member.service == service]

    def start(self, *members: Member) -> None:
        """Start some of its processes, without waiting for them."""
        for member in members:
            member.start()

    async def served(self, *members: Member) -> None:
        """Return when some of its processes serve, or all where none is named.

        Raises:
            TimeoutError: They do not.
        """
        deadline = time.monotonic() + SERVES_WITHIN
        for member in members or self.members:
            while not await member.serves():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{member.name} does not serve:\n{member.log_tail()}")
                await asyncio.sleep(_POLL)


@asynccontextmanager
async def cluster(
    folder: Path,
    *,
    host: str = HOST,
    within: Sequence[str] = (),
    roles: Mapping[str, int] = ROLES,
) -> AsyncIterator[Cluster]:
    """Run a cluster with an empty database and the namespace `default`.

    Args:
        folder: For its configuration and logs.
        host: The address of all of it.
        within: A command that runs another one there, such as `ip netns exec HOST`.
        roles: How many processes there are of each role.
    """
    for needed in (SERVER, SCHEMA_TOOL):
        if not needed.exists():
            raise FileNotFoundError(f"there is no {needed}: `sh tools/production.sh {BIN}` builds it")
    places = [
        Place(service, host, free_port(), free_port())
        for service, count in roles.items()
        for _ in range(count)
    ]
    frontend = next(place.address for place in places if place.service == "frontend")
    dynamic = write_settings(folder / "dynamic.yaml", RUNS_SMOOTHLY)
    # Two pools of connections in each process.
    own = {"max_connections": str(2 * CONNECTIONS * len(places) + 10), "log_min_messages": "panic"}
    with postgres(USER, host=host, within=within, settings=own) as database:
        await asyncio.to_thread(_make_databases, [*within], host, database)
        members = []
        for number, place in enumerate(places):
            config = folder / f"{place.service}-{number}.yaml"
            write_config(config, place, places=places, database=database, settings=dynamic)
            members.append(_member(config, place, within))
        made = Cluster(frontend, members, database)
        try:
            # Whoever finds an empty database writes the cluster's record, and ends where another does so, too.
            first = made.of("matching")[0]
            made.start(first)
            await made.served(first)
            made.start(*(member for member in members if member is not first))
            await made.served()
            await _make_namespace(await Client.connect(frontend))
            yield made
        finally:
            # Its database goes, too: there is nothing to leave in order.
            for member in members:
                member.end()


def _member(config: Path, place: Place, within: Sequence[str]) -> Member:
    command = [*within, str(SERVER), "--config-file", str(config), "--allow-no-auth", "start"]
    command += ["--service", place.service]
    return Member(place.service, config.stem, place.address, command, config.with_suffix(".log"))


def _make_databases(within: list[str], host: str, port: int) -> None:
    tool = [*within, str(SCHEMA_TOOL), "--plugin", "postgres12", "--endpoint", host, "--port", str(port)]
    for database in DATABASES.values():
        on = [*tool, "--user", USER, "--database", database]
        for step in (
            ["create-database", "--defaultdb", "postgres"],
            ["setup-schema", "--version", "0.0"],
            ["update-schema", "--schema-name", SCHEMAS[database]],
        ):
            done = subprocess.run([*on, *step], capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{' '.join([*on, *step])}:\n{done.stdout}{done.stderr}")


async def _make_namespace(client: Client) -> None:
    service = client.workflow_service
    request = RegisterNamespaceRequest(namespace="default")
    request.workflow_execution_retention_period.FromTimedelta(RETENTION)
    await service.register_namespace(request)
    # Each process learns of it when it next looks, within ten seconds.
    deadline = time.monotonic() + SERVES_WITHIN
    while True:
        with contextlib.suppress(RPCError):
            await service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the namespace does not appear")
        await asyncio.sleep(_POLL)
