"""The group workflow: a node between the root and the partitions of a very large run."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from fanout import wire
    from fanout.errors import FanoutError
    from fanout.interim import telling
    from fanout.messages import BranchInput, BranchOutput, Interim, NodeProgress, Standing
    from fanout.parent.branch import Branch
    from fanout.parent.tiler import Span, Tiler
    from fanout.topology import Shape


@workflow.defn(name=wire.GROUP_WORKFLOW, failure_exception_types=[FanoutError, ValidationError])
class GroupWorkflow:
    """A contiguous range of partitions, or of smaller groups."""

    @workflow.init
    def __init__(self, branch: BranchInput) -> None:
        run = branch.run
        shape = Shape(
            partition_size=run.partition_size,
            levels=branch.level,
            max_children=run.max_children,
            exact=True,
            batch_concurrency=run.batch_concurrency,
        )
        self._count = branch.count
        self._tiler = Tiler(branch.pages, complete=True)
        self._branch = Branch(
            run,
            shape,
            level=branch.level,
            items=branch.count,
            standing=branch.standing or Standing(0, branch.concurrency),
        )

    @workflow.run
    async def run(self, branch: BranchInput) -> BranchOutput:
        """Run the range to its end."""
        with telling(self._branch):
            output = await self._branch.run(self._next_span)
        taken = output.items
        left = self._count - taken
        return BranchOutput(
            items=self._count,
            totals=output.totals,
            not_run=output.not_run + left,
            partitions=output.partitions,
            slowest=output.slowest,
            samples=output.samples,
            recent=output.recent,
        )

    @workflow.query(name=wire.PROGRESS_QUERY)
    def progress(self) -> NodeProgress:
        """Return the settled numbers of this group, and its live children."""
        return self._branch.progress(self._count, planned=True)

    @workflow.signal(name=wire.STANDING_SIGNAL)
    def obey(self, standing: Standing) -> None:
        """Go by other standing orders from now on."""
        self._branch.obey(standing)

    @workflow.signal(name=wire.INTERIM_SIGNAL)
    def hear(self, said: Interim) -> None:
        """Take note of what a child says of itself."""
        self._branch.hear(said)

    @workflow.signal(name=wire.SHARE_SIGNAL, unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def spend(self, concurrency: int) -> None:
        """Spend so much from now on."""
        await self._branch.spend(concurrency)

    async def _next_span(self, size: int) -> Span | None:
        return self._tiler.take(size)
