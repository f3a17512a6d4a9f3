"""The Temporal plugin: makes any Temporal client and its workers speak fanout."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.worker import Worker, WorkerConfig

# Here, so that no workflow is the first to import it.
import fanout.workflow  # noqa: F401
from fanout.children.budget import INFLIGHT_BYTES
from fanout.children.workflow import PartitionWorkflow
from fanout.parent.group import GroupWorkflow
from fanout.parent.root import RunWorkflow
from fanout.processors import Processor, activity_name, as_processor, registered
from fanout.stickiness import STICKY
from fanout.storage.roots import Roots, to_url
from fanout.wire import ACTIVITIES, PLAN_ACTIVITY, batch_activity, control_queue
from fanout.workers.sandbox import without_needless_contexts, without_needless_imports

DEFAULT_STORE = "fanout-output"
WORKFLOWS: list[type] = [RunWorkflow, GroupWorkflow, PartitionWorkflow]
HEARTBEAT_THROTTLE = timedelta(seconds=1)
CONTROL_SLOTS = 10


class Plugin(SimplePlugin):
    """Makes a Temporal client and its workers speak fanout.

    Give it to the client; workers made from that client take it from there. Giving it to both does no harm.

        client = await Client.connect("localhost:7233", plugins=[fanout.Plugin(processors=[fetch])])

    Args:
        processors: What workers of this client run, workflow classes among them; None for all that the process has
            registered.
        store: URL or path of the store that outputs go to. Default: `FANOUT_STORE`, else `./fanout-output`.
        allowed_roots: URLs or paths below which workers may read and write, beside the store. Default:
            `FANOUT_ALLOWED_ROOTS` (separated by commas), and the working folder.
        threads: Threads of a worker for `def` processors.
        processes: Processes that a worker has for a processor with `executor="process"`; None for one a core.
        max_inflight_bytes: Bytes of items and results that all batches of a worker process hold at once; 256 MiB by
            default. What the items in flight hold themselves comes on top.
        watchdog: Whether an item that blocks a worker's event loop for ever ends the process. Turn it on where
            something starts the process again, as `fanout worker` does: the item is then found, and fails alone.
    """

    NAME = "fanout.Plugin"

    def __init__(
        self,
        processors: Sequence[Processor[..., Any] | type] | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        allowed_roots: Sequence[str | os.PathLike[str]] | None = None,
        threads: int = 128,
        processes: int | None = None,
        max_inflight_bytes: int = INFLIGHT_BYTES,
        watchdog: bool = False,
    ) -> None:
        chosen = None if processors is None else list(map(as_processor, processors))
        self._chosen = None if chosen is None else {made.name: made for made in chosen}
        self.store = to_url(store) if store else default_store()
        self.allowed_roots = self._all_roots(allowed_roots)
        self.threads = threads
        self.processes = processes
        self.max_inflight_bytes = max_inflight_bytes
        self.watchdog = watchdog
        self.versioned = False
        self._benches: list[Any] = []
        self._served: weakref.WeakSet[Worker] = weakref.WeakSet()
        super().__init__(self.NAME, workflows=self._with_workflows, workflow_runner=without_needless_imports)

    @property
    def processors(self) -> dict[str, Processor[..., Any]]:
        """What workers run, by name."""
        return registered() if self._chosen is None else dict(self._chosen)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """See base class."""
        given = list(config.get("activities") or ())
        if any(activity_name(function) == PLAN_ACTIVITY for function in given):
            # Both the client and the worker have a plugin: the first one has done it all.
            return config
        config = super().configure_worker(config)
        deployment = config.get("deployment_config")
        self.versioned |= deployment is not None and deployment.use_worker_versioning
        # Imported here: a client that only starts runs needs none of it.
        from fanout.children.batch import BatchActivity
        from fanout.inputs import make_ready
        from fanout.parent.activities import ParentActivities
        from fanout.parent.preparing import PrepareActivity
        from fanout.workers.workbench import Workbench

        make_ready()
        bench = Workbench(
            self.processors,
            Roots(self.allowed_roots),
            threads=self.threads,
            processes=self.processes,
            max_inflight_bytes=self.max_inflight_bytes,
            watchdog=self.watchdog,
        )
        self._benches.append(bench)
        parent = ParentActivities(bench)
        config["activities"] = [
            *given,
            parent.plan,
            parent.publish,
            parent.count,
            parent.finalize,
            parent.compensate,
            PrepareActivity(bench, self.store).prepare,
            *(BatchActivity(bench, name).activity() for name in bench.processors),
        ]
        # The default would hold heartbeats back for most of their timeout.
        config["max_heartbeat_throttle_interval"] = HEARTBEAT_THROTTLE
        config["default_heartbeat_throttle_interval"] = HEARTBEAT_THROTTLE
        config["workflow_runner"] = without_needless_contexts(
            config["workflow_runner"], config["client"].data_converter
        )
        config["disable_eager_activity_execution"] = True
        config["sticky_queue_schedule_to_start_timeout"] = STICKY
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """See base class.

        Raises:
            WorkerExhausted: So many threads hang that the worker is of no use; it has handed back what it had.
        """
        if worker in self._served:
            # Both the client and the worker have a plugin.
            await next(worker)
            return
        self._served.add(worker)
        owners = [
            getattr(function, "__self__", None)
            for function in worker.config(active_config=True)["activities"]
        ]
        mine = [
            bench
            for bench in self._benches
            if any(getattr(owner, "bench", None) is bench for owner in owners)
        ]
        async with contextlib.AsyncExitStack() as stack:
            for bench in mine:
                await stack.enter_async_context(bench.open())
                await stack.enter_async_context(bench.retiring(worker.shutdown))
            if mine:
                await stack.enter_async_context(self._control_worker(worker))
            await next(worker)

    def _control_worker(self, worker: Worker) -> Worker:
        """Return a worker with slots of its own for what must not wait behind batches."""
        config = worker.config(active_config=True)
        made = Worker(
            config["client"],
            task_queue=control_queue(worker.task_queue),
            activities=[function for function in config["activities"] if _is_ours(function)],
            identity=config["identity"],
            # A run that is pinned to a version is planned and published by it, too.
            deployment_config=config["deployment_config"],
            max_concurrent_activities=CONTROL_SLOTS,
            max_concurrent_activity_task_polls=2,
            graceful_shutdown_timeout=config["graceful_shutdown_timeout"],
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        )
        self._served.add(made)
        return made

    def _with_workflows(self, existing: Sequence[type] | None) -> Sequence[type]:
        there = list(existing or ())
        of_items = [made.workflow for made in self.processors.values() if made.workflow is not None]
        return [*there, *(workflow for workflow in WORKFLOWS + of_items if workflow not in there)]

    def _all_roots(self, given: Sequence[str | os.PathLike[str]] | None) -> list[str]:
        if given is None:
            listed = os.environ.get("FANOUT_ALLOWED_ROOTS", "")
            given = [root for root in listed.split(",") if root]
            here = Path.cwd()
            # A worker started in the root folder of a container must not serve all of it.
            if here != Path(here.anchor):
                given = [*given, here]
        return list(dict.fromkeys([self.store, *(to_url(root) for root in given)]))


def _is_ours(function: Callable[..., Any]) -> bool:
    name = activity_name(function) or ""
    return name in ACTIVITIES or name.startswith(batch_activity(""))


def default_store() -> str:
    """Return the URL of the store where nobody says one: `FANOUT_STORE`, else `./fanout-output`."""
    return to_url(os.environ.get("FANOUT_STORE") or DEFAULT_STORE)


def store_of(client: Client) -> str:
    """Return the URL of the store that a client's runs write to: its plugin's, `FANOUT_STORE`, `./fanout-output`."""
    plugin = _plugin_of(client)
    return plugin.store if plugin else default_store()


def may_start_eagerly(client: Client) -> bool:
    """Tell whether a worker of this client may begin a run without a turn through the queue.

    One that is a version of a deployment may not: the server routes runs to the current version, but not these.
    """
    plugin = _plugin_of(client)
    return plugin is None or not plugin.versioned


def _plugin_of(client: Client) -> Plugin | None:
    return next((plugin for plugin in client.config()["plugins"] if isinstance(plugin, Plugin)), None)
