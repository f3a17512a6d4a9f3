"""Which execution of a batch counts: the one whose commit stands."""

from __future__ import annotations

from typing import Any

from fanout.children.batch import _record_commit
from fanout.children.execution import Execution
from fanout.inputs import BatchInput
from fanout.storage.layout import batch_key
from fanout.storage.rests import Items
from tests.unit.storage.conftest import memory_store
from tests.unit.storage.outputs import NONCE


class Recorder:
    """Stands for the metrics of a worker."""

    def __init__(self) -> None:
        self.commits: list[dict[str, Any]] = []

    def committed(self, **measured: Any) -> None:
        self.commits.append(measured)


async def test_only_the_commit_that_stands_is_counted() -> None:
    store = memory_store()
    order = BatchInput("memory://", NONCE, batch_key(0, 0), 0, 3, [], 1)
    recorder: Any = Recorder()
    for expected in (True, False):
        execution = Execution(store, order, [Items(0, 3)])
        commit = await execution.seal()
        assert execution.won is expected
        _record_commit(recorder, execution, commit)
    assert len(recorder.commits) == 1
