"""Every knob of a run: its unit, its default, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from temporalio.common import RetryPolicy

from fanout import rates, tolerance
from fanout.errors import UsageError

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Options:
    """How a run is carried out. Every field has a default that suits most runs.

    Attributes:
        max_concurrency: Items in flight over the whole run, 1 to 10,000,000. The sum over all live batches never
            exceeds it. 100 is gentle on most services; a purely local job can take far more.
        batch_size: Items of one batch (one Temporal activity), 1 to 100,000. None: begins with up to 30,000 and adapts
            until a batch lasts about `batch_seconds`. 1 shows every item in Temporal Web, at the price of throughput.
        batch_concurrency: Items in flight inside one batch, 1 to 100,000. None: about the square root of
            `max_concurrency`, so that neither the number of batches nor their size runs away.
        batch_seconds: How long a batch aims to last, in seconds, 0.1 to 3,600. A batch that lasts twice as long
            commits what it has and hands the rest back. Longer batches cost less, and repeat more after a crash.
        checkpoint_seconds: Seconds between checkpoints of a batch, 0.1 to 3,600: what a worker's death may repeat. A
            batch that is shorter pays nothing for it.
        max_batch_bytes: Bytes of source that one batch reads, and of outputs that it holds, 64 KiB to 1 GiB. A batch
            that has more ends early and hands the rest back.
        max_item_bytes: Bytes of one item, 1 to 1 GiB. A larger one is recorded as failed, unread.
        max_reduced_bytes: Bytes of the value of a reducer as JSON, 1 KiB to 256 MiB. A run whose value is larger fails.
        partition_size: Items of one partition (one child workflow), 1 to 100,000,000. None: few, large partitions.
        max_children: Children of any node of the tree, 2 to 1,000. Temporal refuses more than 2,000 pending ones.
        history_limit: Events after which a partition continues as new, 100 to 40,000. None: 10,000, more where the
            window is large. Temporal terminates a workflow at 51,200.
        retries: Further attempts of an item after its first one failed, 0 to 1,000.
        retry_initial: Seconds before the second attempt.
        retry_coefficient: Factor from one backoff to the next, at least 1.
        retry_maximum: Longest backoff in seconds.
        non_retryable: Names of error types that fail an item at once.
        tolerated_failures: How many items may fail for good before the run stops early, as FAILED_TOLERANCE_EXCEEDED:
            a number such as 100, or a percentage such as "2.5%" of all items. None: half of them, in runs of 1,000 or
            more. "100%" never stops a run. A run stops for a percentage once so many have failed, or as soon as the
            rate of failures among those settled is all but certainly above it.
        tolerance_sample: Settled items from which on their rate of failures counts, 1 to 1,000,000,000. Where it is
            said, a run of fewer items is never stopped for a percentage. None: 1,000.
        timeout: Seconds that one attempt of one item may take; None for no bound. A thread that is timed out cannot be
            ended: it runs on, and another takes its place.
        heartbeat_timeout: Seconds without a sign of life after which a batch is given to another worker, at least 1.
        rate_limit: Items that begin in a second or minute over the whole run, such as `200/s` or `12000/min`, retries
            included; from 1/min to 10000000/s. None (or `none`): as many as `max_concurrency` allows.
    """

    max_concurrency: Annotated[int, Field(ge=1, le=10_000_000)] = 100
    batch_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    batch_concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    batch_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    checkpoint_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    max_batch_bytes: Annotated[int, Field(ge=64 * KIB, le=1024 * MIB)] = 16 * MIB
    max_item_bytes: Annotated[int, Field(ge=1, le=1024 * MIB)] = 4 * MIB
    max_reduced_bytes: Annotated[int, Field(ge=KIB, le=256 * MIB)] = 16 * MIB
    partition_size: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    max_children: Annotated[int, Field(ge=2, le=1000)] = 1000
    history_limit: Annotated[int, Field(ge=100, le=40_000)] | None = None
    retries: Annotated[int, Field(ge=0, le=1000)] = 3
    retry_initial: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    retry_coefficient: Annotated[float, Field(ge=1, le=100)] = 2.0
    retry_maximum: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    non_retryable: tuple[str, ...] = ()
    tolerated_failures: Annotated[str | None, BeforeValidator(tolerance.normal)] = None
    tolerance_sample: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    timeout: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = 60.0
    heartbeat_timeout: Annotated[float, Field(ge=1, le=3600)] = 30.0
    rate_limit: Annotated[str | None, BeforeValidator(rates.checked)] = None

    def backoff(self, attempt: int) -> float:
        """Return the seconds to wait after the given failed attempt, counted from 1."""
        try:
            grown = self.retry_initial * self.retry_coefficient ** (attempt - 1)
        except OverflowError:
            grown = self.retry_maximum if self.retry_initial else 0.0
        return min(self.retry_maximum, grown)


KNOWN_TO_ALL: Final = frozenset(
    {
        *("max_concurrency", "batch_size", "batch_concurrency", "batch_seconds", "checkpoint_seconds"),
        *("max_batch_bytes", "max_item_bytes", "partition_size", "max_children", "history_limit"),
        *("retries", "retry_initial", "retry_coefficient", "retry_maximum", "non_retryable"),
        *("tolerated_failures", "tolerance_sample", "timeout", "heartbeat_timeout", "rate_limit"),
    }
)
"""What the workers of the first release refuse all else beside: this set stays as it is."""


def carried(options: Options) -> dict[str, Any]:
    """Return options as they go along with a run, from worker to worker.

    Workers of another release may be among these. An option that came later goes along only where it is not its
    default, so that they run all that does not ask for it.
    """
    usual = asdict(Options())
    return {
        name: value for name, value in asdict(options).items() if name in KNOWN_TO_ALL or value != usual[name]
    }


def from_carried(values: Mapping[str, Any]) -> Options:
    """Return the options that a run brings along; those of later releases are passed over."""
    return Options(**{name: value for name, value in values.items() if name in Options.__dataclass_fields__})


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Check names and values of some options, and return them as they will be used.

    Args:
        settings: Some fields of `Options`; a timedelta stands for its seconds.

    Raises:
        UsageError: A name is unknown or a value is out of range; the text says which, and what is allowed.
    """
    names = Options.__dataclass_fields__
    for name in settings:
        if name not in names:
            raise UsageError(f"unknown option {name!r}{_nearest(name, list(names))}")
    settings = {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in settings.items()
    }
    try:
        whole = asdict(Options(**settings))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, str) and part in names)
        given = settings.get(where, first.get("input"))
        raise UsageError(f"option {where}: {first['msg'].lower()}, got {given!r}") from None
    return {name: whole[name] for name in settings}


def resolve(*layers: dict[str, Any]) -> Options:
    """Merge layers of options, the first one winning, over the defaults."""
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged.update(check(layer))
    return Options(**merged)


def from_retry_policy(policy: RetryPolicy) -> dict[str, Any]:
    """Translate Temporal's retry policy of an activity into options of an item.

    Raises:
        UsageError: The policy asks for unlimited attempts, which would hold a run for ever.
    """
    if policy.maximum_attempts < 1:
        raise UsageError(
            "retry_policy must say maximum_attempts: unlimited attempts of an item never end a run"
        )
    longest = policy.maximum_interval
    settings: dict[str, Any] = {
        "retries": policy.maximum_attempts - 1,
        "retry_initial": policy.initial_interval.total_seconds(),
        "retry_coefficient": policy.backoff_coefficient,
        # Temporal's own default: a hundred times the initial interval.
        "retry_maximum": (longest or 100 * policy.initial_interval).total_seconds(),
        "non_retryable": tuple(policy.non_retryable_error_types or ()),
    }
    return check(settings)


def from_environment(environment: dict[str, str]) -> dict[str, Any]:
    """Read options from `FANOUT_<NAME>` variables, such as `FANOUT_MAX_CONCURRENCY=500`.

    Raises:
        UsageError: A variable's value does not fit its option.
    """
    found: dict[str, Any] = {}
    for name in Options.__dataclass_fields__:
        text = environment.get(f"FANOUT_{name.upper()}")
        if text:
            found[name] = tuple(re.split(r"[,\s]+", text)) if name == "non_retryable" else text
    return check(found)


def _nearest(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(names))}"
