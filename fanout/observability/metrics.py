"""What a worker measures: names, labels, buckets, and how a batch records them.

They go through the meter of Temporal's own runtime, and so to wherever that exports to, beside Temporal's metrics. A
runtime that exports nothing makes each record a call that does nothing. The loop over items records nothing: all
that is counted of them is counted where their batch ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from temporalio.common import MetricMeter
from temporalio.runtime import PrometheusConfig

from fanout.models import MAX_COUNTERS, summed

ITEMS: Final = "fanout_items_total"
RETRIES: Final = "fanout_item_retries_total"
REEXECUTIONS: Final = "fanout_item_reexecutions_total"
ITEM_DURATION: Final = "fanout_item_duration_seconds"
BATCH_DURATION: Final = "fanout_batch_duration_seconds"
COMMIT_LATENCY: Final = "fanout_commit_latency_seconds"
IN_FLIGHT: Final = "fanout_items_in_flight"
PLACES: Final = "fanout_window_places"
COUNTER: Final = "fanout_counter"

# An item takes microseconds or minutes, a batch some seconds by design, a commit what the store takes.
BUCKETS: Final[dict[str, Sequence[float]]] = {
    ITEM_DURATION: (
        1e-6,
        1e-5,
        1e-4,
        1e-3,
        5e-3,
        1e-2,
        5e-2,
        0.1,
        0.25,
        0.5,
        1,
        2.5,
        5,
        10,
        30,
        60,
        300,
        1800,
    ),
    BATCH_DURATION: (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
    COMMIT_LATENCY: (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600),
}

SAMPLE_SECONDS = 1.0
"""How often the windows of a process are looked at."""


def prometheus_config(address: str) -> PrometheusConfig:
    """Return the setting that exposes all metrics of a process to Prometheus, durations in seconds.

    For a worker in a program of one's own, before its client connects:

        Runtime(telemetry=TelemetryConfig(metrics=prometheus_config("127.0.0.1:9464")))

    Args:
        address: Host and port to listen on; they are served there under `/metrics`.
    """
    return PrometheusConfig(
        bind_address=address, durations_as_seconds=True, histogram_bucket_overrides=dict(BUCKETS)
    )


class Places(Protocol):
    """A window, as far as it is measured."""

    @property
    def in_flight(self) -> int:
        """Slots that are in use."""

    @property
    def limit(self) -> int:
        """Slots at most."""

    @property
    def width(self) -> int:
        """Items that run in one slot."""


class BatchMetrics:
    """The metrics of one processor's batches on one task queue.

    Args:
        meter: Of Temporal's runtime.
        processor: The processor's name.
        task_queue: The queue.
    """

    def __init__(self, meter: MetricMeter, processor: str, task_queue: str) -> None:
        meter = meter.with_additional_attributes({"processor": processor, "task_queue": task_queue})
        items = meter.create_counter(ITEMS, "Items whose outcome a batch has committed")
        self._succeeded = items.with_additional_attributes({"outcome": "succeeded"})
        self._failed = items.with_additional_attributes({"outcome": "failed"})
        self._retries = meter.create_counter(RETRIES, "Failed attempts of items that another one follows")
        self._reexecutions = meter.create_counter(
            REEXECUTIONS, "Items that were begun by a worker that died, and run again"
        )
        self._item_duration = meter.create_histogram_float(ITEM_DURATION, "Time of an attempt, sampled")
        self._batch_duration = meter.create_histogram_float(
            BATCH_DURATION, "Time from the begin of a batch to its commit"
        )
        self._commit_latency = meter.create_histogram_float(
            COMMIT_LATENCY, "Time to write the last rows of a batch and its commit"
        )
        self._in_flight = meter.create_gauge(IN_FLIGHT, "Items that run now")
        self._places = meter.create_gauge(
            PLACES, "Items that the windows of running batches may have in flight"
        )
        # A gauge: the counters of Temporal's meter take whole numbers only.
        self._counter = meter.create_gauge_float(COUNTER, "Sums of what processors have counted")
        self._counted: dict[str, float] = {}
        self._windows: set[Places] = set()
        for counter in (self._succeeded, self._failed, self._retries, self._reexecutions):
            # A counter that appears only with its first value hides that value from `rate`.
            counter.add(0)

    @contextlib.contextmanager
    def watching(self, window: Places) -> Iterator[None]:
        """Include a window in what is measured now and then, as long as the block lasts."""
        self._windows.add(window)
        try:
            yield
        finally:
            self._windows.discard(window)

    def look(self) -> None:
        """Measure what is in flight at this moment."""
        self._in_flight.set(sum(window.in_flight * window.width for window in self._windows))
        self._places.set(sum(window.limit * window.width for window in self._windows))

    def begun_again(self, items: int) -> None:
        """Count items that the batch's last worker had begun when it died."""
        self._reexecutions.add(items)

    def ended(self, *, seconds: float, retries: int, durations: Iterable[float]) -> None:
        """Record what the items of a batch took.

        Args:
            seconds: Of the batch, from its begin.
            retries: Failed attempts of its items that another one follows.
            durations: Seconds of attempts, sampled.
        """
        self._batch_duration.record(seconds)
        self._retries.add(retries)
        for duration in durations:
            self._item_duration.record(duration)

    def committed(
        self, *, seconds: float, succeeded: int, failed: int, counters: Mapping[str, float]
    ) -> None:
        """Record a commit that counts: that of another execution is counted there.

        Args:
            seconds: That it took.
            succeeded: Items with a result.
            failed: Items with a failure.
            counters: What its items have counted.
        """
        self._commit_latency.record(seconds)
        self._succeeded.add(succeeded)
        self._failed.add(failed)
        if counters:
            # Those of all runs of the processor together.
            self._counted = summed(self._counted, counters, MAX_COUNTERS)
            for name, value in self._counted.items():
                self._counter.set(value, {"counter": name})


class Metrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], BatchMetrics] = {}

    def of(self, meter: MetricMeter, processor: str, task_queue: str) -> BatchMetrics:
        """Return the metrics of a processor's batches on a task queue."""
        found = self._kept.get((processor, task_queue))
        if found is None:
            found = self._kept[processor, task_queue] = BatchMetrics(meter, processor, task_queue)
        return found

    async def sample(self) -> None:
        """Measure, for ever, what is in flight: batches may be shorter than the time between two looks."""
        while True:
            for metrics in self._kept.values():
                metrics.look()
            await asyncio.sleep(SAMPLE_SECONDS)
