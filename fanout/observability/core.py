"""The runtime of Temporal's Rust core in a process of ours: where its log lines go, and where metrics are exposed."""

from __future__ import annotations

from temporalio.runtime import Runtime, TelemetryConfig

from fanout.errors import UsageError
from fanout.observability.logs import core_logging
from fanout.observability.metrics import prometheus_config
from fanout.ports import refuse_taken


def set_up_core(metrics: tuple[str, int] | None = None, *, level: str = "warning") -> None:
    """Make the runtime that all clients of this process use; to be called before there is one.

    Args:
        metrics: Host and port to expose metrics at; None for no metrics.
        level: The least level of its log lines.

    Raises:
        UsageError: The port cannot be listened on.
        RuntimeError: There is a runtime already.
    """
    exposed = None
    if metrics is not None:
        host, port = metrics
        refuse_taken(host, port, "--metrics-port")
        exposed = prometheus_config(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    # Without the name of Temporal's SDK, which would be a label of our metrics as well.
    telemetry = TelemetryConfig(logging=core_logging(level), metrics=exposed, attach_service_name=False)
    try:
        runtime = Runtime(telemetry=telemetry)
    except ValueError as error:
        raise UsageError(f"metrics cannot be exposed at {metrics}: {error}") from None
    Runtime.set_default(runtime)
