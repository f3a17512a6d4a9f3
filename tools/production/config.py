"""The configuration of one process of a Temporal cluster, and of the cluster's dynamic settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DATABASES: Final = {"default": "temporal", "visibility": "temporal_visibility"}
USER: Final = "temporal"
SHARDS: Final = 16
"""Parts of the cluster's state, each of which one history process owns at a time. It can never be changed."""

CONNECTIONS: Final = 20
"""Of each process to each database; PostgreSQL is told to take as many as all of them may make."""


@dataclass(frozen=True)
class Place:
    """Where a process of the cluster is.

    Attributes:
        service: Its role: `frontend`, `history`, `matching` or `worker`.
        host: Its address.
        port: For calls.
        membership: Its port for the other processes, which find each other by it.
    """

    service: str
    host: str
    port: int
    membership: int

    @property
    def address(self) -> str:
        """Where it takes calls."""
        return f"{self.host}:{self.port}"


def write_settings(path: Path, settings: Mapping[str, object]) -> Path:
    """Write the dynamic settings, by name. The file is JSON, of which YAML is a superset."""
    path.write_text(json.dumps({name: [{"value": value}] for name, value in settings.items()}, indent=2))
    return path


def write_config(path: Path, place: Place, *, places: Sequence[Place], database: int, settings: Path) -> Path:
    """Write the configuration of a process.

    Args:
        path: The file.
        place: Of the process.
        places: Of all processes of the cluster.
        database: The port of PostgreSQL, on the same host.
        settings: The file of the dynamic settings.
    """
    host = place.host
    # Of the other roles it only wants to know that they exist; who has them is in the database.
    roles = {other.service: other for other in [*reversed(places), place]}
    frontend = roles["frontend"].address
    itself = {"enabled": True, "initialFailoverVersion": 1, "rpcName": "frontend", "rpcAddress": frontend}
    made = {
        "log": {"stdout": True, "level": "warn"},
        "persistence": {
            "defaultStore": "default",
            "visibilityStore": "visibility",
            "numHistoryShards": SHARDS,
            "datastores": {name: {"sql": _store(of, host, database)} for name, of in DATABASES.items()},
        },
        "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": host}},
        "services": {service: {"rpc": _rpc(of)} for service, of in roles.items()},
        "clusterMetadata": {
            "enableGlobalNamespace": False,
            "failoverVersionIncrement": 10,
            "masterClusterName": "active",
            "currentClusterName": "active",
            "clusterInformation": {"active": itself},
        },
        "dcRedirectionPolicy": {"policy": "noop"},
        "dynamicConfigClient": {"filepath": str(settings), "pollInterval": "10s"},
    }
    path.write_text(json.dumps(made, indent=2))
    return path


def _rpc(place: Place) -> dict[str, Any]:
    return {"grpcPort": place.port, "membershipPort": place.membership, "bindOnIP": place.host}


def _store(name: str, host: str, port: int) -> dict[str, Any]:
    return {
        "pluginName": "postgres12",
        "databaseName": name,
        "connectAddr": f"{host}:{port}",
        "connectProtocol": "tcp",
        "user": USER,
        "maxConns": CONNECTIONS,
        "maxIdleConns": CONNECTIONS,
        "maxConnLifetime": "1h",
    }
