"""The batches of a partition, as its workflow sees them: their keys, those in flight, and what they commit."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeout

with workflow.unsafe.imports_passed_through():
    from fanout import quick, wire
    from fanout.children.share import Share
    from fanout.children.work import Portion
    from fanout.inputs import BatchInput, BatchOutput
    from fanout.messages import BranchInput, PartitionState
    from fanout.options import from_carried
    from fanout.pages import cut
    from fanout.storage.layout import batch_key, planned

LONGEST_BATCH = timedelta(days=30)


class Batches:
    """Gives batches their keys, runs them as activities, and gets a commit of each, whatever becomes of its workers.

    Args:
        branch: The partition's range.
        state: What was carried over from before.
        number: The partition's.
        share: Which of the batches are to end.
    """

    def __init__(self, branch: BranchInput, state: PartitionState, number: int, share: Share) -> None:
        self._run = branch.run
        self._pages = branch.pages
        self._heartbeat = timedelta(seconds=from_carried(branch.run.options).heartbeat_timeout)
        self._number = number
        self._share = share
        # A workflow that is reset plans its batches anew, under keys that its old ones do not have.
        self._planner = workflow.info().run_id[:8]
        self.keys = _keys_of(state, self._planner)
        self.sequence = state.sequence
        self._in_flight: dict[str, workflow.ActivityHandle[dict[str, Any]]] = {}

    @property
    def slots(self) -> set[str]:
        """Those of the batches in flight."""
        return set(self._in_flight)

    def next_key(self) -> str:
        """Return the key of a new batch."""
        number, self.sequence = self.sequence, self.sequence + 1
        return batch_key(self._number, number, self._planner)

    def cancel(self, slot: str) -> None:
        """Tell a batch to end, where it has begun."""
        if slot in self._in_flight:
            self._in_flight[slot].cancel()

    async def run(
        self, key: str, portion: Portion, concurrency: int, *, last: bool, rate: float
    ) -> BatchOutput:
        """Run some items under a key, and return what its commit says.

        Args:
            key: The key.
            portion: The items.
            concurrency: Items in flight at most.
            last: Whether no item is left for others.
            rate: Items that it may begin in a second for each of those in flight; 0 for any number.

        Raises:
            ActivityError: The batch has failed for a reason that no worker can mend.
        """
        slot = slot_of(key)
        self._in_flight[slot] = handle = self._begin(key, portion, concurrency, last=last, rate=rate)
        if self._share.is_ending(slot):
            handle.cancel()
        try:
            output = await quick.outcome(handle)
        except (ActivityError, asyncio.CancelledError) as error:
            # A batch that is told to end is not repeated when its worker dies.
            timed_out = isinstance(error, ActivityError) and isinstance(error.cause, ActivityTimeout)
            if not (timed_out or is_cancelled_exception(error)):
                raise
            # It may have committed before, and may do so yet: only a commit decides a key.
            return await self.seal(key, portion, "seal")
        finally:
            self._in_flight.pop(slot, None)
        return self._noted(key, output)

    async def seal(self, key: str, portion: Portion, verb: str) -> BatchOutput:
        """Run nothing, and return what the key's commit says, or that all of the items remain.

        A cancellation does not cut this off: nobody would know what has become of the items.

        Args:
            key: The key.
            portion: The items.
            verb: What it is for, as Temporal Web shows it.
        """
        handle = self._begin(key, portion, 0, verb)
        try:
            await workflow.wait([handle])
        except asyncio.CancelledError:
            # Histories of earlier versions hold that it was passed on.
            if not workflow.patched("seal-to-the-end"):
                handle.cancel()
        return self._noted(key, await handle)

    def _begin(
        self,
        key: str,
        portion: Portion,
        concurrency: int,
        verb: str = "",
        *,
        last: bool = False,
        rate: float = 0.0,
    ) -> workflow.ActivityHandle[dict[str, Any]]:
        queue = workflow.info().task_queue
        return workflow.start_activity(
            wire.batch_activity(self._run.processor),
            BatchInput(
                output=self._run.output,
                nonce=self._run.nonce,
                key=key,
                start=portion.start,
                count=portion.count,
                pages=cut(self._pages, portion.start, portion.end) if concurrency else [],
                concurrency=concurrency,
                rests=portion.rests,
                last=last,
                rate=rate,
            ),
            task_queue=queue if concurrency else wire.control_queue(queue),
            result_type=dict[str, Any],
            # How often a batch is begun says nothing of its items: workers come and go.
            retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
            start_to_close_timeout=LONGEST_BATCH,
            heartbeat_timeout=self._heartbeat,
            # A batch that is cancelled commits what it has before it ends.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{verb} {portion.words}".lstrip(),
        )

    def _noted(self, key: str, said: dict[str, Any]) -> BatchOutput:
        """Count the key of a commit among those that the partition consists of."""
        output = BatchOutput.of({**said, "key": said.get("key") or key})
        planner, number = planned(output.key)
        first, end = self.keys.setdefault(planner, [number, number])
        self.keys[planner] = [min(first, number), max(end, number + 1)]
        return output


def slot_of(key: str) -> str:
    """Return a key without its planner: signals in the history of a workflow that was reset name the one before."""
    return key.rpartition("-")[0]


def _keys_of(state: PartitionState, planner: str) -> dict[str, list[int]]:
    """Return the keys that count so far, and those to come: none of this planner's yet."""
    keys = {known: list(span) for known, span in state.keys.items()}
    if state.sequence and not keys:
        # Carried over by a version whose keys named no planner.
        keys[""] = [0, state.sequence]
    return {**keys, planner: [state.sequence, state.sequence]}
