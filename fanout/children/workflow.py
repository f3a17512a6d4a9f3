"""The partition workflow."""

from __future__ import annotations

from temporalio import workflow

from fanout.children.partition import Partition

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from fanout import wire
    from fanout.errors import FanoutError
    from fanout.interim import telling
    from fanout.messages import BranchInput, BranchOutput, NodeProgress, Spare, Standing


@workflow.defn(name=wire.PARTITION_WORKFLOW, failure_exception_types=[FanoutError, ValidationError])
class PartitionWorkflow:
    """One contiguous range of items."""

    @workflow.init
    def __init__(self, branch: BranchInput) -> None:
        self._partition = Partition(branch)

    @workflow.run
    async def run(self, branch: BranchInput) -> BranchOutput:
        """Run the range to its end, continuing as new as often as it takes."""
        with telling(self._partition):
            ended = await self._partition.run()
        if ended is None:
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(self._partition.carried_over())
        return ended

    @workflow.query(name=wire.PROGRESS_QUERY)
    def progress(self) -> NodeProgress:
        """Return the settled numbers of this partition."""
        return self._partition.progress()

    @workflow.signal(name=wire.SPARE_SIGNAL)
    def give_up(self, spare: Spare) -> None:
        """Spend elsewhere what a batch needs no more."""
        self._partition.give_up(spare.key, spare.count)

    @workflow.query(name=wire.HASTE_QUERY)
    def hasty(self) -> bool:
        """Return whether batches that are told to end cut off what they have in flight."""
        return self._partition.hasty

    @workflow.signal(name=wire.STANDING_SIGNAL)
    def obey(self, standing: Standing) -> None:
        """Go by other standing orders from now on."""
        self._partition.obey(standing)

    @workflow.signal(name=wire.SHARE_SIGNAL)
    def spend(self, concurrency: int) -> None:
        """Spend so much from now on."""
        self._partition.spend(concurrency)
