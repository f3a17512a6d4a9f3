"""What is known of a run from outside: the server's description, its output, its address, its troubles."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from fanout.errors import RunNotFound, UsageError
from fanout.plugin import store_of
from fanout.runs.info import RunInfo, count_pollers, read_info, refused, web_base
from fanout.runs.trouble import find_trouble
from fanout.storage.layout import RUN
from fanout.storage.outputs import find_output
from fanout.storage.roots import display
from fanout.storage.stores import Store, open_store


class Handle:
    """Finds a run: on the server or, once that has forgotten it, in the store.

    Attributes:
        id: The run's id.
        client: The client it was made with.
    """

    def __init__(self, client: Client, id: str, *, execution: str | None = None) -> None:
        self.client = client
        self.id = id
        self._execution = execution
        self._output: str | None = None
        self._previous: str | None = None

    def __repr__(self) -> str:
        return f"<fanout run {self.id!r}>"

    @property
    def web_url(self) -> str | None:
        """Address of the run in Temporal Web, where that is known: see `FANOUT_WEB_URL`."""
        base = web_base(self.client.service_client.config.target_host)
        if base is None:
            return None
        path = (
            f"{base}/namespaces/{quote(self.client.namespace, safe='')}/workflows/{quote(self.id, safe='')}"
        )
        return f"{path}/{self._execution}/history" if self._execution else path

    async def info(self) -> RunInfo:
        """Return what the server knows of the run; works without workers.

        Raises:
            RunNotFound: The server knows no run of that id.
            NoServer: The server does not answer.
        """
        info = await read_info(await self._asked(self._handle().describe()))
        if self._execution not in (None, info.execution):
            # The id was given to another run since.
            info = await read_info(await self._asked(self._handle(self._execution).describe()))
        self._output = info.output
        self._previous = info.previous
        self._execution = info.execution
        return info

    async def trouble(self) -> str | None:
        """Return what the run waits for, or why its batches are being repeated, as the server knows; None if nothing.

        Items that fail are no trouble: this is about workers and stores.
        """
        return await find_trouble(self.client, self.id)

    async def pollers(self) -> int:
        """Return how many workers polled the run's task queue within the last minute."""
        info = await self.info()
        return await count_pollers(self.client, info.task_queue)

    async def output(self) -> str:
        """Return the URL of the run's output: from the server or, once that has forgotten the run, from the store.

        Raises:
            RunNotFound: Neither the server nor the client's store knows the run.
            NoServer: The server does not answer.
        """
        if self._output is None:
            try:
                return (await self.info()).output
            except RunNotFound as error:
                self._output = await self._stored(error)
        return self._output

    @property
    def execution(self) -> str | None:
        """First execution id of the run's root workflow, where that is known: a rerun has another one."""
        return self._execution

    # ---- for its kinds

    async def readable(self) -> Store:
        """Return the output to read: where the run has none, or none yet, the one that it goes on from."""
        store = open_store(await self.output())
        if self._previous is not None and not await store.exists(RUN):
            return open_store(self._previous)
        return store

    def _handle(
        self, execution: str | None = None, result_type: type[Any] | None = None
    ) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(
            self.id, run_id=execution, first_execution_run_id=self._execution, result_type=result_type
        )

    async def _asked(self, answer: Any) -> Any:
        try:
            return await answer
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise RunNotFound(
                    f"no run {self.id!r} in namespace {self.client.namespace!r}, or it has ended already: "
                    "see `fanout list`"
                ) from None
            raise refused(error, f"nothing is known of run {self.id!r}") from None

    async def _stored(self, unknown: RunNotFound) -> str:
        """Return the URL of an output in the client's store."""
        store = store_of(self.client)
        try:
            found = await find_output(store, self.id, self._execution)
        except UsageError:
            # No run can have such an id.
            raise unknown from None
        if found is None:
            raise RunNotFound(
                f"{unknown}; nor is there an output of it in {display(store)} (see FANOUT_STORE)"
            )
        return found.url
