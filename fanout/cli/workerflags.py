"""Flags of `fanout worker` that belong together: its health, and its version as Temporal routes by it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import typer

from fanout.cli.flags import FlagGroup
from fanout.errors import UsageError

if TYPE_CHECKING:
    from temporalio.worker import WorkerDeploymentConfig

LAST_PORT = 65535

Behavior = Literal["auto-upgrade", "pinned"]


@dataclass(frozen=True)
class HealthFlags(FlagGroup):
    """Where a worker says how it is."""

    health_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=LAST_PORT,
            envvar="FANOUT_HEALTH_PORT",
            help="Answer /healthz and /readyz on this port, for all processes; 0: not at all.",
        ),
    ] = 0
    health_ip: Annotated[
        str, typer.Option(envvar="FANOUT_HEALTH_IP", help="Address at which health is answered.")
    ] = "127.0.0.1"


@dataclass(frozen=True)
class Versioning(FlagGroup):
    """Which version of which deployment a worker is."""

    deployment: Annotated[
        str | None,
        typer.Option(
            envvar="FANOUT_DEPLOYMENT",
            help="Name of the worker deployment; makes Temporal route by versions. Goes with --build-id.",
        ),
    ] = None
    build_id: Annotated[
        str | None, typer.Option(envvar="FANOUT_BUILD_ID", help="Which version of the deployment this is.")
    ] = None
    versioning_behavior: Annotated[
        Behavior,
        typer.Option(
            envvar="FANOUT_VERSIONING_BEHAVIOR",
            help="Whether runs move on to the deployment's current version, or stay with the one they began with.",
        ),
    ] = "auto-upgrade"

    @classmethod
    def pack(cls, values: dict[str, Any], typed: Collection[str]) -> Self:
        """Make the group; an empty name is none, which is how a child is told so in spite of the environment.

        Raises:
            UsageError: Only one of the two is said, or the name cannot be one.
        """
        deployment, build_id = values["deployment"] or None, values["build_id"] or None
        made = cls(deployment, build_id, values["versioning_behavior"])
        if (made.deployment is None) != (made.build_id is None):
            raise UsageError("--deployment and --build-id go together")
        if made.deployment is not None and "." in made.deployment:
            raise UsageError(f"--deployment {made.deployment!r} must not have a dot in it")
        return made

    def command_line(self) -> list[str]:
        """Return the flags that make a child process the same version, whatever its environment says."""
        return [
            *("--deployment", self.deployment or "", "--build-id", self.build_id or ""),
            *("--versioning-behavior", self.versioning_behavior),
        ]

    def config(self) -> WorkerDeploymentConfig | None:
        """Return it as Temporal's SDK takes it; None for a worker without a version."""
        if self.deployment is None or self.build_id is None:
            return None
        from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
        from temporalio.worker import WorkerDeploymentConfig

        behaviors = {
            "auto-upgrade": VersioningBehavior.AUTO_UPGRADE,
            "pinned": VersioningBehavior.PINNED,
        }
        return WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(self.deployment, self.build_id),
            use_worker_versioning=True,
            default_versioning_behavior=behaviors[self.versioning_behavior],
        )
