"""A user's workflow with a run inside, of which a history is recorded."""

from __future__ import annotations

from temporalio import workflow

import fanout


@workflow.defn
class Above:
    """Runs twenty items."""

    @workflow.run
    async def run(self, run_id: str, queue: str) -> int:
        """Return how many succeeded."""
        result = await fanout.workflow.execute(
            "recorded", fanout.Range(20), id=run_id, task_queue=queue, max_concurrency=10
        )
        return result.succeeded
