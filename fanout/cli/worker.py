"""`fanout worker`: a supervisor, and the processes that it keeps, which poll."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fanout.children.budget import INFLIGHT_BYTES
from fanout.cli import exits
from fanout.cli.connection import Connection
from fanout.cli.flags import command, parse_size
from fanout.cli.workerflags import LAST_PORT, HealthFlags, Versioning
from fanout.errors import UsageError
from fanout.ports import to_connect

if TYPE_CHECKING:
    from fanout.processors import Processor

METRICS_IP = "127.0.0.1"

LogFormat = Literal["console", "json"]


@command
async def worker(
    connection: Connection,
    health: HealthFlags,
    versioning: Versioning,
    modules: Annotated[list[str], typer.Argument(metavar="MODULE...", help="Modules with processors.")],
    processes: Annotated[
        int,
        typer.Option(
            "--processes", "-p", min=1, max=1024, envvar="FANOUT_PROCESSES", help="How many processes."
        ),
    ] = 1,
    task_queue: Annotated[
        str | None,
        typer.Option(
            help="Queue to poll; default: those that the processors name, FANOUT_TASK_QUEUE, or fanout."
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, envvar="FANOUT_THREADS", help="Threads of a process for `def` processors.")
    ] = 128,
    max_batches: Annotated[
        int | None,
        typer.Option(min=1, envvar="FANOUT_MAX_BATCHES", help="Batches that a process runs at once."),
    ] = None,
    max_inflight_bytes: Annotated[
        int,
        typer.Option(
            "--max-inflight-bytes",
            parser=parse_size,
            metavar="SIZE",
            envvar="FANOUT_MAX_INFLIGHT_BYTES",
            help="Items and results that all batches of a process hold at once, such as 512MiB.",
        ),
    ] = INFLIGHT_BYTES,
    shutdown_timeout: Annotated[
        float,
        typer.Option(
            min=0, envvar="FANOUT_SHUTDOWN_TIMEOUT", help="Seconds that batches in flight have at a shutdown."
        ),
    ] = 60.0,
    store: Annotated[
        str | None,
        typer.Option(envvar="FANOUT_STORE", help="URL or folder for outputs; default ./fanout-output."),
    ] = None,
    allow_root: Annotated[
        list[str] | None,
        typer.Option(
            help="URL or folder that may be read and written; default FANOUT_ALLOWED_ROOTS and this folder."
        ),
    ] = None,
    metrics_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=LAST_PORT,
            envvar="FANOUT_METRICS_PORT",
            help="Expose metrics to Prometheus on this port, and on those after it for further processes; 0: none.",
        ),
    ] = 0,
    metrics_ip: Annotated[
        str, typer.Option(envvar="FANOUT_METRICS_IP", help="Address at which metrics are exposed.")
    ] = METRICS_IP,
    log_level: Annotated[str, typer.Option(envvar="FANOUT_LOG_LEVEL", help="Least level to log.")] = "info",
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            envvar="FANOUT_LOG_FORMAT", help="How lines look; default: console on a terminal, else json."
        ),
    ] = None,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
    pulse_to: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> int:
    """Run workers for the processors of some modules.

    SIGTERM or Ctrl-C once: take nothing new, end what is in flight, exit 0. Ctrl-C twice: end at once.
    """
    import structlog

    from fanout.observability.logs import configure_logging

    configure_logging(json=None if log_format is None else log_format == "json", level=log_level)
    log = structlog.get_logger("fanout.worker")
    if metrics_port + processes - 1 > LAST_PORT:
        raise UsageError(
            f"--metrics-port {metrics_port} leaves no port for each of {processes} processes: choose a lower one"
        )
    if not supervised:
        # It imports none of the modules: what they need of memory, and do when they are imported, is the workers'.
        async with connection.located() as found:
            line = worker_command(
                modules,
                found,
                task_queue=task_queue,
                threads=threads,
                max_batches=max_batches,
                max_inflight_bytes=max_inflight_bytes,
                shutdown_timeout=shutdown_timeout,
                store=store,
                allow_root=allow_root,
                log_level=log_level,
                log_format=log_format,
                versioning=versioning,
            )
            ports = partial(metrics_flags, metrics_port, metrics_ip)
            return await _supervise(line, processes, ports, found, shutdown_timeout, health, log)

    # Not for the supervisor, whose processes would start the later.
    from fanout.cli import pulses, serving
    from fanout.cli.targets import load_processors
    from fanout.observability.core import set_up_core
    from fanout.plugin import Plugin
    from fanout.workers.memory import settle_memory, share_heap

    share_heap()
    if metrics_port:
        set_up_core((metrics_ip, metrics_port))
    processors = load_processors(modules)
    queues = queues_of(processors, task_queue)
    plugin = Plugin(
        processors,
        store=store,
        allowed_roots=local_roots(allow_root),
        threads=threads,
        max_inflight_bytes=max_inflight_bytes,
        watchdog=True,
    )
    stop = asyncio.Event()
    pulse = pulses.Pulse()

    def ready() -> None:
        settle_memory()
        pulse.stage = "polling"
        log.info(
            "worker ready",
            processors=[f"{made.name} (version {made.version})" for made in processors],
            queues=queues,
            store=plugin.store,
            allowed_roots=plugin.allowed_roots,
            server=client.service_client.config.target_host if client else None,
            namespace=client.namespace if client else None,
            metrics=f"http://{to_connect(metrics_ip)}:{metrics_port}/metrics" if metrics_port else None,
            deployment=f"{versioning.deployment}, build {versioning.build_id}"
            if versioning.deployment
            else None,
            pid=os.getpid(),
        )

    def end() -> None:
        pulse.stage = "stopping"
        stop.set()

    with _signals(end, lambda: os._exit(exits.DETACHED), log), serving.parents_life(end):
        async with (
            serving.telling(pulse_to, pulse),
            serving.connected(connection, plugin, pulse, stop, log) as client,
        ):
            if client is not None:
                await serving.poll(
                    client,
                    queues,
                    stop=stop,
                    ready=ready,
                    shutdown_timeout=shutdown_timeout,
                    max_batches=max_batches,
                    deployment=versioning.config(),
                )
    log.info("worker stopped")
    return exits.SUCCEEDED


def queues_of(processors: Sequence[Processor[..., Any]], asked: str | None) -> list[str]:
    """Return the queues to poll: the one asked for, else those that runs of these processors use by default."""
    if asked:
        return [asked]
    usual = os.environ.get("FANOUT_TASK_QUEUE") or "fanout"
    return sorted({processor.task_queue or usual for processor in processors})


def worker_command(
    modules: Sequence[str],
    connection: Connection,
    *,
    task_queue: str | None = None,
    threads: int = 128,
    max_batches: int | None = None,
    max_inflight_bytes: int = INFLIGHT_BYTES,
    shutdown_timeout: float = 60.0,
    store: str | None = None,
    allow_root: Sequence[str] | None = None,
    log_level: str = "info",
    log_format: LogFormat | None = None,
    versioning: Versioning | None = None,
) -> list[str]:
    """Return the command line of one supervised worker process."""
    line = [sys.executable, "-m", "fanout.cli", "worker", *modules, "--processes", "1", "--supervised"]
    line += (versioning or Versioning()).command_line()
    line += ["--max-inflight-bytes", str(max_inflight_bytes)]
    line += ["--threads", str(threads), "--shutdown-timeout", str(shutdown_timeout), "--log-level", log_level]
    said = {
        "--task-queue": task_queue,
        "--max-batches": max_batches,
        "--store": store,
        "--log-format": log_format,
    }
    for flag, value in said.items():
        line += [] if value is None else [flag, str(value)]
    for root in allow_root or ():
        line += ["--allow-root", root]
    return [*line, *connection.command_line()]


def metrics_flags(port: int, ip: str, number: int) -> list[str]:
    """Return what the nth of some worker processes is told of its metrics; each has a port of its own.

    Args:
        port: Of the first process; 0 for no metrics, which must be said: the variable is theirs, too.
        ip: Address to listen on.
        number: Of the process, from 1 on.
    """
    return ["--metrics-port", str(port + number - 1 if port else 0), "--metrics-ip", ip]


def local_roots(given: Sequence[str] | None) -> list[str] | None:
    """Return the roots to allow: those given, and this folder; None for the plugin's default."""
    return [*given, "."] if given else None


async def _supervise(
    line: Sequence[str],
    processes: int,
    flags: Callable[[int], Sequence[str]],
    connection: Connection,
    grace: float,
    health: HealthFlags,
    log: Any,
) -> int:
    from fanout.cli.pulses import Pulses
    from fanout.cli.supervisor import Supervisor
    from fanout.workers.health import answer

    pulses = Pulses(processes)
    supervisor = Supervisor(
        line,
        processes,
        tell=log.info,
        grace=grace,
        flags=flags,
        environment=connection.environment(),
        pulses=pulses,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_signals(supervisor.stop, supervisor.kill, log))
        if health.health_port:
            await stack.enter_async_context(answer(pulses.look, port=health.health_port, ip=health.health_ip))
            at = f"http://{to_connect(health.health_ip)}:{health.health_port}"
            log.info("health is answered", at=[f"{at}/healthz", f"{at}/readyz"])
        code = await supervisor.run()
    if code == exits.SUCCEEDED:
        log.info("all worker processes stopped")
    return code


@contextlib.contextmanager
def _signals(first: Callable[[], None], second: Callable[[], None], log: Any) -> Iterator[None]:
    """Call one function at the first SIGTERM or Ctrl-C, another at a second Ctrl-C."""
    loop = asyncio.get_running_loop()
    asked = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal asked
        if asked and number is signal.SIGINT:
            second()
        elif not asked:
            asked = True
            log.info("stopping: batches in flight are ending; Ctrl-C once more ends them at once")
            first()

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
