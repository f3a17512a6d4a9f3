"""fanout: one function over a very large set of items, durably, on Temporal."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanout import reducers
    from fanout.client import connect, get_run, list_runs, map, start
    from fanout.counting import count
    from fanout.errors import (
        CountError,
        FanoutError,
        ItemError,
        NoServer,
        NotAllowed,
        NoWorker,
        ObjectExists,
        ObjectMissing,
        ReducerFailed,
        RunExists,
        RunFailed,
        RunNotFound,
        ServerRefuses,
        SourceError,
        StoreError,
        StoreUnavailable,
        Unisolable,
        UnknownProcessor,
        UnknownReader,
        UnknownReducer,
        UsageError,
        WorkerExhausted,
    )
    from fanout.iteminfo import Info, info
    from fanout.models import (
        Failure,
        FailureKind,
        FailureSample,
        ItemResult,
        PartitionProgress,
        Progress,
        RunEvent,
        RunResult,
        Status,
    )
    from fanout.options import Options
    from fanout.planning.look import plan
    from fanout.planning.runplan import RunPlan
    from fanout.plugin import Plugin
    from fanout.processors import Processor, processor
    from fanout.readers import Csv, Items, JsonLines, Range, Reader
    from fanout.reducing import Reducer, reducer
    from fanout.runs.housekeeping import Deleted, OldOutput, delete_run, old_outputs
    from fanout.runs.info import RunInfo
    from fanout.runs.run import Run
    from fanout.runs.schedules import schedule_action
    from fanout.session import local
    from fanout.stopping import CounterAbove, FirstSuccess
    from fanout.workers.health import serve_health

__all__ = [
    "CountError",
    "CounterAbove",
    "Csv",
    "Deleted",
    "Failure",
    "FailureKind",
    "FailureSample",
    "FanoutError",
    "FirstSuccess",
    "Info",
    "ItemError",
    "ItemResult",
    "Items",
    "JsonLines",
    "NoServer",
    "NoWorker",
    "NotAllowed",
    "ObjectExists",
    "ObjectMissing",
    "OldOutput",
    "Options",
    "PartitionProgress",
    "Plugin",
    "Processor",
    "Progress",
    "Range",
    "Reader",
    "Reducer",
    "ReducerFailed",
    "Run",
    "RunEvent",
    "RunExists",
    "RunFailed",
    "RunInfo",
    "RunNotFound",
    "RunPlan",
    "RunResult",
    "ServerRefuses",
    "SourceError",
    "Status",
    "StoreError",
    "StoreUnavailable",
    "Unisolable",
    "UnknownProcessor",
    "UnknownReader",
    "UnknownReducer",
    "UsageError",
    "WorkerExhausted",
    "connect",
    "count",
    "delete_run",
    "get_run",
    "info",
    "list_runs",
    "local",
    "map",
    "old_outputs",
    "plan",
    "processor",
    "reducer",
    "reducers",
    "schedule_action",
    "serve_health",
    "start",
]

# Loaded on first use: a workflow's sandbox imports this package for every workflow, and the command line for each word.
_HOMES = {
    "client": ["connect", "get_run", "list_runs", "map", "start"],
    "counting": ["count"],
    "errors": [
        "CountError",
        "FanoutError",
        "ItemError",
        "NoServer",
        "NoWorker",
        "NotAllowed",
        "ObjectExists",
        "ObjectMissing",
        "ReducerFailed",
        "RunExists",
        "RunFailed",
        "RunNotFound",
        "ServerRefuses",
        "SourceError",
        "StoreError",
        "StoreUnavailable",
        "Unisolable",
        "UnknownProcessor",
        "UnknownReader",
        "UnknownReducer",
        "UsageError",
        "WorkerExhausted",
    ],
    "workers.health": ["serve_health"],
    "runs.housekeeping": ["Deleted", "OldOutput", "delete_run", "old_outputs"],
    "iteminfo": ["Info", "info"],
    "session": ["local"],
    "models": [
        "Failure",
        "FailureKind",
        "FailureSample",
        "ItemResult",
        "PartitionProgress",
        "Progress",
        "RunEvent",
        "RunResult",
        "Status",
    ],
    "options": ["Options"],
    "planning.look": ["plan"],
    "planning.runplan": ["RunPlan"],
    "plugin": ["Plugin"],
    "processors": ["Processor", "processor"],
    "readers": ["Csv", "Items", "JsonLines", "Range", "Reader"],
    "reducing": ["Reducer", "reducer"],
    "runs.run": ["Run"],
    "runs.info": ["RunInfo"],
    "runs.schedules": ["schedule_action"],
    "stopping": ["CounterAbove", "FirstSuccess"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_FOR_CLIENTS = {"client", "planning.look", "runs.housekeeping", "runs.schedules", "session", "workers.health"}

_MODULES = ("reducers", "workflow")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fanout.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'fanout' has no attribute {name!r}")
    if _HOME_OF[name] in _FOR_CLIENTS:
        # Here, since the sandbox of a workflow may refuse to import what it asks for.
        importlib.import_module("fanout.outside").refuse_in_workflows(name)
    value = getattr(importlib.import_module(f"fanout.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
