"""Ray Data: its own reader, `map_batches` over tables, its own writer.

A table knows no line numbers: the index of a row is the id of its item, which is the same here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import ray.data

from bench.model import Item
from bench.peers.batches import noop
from bench.peers.local_ray import local_ray
from bench.peers.protocol import Job, Run, serve


def process(table: pa.Table) -> pa.Table:
    """Run the items of one table."""
    outputs = [noop(Item.model_validate(item)) for item in table.to_pylist()]
    return pa.table({"index": outputs, "key": [str(output) for output in outputs], "output": outputs})


def run(job: Job) -> None:
    """Run the whole file."""
    items = ray.data.read_json(str(job.source))
    items.map_batches(process, batch_size=job.chunk, batch_format="pyarrow").write_json(str(job.target))


@contextmanager
def cluster() -> Iterator[Run]:
    """Run Ray."""
    with local_ray():
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        yield run


if __name__ == "__main__":
    serve(cluster)
