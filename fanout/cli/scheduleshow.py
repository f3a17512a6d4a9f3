"""What is known of a schedule, for people and as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fanout import messages, wire
from fanout.cli import say
from fanout.cli.schedulespec import name_of, words
from fanout.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import Client, ScheduleDescription


async def data_of(client: Client, found: ScheduleDescription) -> dict[str, Any]:
    """Return what is known of a schedule, as JSON."""
    schedule, info = found.schedule, found.info
    return {
        "id": found.id,
        **await _runs(client, schedule.action),
        "when": words(schedule.spec),
        "overlap_policy": name_of(schedule.policy.overlap),
        "catchup_window": window.total_seconds() if (window := schedule.policy.catchup_window) else None,
        "pause_on_failure": schedule.policy.pause_on_failure,
        "paused": schedule.state.paused,
        "notes": schedule.state.note,
        "remaining_actions": schedule.state.remaining_actions if schedule.state.limited_actions else None,
        "next": [moment.isoformat() for moment in info.next_action_times],
        "started": info.num_actions,
        "skipped": info.num_actions_skipped_overlap,
        "missed": info.num_actions_missed_catchup_window,
        "running": [run_of(one) for one in info.running_actions],
        "recent": [
            {
                "run": run_of(one.action),
                "due": one.scheduled_at.isoformat(),
                "started": one.started_at.isoformat(),
            }
            for one in info.recent_actions
        ],
    }


async def _runs(client: Client, action: Any) -> dict[str, Any]:
    """Return what a schedule starts."""
    from temporalio.client import ScheduleActionStartWorkflow

    if not isinstance(action, ScheduleActionStartWorkflow) or action.workflow != wire.RUN_WORKFLOW:
        raise UsageError("this schedule starts no runs of fanout: see `temporal schedule describe`")
    [order] = await client.data_converter.decode(list(action.args), [messages.RunInput])
    return {
        "run": action.id,
        "processor": order.processor,
        "source": {"reader": order.source.kind, **order.source.args},
        "params": order.params,
        "options": order.settings,
        "task_queue": action.task_queue,
        "store": order.store,
        "time_zone": (order.scheduled or messages.Scheduled()).time_zone,
    }


async def rows_of(client: Client, query: str | None) -> list[dict[str, Any]]:
    """Return the schedules that start runs, as the server lists them."""
    from temporalio.client import ScheduleListActionStartWorkflow

    rows: list[dict[str, Any]] = []
    async for one in await client.list_schedules(query):
        schedule, info = one.schedule, one.info
        if (
            schedule is None
            or info is None
            or not isinstance(schedule.action, ScheduleListActionStartWorkflow)
        ):
            continue
        if schedule.action.workflow == wire.RUN_WORKFLOW:
            rows.append(
                {
                    "id": one.id,
                    "when": words(schedule.spec),
                    "paused": schedule.state.paused,
                    "notes": schedule.state.note,
                    "next": [moment.isoformat() for moment in info.next_action_times],
                    "recent": [run_of(recent.action) for recent in info.recent_actions],
                }
            )
    return rows


def show(data: dict[str, Any]) -> None:
    """Print what `data_of` has found, for people."""
    from fanout.storage.roots import display

    rows: list[tuple[str, object]] = [
        ("schedule", data["id"]),
        ("state", state_of(data)),
        ("when", data["when"]),
        ("next", ", ".join(data["next"][:3]) or "never"),
        ("overlap", data["overlap_policy"]),
        ("processor", data["processor"]),
        ("source", json.dumps(data["source"], ensure_ascii=False)),
        ("queue", data["task_queue"]),
        ("store", display(data["store"])),
        ("started", f"{data['started']:,} runs, {data['skipped']:,} skipped, {data['missed']:,} missed"),
    ]
    rows += [(name, json.dumps(data[name])) for name in ("params", "options") if data[name]]
    if data["notes"]:
        rows.append(("notes", data["notes"]))
    rows += [("" if number else "last runs", one["run"]) for number, one in enumerate(data["recent"][::-1])]
    say.pairs(rows)


def state_of(data: dict[str, Any]) -> str:
    """Return whether a schedule is paused, in words."""
    return "paused" if data["paused"] else "goes on"


def next_of(found: ScheduleDescription) -> str:
    """Return when a schedule starts its next run, in words."""
    return first_of([moment.isoformat() for moment in found.info.next_action_times]) or "never"


def first_of(moments: list[str]) -> str:
    """Return the first of some moments as people read it; nothing where there is none."""
    return say.when(datetime.fromisoformat(moments[0])) if moments else ""


def run_of(action: Any) -> str:
    """Return the run that a schedule has started."""
    return str(action.workflow_id)
